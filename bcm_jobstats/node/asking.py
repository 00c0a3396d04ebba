"""BCM as the agent asks it: with others where that is enough, by itself where something is to be changed."""

from __future__ import annotations

import time
from typing import Callable, Optional

from bcm_jobstats.node.config import Config
from bcm_jobstats.node.devices import Devices
from bcm_jobstats.node.heads import Heads
from bcm_jobstats.node.sharing import MINE, THEIRS, Sharing
from bcm_jobstats.node.tls import Run, Say, Tls
from bcm_jobstats.node.world import uniform

FEWEST, MOST = 15, 26
"""After so many answers of others (fewer than MOST) an agent asks BCM itself, by chance: a list that is stuck, or
forged, and agrees with what it believes keeps nothing from it for longer than some 20 check_intervals."""
OLDEST = 1.0
"""Of check_interval: how old a list may be while another one is asking."""
PAUSE, SHARE = 5.0, 0.05
"""Seconds, and at most this share of check_interval, until BCM is asked again whether the role is gone. With a list's
age (sharing.FRESH) and the longest wait for a round (agent.LATEST) it is check_interval: by then a change is seen."""


class BcmRoles:
    """ports.Roles over the REST of CMDaemon and the list that agents share.

    Of others' answers only such are taken as agree with what is known; they are a tenth of check_interval old at
    most where BCM answers at once. While another one is asking a slow BCM, the answer before holds for check_interval.

    That the role is gone is believed when BCM says so twice: a CMDaemon that has just started may not know all roles.
    """

    def __init__(
        self,
        config: Config,
        run: Run,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        *,
        say: Say = lambda priority, line: None,
        chance: Callable[[float, float], float] = uniform,
    ) -> None:
        """`run` carries out what is done on shared storage (storage.Storage.run), `say` is as in messages.Messages,
        `chance` as in world.World.uniform."""
        self._config, self._clock, self._sleep, self._chance = config, clock, sleep, chance
        self._tls = Tls(config, run, say)
        self._heads = Heads(config, self._tls)
        self._sharing = Sharing(config, run, clock, sleep)
        self._asked = 0.0
        """When BCM was asked for the answer that was given last."""
        self._left = int(chance(1, MOST))
        """How many answers of others may still be taken; at first by chance, for nodes that started together."""

    def has(self, host: str, known: Optional[bool]) -> bool:
        """As in ports.Roles."""
        if known is None or not self._config.share or not self._tls.authority:
            return self._itself(host, known)
        self._sharing.among(self._tls.authority)
        shared = self._sharing.read() if self._left else None
        if shared is None:
            whose = self._sharing.claim()
            if whose == MINE:
                return self._for_all(host, known)
            if whose == THEIRS and self._left:
                shared = self._sharing.wait(self._asked + self._config.check_interval) or self._sharing.read(OLDEST)
        if shared and shared.roles.get(host) is known:
            self._asked = shared.asked
            self._left -= 1
            return known
        return self._itself(host, known)

    def _itself(self, host: str, known: Optional[bool]) -> bool:
        return self._answer(host, known).has(host)

    def _for_all(self, host: str, known: Optional[bool]) -> bool:
        try:
            devices = self._answer(host, known)
        except BaseException:
            self._sharing.release()
            raise
        self._sharing.publish(host, self._asked, devices)
        return devices.has(host)

    def _answer(self, host: str, known: Optional[bool]) -> Devices:
        """BCM's own to this node; its second one where the first would take the role away."""
        devices = self._ask()
        if known and devices.roles.get(host) is False:
            self._sleep(min(PAUSE, SHARE * self._config.check_interval))
            devices = self._ask()
        return devices

    def _ask(self) -> Devices:
        asked = self._clock()
        devices = self._heads.ask()
        self._asked = asked
        if not self._left:
            self._left = int(self._chance(FEWEST, MOST))
        return devices
