"""TLS to the head nodes: the agent's certificate and BCM's authority, both on shared storage, and what can go wrong."""

from __future__ import annotations

import hashlib
import os
import ssl
from pathlib import Path
from typing import Callable, NamedTuple, Optional, Protocol, TypeVar

from bcm_jobstats.node.config import Config
from bcm_jobstats.node.messages import NOTICE, WARNING
from bcm_jobstats.node.ports import StorageLost, Unknown
from bcm_jobstats.node.tlstrouble import AUTHORITY, RENEW

T = TypeVar("T")
Say = Callable[[int, str], None]
"""Takes a priority of syslog and a line of the log."""
PROFILE = b"bcm-jobstats-role-monitor"
PROFILE_OID = bytes.fromhex("2b060104a16401")
"""1.3.6.1.4.4324.1, the extension of a certificate that holds its profile's name (AM11 §6.4)."""
OTHERS = 0o077


class Run(Protocol):
    """How everything on shared storage is done: StorageLost when it does not answer in time."""

    def __call__(self, what: str, function: Callable[[], T]) -> T:
        """What `function` returns or raises; `what` is for errors."""
        ...


class _Loaded(NamedTuple):
    signature: tuple[object, ...]
    context: ssl.SSLContext
    authority: str
    admin: bool


class Tls:
    """The context of connections to BCM. It follows its files when they are renewed; while they cannot be read, or are
    not sound, it stays as it was."""

    def __init__(self, config: Config, run: Run, say: Say) -> None:
        self._files = (config.certificate, config.key, config.ca)
        self._run, self._report = run, say
        self._loaded: Optional[_Loaded] = None
        self._said = ""

    @property
    def authority(self) -> str:
        """What tells this cluster's authority from another one's; empty before it was read."""
        return self._loaded.authority if self._loaded else ""

    def context(self) -> ssl.SSLContext:
        """For the next connection; raises Unknown when there never was a sound one."""
        try:
            loaded = self._run("certificate", self._load)
        except (Unknown, StorageLost) as error:
            if self._loaded is None:
                if isinstance(error, Unknown):
                    raise
                subject = f"certificate {self._files[0]}"
                raise Unknown(subject, f"cannot be read: {error.cause}", error.remedy) from error
            if isinstance(error, Unknown):
                self._say(f"{error.subject}: {error.cause}; the one read before goes on being used. {error.remedy}")
            return self._loaded.context
        if loaded.admin and loaded is not self._loaded:
            cause = "its profile is admin: whoever gets it from a node governs the cluster"
            self._report(WARNING, f"certificate {self._files[0]}: {cause}. {RENEW}")
        self._loaded = loaded
        self._say("")
        return loaded.context

    def _say(self, problem: str) -> None:
        """Once, and once when it is over."""
        if problem and problem != self._said:
            self._report(WARNING, problem)
        elif self._said and not problem:
            self._report(NOTICE, f"certificate {self._files[0]}: is in order again")
        self._said = problem

    def _load(self) -> _Loaded:
        """What was loaded when the files are the same, else anew. Runs where shared storage may hang."""
        statuses = [_status(file) for file in self._files]
        signature = tuple(_signature(status) for status in statuses)
        if self._loaded is not None and signature == self._loaded.signature:
            return self._loaded
        certificate, key, ca = self._files
        if statuses[1].st_mode & OTHERS:
            cause = "others than its owner can read or write it, so it is not used"
            raise Unknown(f"private key {key}", cause, f"chmod 600 {key}; if it lay open for long, make a new one.")
        der, trusted = _der(certificate), _text(ca)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks chain and name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(cadata=trusted)
        except (ssl.SSLError, ValueError) as error:
            raise Unknown(f"authority {ca}", "holds no certificate", AUTHORITY) from error
        try:
            context.load_cert_chain(certificate, key, password="")  # nobody is there to be asked for one
        except (ssl.SSLError, ValueError) as error:
            if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
                raise Unknown(f"private key {key}", f"does not belong to {certificate}", RENEW) from error
            raise Unknown(f"private key {key}", "is not a private key without a password", RENEW) from error
        except OSError as error:
            raise _unreadable(key, error) from error
        at = der.find(PROFILE_OID) + len(PROFILE_OID)
        admin = PROFILE not in der and at >= len(PROFILE_OID) and b"admin" in der[at : at + 13]
        return _Loaded(signature, context, hashlib.sha256(trusted.encode()).hexdigest(), admin)


def _status(file: Path) -> os.stat_result:
    try:
        return file.stat()
    except OSError as error:
        raise _unreadable(file, error) from error


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode)


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(1 << 20).decode("ascii", "ignore")  # comments may be of any kind
    except OSError as error:
        raise _unreadable(file, error) from error


def _der(certificate: Path) -> bytes:
    """The bytes of the first certificate in a file."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    body = _text(certificate).partition(begin)[2].partition(end)[0]
    try:
        der = ssl.PEM_cert_to_DER_cert(f"{begin}{body}{end}")
    except ValueError:
        der = b""
    if not der:
        raise Unknown(f"certificate {certificate}", "is not a certificate", RENEW)
    return der


def _unreadable(file: Path, error: OSError) -> Unknown:
    remedy = "Check that shared storage is mounted and that the service's user may read it; else renew the certificate."
    return Unknown(f"file {file}", f"cannot be read: {os.strerror(error.errno or 0)}", remedy)
