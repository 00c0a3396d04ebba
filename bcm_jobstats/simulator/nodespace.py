"""The world of a process node: how its paths, listen addresses and variables are spelt on the host.

A process node has no namespaces. An absolute path is taken into its file tree when the tree has it or its parent
directory, `/dev`, `/proc` and `/sys` stay the host's, and a wildcard listen address becomes the node's own. Only a
whole word, or what follows the first ``=`` of a word, is looked at: a path inside ``sh -c '…'``, in a list such as
``/a:/b``, or inside a configuration file stays as it is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

HOST_PLACES = ("dev", "proc", "sys")
HOST_PROGRAMS = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/")
PROGRAM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_WILDCARD = re.compile(r"(?:0\.0\.0\.0|\[::\])?(:\d+)")
_MAX_LINKS = 40  # as the kernel's limit


@dataclass(frozen=True)
class NodeSpace:
    """Node `name`, whose services listen on `address` and whose file system is the directory `root`."""

    name: str
    address: str
    root: Path

    def path(self, text: str) -> Path:
        """Where the node's absolute path `text` lies on the host.

        `/dev`, `/proc` and `/sys` are the host's. Absolute links are followed inside the tree, as a chroot would; one
        whose target is only on the host (the mount point cm/shared) leads there.
        """
        return self._resolve(text, _MAX_LINKS)

    def _resolve(self, text: str, hops: int) -> Path:
        current = self.root
        parts = [part for part in PurePosixPath(os.path.normpath(text)).parts if part != "/"]
        if parts and parts[0] in HOST_PLACES:
            return Path("/", *parts)
        for part in parts:
            step = current / part
            target = str(step.readlink()) if hops and step.is_symlink() else ""
            if target.startswith("/"):
                inside = self._resolve(target, hops - 1)
                step = inside if inside.exists() or not Path(target).exists() else Path(target)
            current = step
        return current

    def word(self, text: str) -> str:
        """An argument as the host needs it: the whole word, or what follows its first ``=``, mapped."""
        head, equals, tail = text.partition("=")
        if equals and not text.startswith("/"):
            return f"{head}={self.value(tail)}"
        return self.value(text)

    def value(self, text: str) -> str:
        """`text` with a wildcard listen address made the node's, or an absolute path taken into the tree."""
        wildcard = _WILDCARD.fullmatch(text)
        if wildcard:
            return f"{self.address}{wildcard[1]}"
        if not text.startswith("/") or text == "/":
            return text
        path = self.path(text)
        if not path.exists() and not path.parent.exists():
            return text
        return f"{path}/" if text.endswith("/") else str(path)

    def program(self, path: str) -> Path:
        """The executable file of `path`: the tree's, else the host's where distributions keep programs."""
        names = [path] if path.startswith("/") else [f"{place}/{path}" for place in PROGRAM_PATH]
        for name in names:
            inside = self.path(name)
            if inside.is_file():
                return inside
            if name.startswith(HOST_PROGRAMS) and Path(name).is_file():
                return Path(name)
        raise FileNotFoundError(2, "No such file or directory on the node", path)

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of a service: PATH (the tree's programs first), HOSTNAME and its own `variables`."""
        places = [str(self.root) + place for place in PROGRAM_PATH] + list(PROGRAM_PATH)
        own = {key: self.value(text) for key, text in variables.items()}
        mark = {"BCM_SIMULATED_ADDRESS": self.address}  # what a stand-in without a listen address listens on
        return {"PATH": ":".join(places), "HOSTNAME": self.name, "LANG": "C.UTF-8", **mark, **own}
