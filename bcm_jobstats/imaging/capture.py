"""What a grab would take from a node and should not: secrets, state, and what is one node's own. The rules are data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from bcm_jobstats.imaging.excludes import captured

SECRET, STATE, OWN = "secret", "state", "node"
"""A secret must not be in an image; state and what is a node's own may, if an administrator says so."""


@dataclass(frozen=True)
class Rule:
    """What to look for below a directory. `patterns` are of paths relative to `place`, where `*` crosses slashes, as
    `find -path` has it; `depth` is how many levels down. Empty files and directories are not looked at."""

    kind: str
    what: str
    place: str
    patterns: tuple[str, ...]
    depth: int = 1
    but: tuple[str, ...] = ()
    """Patterns of what is meant to be there."""
    beside: str = ""
    """Only where this name is next to it: both together tell what the directory above is."""
    some: bool = False
    """That there is anything at all is enough, and only the first is told."""


RULES = (
    Rule(SECRET, "a private key of BCM", "/root/.cm", ("*.key", "*.pfx", "*.p12"), 3),
    Rule(SECRET, "CMDaemon's private key", "/cm/local/apps/cmd/etc", ("*.key", "*.pfx", "*admin.pem"), 2),
    Rule(SECRET, "a private key of BCM", "/etc", ("bcm-*/*.key", "bcm-*/*.pfx", "bcm-*/*admin.pem"), 4),
    Rule(SECRET, "BCM's administrator", "/root", ("admin.key", "*/admin.key", "admin.pem", "*/admin.pem"), 5),
    Rule(SECRET, "BCM's administrator", "/opt", ("admin.key", "*/admin.key", "admin.pem", "*/admin.pem"), 5),
    Rule(SECRET, "a private key for SSH", "/root/.ssh", ("id_*",), but=("*.pub",)),
    Rule(SECRET, "the node's Kerberos keys", "/etc", ("krb5.keytab",)),
    Rule(STATE, "what the role monitor knows", "/var/lib", ("bcm-role-monitor",)),
    Rule(STATE, "images and containers", "/var/lib", ("docker", "containerd")),
    Rule(STATE, "Grafana's database", "/var/lib", ("*/grafana.db",), 4),
    Rule(STATE, "Grafana's database", "/opt", ("*/grafana.db",), 4),
    Rule(STATE, "Grafana's database", "/srv", ("*/grafana.db",), 4),
    Rule(STATE, "Prometheus' data", "/var/lib", ("*/chunks_head",), 5, beside="wal"),
    Rule(STATE, "Prometheus' data", "/opt", ("*/chunks_head",), 5, beside="wal"),
    Rule(STATE, "Prometheus' data", "/srv", ("*/chunks_head",), 5, beside="wal"),
    Rule(STATE, "Prometheus' data", "/cm/local", ("*/chunks_head",), 5, beside="wal"),
    Rule(STATE, "Slurm's state", "/var/spool", ("slurm*",)),
    Rule(STATE, "Slurm's state", "/var/lib", ("slurm*",)),
    Rule(STATE, "Slurm's state", "/cm/local/apps/slurm/var/spool", ("*",), some=True),
    Rule(STATE, "jobs on GPUs", "/run", ("gpustat", "dcgm-job-map")),
    Rule(STATE, "registered targets", "/var", ("*/prometheus-targets",), 4),
    Rule(STATE, "registered targets", "/etc", ("*/prometheus-targets",), 3),
    Rule(OWN, "the node's key for SSH", "/etc/ssh", ("ssh_host_*_key",)),
    Rule(OWN, "the node's name", "/etc", ("hostname", "HOSTNAME")),
    Rule(OWN, "the node's number", "/etc", ("machine-id", "iscsi/initiatorname.iscsi", "nvme/host*"), 2),
    Rule(OWN, "the node's number", "/var/lib/dbus", ("machine-id",)),
    Rule(OWN, "the node's network", "/etc", ("netplan/*.y*ml", "network/interfaces.d/*"), 3),
    Rule(OWN, "the node's network", "/etc", ("sysconfig/network-scripts/ifcfg-*",), 3, but=("*/ifcfg-lo",)),
    Rule(OWN, "the node's network", "/etc/NetworkManager/system-connections", ("*",)),
    Rule(OWN, "the node's addresses", "/var/lib", ("dhclient/*", "dhcp/*", "NetworkManager/*lease*"), 2),
    Rule(OWN, "data of jobs", "/scratch", ("*",), some=True),
    Rule(OWN, "data of jobs", "/local", ("*",), some=True),
    Rule(OWN, "data of jobs", "/raid", ("*",), some=True),
    Rule(OWN, "data", "/data", ("*",), some=True, but=("lost+found",)),
)
"""Where BCM, Slurm, Prometheus and Grafana have such things by default, and peers' tools (peers, findings on keys)."""


@dataclass(frozen=True)
class Entry:
    """Something that is there: its absolute path, and whether it is a directory."""

    path: str
    is_dir: bool = False


@dataclass(frozen=True)
class Finding:
    """One thing that should not get into an image; `line` is the rule for the exclude list that keeps it out."""

    kind: str
    path: str
    what: str
    line: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def judged(found: Iterable[Entry], exclude: str = "") -> list[Finding]:
    """What of `found` a grab with this exclude list would take, each path once, as RULES are ordered."""
    there = {entry.path: entry for entry in found}
    told: dict[str, Finding] = {}
    for rule in RULES:
        for entry in there.values():
            if not _is_about(rule, entry.path) or not _taken(entry, exclude):
                continue
            parent = str(PurePosixPath(entry.path).parent)
            if rule.beside and f"{parent}/{rule.beside}" not in there:
                continue
            path, whole = (parent, True) if rule.beside or rule.some else (entry.path, entry.is_dir)
            told.setdefault(path, Finding(rule.kind, path, rule.what, f"- {path}/*" if whole else f"- {path}"))
    return list(told.values())


def wanted(place: str, relative: str) -> bool:
    """Whether some rule looks for a path below `place`, be it only to tell what is beside it."""
    return any(
        rule.place == place
        and relative.count("/") < rule.depth
        and any(fnmatchcase(relative, pattern) for pattern in (*rule.patterns, *besides(rule)))
        for rule in RULES
    )


def besides(rule: Rule) -> Iterator[str]:
    """The patterns of a rule with the name that has to be next to it."""
    if rule.beside:
        yield from (f"{pattern.rpartition('/')[0]}/{rule.beside}".lstrip("/") for pattern in rule.patterns)


def _is_about(rule: Rule, path: str) -> bool:
    if not path.startswith(f"{rule.place}/"):
        return False
    relative = path[len(rule.place) + 1 :]
    named = any(fnmatchcase(relative, pattern) for pattern in rule.patterns)
    return named and relative.count("/") < rule.depth and not any(fnmatchcase(relative, other) for other in rule.but)


def _taken(entry: Entry, exclude: str) -> bool:
    # A list often has what is in a directory, not the directory: an empty one in an image hurts nobody.
    return captured(f"{entry.path}/anything" if entry.is_dir else entry.path, exclude)
