"""Until when a certificate is valid, read from its DER form (RFC 5280 section 4.1): openssl need not be there."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timezone
from pathlib import Path

from bcm_jobstats.errors import JobstatsError

SEQUENCE, VERSION, UTC_TIME = 0x30, 0xA0, 0x17
FORMATS = {UTC_TIME: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}
SOON = 30
"""A certificate that ends within so many days is told."""
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def ends(certificate: Path) -> datetime:
    """When the first certificate of a PEM file ends; JobstatsError when the file has none that can be read."""
    try:
        body = certificate.read_text(encoding="ascii", errors="replace").partition(BEGIN)[2].partition(END)[0]
        return _ends(base64.b64decode(body))
    except OSError as error:
        raise JobstatsError(str(certificate), f"cannot be read: {error.strerror}", "") from error
    except (binascii.Error, ValueError, IndexError) as error:
        raise JobstatsError(str(certificate), "is no certificate in PEM form", "Make it again.") from error


def _ends(der: bytes) -> datetime:
    """The second time of the validity, the part after version (which may lack), serial, algorithm and issuer."""
    _, body, _ = _part(der, 0)
    _, body, _ = _part(body, 0)
    tag, _, after = _part(body, 0)
    at = after if tag == VERSION else 0
    for _ in range(3):
        _, _, at = _part(body, at)
    tag, validity, _ = _part(body, at)
    if tag != SEQUENCE:
        raise ValueError("no validity")
    _, _, second = _part(validity, 0)
    tag, time, _ = _part(validity, second)
    return datetime.strptime(time.decode("ascii"), FORMATS.get(tag, "")).replace(tzinfo=timezone.utc)


def _part(data: bytes, at: int) -> tuple[int, bytes, int]:
    """The tag of what is at `at`, its content, and where the next part begins."""
    tag, length = data[at], data[at + 1]
    start = at + 2
    if length & 0x80:
        many = length & 0x7F
        length, start = int.from_bytes(data[start : start + many], "big"), start + many
    if start + length > len(data):
        raise ValueError("cut off")
    return tag, data[start : start + length], start + length
