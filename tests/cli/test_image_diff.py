"""`image diff`: damage in an image and on nodes, named in one run and with exit status 1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.simulator import Simulator
from tests.harness import cluster, run

UNIT = "etc/systemd/system/node_exporter.service"
TABLE = "usr/lib/bcm-jobstats/gpu-table"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Two nodes with files, brought to an image with ours by `apply`."""
    with cluster(tmp_path_factory.mktemp("diff") / "head", node_kind="process", nodes=2) as simulator:
        (simulator.directory / "etc/bcm-jobstats").mkdir(parents=True, exist_ok=True)
        (simulator.directory / "etc/bcm-jobstats/site.yaml").write_text("")
        outcome = run(simulator.directory, "apply", "--yes", "-q")
        assert outcome.status == 0, outcome.err
        yield simulator


def found(simulator: Simulator, *words: str) -> dict[str, list[tuple[str, str]] | None]:
    outcome = run(simulator.directory, "image", "diff", "dgx-h100", "--json", *words)
    told = json.loads(outcome.out)
    assert outcome.status == (1 if any(one["differences"] != [] for one in told) else 0), outcome.err
    return {
        one["where"]: one["differences"] and [(each["path"], each["what"]) for each in one["differences"]]
        for one in told
    }


def test_nothing_differs_after_an_apply(simulator: Simulator) -> None:
    assert found(simulator) == {"image dgx-image": []}
    assert found(simulator, "--node", "dgx-[01-02]") == {"dgx-01": [], "dgx-02": []}
    assert "Nothing differs" in run(simulator.directory, "image", "diff", "dgx-h100").out


def test_damage_on_a_node_is_named_there_alone(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    node = simulator.directory / "nodes/dgx-02"
    unit, table, passwd = (node / one for one in (UNIT, TABLE, "etc/passwd"))
    before, users = unit.read_text(), passwd.read_text()
    calls: list[str] = []
    real = process.run

    def counted(cmsh: Path, script: list[str], *rest: Any, **more: Any) -> process.Answer:
        calls.extend(one for one in script if "pexec" in one)
        return real(cmsh, script, *rest, **more)

    monkeypatch.setattr(process, "run", counted)
    try:
        unit.write_text("edited\n")
        table.chmod(0o777)
        passwd.write_text("".join(line for line in users.splitlines(True) if not line.startswith("jobstats:")))
        assert found(simulator, "--node", "dgx-01,dgx-02") == {
            "dgx-01": [],
            "dgx-02": [
                ("/etc/passwd", "line of jobstats missing"),
                (f"/{UNIT}", "content"),
                (f"/{TABLE}", "mode: 0777, world-writable, not 0755"),
            ],
        }
        assert len([call for call in calls if "gpu-table" in call]) == 1, "one question for all nodes"
    finally:
        unit.write_text(before)
        table.chmod(0o755)
        passwd.write_text(users)


def test_damage_in_the_image_is_named(simulator: Simulator) -> None:
    unit = simulator.directory / "cm/images/dgx-image" / UNIT
    before = unit.read_text()
    unit.unlink()
    try:
        assert found(simulator) == {"image dgx-image": [(f"/{UNIT}", "missing")]}
        assert "missing" in run(simulator.directory, "image", "diff", "dgx-h100").out
    finally:
        unit.write_text(before)


def test_a_node_that_is_down_is_no_node_without_a_difference(simulator: Simulator) -> None:
    simulator.control({"op": "node", "name": "dgx-02", "state": "down"})
    try:
        assert found(simulator, "--node", "dgx-02") == {"dgx-02": None}
    finally:
        simulator.control({"op": "node", "name": "dgx-02", "state": "up"})


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("dgx-h100", "--node", "nobody"), "BCM knows no node nobody"),
        (("dgx-h100", "--node", "bcm-head"), "BCM knows no node bcm-head"),
        (("dgx-h100", "--node", "dgx-[02-01]"), "comes after"),
        (("none",), "BCM knows no such category"),
    ],
)
def test_what_is_not_there_is_told(simulator: Simulator, words: tuple[str, ...], says: str) -> None:
    outcome = run(simulator.directory, "image", "diff", *words)
    assert (outcome.status, says in outcome.err) == (1, True), outcome.err


def test_an_image_without_anything_of_ours_is_told(simulator: Simulator) -> None:
    outcome = run(simulator.directory, "image", "diff", "login")
    assert (outcome.status, "nothing of bcm-jobstats is in it" in outcome.out) == (1, True)
