"""A node without Slurm, in a directory of tmpfs: the hooks as they are deployed, started as slurmd starts them.

Which jobs run is said by a stand-in control group tree. The sweeper's `pgrep` sees the whole machine, so also real
slurmstepd of other tests: jobs of tests that sweep have ids from 4,100,000 on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

SCRIPTS = Path(__file__).parents[2] / "scripts"
SHARED = '. "${BASH_SOURCE[0]%/*}/gpu-map.bash"\n'
"""The line that a deployment replaces by gpu-map.bash."""
HOOKS = ("prolog-jobstats", "prolog-dcgm", "epilog-jobstats", "epilog-dcgm")
MAPS = ("gpustat", "dcgm-job-map")
LOCK_WAIT = "0.8"
"""Seconds for which a hook waits for the lock."""
HANGS = 8
"""Seconds after which a hook that does not end is killed, and its test fails."""
PATIENCE = 15
"""Seconds between the two looks that a job must not be found in."""


@dataclass(frozen=True)
class Ended:
    """How a hook ended; `seconds` is wall-clock time from its start to its end."""

    status: int
    out: str
    err: str
    seconds: float


def set_to(text: str, **settings: str) -> str:
    """The script with its settings, each found exactly once at the start of a line, as `name=value`."""
    for name, value in settings.items():
        lines = text.split("\n")
        (number,) = (number for number, line in enumerate(lines) if line.startswith(f"{name}="))
        lines[number] = f"{name}={value}"
        text = "\n".join(lines)
    return text


class Node:
    """The scripts, deployed under `directory`, and what they keep in `directory`/run."""

    def __init__(
        self,
        directory: Path,
        mode: str = "label",
        release: str = "empty",
        numbers: str = "index",
        wait: str = LOCK_WAIT,
        contain: str = "yes",
    ) -> None:
        """`contain`: whether Slurm gives every job an extern step (PrologFlags=Contain), as one of job 1 tells."""
        self.directory, self.run, self.cgroups = directory, directory / "run", directory / "cgroup"
        self.home, self.scripts = self.run / "bcm-jobstats", directory / "scripts"
        for path in (self.run, self.cgroups, self.scripts):
            path.mkdir(parents=True)
        if contain == "yes":
            (self.group(1) / "step_extern").mkdir(parents=True)
        shared = (SCRIPTS / "gpu-map.bash").read_text()
        assert shared.count(f"flock -w {LOCK_WAIT} ") == 1
        shared = shared.replace(f"flock -w {LOCK_WAIT} ", f"flock -w {wait} ")
        shared = set_to(shared, run=str(self.run), mode=mode, release=release, numbers=numbers)
        for name in (*(f"{hook}.sh" for hook in HOOKS), "gpu-sweep"):
            text = (SCRIPTS / name).read_text()
            assert text.count(SHARED) == 1
            text = text.replace(SHARED, shared)
            if name == "gpu-sweep":
                text = text.replace("patience=15 ", f"patience={PATIENCE} ")
                text = set_to(text, cgroups=str(self.cgroups))
            self.install(name, text)

    def install(self, name: str, text: str) -> Path:
        path = self.scripts / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def script(self, hook: str) -> Path:
        return self.scripts / (hook if hook == "gpu-sweep" else f"{hook}.sh")

    def command(self, hook: str) -> list[str]:
        return [str(self.script(hook))]

    def hook(
        self, hook: str, job: object = 0, gpus: Optional[str] = None, *, inside: Sequence[str] = (), **more: Any
    ) -> Ended:
        """Run one hook to its end; `inside` is a command that runs it somewhere else, as in a mount namespace."""
        env = more.pop("env", None)
        if env is None:
            env = environment(hook, job, gpus, **{key: more.pop(key) for key in ("uid", "cuda") if key in more})
        command: Sequence[Any] = self.command(hook)
        if inside:  # the programs that lead there have an environment of their own
            command = [*inside, "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in env.items()), *command]
        started = time.monotonic()
        done = subprocess.run(
            command,
            env=None if inside else env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=HANGS,
            cwd=self.directory,
        )
        seconds = time.monotonic() - started
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode(), seconds)

    def prolog(self, job: object, gpus: Optional[str], **more: Any) -> None:
        """Both prologs, one after the other, as a dispatcher runs them."""
        for hook in HOOKS[:2]:
            self.ends_well(self.hook(hook, job, gpus, **more))

    def epilog(self, job: object, gpus: Optional[str] = None, **more: Any) -> None:
        for hook in HOOKS[2:]:
            self.ends_well(self.hook(hook, job, gpus, **more))

    def sweep(self, **more: Any) -> None:
        self.ends_well(self.hook("gpu-sweep", env={}, **more))

    def ends_well(self, ended: Ended) -> None:
        assert (ended.status, ended.out, ended.err) == (0, "", "")

    def later(self, seconds: int = PATIENCE + 1) -> None:
        """That much time passes: what the sweeper noted becomes so much older."""
        missed = self.home / "missed"
        if missed.exists():
            rows = [line.split() for line in missed.read_text().splitlines()]
            missed.write_text("".join(f"{job} {int(since) - seconds}\n" for job, since in rows))

    def starts(self, job: object, version: int = 2) -> None:
        """The job has a process, in a control group as Slurm's cgroup/v2 or cgroup/v1 makes it."""
        self.group(job, version).mkdir(parents=True, exist_ok=True)
        if version == 2:
            (self.group(job, version) / "cgroup.events").write_text("populated 1\nfrozen 0\n")
            (self.group(job, version) / "cgroup.procs").write_text("")
        else:
            step = self.group(job, version) / "step_batch"
            step.mkdir(exist_ok=True)
            (step / "cgroup.procs").write_text("12345\n")

    def ends(self, job: object) -> None:
        for version in (1, 2):
            shutil.rmtree(self.group(job, version), ignore_errors=True)

    def group(self, job: object, version: int = 2) -> Path:
        name = "system.slice/slurmstepd.scope" if version == 2 else "memory/slurm/uid_1000"
        return self.cgroups / name / f"job_{job}"

    def write(self, name: str, text: str) -> None:
        """A file under run/."""
        path = self.run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(text))

    def public(self, map_: str, under: Optional[Path] = None) -> dict[str, str]:
        """What exporters find: name -> text, also of empty files."""
        return texts((under or self.run) / map_)

    def shows(self, map_: str, under: Optional[Path] = None) -> dict[str, list[str]]:
        """The lines of the files that are not empty."""
        return {name: text.splitlines() for name, text in self.public(map_, under).items() if text}

    def info(self) -> list[str]:
        """The samples of slurm_job_gpu_info."""
        path = self.home / "textfile/jobs.prom"
        lines = path.read_text().splitlines() if path.exists() else []
        return sorted(line for line in lines if not line.startswith("#"))

    def failures(self) -> dict[str, int]:
        """Hook -> runs that noted a failure."""
        rows = {name: text.split() for name, text in texts(self.home / "runs").items() if name != "sweep"}
        return {name: int(row[1]) for name, row in rows.items() if int(row[1])}


