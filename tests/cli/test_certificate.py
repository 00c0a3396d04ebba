"""Certificates: whose profile it is, which folder, and whether one was made at all (AM11 §6.4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.bcm import certificate
from bcm_jobstats.bcm.errors import Refused
from bcm_jobstats.simulator import Simulator
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
