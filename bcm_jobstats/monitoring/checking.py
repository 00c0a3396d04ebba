"""`targets check`: what is wrong in the targets directory, each with its file, cause and remedy. Changes nothing."""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.monitoring.ownership import FOREIGN, OF, key
from bcm_jobstats.monitoring.registry import NoDirectory, TargetFile, addresses, target_files, within
from bcm_jobstats.monitoring.targets import COMPACT, DAMAGED, OK, SHARED_LISTS, STALE, Registration, Targets

SYNC = "bcm-jobstats targets sync"
LEFT_OVER = 300.0
"""Seconds after which an unfinished file is a leftover: a node needs less than one, and a hanging server minutes."""
BY_HAND = "Mend or remove it by hand: no node of this cluster wrote it."
OTHERS_READ, OTHERS_WRITE = stat.S_IROTH, stat.S_IWOTH
ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `kind` is a word for scripts."""

    kind: str
    file: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.cause}. {self.remedy}"


def findings(targets: Targets, cluster: Cluster, now: float) -> list[Finding]:
    """Everything that is wrong; `now` is the time by the clock. Raises NotListed, StorageHangs."""
    try:
        files = target_files(targets.directory)
    except NoDirectory:
        remedy = "Is shared storage mounted? `bcm-jobstats apply` makes the directory."
        return [Finding("directory", str(targets.directory), "there is no such directory", remedy)]
    judged = targets.judged(files, cluster)
    ours_first = [file for _, file in sorted(zip(judged, files), key=lambda pair: pair[0].state not in {OK, DAMAGED})]
    folders = within(
        targets.directory, lambda: [*_folders(targets), *_leftovers(targets.staging, now), *_one_file(targets)]
    )
    carriers = targets.carriers(cluster)
    registered = [one for file, one in zip(files, judged) if targets.ownership.named(file) and one.state != STALE]
    return [
        *folders,
        *(finding for file, one in zip(files, judged) for finding in _of_file(file, one, targets, carriers)),
        *_missing(targets, cluster, carriers, registered),
        *_shared_addresses(ours_first),
    ]


def _folders(targets: Targets) -> Iterator[Finding]:
    """Nodes write there as the exporters' user, and nobody else may: whoever can register has Prometheus ask there."""
    user = targets.stack.site.user
    for folder in (targets.directory, targets.staging):
        if not folder.is_dir():
            yield Finding("directory", str(folder), "there is no such directory", "Run `bcm-jobstats apply`.")
            continue
        status = folder.stat()
        if status.st_uid != user.uid:
            cause = f"belongs to user {status.st_uid}, and nodes write there as {user.name} ({user.uid})"
            yield Finding("permissions", str(folder), cause, f"chown {user.uid}:{user.uid} {folder}")
        if status.st_mode & OTHERS_WRITE:
            yield Finding("permissions", str(folder), "everybody may write there", f"chmod 755 {folder}")
        elif stat.S_IMODE(status.st_mode) & 0o505 != 0o505:
            cause = f"has mode {stat.S_IMODE(status.st_mode):o}: Prometheus cannot read what is in it"
            yield Finding("permissions", str(folder), cause, f"chmod 755 {folder}")


def _leftovers(staging: Path, now: float) -> Iterator[Finding]:
    for path in sorted(staging.iterdir()) if staging.is_dir() else ():
        try:
            age = now - path.lstat().st_mtime
        except OSError:  # it was finished meanwhile
            continue
        if age > LEFT_OVER and not path.name.startswith(SHARED_LISTS):
            cause = f"was left unfinished {age / 60:.0f} minutes ago: a node or a run was killed while it wrote"
            yield Finding("leftover", str(path), cause, f"rm {path}")


def _one_file(targets: Targets) -> Iterator[Finding]:
    read, path = targets.stack.site.targets.read, targets.compact
    if read != COMPACT and path.exists():
        cause = f"targets.read is {read}, and Prometheus still reads this when its configuration was not changed"
        yield Finding("compact", str(path), cause, f"Give it that of `bcm-jobstats prometheus render`, then: rm {path}")


Carriers = Mapping[str, Collection[str]]


