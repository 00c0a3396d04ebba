"""What scripts/node-check is asked on nodes, and what it answers."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.stack import Exporter, Stack
from bcm_jobstats.stack.files import LIBRARY, UNITS

SCRIPT = f"{LIBRARY}/node-check"
AT_ROOT = f"cd /etc/.. ; bash {SCRIPT.lstrip('/')}"
"""The root directory by a name that is a path of every node, so that all paths are relative to it."""
NO_PORT = "-"
END = "end"


@dataclass(frozen=True)
class Answer:
    """What a node said: `failed` with the last lines of the journal, what it `waits` for, what is `unchecked` there,
    services that are `stale`: they run with files older than those on the node. A mapping is what -> why."""

    failed: Mapping[str, str] = field(default_factory=dict)
    waits: Mapping[str, str] = field(default_factory=dict)
    unchecked: Mapping[str, str] = field(default_factory=dict)
    stale: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Checks:
    """What nodes with the files of some roles are checked for."""

    exporters: tuple[Exporter, ...]
    targets: tuple[str, ...]
    """The services that register nodes."""
    links: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    """Service -> the files that it runs with."""
    agent: str = ""
    """The service that runs the exporters, in enable.mode role-monitor; CMDaemon knows that one alone."""

    @property
    def services(self) -> tuple[str, ...]:
        """All services that CMDaemon runs where they are assigned."""
        return self.targets if self.agent else (*(exporter.name for exporter in self.exporters), *self.targets)

    def reload(self) -> str:
        """The command that has systemd read its units anew and finds stale services."""
        words = [":".join((name, *(path.lstrip("/") for path in paths))) for name, paths in sorted(self.files.items())]
        return f"{AT_ROOT} reload {shlex.join(words)}"

    def check(self, run: Iterable[str], settle: float, wait: float, *, last: bool) -> str:
        """The command that checks a node where CMDaemon runs the services `run`; the exporters among the others are
        tried out. Never the services that register a node: the trial would come and go in Prometheus. Where an agent
        runs them, they are looked at as it has them: what it does not run here is no failure."""
        words = [f"{settle:.0f}", f"{wait:.0f}", *(["last"] if last else []), *self._words(set(run))]
        return f"{AT_ROOT} check {shlex.join(words)}"

    def _words(self, run: set[str]) -> Iterator[str]:
        for exporter in self.exporters:
            yield "program=" + ",".join((exporter.binary.lstrip("/"), *exporter.version_arguments))
        for path in self.links:
            yield f"link={path.lstrip('/')}"
        for exporter in self.exporters:
            kind = "kept" if self.agent in run else "service" if exporter.name in run else "trial"
            yield f"{kind}={exporter.name}:{exporter.port}{f':{self.agent}' if kind == 'kept' else ''}"
        yield from (f"service={name}:{NO_PORT}" for name in self.targets if name in run)


def checks(stack: Stack, manifest: Manifest, version: str) -> Checks:
    """The checks of nodes whose image has `manifest`: of the roles whose files it lists. `version` is BCM's."""
    chosen = [role for role in stack.roles() if f"{UNITS}/{role.target_service}.service" in manifest.entries]
    names = {role.name for role in chosen}
    exporters = tuple(exporter for role in chosen for exporter in role.exporters)
    targets = tuple(dict.fromkeys(role.target_service for role in chosen))
    files = {name: paths for name, paths in stack.files_by_service().items() if name in targets}
    for exporter in exporters:
        service = stack.service_of(exporter.name)
        files[service] = (*files.get(service, stack.files_by_service()[service]), exporter.binary)
    links = tuple(link.path for link in stack.links(names, version))
    return Checks(exporters, targets, links, files, targets[0] if stack.monitored and targets else "")


def understood(text: Optional[str]) -> Optional[Answer]:
    """The answer in what a node printed; None when there is none, or not all of it."""
    lines = (text or "").strip("\n").split("\n")
    if lines[-1].strip() != END:
        return None
    told: dict[str, dict[str, str]] = {"fail": {}, "wait": {}, "unchecked": {}}
    stale = set()
    for line in lines[:-1]:
        word, _, rest = line.partition(" ")
        what, _, why = rest.partition(": ")
        if word in told:
            told[word][what] = why
        elif word == "stale":
            stale.add(what)
        elif word == "log" and what in told["fail"]:
            told["fail"][what] += f"\n    {why}"
    return Answer(told["fail"], told["wait"], told["unchecked"], frozenset(stale))


def message(findings: Mapping[str, str]) -> str:
    """Findings in one text, the journal's lines below each."""
    return "\n  ".join(f"{what}: {why}" for what, why in findings.items())


def groups(services: Mapping[str, Sequence[str]]) -> Mapping[tuple[str, ...], list[str]]:
    """Sets of services -> the nodes that run them: one question for all nodes of a set."""
    found: dict[tuple[str, ...], list[str]] = {}
    for node, names in services.items():
        found.setdefault(tuple(sorted(names)), []).append(node)
    return found
