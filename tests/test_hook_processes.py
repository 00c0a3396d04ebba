"""How many processes a hook starts, counted; and that what the benchmark compares them with does what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.site.schema import JobMap
from tests import bench_hooks
from tests.bench_reference import cases, nodes
from tests.bench_reference.cases import Case
from tests.bench_reference.nodes import EPILOGS, PROLOGS, Node
from tests.bench_reference.processes import can_count, counted, took

JOB = cases.JOB
MOST = 2
"""Processes beside bash itself (issue 5)."""
counting = pytest.mark.skipif(not can_count(), reason="strace is not there, or may not trace here")


@pytest.fixture
def reference(tmp_path: Path) -> Node:
    return nodes.reference(tmp_path / "run")


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, Case]]:
    with cases.made() as found:
        for case in found.values():
            case.warm_up()
        yield found


@counting
@pytest.mark.parametrize(
    ("text", "processes"),
    [("exit 0", 0), ("/bin/true; :", 1), ("(:); x=$(:); :", 2), ("/bin/true | cat; (/bin/true; :); :", 4)],
)
def test_every_process_is_counted(tmp_path: Path, text: str, processes: int) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/bin/bash\n{text}\n")
    script.chmod(0o755)
    assert counted(script, {}) == processes


@counting
def test_no_hook_starts_more_than_two(measured: dict[str, Case]) -> None:
    ours = {what: case.started for what, case in measured.items() if set(case.scripts) <= {*PROLOGS, *EPILOGS}}
    assert {*bench_hooks.JUDGED, "8 GPUs by UUID", "8 GPUs of another job too", "no GPU"} <= set(ours)
    more = {what: started for what, started in ours.items() if max(filter(None, started.values()), default=0) > MOST}
    assert not more


@counting
def test_what_a_hook_starts_does_not_grow_with_its_gpus(measured: dict[str, Case]) -> None:
    assert measured["8 GPUs"].started == measured["1 GPU"].started
    assert measured["8 GPUs of another job too"].started == measured["1 GPU of another job too"].started


@counting
def test_nor_does_the_first_job_after_a_boot_start_more(tmp_path: Path) -> None:
    node = nodes.ours(tmp_path / "scripts", tmp_path / "run", JobMap())
    environment = nodes.slurm(node, JOB, range(8))
    assert all((counted(node.scripts[hook], environment) or 0) <= MOST for hook in PROLOGS)
    assert node.mentions(JOB) == 16


@counting
def test_the_references_start_what_was_counted_in_theirs_or_less(measured: dict[str, Case]) -> None:
    upstream = {"upstream-prolog": (0, 2, 16), "upstream-epilog": (0, 6, 48)}
    seed = {"seed-prolog": (4, 6, 16), "seed-epilog": (4, 11, 60)}
    for number, what in enumerate(("no GPU", "1 GPU", "8 GPUs")):
        started = measured[what + cases.REFERENCE].started
        assert {name: started[name] for name in upstream} == {name: counts[number] for name, counts in upstream.items()}
        for name, counts in seed.items():
            assert number <= (started[name] or 0) <= counts[number]


def test_upstream_style_writes_a_file_per_number_and_uuid_and_removes_them(reference: Node) -> None:
    environment = nodes.slurm(reference, JOB, [0, 3])
    took(reference.scripts["upstream-prolog"], environment)
    found = {file.name: file.read_text() for file in reference.run.glob("gpustat/*")}
    assert found == dict.fromkeys(["0", "3", nodes.uuid(0), nodes.uuid(3)], f"{JOB} 1000\n")
    took(reference.scripts["upstream-epilog"], environment)
    assert not list(reference.run.glob("gpustat/*"))


def test_upstream_style_names_the_file_of_a_mig_instance_by_its_uuid(reference: Node) -> None:
    environment = {**nodes.slurm(reference, JOB, []), "CUDA_VISIBLE_DEVICES": "MIG-abc"}
    took(reference.scripts["upstream-prolog"], environment)
    assert [file.name for file in reference.run.glob("gpustat/*")] == ["MIG-abc"]


def test_seed_style_appends_the_job_and_takes_only_its_own_away(reference: Node) -> None:
    prolog, epilog = reference.scripts["seed-prolog"], reference.scripts["seed-epilog"]
    first, second = nodes.slurm(reference, 12, [0, 1]), nodes.slurm(reference, 123, [1])
    took(prolog, first)
    took(prolog, second)
    assert _map(reference) == {"0": "12\n", "1": "12\n123\n"}
    took(epilog, first)
    assert _map(reference) == {"1": "123\n"}
    took(epilog, second)
    assert _map(reference) == {}
    log = (reference.run / "log/dcgm-prolog.log").read_text().splitlines()
    assert len(log) == 7
    assert "job 123: has GPU 1" in log[-2]


def test_seed_style_understands_a_range(reference: Node) -> None:
    environment = {**nodes.slurm(reference, JOB, []), "CUDA_VISIBLE_DEVICES": "0-2,5"}
    took(reference.scripts["seed-prolog"], environment)
    assert sorted(_map(reference)) == ["0", "1", "2", "5"]


def test_the_benchmark_measures_hooks_that_work_and_names_the_targets() -> None:
    rows = bench_hooks.rows(rounds=1)
    judged = [what for what, _, target, _ in rows if target == bench_hooks.TARGET]
    assert judged == [f"{hook}, {gpus}" for gpus in bench_hooks.JUDGED for hook in (*PROLOGS, *EPILOGS)]
    assert all("-style (" in against for *_, target, against in rows if target == bench_hooks.TARGET)
    assert len({what for what, *_ in rows}) == len(rows)


def test_the_benchmark_refuses_a_hook_that_maps_nothing(tmp_path: Path) -> None:
    node = nodes.ours(tmp_path / "scripts", tmp_path / "run", JobMap())
    for script in node.scripts.values():
        script.write_text("#!/bin/bash\nexit 0\n")
    with pytest.raises(AssertionError, match="does not map the job"):
        Case("1 GPU", node, nodes.slurm(node, JOB, [0]), (*PROLOGS, *EPILOGS)).warm_up()


def _map(node: Node) -> dict[str, str]:
    return {file.name: file.read_text() for file in node.run.glob("dcgm-job-map/*")}
