"""What a grab would take from a node and should not: the rules, as data; capture.py judges by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

SECRET, STATE, OWN = "secret", "state", "node"
"""A secret must not be in an image; state and what is a node's own may, if an administrator says so."""


@dataclass(frozen=True)
class Rule:
    """What to look for below a directory. `patterns` are of paths relative to `place`, where `*` crosses slashes, as
    `find -ipath` has it, in small letters; `depth` is how many levels down. Empty files and directories are not looked
    at."""

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


ADMIN = ("*admin.key", "*admin.pem", "*admin.pfx", "*admin.p12")
"""BCM's administrator, under the names that copies of his key are given."""
PERSONAL = (
    *("*.kube/config", "*.docker/config.json", "*.ngc/config", "*.aws/credentials"),
    *("*.netrc", "*.git-credentials", "*.pgpass"),
)
"""What programs keep passwords and tokens of whoever uses them in."""
RULES = (
    Rule(SECRET, "a private key of BCM", "/root/.cm", ("*.key", "*.pfx", "*.p12"), 3),
    Rule(SECRET, "CMDaemon's private key", "/cm/local/apps/cmd/etc", ("*.key", "*.pfx", "*admin.pem"), 2),
    Rule(SECRET, "a private key of BCM", "/etc", ("bcm-*/*.key", "bcm-*/*.pfx", "bcm-*/*admin.pem"), 4),
    *(Rule(SECRET, "BCM's administrator", place, ADMIN, 8) for place in ("/root", "/opt", "/srv", "/usr/local")),
    *(Rule(SECRET, "BCM's administrator", place, ADMIN, 5) for place in ("/etc", "/home", "/cm/local")),
    Rule(SECRET, "a private key for SSH", "/root/.ssh", ("id_*",), but=("*.pub",)),
    Rule(SECRET, "a private key for SSH", "/home", ("*.ssh/id_*",), 4, but=("*.pub",)),
    Rule(SECRET, "the node's Kerberos keys", "/etc", ("krb5.keytab",)),
    Rule(SECRET, "Slurm's key for tokens", "/etc", ("slurm*/*jwt*",), 3),
    Rule(SECRET, "a private key", "/etc/ssl/private", ("*",), 3, but=("ssl-cert-snakeoil.key",)),
    Rule(SECRET, "a private key", "/etc/pki/tls/private", ("*",), 3, but=("localhost.key",)),
    Rule(SECRET, "Kubernetes' credentials", "/etc", ("kubernetes/*.conf", "kubernetes/*.key"), 4),
    Rule(SECRET, "Kubernetes' credentials", "/etc", ("rancher/k3s/k3s.yaml", "rancher/rke2/rke2.yaml"), 3),
    Rule(SECRET, "somebody's credentials", "/root", PERSONAL, 3),
    Rule(SECRET, "somebody's credentials", "/home", PERSONAL, 4),
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
    Rule(STATE, "registered targets", "/cm/shared/apps/jobstats", ("*",), some=True),
    Rule(OWN, "the node's key for SSH", "/etc/ssh", ("ssh_host_*_key",)),
    Rule(OWN, "the node's name", "/etc", ("hostname",)),
    Rule(OWN, "the node's number", "/etc", ("machine-id", "iscsi/initiatorname.iscsi", "nvme/host*"), 2),
    Rule(OWN, "the node's number", "/var/lib/dbus", ("machine-id",)),
    Rule(OWN, "the node's network", "/etc", ("netplan/*.y*ml", "network/interfaces.d/*"), 3),
    Rule(OWN, "the node's network", "/etc", ("sysconfig/network-scripts/ifcfg-*",), 3, but=("*/ifcfg-lo",)),
    Rule(OWN, "the node's network", "/etc/NetworkManager/system-connections", ("*",)),
    Rule(OWN, "the node's addresses", "/var/lib", ("dhclient/*", "dhcp/*", "networkmanager/*lease*"), 2),
    Rule(OWN, "data of jobs", "/scratch", ("*",), some=True),
    Rule(OWN, "data of jobs", "/local", ("*",), some=True),
    Rule(OWN, "data of jobs", "/raid", ("*",), some=True),
    Rule(OWN, "data", "/data", ("*",), some=True, but=("lost+found",)),
)
"""Where BCM, Slurm, Prometheus and Grafana have such things by default, and peers' tools (peers, findings on keys)."""
KEY = "^-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----"
"""What a file with a private key has, whatever its name is."""
KEY_PLACES = ("/root", "/etc", "/home", "/opt", "/srv", "/usr/local")
KEY_DEPTH, KEY_SIZE, KEY_FILES = 6, 16 * 1024, 20_000
"""How deep below these places, up to how many bytes, and on a node in how many files of each it is looked for."""
BY_DESIGN = (
    *("/etc/ssh/ssh_host_*_key", "/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/pki/tls/private/localhost.key"),
    *(f"{top}/*/{name}/*" for top, name in product(
        ("/opt", "/usr/local"), ("test", "tests", "testdata", "examples", "site-packages", "dist-packages"))),
)  # fmt: skip
"""Files with a private key that a distribution makes on every machine, or that programs bring for their tests; a node's
own keys for SSH have a rule of their own."""


def besides(rule: Rule) -> Iterator[str]:
    """The patterns of a rule with the name that has to be next to it."""
    if rule.beside:
        yield from (f"{pattern.rpartition('/')[0]}/{rule.beside}".lstrip("/") for pattern in rule.patterns)