def texts(directory: Path) -> dict[str, str]:
    """The plain files of a directory; none where there is no directory."""
    if not directory.is_dir():
        return {}
    return {path.name: path.read_bytes().decode(errors="replace") for path in directory.iterdir() if path.is_file()}


def environment(
    hook: str, job: object, gpus: Optional[str] = None, *, uid: object = 1000, cuda: Optional[str] = None
) -> dict[str, str]:
    """What slurmd gives a prolog or an epilog (lab.md §1); `cuda`: what devices are called, else their numbers."""
    names = ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
    devices = gpus if cuda is None else cuda
    env = {} if devices is None else dict.fromkeys(names, devices)
    if gpus is not None:
        env["SLURM_JOB_GPUS"] = gpus
    env.update({"SLURMD_NODENAME": "dgx-01", "SLURM_CLUSTER_NAME": "vpod", "SLURM_CONF": "/etc/slurm/slurm.conf"})
    env.update({"SLURM_JOBID": str(job), "SLURM_JOB_ID": str(job), "SLURM_JOB_CPUS_PER_NODE": "2"})
    env.update({"SLURM_JOB_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_NODELIST": "dgx-01"})
    env.update({"SLURM_JOB_GID": str(uid), "SLURM_JOB_UID": str(uid), "SLURM_UID": str(uid)})
    env.update({"SLURM_JOB_USER": "alice", "SLURM_JOB_PARTITION": "defq", "SLURM_JOB_RESTART_COUNT": "0"})
    env.update({"SLURM_JOB_WORK_DIR": "/home/alice", "SLURM_SCRIPT_CONTEXT": hook.partition("-")[0] + "_slurmd"})
    env["PWD"] = "/var/log/slurm"
    if hook.startswith("epilog"):
        env.update({"SLURM_JOB_EXIT_CODE": "0", "SLURM_JOB_EXIT_CODE2": "0:0", "SLURM_JOB_DERIVED_EC": "0"})
    return env


@contextmanager
def on_tmpfs(elsewhere: Path) -> Iterator[Path]:
    """An empty directory of tmpfs, as /run is; `elsewhere` where there is none."""
    if not os.access("/dev/shm", os.W_OK):
        yield elsewhere
        return
    directory = Path(tempfile.mkdtemp(prefix="bcm-jobstats-hooks-", dir="/dev/shm"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def settings_of(case: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in case.get("settings", {}).items()}
