"""Certificates: whose profile it is, which folder, and whether one was made at all (AM11 §6.4)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath

import pytest

from bcm_jobstats.bcm import certificate, validity
from bcm_jobstats.bcm.choice import Access, client
from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.bcm.errors import Refused
from bcm_jobstats.bcm.rest.effective import effective_roles
from bcm_jobstats.bcm.rest.errors import Forbidden
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.simulator import Simulator
from bcm_jobstats.stack import agent
from tests.harness import cluster, cmsh, run

FOLDER = "etc/bcm-jobstats"


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with cluster(tmp_path) as started:
        yield started


def rights(simulator: Simulator) -> list[str]:
    return list(simulator.state()["profile"]["bcm-jobstats-apply"]["values"]["tokens"])


def test_a_profile_of_an_administrator_is_not_changed(simulator: Simulator) -> None:
    cmsh(simulator, "profile; add bcm-jobstats-apply; set tokens GET_DEVICE_TOKEN EXEC_COMMAND_TOKEN; commit")
    before = rights(simulator)
    outcome = run(simulator.directory, "certificate")
    assert outcome.status == 1
    assert "-EXEC_COMMAND_TOKEN" in outcome.err and "--force" in outcome.err
    assert rights(simulator) == before
    assert not (simulator.directory / FOLDER).exists()
    assert run(simulator.directory, "certificate", "--force").status == 0
    assert rights(simulator) != before


@pytest.mark.parametrize(
    "words", [["--out", "keys"], ["--out", ""], ["--out", "/etc/../keys"], ["--days", "0"], ["--days=-1"]], ids=" ".join
)
def test_a_folder_or_a_term_that_makes_no_sense_is_refused(simulator: Simulator, words: list[str]) -> None:
    assert run(simulator.directory, "certificate", *words).status == 64


def test_a_folder_that_cannot_be_sent_is_not_made(simulator: Simulator) -> None:
    assert run(simulator.directory, "certificate", "--out", "/etc/a;b").status == 1
    assert not (simulator.directory / "etc/a;b").exists()


def test_an_old_certificate_is_not_taken_for_a_new_one(simulator: Simulator) -> None:
    """BCM refuses the new one: the files that lie there from before prove nothing."""
    assert run(simulator.directory, "certificate", "-q").status == 0
    made = certificate.wanted(certificate.APPLY, -1, f"/{FOLDER}", two_heads=False, metrics=False)
    with pytest.raises(Refused, match="was not made"):
        certificate.create(simulator.cmsh, 30.0, made, simulator.directory, force=True)


def test_a_key_that_others_can_read_is_not_used_by_cmsh_either(simulator: Simulator) -> None:
    assert run(simulator.directory, "certificate", "-q").status == 0
    site = simulator.directory / FOLDER / "site.yaml"
    site.write_text(f"bcm: {{certificate: /{FOLDER}/apply.pem, key: /{FOLDER}/apply.key}}\n")
    (simulator.directory / FOLDER / "apply.key").chmod(0o640)
    outcome = run(simulator.directory, "--bcm", "cmsh", "plan")
    assert outcome.status == 1 and "was not used" in outcome.err


def test_a_site_file_that_is_left_aside_is_told(simulator: Simulator) -> None:
    """Else root's own certificate would be used without a word where the site file names another."""
    site = simulator.directory / FOLDER / "site.yaml"
    site.parent.mkdir(parents=True, exist_ok=True)
    site.write_text("bcm: {certificate: /a.pem}\n")
    assert "left aside" in run(simulator.directory, "doctor").err


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A cluster with the certificate of the agents."""
    with cluster(tmp_path_factory.mktemp("agents") / "head") as started:
        outcome = run(started.directory, "certificate", "--for", "role-monitor", "--days", "40")
        assert outcome.status == 0, outcome.err
        yield started


def of_agents(simulator: Simulator) -> list[Path]:
    return [simulator.directory / path.lstrip("/") for path in (agent.CERTIFICATE, agent.KEY, agent.CA)]


def test_agents_read_devices_and_nothing_else(monitored: Simulator) -> None:
    """Over real HTTPS, and in cmsh."""
    made, key, ca = of_agents(monitored)
    assert monitored.state()["profile"]["bcm-jobstats-role-monitor"]["values"]["tokens"] == ["GET_DEVICE_TOKEN"]
    address = (monitored.directory / "cmd/https").read_text().strip()
    asked = client(Access(monitored.directory, 30.0, address, ca, made, key))
    assert "slurmclient" in effective_roles(asked)["dgx-01"]
    calls = {"cmdevice": "getCategories", "cmpart": "getSoftwareImages", "cmnet": "getNetworks"}
    for service, call in calls.items():
        with pytest.raises(Forbidden):
            asked.call(service, call)
    with pytest.raises(Forbidden):
        asked.get("/rest/v1/status")
    before = monitored.state()
    options = ["-i", str(made), "-k", str(key)]
    script = ["device; use dgx-01; set notes x; commit", "device; pexec -n dgx-01 true"]
    process.run(monitored.cmsh, script, 30.0, options=options)
    assert monitored.state() == before


def test_their_user_reads_their_files_and_changes_none(monitored: Simulator) -> None:
    """On shared storage, in one folder: who could change the authority there would be believed as BCM."""
    files = of_agents(monitored)
    folder = files[0].parent
    assert sorted(folder.iterdir()) == sorted(files)
    assert list(folder.parent.glob(".*")) == [], "no workshop is left"
    assert [path.stat().st_mode & 0o777 for path in (folder, *files)] == [0o750, 0o644, 0o600, 0o644]
    if os.geteuid() == 0:
        owners = [(path.stat().st_uid, path.stat().st_gid) for path in (folder, *files)]
        assert owners == [(0, 967), (0, 0), (967, 967), (0, 0)]
    assert files[2].read_bytes() == (monitored.directory / "cm/local/apps/cmd/etc/cacert.pem").read_bytes()


@pytest.mark.parametrize(
    ("what", "more"),
    [
        ("another file", "--force"),
        ("another file", "--print"),
        ("an authority", "--print"),
        ("nothing", "--force"),
        ("a link", "--force"),
        ("a file", "--print"),
    ],
)
def test_a_folder_for_something_else_is_not_taken(monitored: Simulator, what: str, more: str, tmp_path: Path) -> None:
    """Its owner would be the agents' group's from then on, and its mode: /etc, say."""
    folder = monitored.directory / "srv" / f"{what}{more}".replace(" ", "-")
    folder.parent.mkdir(exist_ok=True)
    if what == "a link":
        folder.symlink_to(of_agents(monitored)[0].parent)
    elif what == "a file":
        folder.touch()
    else:
        folder.mkdir()
        files = {"another file": ["role-monitor.key", "site.yaml"], "an authority": ["ca.pem"]}
        for name in files.get(what, ()):
            (folder / name).touch()
    status, tables = folder.lstat(), monitored.state()
    out = f"/{folder.relative_to(monitored.directory)}"
    outcome = run(monitored.directory, "certificate", "--for", "role-monitor", "--out", out, more)
    assert outcome.status == 1 and f"{folder}: " in outcome.err
    after = folder.lstat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (status.st_mode, status.st_uid, status.st_gid)
    assert monitored.state() == tables


def test_what_a_killed_run_left_is_told_and_goes_with_the_next(monitored: Simulator) -> None:
    """A key lies in it. What another made beside it, or has a link to, stays."""
    folder = of_agents(monitored)[0].parent
    left = folder.with_name(".role-monitor.bcm-jobstats-abcd1234")
    left.mkdir(mode=0o700)
    (left / "role-monitor.key").touch(mode=0o600)
    link, others = folder.with_name(".role-monitor.bcm-jobstats-link"), folder.with_name(".role-monitor.swp")
    link.symlink_to(folder)
    others.mkdir()
    assert f"{left}/role-monitor.key: is a private key" in run(monitored.directory, "doctor").out
    assert run(monitored.directory, "certificate", "--for", "role-monitor", "--force", "-q").status == 0
    there = sorted(path.name for path in folder.parent.glob(".role-monitor*"))
    link.unlink()
    others.rmdir()
    assert there == [link.name, others.name]
    assert all(path.exists() for path in of_agents(monitored))


def test_a_renewal_replaces_links_and_follows_none(monitored: Simulator) -> None:
    """Whoever had one wait there for root. The certificate before goes on being valid."""
    made, key, _ = of_agents(monitored)
    before, prey = made.read_bytes(), monitored.directory / "root/prey"
    prey.write_text("x")
    key.unlink()
    key.symlink_to(prey)
    assert run(monitored.directory, "certificate", "--for", "role-monitor").status == 1
    outcome = run(monitored.directory, "certificate", "--for", "role-monitor", "--force")
    assert outcome.status == 0, outcome.err
    assert "revoke it in cmsh (cert)" in outcome.err
    assert prey.read_text() == "x" and prey.stat().st_uid == os.getuid()
    assert key.is_file() and not key.is_symlink()
    assert made.read_bytes() != before


def test_how_to_make_it_by_hand(monitored: Simulator) -> None:
    lines = run(monitored.directory, "certificate", "--for", "role-monitor", "--print").out.splitlines()
    folder = agent.CERTIFICATES
    shop = f"{PurePosixPath(folder).parent}/.role-monitor.bcm-jobstats-by-hand"
    assert lines[:2] == [f"mkdir -p {PurePosixPath(folder).parent}", f"mkdir -m 0700 {shop}"]
    assert 'set tokens "GET_DEVICE_TOKEN"' in lines
    assert f'"{shop}/role-monitor.key" "{shop}/role-monitor.pem"' in next(one for one in lines if "createcert" in one)
    assert lines[lines.index("END") + 1 :] == [
        f"install -d -m 0750 -o 0 -g 967 {folder}",
        f"install -m 0644 /cm/local/apps/cmd/etc/cacert.pem {folder}/ca.pem",
        f"install -m 0644 {shop}/role-monitor.pem {agent.CERTIFICATE}",
        f"install -m 0600 -o 967 -g 967 {shop}/role-monitor.key {agent.KEY}",
        f"rm -r {shop}",
    ]


@pytest.mark.parametrize(("days", "told"), [(40, ""), (12, "ends in 1"), (0, "ended")])
def test_doctor_tells_when_a_certificate_ends(
    monitored: Simulator, monkeypatch: pytest.MonkeyPatch, days: int, told: str
) -> None:
    made = of_agents(monitored)[0]
    end = datetime.now(timezone.utc) + timedelta(days=days, hours=-1)
    monkeypatch.setattr(validity, "ends", lambda path: end)
    out = run(monitored.directory, "doctor").out
    assert (f"{made}: {told}" in out) if told else (str(made) not in out)
    assert ("certificate --for role-monitor --force" in out) == bool(told)


def test_the_end_is_read_from_the_certificate(monitored: Simulator, tmp_path: Path) -> None:
    made = of_agents(monitored)[0]
    assert run(monitored.directory, "certificate", "--for", "role-monitor", "--days", "77", "--force").status == 0
    left = validity.ends(made) - datetime.now(timezone.utc)
    assert timedelta(days=76) < left <= timedelta(days=77)
    text = made.read_text()
    for broken in ("", text[:200], "-----BEGIN CERTIFICATE-----\nAAAA\n-----END", "\xff" * 20):
        (tmp_path / "x.pem").write_text(broken)
        with pytest.raises(JobstatsError):
            validity.ends(tmp_path / "x.pem")


def test_another_authority_than_bcm_s_is_told(monitored: Simulator) -> None:
    ca = of_agents(monitored)[2]
    before = ca.read_bytes()
    ca.write_bytes(before + b"\n")
    told = run(monitored.directory, "doctor").out
    ca.write_bytes(before)
    assert f"{ca}: is not BCM's authority of now" in told
