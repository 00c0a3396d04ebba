"""A certificate whose profile allows what bcm_jobstats does and nothing else (AM11 §6.4, tokens: AM11 Table J)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm.cmsh import answers, process
from bcm_jobstats.bcm.cmsh.scripts import command, quoted
from bcm_jobstats.bcm.errors import Refused

READ, APPLY, IMAGES, MONITOR = PURPOSES = ("read", "apply", "images", "role-monitor")
"""What a certificate is for; `images` is for `apply` too. That of the role monitor is for nodes, not for this one."""
BITS = 2048
EMPTY = '""'
OF_READING = (
    "GET_CATEGORY_TOKEN",
    "GET_CONFIGURATIONOVERLAY_TOKEN",
    "GET_DEVICE_STATUS_TOKEN",
    "GET_DEVICE_TOKEN",
    "GET_OSSERVICE_TOKEN",
    "GET_SOFTWAREIMAGE_TOKEN",
    "GET_VERSION_TOKEN",
    "GET_WLM_CLUSTER_TOKEN",
)
"""For plan, drift, status and targets."""
OF_MONITORING = ("GET_DEVICE_TOKEN",)
"""For the agents on the nodes: /rest/v1/device, and nothing else."""
OF_APPLYING = (
    "ADD_CONFIGURATIONOVERLAY_TOKEN",
    "IMAGEUPDATE_TOKEN",
    "RESTART_OSSERVICE_TOKEN",
    "UPDATEPROVISIONERS_TOKEN",
    "UPDATE_CATEGORY_TOKEN",
    "UPDATE_CONFIGURATIONOVERLAY_TOKEN",
    "UPDATE_DEVICE_TOKEN",
)
"""For apply, destroy and rollback on top of that: overlays, roles and services, nodes brought to their image."""
OF_OTHER_HEAD = ("EXEC_COMMAND_TOKEN",)
"""For files on the other head node, when applying: it runs any command on any node, so nothing that reads has it."""
OF_IMAGES = (
    "ADD_SOFTWAREIMAGE_TOKEN",
    "GRAB_IMAGEUPDATE_TOKEN",
    "PROVISIONERS_STATUS_TOKEN",
    "REBOOT_NODE_TOKEN",
    "UPDATE_SOFTWAREIMAGE_TOKEN",
)
"""For image build, grab, rollout and rollback on top of applying; they run commands on nodes, too. Which call stands
behind `synclog` is not public: no token is asked for it."""
OF_METRICS = (
    "ADD_MONITORING_DATA_PRODUCER_TOKEN",
    "GET_MONITORING_DATA_PRODUCER_TOKEN",
    "UPDATE_MONITORING_DATA_PRODUCER_TOKEN",
)
"""For bcm.metrics."""
OF_SLURM = ("UPDATE_WLM_CLUSTER_TOKEN",)
"""For settings under `slurm` in the site file, when applying."""


@dataclass(frozen=True)
class Wanted:
    """A certificate to be made: its profile, that profile's tokens, days until it ends, and its files on the head."""

    profile: str
    tokens: tuple[str, ...]
    days: int
    certificate: str
    key: str


def wanted(purpose: str, days: int, folder: str, *, two_heads: bool, metrics: bool, slurm: bool = False) -> Wanted:
    """What a certificate for `purpose` is to be."""
    tokens, images = set(OF_READING), purpose == IMAGES
    if purpose == MONITOR:
        tokens, metrics = set(OF_MONITORING), False
    elif purpose != READ:
        more = (OF_OTHER_HEAD if two_heads or images else ()) + (OF_SLURM if slurm else ())
        tokens |= {*OF_APPLYING, *more, *(OF_IMAGES if images else ())}
    if metrics:
        tokens |= set(OF_METRICS) if purpose != READ else {"GET_MONITORING_DATA_PRODUCER_TOKEN"}
    name = f"bcm-jobstats-{purpose}"
    return Wanted(name, tuple(sorted(tokens)), days, f"{folder}/{purpose}.pem", f"{folder}/{purpose}.key")


