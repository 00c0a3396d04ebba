"""probe, doctor and certificate, on the simulated BCM."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.bcm import certificate
from bcm_jobstats.bcm.capabilities import ALL
from bcm_jobstats.bcm.choice import Access
from bcm_jobstats.bcm.cmsh import process, scripts
from bcm_jobstats.simulator import Simulator
from bcm_jobstats.simulator.switches import CHOICES
from tests.harness import cluster, cmsh, run, snapshot


def site(simulator: Simulator, text: str = "") -> None:
    address = (simulator.directory / "cmd/https").read_text().strip()
    file = simulator.directory / "etc/bcm-jobstats/site.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"bcm: {{address: '{address}'{text}}}\n")


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with cluster(tmp_path / "head", profile="bcm11") as started:
        site(started)
        yield started


def probed(simulator: Simulator, *options: str) -> dict[str, Any]:
    outcome = run(simulator.directory, "probe", "--json", "-q", *options)
    assert outcome.status == 0, outcome.err
    return {told["name"]: told for told in json.loads(outcome.out)}


FLIPPED = {
    "assign-generic-role": ("generic_assign", {"yes": "assign generic::NAME", "typed": "assign generic NAME",
                                               "class": "assign GenericRole NAME", "no": "none"}),
    "exit-status": ("exit_status", {"zero": "zero", "honest": "honest"}),
    "errors-to": ("errors_to", {"stdout": "stdout", "stderr": "stderr"}),
    "uncommitted": ("uncommitted", {"discard": "discard", "keep": "keep"}),
    "empty-get": ("empty_get", {"line": "line", "nothing": "nothing"}),
    "json-cells": ("json_cells", {"cut": "cut", "full": "full"}),
    "get-nodes": ("get_nodes", {"ranges": "ranges", "names": "names"}),
    "overlay-calls": ("overlay_calls", {"cmdevice": "cmdevice", "cmpart": "cmpart", "none": "unknown"}),
    "json-references": ("json_references", {"uuid": "uuid", "name": "name"}),
    "rest-roles": ("rest_roles", {"effective": "effective", "own": "own"}),
    "rest-etag": ("rest_etag", {"absent": "absent", "present": "present"}),
    "hainfo": ("hainfo", {"absent": "absent", "present": "present"}),
}  # fmt: skip
"""Capability -> the simulator's switch, and the answer to each of its values, the one that it has by itself first."""


def test_each_question_finds_out_how_a_bcm_behaves_by_itself(simulator: Simulator) -> None:
    """bcm-facts §13, and what §1.2, §1.4 and §1.5 leave open."""
    told = probed(simulator, "--try")
    for name, (switch, answers) in FLIPPED.items():
        value, answer = next(iter(answers.items()))
        assert (CHOICES[switch][0], told[name]["answer"]) == (value, answer), name


@pytest.mark.parametrize("name", FLIPPED)
def test_each_question_finds_out_how_this_bcm_behaves(simulator: Simulator, name: str) -> None:
    """bcm-facts §13, and what §1.2, §1.4 and §1.5 leave open: what is not so by itself."""
    switch, answers = FLIPPED[name]
    for value, answer in list(answers.items())[1:]:
        simulator.control({"op": "switch", "name": switch, "value": value})
        assert probed(simulator, "--try")[name]["answer"] == answer, value


def test_every_doubt_is_asked_and_nothing_is_changed(simulator: Simulator) -> None:
    """bcm-facts §13; §5.1: the prolog is read, too; §5.2, §5.3: settings of Slurm."""
    before = snapshot(simulator.directory)
    told = probed(simulator)
    assert list(told) == [capability.name for capability in ALL]
    assert snapshot(simulator.directory) == before
    assert not [entry for entry in simulator.control({"op": "log"})["result"] if "commit" in entry]


def test_images_and_exclude_lists_are_asked_about(simulator: Simulator) -> None:
    """What §1.5 and §6 of bcm-facts leave open."""
    told = probed(simulator)
    assert (told["inherited-image"]["answer"], told["excludelist-get"]["answer"]) == ("apart", "yes")
    cmsh(simulator, "device; foreach -t PhysicalNode (set softwareimage dgx-image); commit")
    assert probed(simulator)["inherited-image"]["answer"] == "same"


def test_probing_commits_nothing_even_where_cmsh_commits_at_its_end(simulator: Simulator) -> None:
    """bcm-facts §13 #4."""
    simulator.control({"op": "switch", "name": "uncommitted", "value": "keep"})
    before = snapshot(simulator.directory)
    probed(simulator)
    assert snapshot(simulator.directory) == before


