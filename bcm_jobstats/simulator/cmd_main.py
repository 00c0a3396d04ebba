"""The main mode: what version runs (bcm-facts §1.7)."""

from __future__ import annotations

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.schema import BCM10, BCM11
from bcm_jobstats.simulator.session import Session, command

CMDAEMON = "3.0"
VERSIONS = {BCM10: "10.0", BCM11: "11.0"}


@command("versioninfo")
def version_info(session: Session, words: tuple[str, ...]) -> None:
    """The versions of BCM and its parts."""
    del words
    if session.places.here.mode != "main":
        raise messages.wrong_mode("versioninfo")
    rows = (
        ("Cluster Manager", VERSIONS[session.daemon.profile]),
        ("CMDaemon", CMDAEMON),
        ("CMDaemon Build Index", "156921"),
        ("CMDaemon Build Hash", "simulated"),
        ("Database Version", "36294"),
    )
    session.write("Version Information\n" + "-" * 23 + "\n")
    session.write("".join(f"{label:<22} {value}\n" for label, value in rows))


@command("showprofile")
def show_profile(session: Session, words: tuple[str, ...]) -> None:
    """The profile of the certificate that this session uses."""
    del words
    if session.places.here.mode != "main":
        raise messages.wrong_mode("showprofile")
    session.write(f"{session.profile}\n")
