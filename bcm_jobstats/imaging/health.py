"""The health gate of a rollout: whether nodes work with their new image, asked of all of them in one go."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Callable, Optional

from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.imaging.nodecheck import Answer, Checks, groups, message, understood

SLICE = 8.0
"""Seconds that one question may wait on the nodes: nobody tells how long CMDaemon lets a pexec run (AM11 §14.1.2)."""
SILENT = 3
"""How often in a row a node may leave a question unanswered."""
UP, STOPPED, FAILING = "UP", "STOPPED", "FAILING"


@dataclass(frozen=True)
class Verdict:
    """Why a node failed (""): it did not), and what could not be checked there."""

    failed: str = ""
    unchecked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Gate:
    """How nodes are checked: `settle` and `timeout` in seconds, as the site file has them."""

    bcm: Bcm
    checks: Checks
    settle: float
    timeout: float
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    def stale(self, nodes: Collection[str]) -> Mapping[str, Collection[str]]:
        """node -> services that run with older files than it has, once systemd has read its units anew; where the node
        cannot tell, all that run. One call, or two."""
        if not self.checks.files:
            return {}
        told = self.bcm.execute(nodes, self.checks.reload())
        answers = {node: understood(told.get(node)) for node in nodes}
        found: dict[str, Collection[str]] = {
            node: answer.stale for node, answer in answers.items() if answer and not answer.unchecked
        }
        rest = [node for node in nodes if node not in found]
        states = self.bcm.service_states(rest) if rest else {}
        for node in rest:
            found[node] = [name for name in self.checks.services if states.get(node, {}).get(name) == UP]
        return found

    def verdicts(self, nodes: Collection[str]) -> Mapping[str, Verdict]:
        """node -> how it is, once that is certain or the time is up. The number of calls depends on the time, and not
        on the number of nodes."""
        if not self.checks.services:
            return dict.fromkeys(nodes, Verdict())
        done: dict[str, Verdict] = {}
        silent = dict.fromkeys(nodes, 0)
        deadline = self.clock() + self.timeout
        while len(done) < len(nodes):
            left = deadline - self.clock()
            last = left <= SLICE
            began = self.clock()
            done.update(self._look([node for node in nodes if node not in done], silent, max(0.0, left), last=last))
            # Nodes whose answers come at once are asked no more than once a second.
            if len(done) < len(nodes) and self.clock() - began < 1:
                self.pause(1.0)
        return {node: done[node] for node in nodes}

    def _look(
        self, nodes: Collection[str], silent: dict[str, int], left: float, *, last: bool
    ) -> Iterator[tuple[str, Verdict]]:
        """The verdicts of those nodes that have one."""
        states = self.bcm.service_states(nodes)
        ours = {node: _among(self.checks.services, states.get(node, {})) for node in nodes}
        run = {node: [n for n, state in told.items() if state != STOPPED] for node, told in ours.items()}
        for services, some in groups(run).items():
            command = self.checks.check(services, self.settle, min(SLICE, left), last=last)
            told = self.bcm.execute(some, command)
            for node in some:
                answer = understood(told.get(node))
                silent[node] = 0 if answer else silent[node] + 1
                if answer is None and (last or silent[node] >= SILENT):
                    yield node, Verdict(_unanswered(told.get(node)))
                verdict = _verdict(answer, ours[node], last=last) if answer else None
                if verdict:
                    yield node, verdict


def _among(services: Collection[str], states: Mapping[str, str]) -> dict[str, str]:
    return {name: states[name] for name in services if name in states}


def _unanswered(text: Optional[str]) -> str:
    words = " / ".join(line.strip() for line in (text or "").splitlines() if line.strip())
    return f"it does not answer ({words:.200})" if words else "it does not answer"


def _verdict(answer: Answer, states: Mapping[str, str], *, last: bool) -> Optional[Verdict]:
    """What an answer means for a node whose services CMDaemon tells to be in `states`; None: not certain yet."""
    unchecked = dict(answer.unchecked)
    unchecked.update({name: "an administrator stopped it" for name, state in states.items() if state == STOPPED})
    failed = dict(answer.failed)
    # Where the node itself cannot tell, CMDaemon does: whether the service is up, and no more.
    down = {name: f"CMDaemon says {states[name]}" for name in answer.unchecked if states.get(name, UP) != UP}
    down = {name: why for name, why in down.items() if states[name] != STOPPED}
    if last or FAILING in {states[name] for name in down}:
        failed.update(down)
    if failed:
        return Verdict(message(failed), unchecked)
    return None if answer.waits or down else Verdict("", unchecked)
