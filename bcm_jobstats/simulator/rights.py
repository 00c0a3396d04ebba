"""What a session may do: the tokens that cmsh's commands need of the certificate's profile (AM11 Table J, §6.4).

Which RPC stands behind which command is not public: the map is made from the names. A removal needs the token of an
update, because no token for removals is among the ones known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.tokens import allowed, service_of

if TYPE_CHECKING:
    from bcm_jobstats.simulator.cmdaemon import CMDaemon
    from bcm_jobstats.simulator.commits import Change
    from bcm_jobstats.simulator.places import Level

ADMIN = "admin"

OBJECTS = {
    "device": "DEVICE",
    "category": "CATEGORY",
    "configurationoverlay": "CONFIGURATIONOVERLAY",
    "softwareimage": "SOFTWAREIMAGE",
    "wlm": "WLM_CLUSTER",
    "partition": "PARTITION",
    "profile": "PROFILE",
    "monitoring": "MONITORING_DATA_PRODUCER",
    "network": "NETWORK",
}
"""What the objects of a mode are called in tokens: GET_…_TOKEN, ADD_…_TOKEN, UPDATE_…_TOKEN."""

OF_COMMANDS = {
    "versioninfo": "GET_VERSION_TOKEN",
    "hainfo": "CMDAEMON_FAILOVER_STATUS_TOKEN",
    "makeactive": "CMDAEMON_FAILOVER_STATUS_TOKEN",
    "imageupdate": "IMAGEUPDATE_TOKEN",
    "grabimage": "GRAB_IMAGEUPDATE_TOKEN",
    "newrevision": "ADD_SOFTWAREIMAGE_TOKEN",
    "revisions": "GET_SOFTWAREIMAGE_TOKEN",
    "updateprovisioners": "UPDATEPROVISIONERS_TOKEN",
    "provisioningstatus": "PROVISIONERS_STATUS_TOKEN",
    "pexec": "EXEC_COMMAND_TOKEN",
    "reboot": "REBOOT_NODE_TOKEN",
    "shutdown": "SHUTDOWN_NODE_TOKEN",
    "createcertificate": "ISSUE_CERTIFICATE_TOKEN",
    "listcertificates": "GET_CERTIFICATE_TOKEN",
    "start": "START_OSSERVICE_TOKEN",
    "stop": "STOP_OSSERVICE_TOKEN",
    "restart": "RESTART_OSSERVICE_TOKEN",
    "reset": "RESET_OSSERVICE_TOKEN",
}
OF_POWER = {
    "on": "POWER_ON_TOKEN",
    "off": "POWER_OFF_TOKEN",
    "reset": "POWER_CYCLE_TOKEN",
    "status": "POWER_STATUS_TOKEN",
}
"""The operations of `power`, each with a token of its own."""
READING = frozenset(
    ("append", "clear", "clone", "environment", "foreach", "get", "import", "list", "nodes", "removefrom")
    + ("roleoverview", "set", "show", "swap", "usedby", "use")
)
"""Commands that read objects of the mode they are in."""


def check(daemon: CMDaemon, profile: str, command: str, levels: Sequence[Level]) -> None:
    """Refuse a command that the profile does not allow; nothing has happened then."""
    if profile == ADMIN:
        return
    for token in _needed(command, levels):
        _demand(daemon, profile, token, command)


def check_power(daemon: CMDaemon, profile: str, operation: str) -> None:
    """Refuse an operation of `power` that the profile does not allow."""
    if profile != ADMIN:
        _demand(daemon, profile, OF_POWER[operation], "power")


def _needed(command: str, levels: Sequence[Level]) -> Iterable[str]:
    if command in OF_COMMANDS:
        return (OF_COMMANDS[command],)
    if not levels:
        return ()
    if command == "status":
        by_mode = {"services": "GET_OSSERVICE_TOKEN", "failover": "CMDAEMON_FAILOVER_STATUS_TOKEN"}
        return (by_mode.get(levels[-1].mode, "GET_DEVICE_STATUS_TOKEN"),)
    what = OBJECTS.get(levels[0].mode)
    if what is None or command not in READING:
        return ()
    return (f"GET_{what}_TOKEN",)


def check_commit(daemon: CMDaemon, profile: str, changes: Iterable[Change]) -> None:
    """Refuse a commit that the profile does not allow."""
    if profile == ADMIN:
        return
    for change in changes:
        what = OBJECTS.get(change.mode, change.mode.upper())
        token = f"{'ADD' if change.base is None else 'UPDATE'}_{what}_TOKEN"
        _demand(daemon, profile, token, "commit")


def _demand(daemon: CMDaemon, profile: str, token: str, command: str) -> None:
    if not allowed(daemon, profile, token):
        call = "".join(word.capitalize() for word in token[: -len("_TOKEN")].split("_"))
        service = service_of(token) or "CMMain"
        raise messages.not_allowed(profile, f"{service}::{call[0].lower()}{call[1:]}" if call else command)
