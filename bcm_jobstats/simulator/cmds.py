"""The session with all its commands: whoever takes `Session` from here has imported the modules of commands."""

from __future__ import annotations

from bcm_jobstats.simulator import (
    cmd_commit,
    cmd_device,
    cmd_edit,
    cmd_foreach,
    cmd_list,
    cmd_main,
    cmd_objects,
    cmd_places,
    cmd_read,
)
from bcm_jobstats.simulator.session import COMMANDS, Session

MODULES = (
    cmd_commit,
    cmd_device,
    cmd_edit,
    cmd_foreach,
    cmd_list,
    cmd_main,
    cmd_objects,
    cmd_places,
    cmd_read,
)

__all__ = ["COMMANDS", "MODULES", "Session"]
