"""Certificates: `createcertificate` and `listcertificates` (AM11 §6.4)."""

from __future__ import annotations

from bcm_jobstats.simulator import credentials, messages, tables
from bcm_jobstats.simulator.session import Session, command
from bcm_jobstats.simulator.tables import Column

Words = tuple[str, ...]
ARGUMENTS = 12
WEEK = 7
COLUMNS = (("Serial", 6), ("Revoked", 8), ("Time left", 12), ("Profile", 16), ("System login", 16), ("Name", 30))


@command("createcertificate")
def create_certificate(session: Session, words: Words) -> None:
    """Make a key and a certificate with a profile; the files are the owner's only."""
    _in_cert(session, "createcertificate")
    if len(words) != ARGUMENTS:
        raise messages.usage("createcertificate <12 arguments>; see: help createcertificate")
    length, name, *_, profile, login, days, key_file, cert_file = words
    if not length.isdigit() or not days.isdigit():
        raise messages.bad_value("number", f"{length}, {days}")
    if session.drafts.get("profile", profile) is None:
        raise messages.no_such("profile", profile)
    key, cert = (credentials.place(file, session.cwd, session.root) for file in (key_file, cert_file))
    if not (key.parent.is_dir() and cert.parent.is_dir()):
        raise messages.no_such("directory", f"{key_file}, {cert_file}")
    from bcm_jobstats.simulator import pki  # needed by few sessions

    try:
        pki.issue(session.daemon.directory, name, profile, login, int(days), key, cert)
    except pki.CertificateError as error:
        raise messages.bad_certificate("Cannot make a certificate", str(error)) from error
    session.write(f"Certificate key written to file: {key_file}\nCertificate pem written to file: {cert_file}\n")


@command("listcertificates")
def list_certificates(session: Session, words: Words) -> None:
    """List the certificates that were issued."""
    del words
    _in_cert(session, "listcertificates")
    from bcm_jobstats.simulator import pki

    rows: list[tables.Line] = []
    for one in pki.certificates(session.daemon.directory):
        left = f"{one['days'] // WEEK}w {one['days'] % WEEK}d"
        rows.append((str(one["serial"]), "No", left, one["profile"], one["login"], one["name"]))
    session.write(tables.table([Column(header, width, width) for header, width in COLUMNS], rows))


def _in_cert(session: Session, name: str) -> None:
    if not session.places.levels or session.places.here.mode != "cert":
        raise messages.wrong_mode(name)
