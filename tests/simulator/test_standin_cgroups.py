"""The stand-in cgroup_exporter on control groups as Slurm makes them, laid out in a directory, and on a real one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import until
from tests.simulator.exporterpages import lay, page, series, values

CGROUP = Path("/sys/fs/cgroup")
UNLIMITED = 9223372036854771712  # what v1 says without a limit


def v1(group: str, factor: int = 1, cpus: str = "", limit: int = UNLIMITED) -> dict[str, str]:
    """The files of a group of cgroup v1; the amounts are multiples of `factor`."""
    stat = {"cache": 1, "total_cache": 900, "total_rss": 500, "total_inactive_file": 300, "total_active_file": 200}
    files = {
        f"cpuacct/{group}/cpuacct.usage": f"{3_500_000_000 * factor}\n",
        f"cpuacct/{group}/cpuacct.stat": f"user {200 * factor}\nsystem {100 * factor}\n",
        f"memory/{group}/memory.stat": "".join(f"{name} {value * factor}\n" for name, value in stat.items()),
    }
    for kind, number in (("memory", 1), ("memory.memsw", 2)):
        files[f"memory/{group}/{kind}.usage_in_bytes"] = f"{1000 * number * factor}\n"
        files[f"memory/{group}/{kind}.limit_in_bytes"] = f"{limit}\n"
        files[f"memory/{group}/{kind}.failcnt"] = f"{7 * number * factor}\n"
    if cpus:
        files[f"cpuset/{group}/cpuset.cpus"] = f"{cpus}\n"
    return files


def v2(group: str, factor: int = 1, cpus: str = "", limit: str = "max") -> dict[str, str]:
    """The files of a group of cgroup v2; the amounts are multiples of `factor`."""
    second = 1_000_000 * factor
    files = {
        "cpu.stat": f"usage_usec {int(3.5 * second)}\nuser_usec {2 * second}\nsystem_usec {second}\n",
        "memory.current": f"{1000 * factor}\n",
        "memory.max": f"{limit}\n",
        "memory.events": f"low 0\nmax 99\noom {7 * factor}\noom_kill 98\n",
        "memory.stat": f"anon {490 * factor}\nfile {900 * factor}\nshmem {400 * factor}\nswapcached {10 * factor}\n",
        **({"cpuset.cpus.effective": f"{cpus}\n"} if cpus else {}),
    }
    return {f"{group}/{name}": text for name, text in files.items()}


def tree(root: Path, *groups: dict[str, str], unified: bool = False) -> None:
    for files in groups:
        lay(root / "sys/fs/cgroup", files)
    if unified:
        lay(root / "sys/fs/cgroup", {"cgroup.controllers": "cpuset cpu memory\n"})


TWO = {
    "cpu_user_seconds": 4,
    "cpu_system_seconds": 2,
    "cpu_total_seconds": 7,
    "cpus": 5,
    "memory_rss_bytes": 1000,
    "memory_cache_bytes": 1800,
    "memory_shmem_bytes": 800,
    "memory_used_bytes": 2000,
    "memory_total_bytes": 4096,
    "memory_fail_count": 14,
    "memsw_used_bytes": 4000,
    "memsw_total_bytes": 4096,
    "memsw_fail_count": 28,
}
NO_SWAP = {"memsw_used_bytes": 0, "memsw_total_bytes": 0, "memsw_fail_count": 0}


@pytest.mark.parametrize(
    ("files", "unified", "expected"),
    [
        (v1("slurm/uid_1001/job_4711", 2, "0-3,8", 4096), False, {**TWO, "uid": 1001}),
        (v2("system.slice/slurmstepd.scope/job_4711", 2, "0-3,8", "4096"), True, {**TWO, **NO_SWAP, "uid": -1}),
    ],
)
def test_the_values_of_a_job(tmp_path: Path, files: dict[str, str], unified: bool, expected: dict[str, float]) -> None:
    tree(tmp_path, files, unified=unified)
    lines = page("cgroup_exporter", tmp_path)
    uid = expected.pop("uid")
    assert values(lines, "cgroup_uid") == {("4711",): uid}
    for name, value in expected.items():
        assert series(lines, f"cgroup_{name}") == [f'cgroup_{name}{{jobid="4711",step="",task=""}} {value}']
    told = {line.partition("{")[0] for line in lines if line[0] != "#"}
    assert told == {f"cgroup_{name}" for name in (*expected, "uid")} | {"bcm_jobstats_simulated_exporter"}


SCOPES = ["/slurm", "/slurm_dgx-01", "/system.slice/slurmstepd.scope", "/system.slice/dgx-01_slurmstepd.scope"]


@pytest.mark.parametrize("scope", SCOPES)
def test_steps_and_tasks(tmp_path: Path, scope: str) -> None:
    unified = "system.slice" in scope
    make, job, between = (v2, f"{scope}/job_7", "/user") if unified else (v1, f"{scope}/uid_0/job_7", "")
    for factor, below in enumerate(
        ("", "/step_batch", f"/step_batch{between}/task_0", f"/step_0{between}/task_special")
    ):
        tree(tmp_path, make(job[1:] + below, factor + 1), unified=unified)
    tree(tmp_path, make(f"{job[1:]}/step_0"), make(f"{job[1:]}/step_0{between}/task_x"), unified=unified)
    used = {("7", "", ""): 1000}
    assert values(page("cgroup_exporter", tmp_path), "cgroup_memory_used_bytes") == used
    used.update(
        {("7", "batch", ""): 2000, ("7", "batch", "0"): 3000, ("7", "0", ""): 1000, ("7", "0", "special"): 4000}
    )
    lines = page("cgroup_exporter", tmp_path, "collect.fullslurm")
    assert values(lines, "cgroup_memory_used_bytes") == used
    assert len(series(lines, "cgroup_uid")) == 1


@pytest.mark.parametrize(("version", "jobs"), [("v1", {"1", "2"}), ("v2", {"3", "s0123456789ABC"})])
def test_where_jobs_are_looked_for(tmp_path: Path, version: str, jobs: set[str]) -> None:
    scope = "system.slice/slurmstepd.scope"
    if version == "v1":
        tree(tmp_path, v1("slurm/uid_5/job_1"), v1("slurm_dgx-01/uid_5/job_2"), v1("slurm/uid_5/job_x"))
        tree(tmp_path, v1("slurm/job_6"), v1("slurmish/uid_5/job_7"), v1("user.slice/job_8"), v1("slurm/uid_x/job_9"))
    else:
        tree(tmp_path, v2(f"{scope}/job_3"), v2(f"{scope}/s0123456789ABC"), unified=True)
        tree(tmp_path, v2(f"{scope}/system"), v2(f"{scope}/s0123456789abc"), v2(f"{scope}/user5"))
        tree(tmp_path, v2("system.slice/job_4"), v2("system.slice/x.service/job_6"))
    assert {labels[0] for labels in values(page("cgroup_exporter", tmp_path), "cgroup_cpus")} == jobs


def test_a_node_without_slurm_has_no_jobs(tmp_path: Path) -> None:
    assert [line for line in page("cgroup_exporter", tmp_path) if line.startswith("cgroup")] == []


@pytest.mark.parametrize("unified", [False, True])
def test_cpus_and_limit_come_from_above_where_a_group_has_none(tmp_path: Path, unified: bool) -> None:
    if unified:
        job, between = "system.slice/slurmstepd.scope/job_7", "/user"
        tree(tmp_path, v2(job, 1, "0-1", "4096"), v2(f"{job}/step_0"), v2(f"{job}/step_0/user/task_0"), unified=True)
    else:
        job, between = "slurm/uid_0/job_7", ""
        tree(tmp_path, v1(job, 1, "0-1", 4096), v1(f"{job}/step_0"), v1(f"{job}/step_0/task_0"))
    lines = page("cgroup_exporter", tmp_path, "collect.fullslurm")
    task = 0 if between else 2  # two levels up, and with v2 there is one more between
    assert values(lines, "cgroup_cpus") == {("7", "", ""): 2, ("7", "0", ""): 2, ("7", "0", "0"): task}
    below = 4096 if unified else UNLIMITED
    limits = {("7", "", ""): 4096, ("7", "0", ""): below, ("7", "0", "0"): below}
    assert values(lines, "cgroup_memory_total_bytes") == limits


@pytest.mark.parametrize(("unified", "limit"), [(False, "9223372036854771712"), (True, "-1")])
def test_no_limit_and_no_list_of_cpus(tmp_path: Path, unified: bool, limit: str) -> None:
    tree(tmp_path, v2("system.slice/slurmstepd.scope/job_7") if unified else v1("slurm/uid_0/job_7"), unified=unified)
    lines = page("cgroup_exporter", tmp_path)
    assert series(lines, "cgroup_memory_total_bytes") == [
        f'cgroup_memory_total_bytes{{jobid="7",step="",task=""}} {limit}',
    ]
    assert values(lines, "cgroup_cpus") == {("7", "", ""): 0}


def test_memory_that_is_not_accounted_is_zero_in_v1(tmp_path: Path) -> None:
    tree(tmp_path, {path: text for path, text in v1("slurm/uid_0/job_7").items() if path.startswith("cpuacct")})
    lines = page("cgroup_exporter", tmp_path)
    assert values(lines, "cgroup_memory_used_bytes") == {("7", "", ""): 0}
    assert values(lines, "cgroup_cpu_total_seconds") == {("7", "", ""): 3.5}


@pytest.mark.parametrize(
    "gone", ["cpu.stat", "memory.stat", "memory.max", "memory.current", "memory.events", "cpuacct.usage"]
)
def test_a_job_that_vanishes_is_left_out(tmp_path: Path, gone: str) -> None:
    unified = gone != "cpuacct.usage"
    for job in ("7", "8"):
        group = f"system.slice/slurmstepd.scope/job_{job}" if unified else f"slurm/uid_0/job_{job}"
        tree(tmp_path, v2(group) if unified else v1(group), unified=unified)
    below = "system.slice/slurmstepd.scope/job_7" if unified else "cpuacct/slurm/uid_0/job_7"
    (tmp_path / "sys/fs/cgroup" / below / gone).unlink()
    lines = page("cgroup_exporter", tmp_path)
    assert set(values(lines, "cgroup_memory_used_bytes")) == {("8", "", "")}
    assert set(values(lines, "cgroup_uid")) == {("8",)}


def test_the_user_of_a_job_in_v2_is_told_on_request(tmp_path: Path) -> None:
    job, other = "system.slice/slurmstepd.scope/job_7", "system.slice/slurmstepd.scope/job_8"
    tree(tmp_path, v2(job), v2(other), unified=True)
    # Slurm's own processes need not be the user's.
    with subprocess.Popen(["sleep", "1000"], user=None if os.getuid() else 65534) as slurms:
        try:
            until(lambda: Path(f"/proc/{slurms.pid}/exe").resolve().name == "sleep")
            pids = f"4194305\n{os.getpid()}\n{slurms.pid}\n"
            procs = {f"{job}/step_0/user/task_0/cgroup.procs": pids, f"{job}/cgroup.procs": f"{slurms.pid}\n"}
            tree(tmp_path, procs, unified=True)
            plain, asked = page("cgroup_exporter", tmp_path), page("cgroup_exporter", tmp_path, "collect.username")
        finally:
            slurms.kill()
    assert values(plain, "cgroup_uid") == {("7",): -1, ("8",): -1}
    assert values(asked, "cgroup_uid") == {("7",): os.getuid(), ("8",): -1}


@pytest.fixture
def real_job() -> Iterator[tuple[str, int]]:
    """A job's control group of this machine with a process in it that uses some memory: job id and the process."""
    if os.getuid() or not os.access(CGROUP / "cpuacct", os.W_OK) or not os.access(CGROUP / "memory", os.W_OK):
        pytest.skip("needs root and cgroup v1 with cpuacct and memory")
    job = f"9{os.getpid()}"
    made = [
        CGROUP / controller / f"slurm_standin{os.getpid()}" / below
        for controller in ("cpuacct", "memory")
        for below in ("", "uid_1001", f"uid_1001/job_{job}", f"uid_1001/job_{job}/step_0")
    ]
    use = "import sys; held = bytearray(b'x') * 50_000_000; print('up', flush=True); sys.stdin.read()"
    wait = f"import sys; sys.stdin.readline(); {use}"
    try:
        for directory in made:
            directory.mkdir()
        command = [sys.executable, "-I", "-S", "-c", wait]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            for directory in made:
                if directory.name == "step_0":
                    (directory / "cgroup.procs").write_text(str(process.pid))
            assert process.stdin and process.stdout
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == "up\n"
            yield job, process.pid
            process.stdin.close()
    finally:
        for directory in reversed(made):
            if directory.exists():
                directory.rmdir()


@pytest.mark.lab
def test_the_groups_of_this_machine(real_job: tuple[str, int]) -> None:
    job, _ = real_job
    lines = page("cgroup_exporter", "", "collect.fullslurm")
    ours = {name: found for name, found in values(lines, "cgroup_memory_rss_bytes").items() if name[0] == job}
    assert set(ours) == {(job, "", ""), (job, "0", "")}
    assert all(50e6 < value < 100e6 for value in ours.values())
    assert 0 < values(lines, "cgroup_cpu_total_seconds")[job, "0", ""] < 60
    assert values(lines, "cgroup_memory_total_bytes")[job, "", ""] == UNLIMITED
    assert values(lines, "cgroup_uid")[job,] == 1001
