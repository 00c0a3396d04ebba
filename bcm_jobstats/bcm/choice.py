"""Which way to BCM: the one that `--bcm` names, or what this machine has. Adapters are imported when chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.bcm.cmsh.adapter import CmshBcm
from bcm_jobstats.bcm.entities import GenericRole, Place
from bcm_jobstats.bcm.errors import CannotAssign, Unreachable
from bcm_jobstats.bcm.keys import check_private, check_there
from bcm_jobstats.bcm.port import Bcm

if TYPE_CHECKING:
    from bcm_jobstats.bcm.rest.client import Client

AUTO, CMSH, PYTHONCM, REST = WAYS = ("auto", "cmsh", "pythoncm", "rest")


@dataclass(frozen=True)
class Access:
    """How BCM is reached: the head node's root, and what the site file says under `bcm` with paths below that root."""

    root: Path
    timeout: float
    """Seconds for one call."""
    address: str
    ca: Path
    certificate: Optional[Path] = None
    """None: root's own, `~/.cm/admin.pem` (bcm-facts §1.1)."""
    key: Optional[Path] = None

    @property
    def credentials(self) -> tuple[Path, Path]:
        """Certificate and key for JSON and REST: the site's, else root's own."""
        own = self.root / "root/.cm"
        return self.certificate or own / "admin.pem", self.key or own / "admin.key"

    @property
    def options(self) -> tuple[str, ...]:
        """The options that have cmsh use the certificate; raises ExposedKey when others can read its key."""
        if not (self.certificate and self.key):
            return ()
        check_there(self.certificate, "certificate")
        check_private(self.key)
        return ("-i", str(self.certificate), "-k", str(self.key))


@dataclass(frozen=True)
class Choice:
    """The way that was taken, and why."""

    bcm: Bcm
    reason: str


class AutoBcm(CmshBcm):
    """cmsh, and pythoncm for the one thing that cmsh may not be able to do: a new generic role (bcm-facts §13 #1)."""

    def __init__(self, cmsh: Path, timeout: float, options: tuple[str, ...], other: Callable[[Bcm], Bcm]) -> None:
        """`other` makes the pythoncm adapter over this one, or raises Unreachable."""
        super().__init__(cmsh, timeout, options)
        self._other = other

    def can_assign(self, where: Place, role: str) -> bool:
        """See the port."""
        if super().can_assign(where, role):
            return True
        if isinstance(self._pythoncm(), str):
            return False
        self.helper = "cmsh has no form of `assign` for a new generic role here: pythoncm makes it"
        return True

    def save_role(self, where: Place, before: Optional[GenericRole], after: GenericRole) -> Optional[GenericRole]:
        """See the port."""
        if before is not None or super().can_assign(where, after.name):
            return super().save_role(where, before, after)
        other = self._pythoncm()
        if isinstance(other, str):
            raise CannotAssign(where, after.name, f"cmsh knows no form of `assign` for it; {other}")
        return other.save_role(where, before, after)

    def _pythoncm(self) -> Bcm | str:
        """The other adapter, or why there is none."""
        try:
            return self._other(CmshBcm(self.cmsh, self.timeout, self.options))
        except Unreachable as error:
            return f"{error.subject} {error.cause}"


def choose(way: str, access: Access) -> Choice:
    """The adapter for `way`; raises Unreachable when it cannot be had, with `auto` when none can.

    auto: cmsh where it is installed, with pythoncm at hand for new generic roles; else JSON and REST, for reading.
    """
    if way == REST:
        return Choice(_rest(access), "rest: asked for")
    if way == PYTHONCM:
        return Choice(_pythoncm(access, _cmsh(access)), "pythoncm: asked for")
    if way == CMSH:
        return Choice(_cmsh(access), "cmsh: asked for")
    try:
        cmsh = process.find(access.root)
    except Unreachable as missing:
        if not all(path.exists() for path in access.credentials):
            raise
        try:
            client(access).get("/rest/v1/version")
        except Unreachable as error:
            raise Unreachable("cmsh", f"{missing.cause}; {error.subject} {error.cause}", missing.remedy) from error
        return Choice(_rest(access), f"rest, for reading: cmsh {missing.cause}")
    auto = AutoBcm(cmsh, access.timeout, access.options, partial(_pythoncm, access))
    return Choice(auto, f"cmsh: found at {cmsh}; pythoncm only if cmsh cannot assign a new generic role")


def _cmsh(access: Access) -> CmshBcm:
    return CmshBcm(process.find(access.root), access.timeout, access.options)


def _pythoncm(access: Access, cmsh: Bcm) -> Bcm:
    from bcm_jobstats.bcm.pythoncm.adapter import PythoncmBcm
    from bcm_jobstats.bcm.pythoncm.load import connect

    return PythoncmBcm(connect(access), cmsh)


def _rest(access: Access) -> Bcm:
    from bcm_jobstats.bcm.rest.adapter import RestBcm

    return RestBcm(client(access))


def client(access: Access) -> Client:
    """The client of CMDaemon's JSON and REST."""
    from bcm_jobstats.bcm.rest.client import Client

    certificate, key = access.credentials
    return Client(access.address, certificate, key, access.ca, access.timeout)