def test_what_was_tried_is_gone_afterwards(simulator: Simulator) -> None:
    """bcm-facts §1.2 has `set revision`; whether it keeps our text is tried."""
    before = snapshot(simulator.directory)
    assert probed(simulator, "--try")["free-revision"]["answer"] == "yes"
    assert snapshot(simulator.directory) == before


def test_the_transcript_names_nobody_and_opens_nothing(simulator: Simulator) -> None:
    cmsh(simulator, "configurationoverlay; add secret-project; set nodes dgx-01; commit")
    probed(simulator)
    file = simulator.directory / "var/lib/bcm-jobstats/probe.json"
    text = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    for word in ("dgx-", "login-0", "secret-project", "bcm-head", "127.", "PRIVATE", str(simulator.directory)):
        assert word not in text, word
    assert not re.search(r"\b02:00:", text)


def test_a_transcript_is_a_profile_of_the_simulator(simulator: Simulator, tmp_path: Path) -> None:
    for switch, value in (("exit_status", "honest"), ("generic_assign", "typed"), ("texts", "other")):
        simulator.control({"op": "switch", "name": switch, "value": value})
    told = probed(simulator, "--try", "--out", str(tmp_path / "probe.json"))
    with cluster(tmp_path / "again", profile=str(tmp_path / "probe.json")) as replayed:
        site(replayed)
        again = probed(replayed, "--try")
    differing = {name for name in told if told[name]["answer"] != again[name]["answer"]}
    assert differing == set()
    assert again["error-texts"]["evidence"] == told["error-texts"]["evidence"]


def test_doctor_tells_what_an_upgrade_changed(simulator: Simulator) -> None:
    assert run(simulator.directory, "doctor", "--contract").status == 1, "there is nothing to compare with yet"
    probed(simulator)
    assert run(simulator.directory, "doctor", "--contract", "-q").status == 0
    simulator.control({"op": "switch", "name": "generic_assign", "value": "no"})
    outcome = run(simulator.directory, "doctor", "--contract", "-q", "--json")
    assert outcome.status == 1
    changed = [finding for finding in json.loads(outcome.out) if finding["changed"]]
    assert [(one["name"], one["before"], one["now"]) for one in changed] == [
        ("assign-generic-role", "assign generic::NAME", "none")
    ]
    assert "pythoncm" in changed[0]["consequence"]


def test_doctor_finds_keys_that_others_can_read_and_keys_on_the_way_to_nodes(simulator: Simulator) -> None:
    """bcm-facts §1.1: root's key is ~/.cm/admin.key."""
    assert run(simulator.directory, "doctor").status == 0
    loose = simulator.directory / "root/.cm/other.key"
    loose.write_text("x")
    loose.chmod(0o644)
    lost = simulator.directory / "cm/images/dgx-image/root/.cm/admin.key"
    lost.parent.mkdir(parents=True)
    lost.write_text("x")
    outcome = run(simulator.directory, "doctor")
    assert outcome.status == 1
    assert str(loose) in outcome.out and "chmod 600" in outcome.out and str(lost) in outcome.out


def certified(simulator: Simulator, purpose: str) -> None:
    outcome = run(simulator.directory, "certificate", "--for", purpose, "-q")
    assert outcome.status == 0, outcome.err
    folder = "/etc/bcm-jobstats"
    site(simulator, f", certificate: {folder}/{purpose}.pem, key: {folder}/{purpose}.key")


def test_a_certificate_is_made_for_its_owner_only(simulator: Simulator) -> None:
    """AM11 §6.4."""
    certified(simulator, "apply")
    key = simulator.directory / "etc/bcm-jobstats/apply.key"
    assert key.stat().st_mode & 0o777 == 0o600
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-text", "-in", key.with_suffix(".pem")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "bcm-jobstats-apply" in text
    assert run(simulator.directory, "certificate").status == 1, "one that is there is not replaced"
    assert run(simulator.directory, "certificate", "--force", "-q").status == 0


def test_with_the_certificate_for_applying_everything_works(simulator: Simulator) -> None:
    """AM11 Table J."""
    before = snapshot(simulator.directory)
    certified(simulator, "apply")
    for words in (["apply", "--yes"], ["plan", "--detailed-exitcode"], ["drift"], ["status", "--no-prometheus"]):
        outcome = run(simulator.directory, *words, "-q")
        assert "does not allow" not in outcome.err, outcome.err
        assert words[0] == "status" or outcome.status == 0, outcome.err
    assert run(simulator.directory, "destroy", "--yes", "-q").status == 0
    after = snapshot(simulator.directory)
    assert {name for name in after if after[name] != before.get(name)} <= {"objects"}, "only the profile is new"


