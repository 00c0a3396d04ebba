"""What a client certificate says: Python's ssl tells nothing of BCM's own extensions, so its DER is read here."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bcm_jobstats.simulator.pki import CA, LOGIN_OID, PROFILE_OID, CertificateError

_SEQUENCE, _SET, _EXTENSIONS = 0x30, 0x31, 0xA3
_COMMON_NAME = "2.5.4.3"
Element = tuple[int, bytes]


@dataclass(frozen=True)
class Identity:
    """Who calls: the common name, the profile, and the system login; all empty for somebody unknown."""

    name: str = ""
    profile: str = ""
    login: str = ""


def read_file(directory: Path, cert_file: Path) -> Identity:
    """The identity of a certificate file that this cluster's CA signed; else CertificateError."""
    words = ["openssl", "verify", "-CAfile", str(directory / CA), str(cert_file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CertificateError(f"simulator: not a certificate of this cluster: {cert_file}")
    return read(ssl.PEM_cert_to_DER_cert(cert_file.read_text(encoding="ascii")))


def read(der: bytes) -> Identity:
    """The identity in a certificate, whose signature somebody else verified."""
    certificate = next(_elements(der))[1]
    fields = list(_elements(next(_elements(certificate))[1]))
    sequences = [body for tag, body in fields if tag == _SEQUENCE]  # algorithm, issuer, validity, subject, key
    known: dict[str, bytes] = {}
    for tag, body in fields:
        if tag == _EXTENSIONS:
            known = dict(_extensions(body))
    return Identity(_common_name(sequences[3]), _text(known.get(PROFILE_OID)), _text(known.get(LOGIN_OID)))


def _extensions(body: bytes) -> Iterator[tuple[str, bytes]]:
    for _, extension in _elements(next(_elements(body))[1]):
        parts = list(_elements(extension))
        yield _oid(parts[0][1]), parts[-1][1]


def _common_name(subject: bytes) -> str:
    for tag, names in _elements(subject):
        for _, pair in _elements(names) if tag == _SET else ():
            (_, oid), (_, value) = _elements(pair)
            if _oid(oid) == _COMMON_NAME:
                return value.decode("utf-8", "replace")
    return ""


def _text(octets: bytes | None) -> str:
    return next(_elements(octets))[1].decode("utf-8", "replace") if octets else ""


def _elements(raw: bytes) -> Iterator[Element]:
    """The tag and the body of one DER element after the other."""
    at = 0
    while at < len(raw):
        tag, size = raw[at], raw[at + 1]
        at += 2
        if size > 127:
            more = size - 128
            size = int.from_bytes(raw[at : at + more], "big")
            at += more
        yield tag, raw[at : at + size]
        at += size


def _oid(raw: bytes) -> str:
    numbers, value = [raw[0] // 40, raw[0] % 40], 0
    for byte in raw[1:]:
        value = value << 7 | byte & 127
        if not byte & 128:
            numbers.append(value)
            value = 0
    return ".".join(map(str, numbers))
