"""systemd on this node, as the agent asks it and has it start and stop the exporters."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Callable

from bcm_jobstats.node import command
from bcm_jobstats.node.ports import ServicesLost

ASKING = 10.0
"""Seconds that systemd may take to answer."""
ACTING = 25.0
"""Seconds that services may take to start or stop; what takes longer goes on without us."""
CARRIED_OUT = 40.0
"""Seconds in which an order must be carried out: more than scripts/role-monitor-orders gives systemd for all of it."""
LOOKING = 0.1
"""Seconds between two looks at orders."""
SYSTEMCTL = ("systemctl", "--no-ask-password", "--no-pager", "--quiet")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
UNIT, ORDERS = "bcm-role-monitor-orders", "orders"
START, STOP = "start", "stop"
OPPOSITE = {START: STOP, STOP: START}
PROPERTIES = ("LoadState", "ActiveState")


class Systemd:
    """ports.Services. root tells systemd itself; anybody else leaves orders for bcm-role-monitor-orders.path."""

    def __init__(
        self,
        run: Path,
        root: bool,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`run` is the agent's folder below /run, where orders are left."""
        self._orders = run / ORDERS
        self._root = root
        self._sleep = sleep
        self._monotonic = monotonic

    def states(self, names: Collection[str]) -> Mapping[str, str]:
        """service -> systemd's ActiveState, or `missing` where there is no such unit. Raises ServicesLost."""
        wanted = list(names)
        if not wanted:
            return {}
        told = _ask("show", f"--property={','.join(PROPERTIES)}", "--", *map(_unit, wanted))
        # One paragraph per unit, in the order asked for. Its Id= would be another name where this one is an alias.
        paragraphs = [_fields(paragraph) for paragraph in told.split("\n\n") if paragraph.strip()]
        if len(paragraphs) != len(wanted) or not all(set(PROPERTIES) <= set(fields) for fields in paragraphs):
            raise _lost(f"told of {len(paragraphs)} services, not of {len(wanted)}")
        return {
            name: "missing" if fields["LoadState"] == "not-found" else fields["ActiveState"]
            for name, fields in zip(wanted, paragraphs)
        }

    def start(self, names: Collection[str]) -> None:
        """Ask systemd to start services, also ones that it gave up; returns when it was tried. Raises ServicesLost."""
        if self._root:
            _act("reset-failed", names)
            _act(START, names)
        else:
            self._order(START, names)

    def stop(self, names: Collection[str]) -> None:
        """Ask systemd to stop services. Raises ServicesLost."""
        if self._root:
            _act(STOP, names)
        else:
            self._order(STOP, names)

    def _order(self, action: str, names: Collection[str]) -> None:
        """Leave an order for each service and wait until all were carried out.

        An order is an empty file whose name says all, such as start.node_exporter: root reads nothing that we wrote.
        """
        orders = [self._orders / f"{action}.{name}" for name in names]
        try:
            for order, name in zip(orders, names):
                with suppress(FileNotFoundError):  # the last word counts
                    (self._orders / f"{OPPOSITE[action]}.{name}").unlink()
                order.touch()
        except OSError as error:
            remedy = "The agent runs as bcm-role-monitor.service, or by hand as root."
            raise ServicesLost(str(self._orders), f"takes no order: {error.strerror}", remedy) from None
        self._await(orders)

    def _await(self, orders: Sequence[Path]) -> None:
        until = self._monotonic() + CARRIED_OUT
        try:
            while any(order.exists() for order in orders):
                if self._monotonic() >= until:
                    cause = f"carries out no order within {CARRIED_OUT:.0f} seconds"
                    raise ServicesLost(f"{UNIT}.path", cause, f"systemctl status {UNIT}.path {UNIT}.service")
                self._sleep(LOOKING)
        finally:
            for order in orders:  # carried out later, it might be against what BCM says by then
                with suppress(OSError):
                    order.unlink()


def is_root() -> bool:
    """Whether systemd takes orders from this process itself."""
    return os.geteuid() == 0


def _unit(service: str) -> str:
    return f"{service}.service"


def _fields(paragraph: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in paragraph.splitlines())
    return {key: value for key, _, value in pairs}


def _ask(*arguments: str) -> str:
    """What systemctl prints; ServicesLost when systemd does not answer."""
    try:
        done = _systemctl(ASKING, *arguments)
    except TimeoutError:
        raise _lost("does not answer") from None
    except OSError as error:
        raise _lost(f"cannot be asked: {error.strerror}") from None
    if done.status:
        raise _lost(done.errors.strip().partition("\n")[0] or f"systemctl ended with {done.status}")
    return done.output


def _act(action: str, names: Collection[str]) -> None:
    """Whether it worked is not asked here: a service that does not start is no failure of systemd."""
    try:
        with suppress(TimeoutError):
            _systemctl(ACTING, action, "--", *map(_unit, names))
    except OSError as error:
        raise _lost(f"cannot be asked: {error.strerror}") from None


def _systemctl(seconds: float, *arguments: str) -> command.Done:
    return command.run([*SYSTEMCTL, *arguments], ENVIRONMENT, seconds)


def _lost(cause: str) -> ServicesLost:
    return ServicesLost("systemd", cause, "systemctl status on the node says more.")
