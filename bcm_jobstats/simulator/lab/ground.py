"""What lies in the directory that a lab is given: nothing, a lab, what is left of one, or something else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Optional

from bcm_jobstats.simulator import settings
from bcm_jobstats.simulator.lab.disks import MOUNTED, mounts_below
from bcm_jobstats.simulator.lab.pod import PodError

_CMD = "cmd"
_LAST = "cluster.json"
"""In `cmd`: the settings, by which a lab is known. They come first and go last."""
