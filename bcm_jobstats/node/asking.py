"""BCM as the agent asks it: with others where that is enough, by itself where something is to be changed."""

from __future__ import annotations

import time
from typing import Callable, Optional

from bcm_jobstats.node.config import Config
from bcm_jobstats.node.heads import Heads
from bcm_jobstats.node.sharing import MINE, THEIRS, Sharing
from bcm_jobstats.node.tls import Run, Say, Tls


class BcmRoles:
    """ports.Roles over the REST of CMDaemon and the list that agents share.

    An answer is never older than check_interval when it is given: another one's is at most a tenth of it old, and is
    not waited for longer than until the last answer is as old as that.
    """

    def __init__(
        self,
        config: Config,
        run: Run,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        say: Say = lambda priority, line: None,
    ) -> None:
        """`run` carries out what is done on shared storage (storage.Storage.run), `say` is as in messages.Messages."""
        self._config, self._clock = config, clock
        self._tls = Tls(config, run, say)
        self._heads = Heads(config, self._tls)
        self._sharing = Sharing(config, run, clock, sleep)
        self._asked = 0.0
        """When BCM was asked for the answer that was given last."""

    def has(self, host: str, known: Optional[bool]) -> bool:
        """As in ports.Roles."""
        if known is None or not self._config.share or not self._tls.authority:
            return self._directly(host)
        self._sharing.among(self._tls.authority)
        shared = self._sharing.read()
        if shared is None:
            whose = self._sharing.claim()
            if whose == MINE:
                return self._for_all(host)
            if whose == THEIRS:
                shared = self._sharing.wait(self._asked + self._config.check_interval)
        if shared and shared.roles.get(host) is known:
            self._asked = shared.asked
            return known
        return self._directly(host)

    def _directly(self, host: str) -> bool:
        self._asked = self._clock()
        return self._heads.ask().has(host)

    def _for_all(self, host: str) -> bool:
        self._asked = self._clock()
        try:
            devices = self._heads.ask()
        except BaseException:
            self._sharing.release()
            raise
        self._sharing.publish(host, self._asked, devices)
        return devices.has(host)
