"""Certificates, profiles and what they allow (AM11 §6.4, Table J)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.simulator import pki
from bcm_jobstats.simulator.inprocess import InProcess

DEPLOY = "GET_DEVICE_TOKEN GET_DEVICE_STATUS_TOKEN GET_CONFIGURATIONOVERLAY_TOKEN UPDATE_CONFIGURATIONOVERLAY_TOKEN"


@pytest.fixture
def certified(cluster: InProcess) -> InProcess:
    """A cluster with a certificate of the profile `deploy` in /root/.cm/cert.{pem,key}."""
    root = cluster.daemon.directory
    pki.prepare(root, ("bcm-head",))
    cluster.run(f"profile; add deploy; set tokens {DEPLOY}; commit; home; cert")
    told = cluster.run(
        'createcertificate 2048 deploy "" "" "" "" "" deploy "" 365 /root/.cm/cert.key /root/.cm/cert.pem; home'
    )
    assert told.count("written to file") == 2
    return cluster


def options(cluster: InProcess) -> tuple[str, ...]:
    del cluster
    return ("-n", "-i", "/root/.cm/cert.pem", "-k", "/root/.cm/cert.key", "-c")


def test_a_certificate_has_its_profile(certified: InProcess) -> None:
    assert certified.cmsh(*options(certified), "main showprofile").out == "deploy\n"
    assert certified.cmsh("-n", "-c", "main showprofile").out == "admin\n"


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("device list", True),
        ("device status dgx-01", True),
        ("device; foreach * (get hostname)", True),
        ("configurationoverlay; use slurm-client; set revision r; commit", True),
        ("configurationoverlay; add x; commit", False),
        ("configurationoverlay; remove slurm-client; commit", True),
        ("category list", False),
        ("device; set dgx-01 rack r; commit", False),
        ("softwareimage updateprovisioners", False),
        ("device; imageupdate -n dgx-01 -w", False),
        ('device; pexec -n dgx-01 "ls"', False),
        ("profile; get deploy tokens", False),
        ("monitoring setup; list", False),
    ],
)
def test_what_the_profile_does_not_allow_does_not_happen(certified: InProcess, line: str, allowed: bool) -> None:
    """AM11 Table J."""
    certified.control(op="switch", name="exit_status", value="honest")
    before = certified.daemon.state.to_json()
    answer = certified.cmsh(*options(certified), line)
    assert answer.status == int(not allowed)
    assert ("Your certificate (profile:deploy) does not allow access to CM" in answer.out) != allowed
    assert allowed or certified.daemon.state.to_json() == before


def test_the_profile_is_looked_up_at_each_command(certified: InProcess) -> None:
    certified.run("profile; use deploy; append tokens get_category_token; commit")
    assert "does not allow" not in certified.cmsh(*options(certified), "category list").out


def test_uncommitted_changes_that_are_not_allowed_are_not_kept(certified: InProcess) -> None:
    certified.control(op="switch", name="uncommitted", value="keep")
    before = certified.daemon.state.to_json()
    certified.cmsh(*options(certified), "device; set dgx-01 rack r")
    assert certified.daemon.state.to_json() == before


@pytest.mark.parametrize(
    "given",
    [
        ("-i", "/root/.cm/nosuch.pem", "-k", "/root/.cm/cert.key"),
        ("-i", "/root/.cm/cert.pem", "-k", "/root/.cm/nosuch.key"),
        ("-i", "/root/.cm/cert.pem"),
        ("-i", "/etc/cm-release", "-k", "/root/.cm/cert.key"),
    ],
)
def test_a_certificate_that_is_not_there_is_an_error(certified: InProcess, given: tuple[str, ...]) -> None:
    answer = certified.cmsh("-n", *given, "-c", "device list")
    assert answer.out == ""
    assert "certificate" in answer.err.lower() or "key" in answer.err


def test_a_key_that_others_can_read_is_refused(certified: InProcess) -> None:
    (certified.daemon.directory / "root/.cm/cert.key").chmod(0o640)
    answer = certified.cmsh(*options(certified), "device list")
    assert answer.out == "" and "Others can read" in answer.err


def test_the_certificate_of_the_home_directory_is_the_default(certified: InProcess) -> None:
    home: Path = certified.daemon.directory / "root/.cm"
    for name in ("admin.pem", "admin.key"):
        (home / name).unlink()
    assert certified.cmsh("-n", "-c", "main showprofile").out == "deploy\n"


@pytest.mark.parametrize(
    "line",
    [
        'createcertificate 2048 x "" "" "" "" "" nosuch "" 365 /root/x.key /root/x.pem',
        'createcertificate 2048 x "" "" "" "" "" readonly "" many /root/x.key /root/x.pem',
        'createcertificate 2048 x "" "" "" "" "" readonly "" 365 /no/such/x.key /root/x.pem',
        "createcertificate 2048 x",
    ],
)
def test_what_is_refused_makes_no_files(certified: InProcess, line: str) -> None:
    certified.run(f"cert; {line}")
    assert certified.session.failed
    assert not (certified.daemon.directory / "root/x.pem").exists()
