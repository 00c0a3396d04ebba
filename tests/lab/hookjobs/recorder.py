"""Scripts beside our hooks in a node's prologs and epilogs: they write down what Slurm does, and hold jobs up.

They lie in the software image, so that a node that reboots has them too (bcm-facts §5.1).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.lab.labs import NODES, Lab

SHARED = "/cm/shared/hookjobs"
RECORD = f"{SHARED}/record"
KINDS = ("prolog", "epilog")
DIRECTORIES = tuple(f"/cm/local/apps/slurm/var/{kind}s" for kind in KINDS)
RECORDER = f"""\
#!/bin/bash
# Test recorder, right before and right after our hooks; one line in one call, bash alone.
printf '%s %s %s %s %s %s\\n' "$EPOCHREALTIME" "${{SLURM_SCRIPT_CONTEXT%_slurmd}}" "${{0##*-}}" "$SLURM_JOB_ID" \\
    "$SLURMD_NODENAME" "$SLURM_JOB_GPUS" >>{RECORD}
exit 0
"""
HOLDER = f"""\
#!/bin/bash
# Holds up the prolog of jobs with a directory of this script's name, until they are cancelled; 8 s at most.
PATH=/usr/bin:/bin
[[ $SLURM_JOB_WORK_DIR == */"${{0##*/}}" ]] || exit 0
: >"{SHARED}/held/$SLURM_JOB_ID"
for ((look = 0; look < 400; look++)); do
    [[ -e {SHARED}/cancelled/$SLURM_JOB_ID ]] && exit 0
    sleep 0.02
done
exit 0
"""
HOLDERS = ("20-holder", "70-holder")
"""In the prolog, before our hooks and after them; also the directories of the jobs that they hold."""


def install(lab: Lab) -> None:
    """Put them into the image and onto the running nodes, in the place of the lab's stand-in hook where it has one."""
    shared = lab.path(SHARED)
    shutil.rmtree(shared, ignore_errors=True)
    for name in ("held", "cancelled", *HOLDERS):
        (shared / name).mkdir(parents=True)
        (shared / name).chmod(0o777)
    places = [lab.path("/cm/images/dgx-image"), *(lab.path("/", node) for node in NODES)]
    for place in places:
        for directory in DIRECTORIES:
            _fill(place / directory.lstrip("/"))


def _fill(directory: Path) -> None:
    for name in ("59-before", "61-after"):
        _script(directory / name, RECORDER)
    for name in HOLDERS if directory.name == "prologs" else ():
        _script(directory / name, HOLDER)


def _script(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
