"""The world as it would be: what --dry-run gives the agent in the place of what can be changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Optional

from bcm_jobstats.node.ports import Registry, Services


class DryServices:
    """systemd, which is asked but given no orders; they count as carried out."""

    def __init__(self, real: Services) -> None:
        self._real = real
        self._pretended: dict[str, str] = {}

    def states(self, names: Collection[str]) -> Mapping[str, str]:
        """See Services."""
        return {**self._real.states(names), **self._pretended}

    def start(self, names: Collection[str]) -> None:
        """See Services."""
        self._pretended.update(dict.fromkeys(names, "active"))

    def stop(self, names: Collection[str]) -> None:
        """See Services."""
        self._pretended.update(dict.fromkeys(names, "inactive"))


class DryRegistry:
    """The targets directory, which is read only."""

    def __init__(self, real: Registry) -> None:
        self._real = real

    def read(self, name: str) -> Optional[bytes]:
        """See Registry."""
        return self._real.read(name)

    def put(self, name: str, content: bytes) -> bool:
        """See Registry."""
        return self._real.read(name) != content

    def remove(self, name: str) -> bool:
        """See Registry."""
        return self._real.read(name) is not None
