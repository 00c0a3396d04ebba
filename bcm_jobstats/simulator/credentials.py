"""Whose certificate a run of cmsh uses, and what the files must be like (bcm-facts §1.1, AM11 §6.4)."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.rights import ADMIN

HOME = "root/.cm"


def profile_of(options: Mapping[str, str], cwd: Path, root: Path, directory: Path) -> str:
    """The profile of the certificate given with -i and -k, or of the one that lies in root's home.

    `root` is the head's file tree, `directory` the simulator's, which holds the CA. The administrator's own
    certificate is not looked into: reading one takes a process. Raises CmshError when a file is not there, is no
    certificate of this cluster, or is a key that others can read.
    """
    given, key = options.get("certificate"), options.get("key")
    if not given and not key:
        home = root / HOME
        if (home / "admin.pem").exists() or not (home / "cert.pem").exists():
            return ADMIN
        given, key = str(home / "cert.pem"), str(home / "cert.key")
    for what, name in (("certificate", given), ("key", key)):
        if not name or not found(name, cwd, root).is_file():
            raise messages.bad_certificate(f"No such {what}", name or "")
    key_file = found(str(key), cwd, root)
    if key_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise messages.bad_certificate("Others can read the key", str(key))
    return _profile(directory, found(str(given), cwd, root))


def found(name: str, cwd: Path, root: Path) -> Path:
    """Where a file lies that cmsh is to read: one of the head's, or of this machine when only that is there."""
    there = place(name, cwd, root)
    return Path(name) if name.startswith("/") and not there.exists() and Path(name).is_file() else there


def place(name: str, cwd: Path, root: Path) -> Path:
    """Where a file lies that cmsh is to write: absolute paths are the head's, unless they lie in its tree already."""
    if not name.startswith("/") or Path(name).is_relative_to(root):
        return cwd / name
    return root / name.lstrip("/")


def _profile(directory: Path, file: Path) -> str:
    from bcm_jobstats.simulator import pki, pki_reading  # needed by few runs

    try:
        return pki_reading.read_file(directory, file).profile
    except (pki.CertificateError, ValueError, StopIteration, IndexError) as error:
        raise messages.bad_certificate("Not a certificate of this cluster", str(file)) from error