def _of_file(file: TargetFile, judged: Registration, targets: Targets, carriers: Carriers) -> Iterator[Finding]:
    where, state = str(file.path), judged.state
    mends = f"`{SYNC}` mends it." if state == DAMAGED else BY_HAND
    if state == FOREIGN and targets.ownership.named(file) and judged.node in carriers.get(judged.role, ()):
        service = targets.stack.role(judged.role).target_service
        cause = f"has the name of what {judged.node} registers with, and is not that: `{SYNC}` leaves it alone"
        yield Finding("in-the-way", where, cause, f"Give it another name, and restart {service} on {judged.node}.")
    if state == STALE:
        yield _stale(file, judged, targets)
    elif file.fault:
        kind = "unreadable" if "cannot be read" in file.fault else "invalid"
        yield Finding(kind, where, file.fault, mends)
    elif state == DAMAGED:
        cause = next(_differences(file, targets), "differs from what the node writes")
        yield Finding("damaged", where, cause, mends)
    if not file.fault and not file.mode & OTHERS_READ:
        cause = f"has mode {file.mode:o}: Prometheus, which is not root, cannot read it"
        yield Finding("permissions", where, cause, f"chmod 644 {where}")
    if state.startswith(OF) and targets.ownership.knows(file.host):
        cause = (
            f"is of cluster {state[len(OF) :]}, and {file.host} is a node of this one too: they overwrite each other"
        )
        remedy = "Give each cluster a directory of its own: targets.directory in the site file."
        yield Finding("clash", where, cause, remedy)
    if state == FOREIGN or state.startswith(OF):
        yield from _odd_addresses(file)


def _stale(file: TargetFile, judged: Registration, targets: Targets) -> Finding:
    if not targets.ownership.knows(file.host):
        cause = f"BCM knows no node {judged.node}"
    else:
        cause = f"{judged.node} has no role for {judged.role}"
    return Finding("stale", str(file.path), cause, f"`{SYNC}` removes it.")


def _differences(file: TargetFile, targets: Targets) -> Iterator[str]:
    """What is wrong with a file that can be read, the worst first."""
    cluster = targets.stack.site.cluster
    for _, target, labels in addresses([file]):
        port, host = _port(target), target.rpartition(":")[0]
        if not port:
            yield f"{target!r} is not host:port with a port from 1 to 65535"
        elif host != file.host:
            yield f"{target}: the host must be spelt {file.host}, as in all targets of the node (its short name)"
        if labels.get("hostname") != file.host:
            yield f"{target} has the label hostname {labels.get('hostname')!r}, not {file.host!r}"
        if labels.get("cluster") != cluster:
            yield f"{target} has the label cluster {labels.get('cluster')!r}, not {cluster!r}"
        if not labels.get("job"):
            yield f"{target} has no label job"
    if not file.groups:
        yield "has no targets in it"


def _odd_addresses(file: TargetFile) -> Iterator[Finding]:
    for _, target, _ in addresses([file]):
        if not _port(target):
            cause = f"{target!r} is not host:port with a port from 1 to 65535"
            yield Finding("invalid", str(file.path), cause, BY_HAND)


def _port(target: str) -> int:
    """The port of host:port; 0 when it has none that can be."""
    match = ADDRESS.fullmatch(target)
    port = int(match["port"]) if match else 0
    return port if port <= 65535 else 0


def _missing(
    targets: Targets, cluster: Cluster, carriers: Carriers, registered: Sequence[Registration]
) -> Iterator[Finding]:
    there = {(key(one.node), one.role) for one in registered}
    for role, nodes in carriers.items():
        for name in sorted(nodes):
            node = cluster.nodes.get(name)
            if (key(name), role) in there or node is None or node.is_head:
                continue
            file = targets.directory / targets.stack.target_file(name, role)[0]
            down = f", and is {node.status.strip('[] ') or 'not up'}" if not node.is_up else ""
            cause = f"{name} has the role for {role} and did not register{down}"
            yield Finding(
                "missing", str(file), cause, f"What stops it: `bcm-jobstats status`, or the journal of {name}."
            )


def _shared_addresses(files: Sequence[TargetFile]) -> Iterator[Finding]:
    """Two entries with one address: Prometheus asks it twice, and one of two exporters cannot have the port."""
    seen: dict[str, tuple[Path, str]] = {}
    for file, target, labels in addresses(files):
        job = labels.get("job", "")
        if target not in seen:
            seen[target] = (file.path, job)
            continue
        path, other = seen[target]
        if other != job:
            cause = f"{target} is of job {job or '(none)'} here and of job {other or '(none)'} in {path.name}"
            remedy = "Two exporters cannot have one port: change one of them, exporters.NAME.port in the site file."
            yield Finding("port-clash", str(file.path), cause, remedy)
        else:
            cause = f"{target} is in {path.name} too: Prometheus asks it twice"
            yield Finding("duplicate", str(file.path), cause, "Remove one of the two by hand.")
