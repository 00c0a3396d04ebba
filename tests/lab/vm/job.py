"""Runs inside the virtual machine as a Slurm job: `job.py gpu|oom MIB`, MIB being what the job asked for.

It uses something, tells what it saw, and stays until it may end.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

MEETING = Path("/run/vm")  # where jobs leave what they saw
END = MEETING / "end"  # a FIFO: jobs may end when somebody opens it for writing
MIB = 1024**2
HELD, USED = 64, 2.0  # MiB and seconds of processor time that the job gpu uses


def gpu() -> dict[str, Any]:
    """Try every GPU, take memory and use the processor."""
    devices = {}
    for number in range(8):
        try:
            os.close(os.open(f"/dev/nvidia{number}", os.O_RDWR))
            devices[number] = 0
        except OSError as error:
            devices[number] = error.errno or -1
    held.extend(bytes(HELD * MIB))
    while time.process_time() < USED:
        sum(range(10000))
    names = ("SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES")
    return {"devices": devices, **{name: os.environ.get(name) for name in names}}


def oom() -> dict[str, Any]:
    """Have a child that takes twice the memory the job asked for; the job itself lives on."""
    child = os.fork()
    if child == 0:
        held.extend(bytes(2 * int(sys.argv[2]) * MIB))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return {"child_signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None}


held = bytearray()

if __name__ == "__main__":
    name = sys.argv[1]
    seen = {"gpu": gpu, "oom": oom}[name]()
    group = Path("/proc/self/cgroup").read_text(encoding="utf-8").strip().split("::", 1)[1]
    seen.update(job=os.environ["SLURM_JOB_ID"], cgroup=group)
    unfinished = MEETING / f"{name}.new"
    unfinished.write_text(json.dumps(seen), encoding="utf-8")
    unfinished.rename(MEETING / name)
    END.open(encoding="utf-8").close()
