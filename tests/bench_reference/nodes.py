"""Made-up nodes: a directory that stands for /run, with our hooks or the reference loops in front of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bcm_jobstats.site import Site
from bcm_jobstats.site.schema import JobMap
from bcm_jobstats.stack import hooks

HERE = Path(__file__).parent
PROLOGS = ("prolog-jobstats", "prolog-dcgm")
EPILOGS = ("epilog-jobstats", "epilog-dcgm")


class Node:
    """Scripts by name, the directory that is their /run, and the environment they are run in."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.scripts: dict[str, Path] = {}
        self.extra = {"BENCH_RUN": str(run), "PATH": f"{HERE}:/usr/bin:/bin"}

    def mentions(self, job: int) -> int:
        """How many of the files that exporters read say something of a job."""
        files = [
            *self.run.glob("gpustat/*"),
            *self.run.glob("dcgm-job-map/*"),
            *self.run.glob("bcm-jobstats/textfile/jobs.*"),
        ]
        return sum(bool(re.search(rf"\b{job}\b", file.read_text())) for file in files)


def reference(run: Path) -> Node:
    """A node with the reference loops; nvidia-smi is a stand-in of about 1 ms."""
    node = Node(run)
    node.scripts = {file.stem: file for file in HERE.glob("*.bash")}
    (run / "gpustat").mkdir(parents=True)
    return node


def ours(scripts: Path, run: Path, job_map: JobMap) -> Node:
    """A node with our hooks as they are deployed, but for the place of /run, and the directories tmpfiles makes."""
    node = Node(run)
    node.extra = {}
    site = Site(job_map=job_map)
    scripts.mkdir(parents=True)
    for hook in (*PROLOGS, *EPILOGS, "gpu-sweep"):
        text = hooks.text(site, hook if hook == "gpu-sweep" else f"{hook}.sh").decode()
        text = _set(text, "run", run)
        if hook == "gpu-sweep":
            text = _set(text, "cgroups", run / "cgroup")
        node.scripts[hook] = scripts / hook
        node.scripts[hook].write_text(text)
        node.scripts[hook].chmod(0o755)
    for directory in hooks.directories(hooks.NAMES):
        (run / Path(directory).relative_to("/run")).mkdir(parents=True, exist_ok=True)
    table = "".join(f"{uuid(gpu)} {gpu} {gpu}\n" for gpu in range(8))
    (run / "bcm-jobstats/gpus").write_text(f"# 8 GPUs\n{table}")
    return node


def slurm(node: Node, job: int, gpus: Sequence[int], *, by_uuid: bool = False) -> dict[str, str]:
    """What slurmd gives a prolog and an epilog, `by_uuid` as from 25.11 on (peers C4a). It gives no PATH."""
    found = {
        "SLURM_CLUSTER_NAME": "slurm",
        "SLURM_CONF": "/cm/shared/apps/slurm/var/etc/slurm/slurm.conf",
        "SLURM_JOB_ID": str(job),
        "SLURM_JOB_PARTITION": "defq",
        "SLURM_JOB_UID": "1000",
        "SLURM_JOB_USER": "alice",
        "SLURM_SCRIPT_CONTEXT": "prolog_slurmd",
        "SLURMD_NODENAME": "dgx-01",
        **node.extra,
    }
    if gpus:
        numbers = ",".join(map(str, gpus))
        devices = ",".join(map(uuid, gpus)) if by_uuid else numbers
        found["SLURM_JOB_GPUS"] = numbers
        found |= dict.fromkeys(("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES"), devices)
    return found


def uuid(gpu: int) -> str:
    """The UUID of a GPU, as the stand-in of nvidia-smi makes it."""
    return f"GPU-{gpu:08d}-0000-4000-8000-000000000000"


def runs(node: Node, job: int) -> None:
    """Lets a job run as the sweeper sees it: with processes in its control group."""
    group = node.run / f"cgroup/system.slice/slurmstepd.scope/job_{job}"
    group.mkdir(parents=True)
    (group / "cgroup.events").write_text("populated 1\nfrozen 0\n")


def _set(text: str, name: str, value: object) -> str:
    found, count = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
    assert count == 1, f"{count} lines set {name}"
    return found
