"""The records of builds and rollouts: kept whole, in a chain that leads back as many rollouts as there were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bcm_jobstats.imaging.manifest import BadManifest
from bcm_jobstats.imaging.payload import shared_tree
from bcm_jobstats.imaging.record import BUILT, DONE, FAILED, NodeRecord, Record, Records
from tests.harness import cluster, run
from tests.imaging.papers import answering

CATEGORY = "dgx-h100"
FIRST = Record(CATEGORY, "a", "b", DONE, "d1", {"n1": NodeRecord("own", FAILED, "why")})
SECOND = Record(CATEGORY, "b", "c", BUILT, "d2", before=FIRST)


def test_a_record_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    records = Records(shared_tree(tmp_path))
    records.save(SECOND)
    assert records.all() == {CATEGORY: SECOND}
    assert [one.source for one in SECOND.chain] == ["b", "a"]
    records.end(SECOND)
    assert records.of(CATEGORY) == FIRST
    records.end(FIRST)
    assert records.all() == {} and not any(tmp_path.iterdir())


@pytest.mark.parametrize("told", [{"stage": "lost"}, {"nodes": 3}, {"before": {"source": "a"}}])
def test_a_damaged_record_is_told(tmp_path: Path, told: dict[str, object]) -> None:
    records = Records(shared_tree(tmp_path))
    records.save(FIRST)
    file = shared_tree(tmp_path).record
    document = json.loads(file.read_text())
    document["images"][CATEGORY].update(told)
    file.write_text(json.dumps(document))
    with pytest.raises(BadManifest, match="a record of an image that cannot be read"):
        records.all()


@pytest.mark.slow
def test_two_rollouts_are_taken_back_one_by_one(tmp_path: Path) -> None:
    with cluster(tmp_path / "head", nodes=2, logins=0) as simulator, answering(simulator):
        site = simulator.directory / "etc/bcm-jobstats/site.yaml"
        site.parent.mkdir(parents=True)

        def image(*words: str) -> str:
            outcome = run(simulator.directory, "image", words[0], CATEGORY, *words[1:], "--yes", "-q")
            assert outcome.status == 0, outcome.err
            return str(simulator.state()["category"][CATEGORY]["values"]["softwareimage"])

        used = []
        for port in (9100, 9101):
            site.write_text(f"exporters: {{node_exporter: {{port: {port}}}}}\n")
            image("build")
            used.append(image("rollout", "--settle", "0s"))
        assert used == ["dgx-image-jobstats", "dgx-image-jobstats-2"]
        assert run(simulator.directory, "apply", "--yes", "-q").status == 0
        assert run(simulator.directory, "drift").status == 0  # the first image is a way back: nobody empties it
        assert [image("rollback", "--remove-image"), image("rollback", "--remove-image")] == [used[0], "dgx-image"]
        assert sorted(simulator.state()["softwareimage"]) == ["default-image", "dgx-image", "login-image"]
