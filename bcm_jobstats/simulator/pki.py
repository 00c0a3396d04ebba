"""The certificates of the simulated cluster, made with the ``openssl`` command (bcm-facts §1.1, §7, §9; AM11 §6.4).

The keys are worth nothing outside of the simulator; elliptic curves, because they are made in milliseconds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

PROFILE_OID, LOGIN_OID = "1.3.6.1.4.4324.1", "1.3.6.1.4.4324.2"
"""The extensions of a certificate that tell its profile and its system login (AM11 §6.4)."""

ETC = "cm/local/apps/cmd/etc"
CA, CLUSTER_CA, PYTHONCM_CA = f"{ETC}/cacert.pem", f"{ETC}/cluster.pem", "cm/local/apps/cmd/pythoncm/etc/cacert.pem"
SERVER, SERVER_KEY = f"{ETC}/cert.pem", f"{ETC}/cert.key"
ADMIN, ADMIN_KEY = "root/.cm/admin.pem", "root/.cm/admin.key"
YEARS = 3650
_CA_KEY, _ISSUED = f"{ETC}/cacert.key", "cmd/certificates.json"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_CONFIG = "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=unused\n[extensions]\nsubjectKeyIdentifier=hash\n"
_lock = Lock()


class CertificateError(Exception):
    """A certificate cannot be made as asked for."""


def prepare(directory: Path, names: Sequence[str], addresses: Iterable[str] = ("127.0.0.1",)) -> None:
    """Make the CA, the server's certificate for `names` and `addresses`, and the administrator's, once."""
    if (directory / ADMIN).exists():
        return
    for name in (ETC, "cm/local/apps/cmd/pythoncm/etc", "root/.cm", "cmd"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "root/.cm").chmod(0o700)
    ca = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
    words = ("req", "-x509", *_NEW_KEY, "-days", str(YEARS), "-extensions", "extensions", "-subj", "/CN=Cluster CA")
    _openssl((*words, "-keyout", str(directory / _CA_KEY), "-out", str(directory / CA)), ca)
    for copy in (CLUSTER_CA, PYTHONCM_CA):
        (directory / copy).write_bytes((directory / CA).read_bytes())
    known = [f"DNS:{name}" for name in dict.fromkeys(("localhost", "master", *names))]
    valid = ",".join([*(f"IP:{address}" for address in addresses), *known])
    server = (f"subjectAltName={valid}", "extendedKeyUsage=serverAuth")
    with ThreadPoolExecutor(1) as beside:
        made = beside.submit(
            _sign, directory, "cmdaemon", server, (directory / SERVER_KEY, directory / SERVER), serial=0
        )
        issue(directory, "Administrator", "admin", "root", YEARS, directory / ADMIN_KEY, directory / ADMIN)
        made.result()


def copy(directory: Path, root: Path) -> None:
    """Give another head node what it needs of the certificates: the CA's, the server's and the administrator's."""
    for name in (CA, CLUSTER_CA, PYTHONCM_CA, SERVER, SERVER_KEY, ADMIN_KEY, ADMIN):
        if not (root / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(directory / name, root / name)


def issue(  # noqa: PLR0917  # in the order in which cmsh has them
    directory: Path, common_name: str, profile: str, login: str, days: int, key_file: Path, cert_file: Path
) -> None:
    """Make a key (0600) and a certificate with a profile and a system login; CertificateError when that fails."""
    if not common_name:
        raise CertificateError("simulator: a certificate needs a name")
    texts = ((PROFILE_OID, profile), (LOGIN_OID, login))
    extensions = ("extendedKeyUsage=clientAuth", *(f"{oid}=DER:{_utf8(text)}" for oid, text in texts if text))
    told = {"name": common_name, "profile": profile, "login": login, "days": days}
    with _lock:
        issued = certificates(directory)
        serial = len(issued) + 1
        _sign(directory, common_name, extensions, (key_file, cert_file), serial=serial, days=days)
        text = json.dumps([*issued, {"serial": serial, **told}], indent=1)
        (directory / _ISSUED).write_text(text, encoding="utf-8")


def certificates(directory: Path) -> list[dict[str, Any]]:
    """What was issued so far: serial, name, profile, login, and days of validity."""
    file = directory / _ISSUED
    told: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    return told


def _sign(
    directory: Path,
    name: str,
    extensions: Iterable[str],
    files: tuple[Path, Path],
    *,
    serial: int,
    days: int = YEARS,
) -> None:
    """A new key and a certificate of the CA for it; both readable by the owner only (AM11 §6.4)."""
    key_file, cert_file = files
    for file in files:
        file.unlink(missing_ok=True)
    subject = "/CN=" + name.replace("\\", "\\\\").replace("/", "\\/").replace("+", "\\+")
    asked = ("req", "-new", *_NEW_KEY, "-utf8", "-subj", subject, "-keyout", str(key_file))
    request = _openssl(asked)
    signing = ("-CA", str(directory / CA), "-CAkey", str(directory / _CA_KEY), "-set_serial", str(serial))
    words = ("x509", "-req", *signing, "-days", str(days), "-extensions", "extensions", "-out", str(cert_file))
    more = ("basicConstraints=critical,CA:FALSE", "authorityKeyIdentifier=keyid", *extensions)
    _openssl(words, more, option="-extfile", text=request)


def _utf8(text: str) -> str:
    """A text as the hex bytes of a DER UTF8String: nothing in it can be taken for openssl's configuration."""
    raw = text.encode()
    if len(raw) > 127:
        raise CertificateError(f"simulator: too long for a certificate: {text}")
    return (bytes([0x0C, len(raw)]) + raw).hex(":")


def _openssl(words: Sequence[str], extensions: Iterable[str] = (), *, option: str = "-config", text: str = "") -> str:
    """What an openssl command prints; whatever it writes is readable by the owner only."""
    with tempfile.NamedTemporaryFile("w", suffix=".cnf", encoding="utf-8") as config:
        config.write(_CONFIG + "\n".join(extensions) + "\n")
        config.flush()
        done = subprocess.run(
            ["openssl", *words, option, config.name],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            umask=0o077,
            env={**os.environ, "LC_ALL": "C"},
        )
    if done.returncode:
        raise CertificateError(f"simulator: openssl {words[0]}: {done.stderr.strip()}")
    return done.stdout
