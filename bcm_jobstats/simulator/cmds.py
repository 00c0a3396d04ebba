"""The session with all its commands: whoever takes `Session` from here has imported the modules of commands."""

from __future__ import annotations

from bcm_jobstats.simulator import (
    cmd_cert,
    cmd_cmsh,
    cmd_commit,
    cmd_device,
    cmd_edit,
    cmd_excludelist,
    cmd_foreach,
    cmd_grab,
    cmd_images,
    cmd_list,
    cmd_main,
    cmd_monitoring,
    cmd_nodeinfo,
    cmd_objects,
    cmd_partition,
    cmd_pexec,
    cmd_places,
    cmd_power,
    cmd_read,
)
from bcm_jobstats.simulator.session import COMMANDS, Session

MODULES = (
    cmd_cert,
    cmd_cmsh,
    cmd_commit,
    cmd_device,
    cmd_edit,
    cmd_excludelist,
    cmd_foreach,
    cmd_grab,
    cmd_images,
    cmd_list,
    cmd_main,
    cmd_monitoring,
    cmd_nodeinfo,
    cmd_objects,
    cmd_partition,
    cmd_pexec,
    cmd_places,
    cmd_power,
    cmd_read,
)

__all__ = ["COMMANDS", "MODULES", "Session"]
