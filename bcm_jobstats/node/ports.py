"""What the agent needs of the world around it, and how that fails. The real ones: asking, systemd, storage."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Optional, Protocol

from bcm_jobstats.errors import ExitStatus, JobstatsError


class Unknown(JobstatsError):
    """Nobody can tell now which roles this node has: BCM is down, its answer is unusable, or it does not list the node.

    Nothing is changed for it, ever. `subject`, `cause` and `remedy` are stable for one and the same cause, so that it
    is logged once.
    """

    status = ExitStatus.UNREACHABLE


class NotListed(Unknown):
    """BCM answers well, and has no device with this node's name, or two: nothing that gets better by asking less."""


class ServicesLost(JobstatsError):
    """systemd cannot be asked, or does not take orders."""


class StorageLost(JobstatsError):
    """The targets directory is missing, read-only, full or does not answer in time."""


class NoFolder(StorageLost):
    """There is no such directory, while the one above it is there: somebody removed it, and all that was in it."""


class Roles(Protocol):
    """BCM."""

    def has(self, host: str, known: Optional[bool]) -> bool:
        """Whether BCM says that `host` (a short name in lower case) has the followed role now.

        `known` is what the agent believes: an answer that agrees may be one that another node asked for a moment ago,
        one that differs is BCM's own to this node, given twice where it takes the role away. Raises Unknown.
        """
        ...


class Services(Protocol):
    """systemd on this node."""

    def states(self, names: Collection[str]) -> Mapping[str, str]:
        """service (without `.service`) -> systemd's ActiveState (`active`, `activating`, `deactivating`, `inactive`,
        `failed`), or `missing` where there is no such unit. Raises ServicesLost."""
        ...

    def start(self, names: Collection[str]) -> None:
        """Ask systemd to start services, also ones that it gave up; returns when it was tried, whether or not they
        run. Raises ServicesLost."""
        ...

    def stop(self, names: Collection[str]) -> None:
        """Ask systemd to stop services. Raises ServicesLost."""
        ...


class Registry(Protocol):
    """The targets directory on shared storage, which may be gone or hang: no call takes longer than its time."""

    def read(self, name: str) -> Optional[bytes]:
        """What the file with this name holds; None where there is none. Raises StorageLost."""
        ...

    def put(self, name: str, content: bytes) -> bool:
        """Have a file with this name and content there; False when it was so already. Raises StorageLost."""
        ...

    def remove(self, name: str) -> bool:
        """Have no such file there; False when it was so already. Raises StorageLost."""
        ...