def script(certificate: Wanted, profiles: Collection[str]) -> list[str]:
    """Commands that make the profile, or give it these tokens, and then the certificate."""
    return [*profile_script(certificate, profiles), "home", "cert", _create(certificate)]


def profile_script(certificate: Wanted, profiles: Collection[str]) -> list[str]:
    """Commands for the profile alone."""
    verb = "use" if certificate.profile in profiles else "add"
    tokens = command("set tokens", *certificate.tokens)
    return ["profile", command(verb, certificate.profile), tokens, "set nonuser yes", "commit"]


def _create(certificate: Wanted) -> str:
    names = [quoted(certificate.profile), *[EMPTY] * 5, quoted(certificate.profile), EMPTY, str(certificate.days)]
    return f"createcertificate {BITS} {' '.join(names)} {quoted(certificate.key)} {quoted(certificate.certificate)}"


def profiles(cmsh: Path, timeout: float) -> set[str]:
    """The names of the profiles there are."""
    text = answers.without_events(process.run(cmsh, ["profile", "list -f name:64 -d {}"], timeout).text)
    return {row["name"] for table in answers.tables(text) for row in table if "name" in row}


def create(cmsh: Path, timeout: float, certificate: Wanted, root: Path, *, force: bool = False) -> None:
    """Make profile and certificate; raises Refused with cmsh's words when that did not come about.

    A profile of that name with other rights is somebody's: it is changed with `force` only.
    """
    files = [root / path.lstrip("/") for path in (certificate.key, certificate.certificate)]
    making, there = _create(certificate), profiles(cmsh, timeout)  # names that cannot be sent are refused here
    if certificate.profile in there and not force:
        _check_rights(certificate, tokens(cmsh, timeout, certificate.profile))
    before = [_content(file) for file in files]
    files[0].parent.mkdir(parents=True, exist_ok=True)
    text = _run(cmsh, timeout, profile_script(certificate, there))
    if tokens(cmsh, timeout, certificate.profile) != set(certificate.tokens):
        cause = f"BCM did not take its tokens: {_words(text) or 'cmsh said nothing'}"
        raise Refused(f"profile {certificate.profile}", cause, "Check it in cmsh: profile; list")
    text = _run(cmsh, timeout, ["cert", making])
    after = [_content(file) for file in files]
    if None in after or any(new == old for new, old in zip(after, before)):
        raise Refused(f"certificate {certificate.certificate}", f"was not made: {_words(text)}", "See cmsh: cert; help")
    files[0].chmod(0o600)


def _check_rights(certificate: Wanted, there: set[str]) -> None:
    """Raise Refused when a profile that is there has other rights than are wanted."""
    wanted = set(certificate.tokens)
    differing = [f"+{token}" for token in sorted(wanted - there)] + [f"-{token}" for token in sorted(there - wanted)]
    if differing:
        cause = f"is there already with other rights (it would change: {' '.join(differing)})"
        raise Refused(
            f"profile {certificate.profile}", cause, "Rename it, or have it changed with: certificate --force"
        )


def _content(file: Path) -> Optional[bytes]:
    return file.read_bytes() if file.exists() else None


def only_reads(certificate: Path) -> bool:
    """Whether a certificate is the one made for reading: its profile is written in it (AM11 §6.4)."""
    try:
        body = certificate.read_text(encoding="ascii", errors="replace").partition("-----BEGIN CERTIFICATE-----")[2]
        return f"bcm-jobstats-{READ}".encode() in base64.b64decode(body.partition("-----END")[0])
    except (OSError, binascii.Error):
        return False  # whoever uses it says what is wrong with it


def tokens(cmsh: Path, timeout: float, profile: str) -> set[str]:
    """The tokens of a profile: `get tokens` prints one a line (AM11 §6.4)."""
    text = _run(cmsh, timeout, ["profile", command("use", profile), "get tokens"])
    return {word.upper() for word in text.split() if word.upper().endswith("_TOKEN")}


def _run(cmsh: Path, timeout: float, commands: Sequence[str]) -> str:
    return answers.without_events(process.run(cmsh, commands, timeout, write=True).text)


def _words(text: str) -> str:
    return answers.refusal(text) or " / ".join(line.strip() for line in text.splitlines() if line.strip())