def test_with_the_certificate_for_reading_nothing_can_be_changed(simulator: Simulator) -> None:
    """AM11 Table J."""
    certified(simulator, "read")
    assert run(simulator.directory, "plan").status == 0
    before = snapshot(simulator.directory)
    outcome = run(simulator.directory, "apply", "--yes", "-q")
    assert outcome.status == 69 and "made for reading" in outcome.err
    assert snapshot(simulator.directory) == before, "refused before the first file"


CHANGES = (
    "roles: {jobstats: {attach: {categories: [dgx-h100]}}}\nenable: {mode: services}\n",
    "roles: {jobstats: {attach: {nodes: [dgx-01]}}}\nenable: {mode: services}\n",
    "roles: {jobstats: {attach: {nodes: [dgx-01]}}}\n",
)
"""After a role in an overlay that is there: services of a category, of a node, and an overlay of our own."""


@pytest.mark.parametrize("token", sorted({*certificate.OF_READING, *certificate.OF_APPLYING}))
def test_no_right_is_too_many(simulator: Simulator, token: str) -> None:
    """Without any one of the tokens something that the product does is refused.
    The tokens are those of AM11 Table J."""
    certified(simulator, "apply")
    cmsh(simulator, f"profile; use bcm-jobstats-apply; removefrom tokens {token}; commit")
    root, file = simulator.directory, simulator.directory / "etc/bcm-jobstats/site.yaml"
    text = file.read_text()
    statuses = []
    for change in ("", *CHANGES):
        file.write_text(text + change)
        statuses.append(run(root, "apply", "--yes", "-q").status)
    statuses.append(run(root, "plan", "--bcm", "rest").status)
    told = run(root, "status", "--no-prometheus", "--json").out
    key = root / "etc/bcm-jobstats/apply.key"
    options = ["-i", str(key.with_suffix(".pem")), "-k", str(key)]
    restarted = process.run(
        simulator.cmsh, scripts.restart_services("dgx-h100", ["node_exporter"]), 30.0, options=options
    ).text
    assert any(statuses) or '"none"' in told or "does not allow" in restarted


def test_settings_of_slurm_need_a_right_of_their_own(simulator: Simulator) -> None:
    """AM11 Table J. It is asked for only where the site file names one."""
    file = simulator.directory / "etc/bcm-jobstats/site.yaml"
    plain, setting = file.read_text(), "slurm: {constrain_ram: true}\n"
    file.write_text(plain + setting)
    certified(simulator, "apply")
    file.write_text(file.read_text() + setting)
    assert run(simulator.directory, "apply", "--yes", "-q").status == 0
    assert run(simulator.directory, "destroy", "--yes", "-q").status == 0
    cmsh(simulator, "profile; use bcm-jobstats-apply; removefrom tokens UPDATE_WLM_CLUSTER_TOKEN; commit")
    outcome = run(simulator.directory, "apply", "--yes", "-q")
    assert outcome.status == 1 and "wlm cluster slurm" in outcome.err
    file.write_text(plain)
    printed = run(simulator.directory, "certificate", "--print").out
    assert "GET_WLM_CLUSTER_TOKEN" in printed and "UPDATE_WLM_CLUSTER_TOKEN" not in printed


def test_the_commands_for_the_certificate_can_be_printed(simulator: Simulator) -> None:
    before = snapshot(simulator.directory)
    outcome = run(simulator.directory, "certificate", "--print")
    assert outcome.status == 0
    assert "createcertificate 2048" in outcome.out and "GET_DEVICE_TOKEN" in outcome.out
    assert snapshot(simulator.directory) == before
    script = outcome.out.split("\n", 1)[1].rsplit("END", 1)[0]
    process.run(simulator.cmsh, script.splitlines(), 30.0)
    assert (simulator.directory / "etc/bcm-jobstats/apply.key").exists()
    assert "bcm-jobstats-apply" in simulator.state()["profile"]


def test_nothing_that_is_written_holds_a_private_key(simulator: Simulator) -> None:
    certified(simulator, "apply")
    root = simulator.directory
    assert run(root, "plan", "--out", str(root / "plan.json"), "-v").status == 0
    assert run(root, "apply", "--yes", "-v").status == 0
    assert run(root, "probe", "-q").status == 0
    places = ("var/lib", "cm/images", "cm/shared", "nodes", "plan.json", "cmd/daemon.log")
    files = [path for place in places for path in [root / place, *(root / place).rglob("*")] if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if b"PRIVATE KEY" in path.read_bytes()] == []


def test_the_certificate_is_handed_to_cmsh(tmp_path: Path) -> None:
    for name in ("c.pem", "c.key"):
        (tmp_path / name).touch(mode=0o600)
    access = Access(tmp_path, 1.0, "localhost:8081", tmp_path / "ca", tmp_path / "c.pem", tmp_path / "c.key")
    assert access.options == ("-i", str(tmp_path / "c.pem"), "-k", str(tmp_path / "c.key"))
