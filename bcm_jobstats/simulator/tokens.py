"""What a certificate's profile allows: the tokens of CMDaemon's services (AM11 Table J, §6.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from bcm_jobstats.simulator.entities import Entity


def _tokens(text: str) -> tuple[str, ...]:
    return tuple(f"{word}_TOKEN" for word in text.split())


TOKENS: dict[str, tuple[str, ...]] = {
    "CMAuth": _tokens("GET_PROFILE ADD_PROFILE UPDATE_PROFILE"),
    "CMCert": _tokens("ISSUE_CERTIFICATE GET_CERTIFICATE"),
    "CMDevice": _tokens(
        "GET_DEVICE UPDATE_DEVICE ADD_DEVICE GET_CATEGORY ADD_CATEGORY UPDATE_CATEGORY GET_CONFIGURATIONOVERLAY "
        "ADD_CONFIGURATIONOVERLAY UPDATE_CONFIGURATIONOVERLAY GET_NODEGROUP BURN_STATUS GET_BURN_LOG "
        "POWER_ON POWER_OFF POWER_CYCLE POWER_STATUS REBOOT_NODE SHUTDOWN_NODE"
    ),
    "CMJob": _tokens("GET_WLM_CLUSTER UPDATE_WLM_CLUSTER"),
    "CMMain": _tokens("GET_VERSION GET_SERVICESTATE GET_SERVER_STATUS"),
    "CMMon": _tokens(
        "GET_MONITORING_DATA_PRODUCER ADD_MONITORING_DATA_PRODUCER UPDATE_MONITORING_DATA_PRODUCER PROMETHEUS_EXPORTER"
    ),
    "CMNet": _tokens("GET_NETWORK"),  # not in the facts: named as its neighbours are
    "CMPart": _tokens(
        "GET_SOFTWAREIMAGE ADD_SOFTWAREIMAGE UPDATE_SOFTWAREIMAGE GET_PARTITION CMDAEMON_FAILOVER_STATUS"
    ),
    "CMProc": _tokens("EXEC_COMMAND"),
    "CMProv": _tokens("IMAGEUPDATE GRAB_IMAGEUPDATE UPDATEPROVISIONERS PROVISIONERS_STATUS"),
    "CMServ": _tokens(
        "GET_OSSERVICE START_OSSERVICE STOP_OSSERVICE RESTART_OSSERVICE RELOAD_OSSERVICE RESET_OSSERVICE "
        "UPDATE_OSSERVICE"
    ),
    "CMSession": _tokens("GET_SESSION GET_BROADCAST_EVENTS"),
    "CMStatus": _tokens("GET_DEVICE_STATUS STATUS_INFO"),
}
"""The tokens that the simulator knows, by service (AM11 Table J: those that this project could need)."""

ALL = tuple(token for tokens in TOKENS.values() for token in tokens)
READING = tuple(token for token in ALL if token.startswith("GET_") or token.endswith(("_STATUS_TOKEN", "_INFO_TOKEN")))
"""What the profile `readonly` has: `burn_status_token` is in it and does not start with GET (AM11 §6.4)."""

PREDEFINED: dict[str, tuple[str, ...]] = {
    "admin": ALL,
    "bootstrap": (),
    "cmhealth": READING,
    "cmpam": ("GET_DEVICE_TOKEN",),
    "node": ("GET_DEVICE_TOKEN", "GET_CATEGORY_TOKEN", "GET_SERVER_STATUS_TOKEN"),
    "portal": READING,
    "power": ("GET_DEVICE_TOKEN", "GET_DEVICE_STATUS_TOKEN", *_tokens("POWER_ON POWER_OFF POWER_CYCLE POWER_STATUS")),
    "readonly": READING,
}
"""The profiles of a fresh cluster: the names are AM11 §6.4's, the tokens of all but admin and readonly invented."""


class _State(Protocol):
    def table(self, mode: str) -> Mapping[str, Entity]: ...


class _Daemon(Protocol):
    @property
    def state(self) -> _State: ...


def tokens_of(daemon: _Daemon, profile: str) -> tuple[str, ...]:
    """The tokens of a profile: as the table "profile" has it, else as it is predefined; none when it is unknown."""
    kept = daemon.state.table("profile").get(profile)
    if kept is None:
        return PREDEFINED.get(profile, ())
    found = kept.values.get("tokens", ())
    return found if isinstance(found, tuple) else (found,)


def allowed(daemon: _Daemon, profile: str, token: str) -> bool:
    """Whether a profile has a token, in whatever case either is written; a call without a token is free to all."""
    return not token or token.upper() in _upper(tokens_of(daemon, profile))


def service_of(token: str) -> str:
    """The service a token belongs to, empty when the simulator does not know it."""
    return next((service for service, tokens in TOKENS.items() if token.upper() in tokens), "")


def _upper(tokens: Iterable[str]) -> set[str]:
    return {token.upper() for token in tokens}
