"""Failover as cmsh tells and orders it: ``partition failover base; status`` and `makeactive` (bcm-facts §10)."""

from __future__ import annotations

from bcm_jobstats.simulator import cmha, hatexts, messages
from bcm_jobstats.simulator.session import Session, command

Words = tuple[str, ...]


def failover_status(session: Session) -> str:
    """What `status` prints in the failover submode: the same as `cmha status`."""
    heads = session.daemon.ha
    return cmha.report(heads, _here(session)) if heads.is_pair else hatexts.SINGLE


def _here(session: Session) -> str:
    return session.link.head or session.daemon.ha.active


@command("makeactive")
def make_active(session: Session, words: Words) -> None:
    """Make a head node the active one; cmsh sessions of the old one end."""
    if session.places.here.mode != "failover":
        raise messages.wrong_mode("makeactive")
    name = words[0] if words else _here(session)
    try:
        session.daemon.failover(name)
    except ValueError as error:
        raise messages.CmshError(hatexts.cannot_become_active(name).rstrip()) from error
    session.write(hatexts.became_active(name))


@command("hainfo")
def ha_info(session: Session, words: Words) -> None:
    """Tell of the head nodes, if there is such a command: it is in no manual (bcm-facts §13 #13)."""
    del words
    if session.daemon.switches["hainfo"] == "absent":
        raise messages.unknown_command("hainfo")
    if session.places.here.mode != "main":
        raise messages.wrong_mode("hainfo")
    session.write(failover_status(session))
