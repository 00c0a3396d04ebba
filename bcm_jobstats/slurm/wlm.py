"""Settings of a Slurm cluster in BCM, as resources named `CLUSTER/SETTING` (bcm-facts §5.2, §5.3)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Optional

from bcm_jobstats.bcm.cmsh import wlm as script
from bcm_jobstats.bcm.entities import WlmCluster
from bcm_jobstats.bcm.errors import Unreadable
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.plan.apply import Originals
from bcm_jobstats.plan.resource import Found, State

KIND = "wlm"
VALUE = "value"


class WlmProvider:
    """Resources named `CLUSTER/SETTING` with their `value`: as first read, then as each write was read back."""

    kind = KIND

    def __init__(self, rank: int, bcm: Bcm, wlms: Mapping[str, WlmCluster], originals: Originals) -> None:
        """Ours are those whose former value is kept in `originals`."""
        self.rank = self.rank_down = rank
        self.bcm, self.originals = bcm, originals
        self.wlms = dict(wlms)

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """See Provider. Raises Unreadable when BCM does not tell of one that is to be given back."""
        held = {address[len(KIND) + 1 :] for address in self.originals.all() if address.startswith(f"{KIND}.")}
        found = {}
        for name in sorted({*names, *held}):
            cluster, _, setting = name.rpartition("/")
            value = self.wlms[cluster].settings.get(setting) if cluster in self.wlms else None
            if value is not None:
                found[name] = Found({VALUE: value}, ours=name in held, setting=True)
            elif cluster in self.wlms and name in held:
                raise Unreadable(f"wlm cluster {cluster}", f"BCM does not tell its {setting}", "Use --bcm cmsh.")
        return found

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider."""
        old, new = self._with(name, before), self._with(name, after)
        if self.wlms[new.name].settings != new.settings:
            self.wlms[new.name] = self.bcm.save_wlm(old, new) or new

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider. A setting cannot be removed, only given back: it stays as it is."""
        return before

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        return ["cmsh -c '" + "; ".join(script.save(self._with(name, before), self._with(name, after))) + "'"]

    def _with(self, name: str, state: Optional[State]) -> WlmCluster:
        cluster, _, setting = name.rpartition("/")
        wlm = self.wlms[cluster]
        return replace(wlm, settings={**wlm.settings, setting: state[VALUE]}) if state else wlm
