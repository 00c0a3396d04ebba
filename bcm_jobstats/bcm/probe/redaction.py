"""Takes out of a text what identifies a cluster or opens it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from bcm_jobstats.bcm.entities import Cluster

KNOWN = {"default", "default-image", "base", "slurm", "admin", "readonly", "yes", "no", "up", "down"}
"""Names that every cluster has: they identify nobody."""
PATTERNS = (
    (re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL), "<removed>"),
    (re.compile(r"\b(?:[0-9A-Fa-f]{2}[:-]){5,}[0-9A-Fa-f]{2}\b"), "00:00:00:00:00:00"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"), "192.0.2.1"),
    (re.compile(r"\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b"), "00000000-0000-0000-0000-000000000000"),
    (re.compile(r"\b[0-9A-Fa-f]{32,}\b"), "<hash>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<mail>"),
    (re.compile(r"(?<=/home/)[\w.-]+"), "user"),
)
MAY_BE_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{3,39}(?![\w:])")
OURS = "bcm-jobstats"
"""How the revision of what we made begins: our own names are the same everywhere."""


class Redaction:
    """Replaces the names of a cluster by `node-1`, `category-2`, …; addresses, hardware addresses and keys as well.

    A name of letters only may be a word of any text (`a`, `own`): it counts as a name where it stands alone, and in
    what we send and in what every BCM answers alike (`fixed`) only between quotes.
    """

    def __init__(self, cluster: Cluster, root: str = "/") -> None:
        """`root` is what stands before every path of the head node where `--root` was given."""
        self._root = root.rstrip("/")
        aliases = _aliases(cluster)
        words = {name for name in aliases if name.isalpha()}
        self._names = {name.lower(): alias for name, alias in aliases.items()}
        # A name may follow two dots (`node001..node003`); what follows one dot after a node's is its domain.
        self._special = _any(aliases.keys() - words, r"(?<![^\W_]){}(?![^\W_])")
        self._word = _any(words, r"(?<![\w-])(?<!\w\.){}(?!\w|-[^\W\d])")
        self._quoted = _any(words, r"(?<=[\"':/]){}(?=[\"'])")
        self._range = _any(_stems(cluster), r"(?<![^\W_]){}\[[^\]\n]*\]")
        self._domain = re.compile(r"(node-\d+)(?:\.[A-Za-z][\w-]*)+")

    def __call__(self, text: str, *, fixed: bool = False) -> str:
        """The text without what identifies a cluster or opens it."""
        text = text.replace(self._root, "") if self._root else text
        for pattern, instead in PATTERNS:
            text = pattern.sub(instead, text)
        text = MAY_BE_IPV6.sub(lambda match: "2001:db8::1" if _ipv6(match.group()) else match.group(), text)
        text = self._range.sub("node-[…]", text)
        for names in (self._special, self._quoted if fixed else self._word):
            text = names.sub(lambda match: self._names[match.group(1).lower()], text)
        return self._domain.sub(r"\1", text)


def _aliases(cluster: Cluster) -> dict[str, str]:
    """name -> what stands for it."""
    theirs = [role for roles in cluster.generic.values() for role in roles.values() if not _ours(role.revision)]
    kinds: dict[str, Iterable[str]] = {
        "service": {name for role in theirs for name in role.services},
        "role": {role.name.partition("::")[2] for role in theirs},
        "wlm": cluster.wlms,
        "overlay": [name for name, overlay in cluster.overlays.items() if not _ours(overlay.revision)],
        "image": cluster.images,
        "category": cluster.categories,
        "node": cluster.nodes,
    }
    return {
        name: f"{kind}-{number}"
        for kind, names in kinds.items()
        for number, name in enumerate(sorted(names), 1)
        if name and name.lower() not in KNOWN
    }


def _ours(revision: str) -> bool:
    return revision.startswith(OURS)


def _stems(cluster: Cluster) -> set[str]:
    """What stands before the number in the nodes' names: `dgx-[01-04]` tells it without naming a node."""
    return {name.rstrip("0123456789") for name in cluster.nodes if name[-1:].isdigit()} - {""}


def _any(names: Iterable[str], around: str) -> re.Pattern[str]:
    """One of the names, the longest first, within `around`."""
    longest_first = sorted(names, key=len, reverse=True)
    one = "(" + "|".join(map(re.escape, longest_first)) + ")" if longest_first else "((?!))"
    return re.compile(around.replace("{}", one), re.IGNORECASE)


def _ipv6(text: str) -> bool:
    try:
        return len(text) > 2 and bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False
