"""What the maps hold after each step, as data in tests/assets/hooks: one file a case.

A case: `about`; `settings` of the site; `table`, the text of run/bcm-jobstats/gpus; `files` that are under run/ before.
Each step is one of `prolog: JOB` (with gpus, cuda, uid), `epilog: JOB` (`bare`: its environment is the id alone),
`starts: JOB` and `ends: JOB` (its processes; `cgroup: 1` for the old sort), `sweep: true`, `later: SECONDS`, with
`once: NAME` for the hook of one map alone. It says what is found then: `gpustat` and `dcgm` (file -> line, or lines;
'' is an empty file), `info` (job, uid, gpu, instance), `failures`. What it does not say is as after the step before.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hooks.node import Node, settings_of

CASES = sorted((Path(__file__).parents[1] / "assets/hooks").glob("*.yaml"))
NAMES = {"jobstats": "gpustat", "dcgm": "dcgm-job-map"}
FOUND = ("gpustat", "dcgm", "info", "failures")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="hooks run as root: their directories are root's")


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_after_each_step_the_maps_hold_what_the_case_says(path: Path, tmpfs: Path) -> None:
    case = yaml.safe_load(path.read_text())
    node = Node(tmpfs / "node", **settings_of(case))
    if "table" in case:
        node.write("bcm-jobstats/gpus", case["table"])
    for name, text in case.get("files", {}).items():
        node.write(name, text)
    expected: dict[str, Any] = {"gpustat": {}, "dcgm": {}, "info": [], "failures": {}}
    for number, step in enumerate(case["steps"], 1):
        take(node, step)
        expected.update({key: value for key, value in step.items() if key in FOUND})
        assert found(node) == normal(expected), f"step {number}: {step}"


def take(node: Node, step: dict[str, Any]) -> None:
    unknown = set(step) - {"prolog", "epilog", "starts", "ends", "sweep", "later", "gpus", "cuda", "uid", "cgroup",
                           "once", "bare", *FOUND}  # fmt: skip
    assert not unknown, f"a step has no {unknown}"
    more: dict[str, Any] = {name: str(step[name]) for name in ("uid", "cuda") if name in step}
    gpus = None if step.get("gpus") is None else str(step["gpus"])
    for which in ("prolog", "epilog"):
        for hook in [step["once"]] if "once" in step else ["jobstats", "dcgm"]:
            if which in step:
                if step.get("bare"):
                    more["env"] = {"SLURM_JOB_ID": str(step[which])}
                node.ends_well(node.hook(f"{which}-{hook}", step[which], gpus, **more))
    if "starts" in step:
        node.starts(step["starts"], step.get("cgroup", 2))
    if "ends" in step:
        node.ends(step["ends"])
    if "later" in step:
        node.later(step["later"])
    if step.get("sweep"):
        node.sweep()


def found(node: Node) -> dict[str, Any]:
    return {
        "gpustat": node.public("gpustat"),
        "dcgm": node.public("dcgm-job-map"),
        "info": node.info(),
        "failures": node.failures(),
    }


def normal(expected: dict[str, Any]) -> dict[str, Any]:
    def text(said: Any) -> str:
        lines = said if isinstance(said, list) else [said] if said != "" else []
        return "".join(f"{line}\n" for line in lines)

    samples = []
    for row in expected["info"]:
        job, uid, gpu, *instance = str(row).split()
        labels = f'jobid="{job}",userid="{uid}",gpu="{gpu}"' + "".join(f',GPU_I_ID="{one}"' for one in instance)
        samples.append(f"slurm_job_gpu_info{{{labels}}} 1")
    maps = {key: {str(name): text(said) for name, said in expected[key].items()} for key in ("gpustat", "dcgm")}
    return {**maps, "info": sorted(samples), "failures": expected["failures"]}
