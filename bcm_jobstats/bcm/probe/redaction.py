"""Takes out of a text what identifies a cluster or opens it."""

from __future__ import annotations

import re

from bcm_jobstats.bcm.entities import Cluster

KNOWN = {"default", "default-image", "base", "slurm", "admin", "readonly", "yes", "no", "up", "down"}
"""Names that every cluster has: they identify nobody."""
PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
MAC = re.compile(r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b")
ADDRESS = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
LONG_HEX = re.compile(r"\b[0-9a-f]{32,}\b")


class Redaction:
    """Replaces the names of a cluster by `node-1`, `category-2`, …; addresses, hardware addresses and keys as well."""

    def __init__(self, cluster: Cluster, root: str = "/") -> None:
        """`root` is what stands before every path of the head node where `--root` was given."""
        self._root = root.rstrip("/")
        kinds = {
            "node": cluster.nodes,
            "category": cluster.categories,
            "image": cluster.images,
            "overlay": cluster.overlays,
            "wlm": cluster.wlms,
        }
        names = {
            name: f"{kind}-{number}"
            for kind, table in kinds.items()
            for number, name in enumerate(sorted(table), 1)
            if name.lower() not in KNOWN
        }
        self._names = {name.lower(): alias for name, alias in names.items()}
        longest_first = sorted(names, key=len, reverse=True)
        self._pattern = re.compile(
            r"(?<![\w.-])(" + "|".join(map(re.escape, longest_first)) + r")(?![\w-])" if names else r"(?!)",
            re.IGNORECASE,
        )

    def __call__(self, text: str) -> str:
        """The text without what identifies a cluster or opens it."""
        text = PEM.sub("<removed>", text.replace(self._root, "") if self._root else text)
        text = MAC.sub("00:00:00:00:00:00", ADDRESS.sub("192.0.2.1", text))
        text = self._pattern.sub(lambda match: self._names[match.group(1).lower()], text)
        return LONG_HEX.sub("<hash>", text)
