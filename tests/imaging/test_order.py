"""Which image a build makes: every name and every earlier record."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest

from bcm_jobstats.bcm.entities import Category, Cluster, SoftwareImage
from bcm_jobstats.imaging import order
from bcm_jobstats.imaging.order import CannotBuild, Order
from bcm_jobstats.imaging.record import BUILDING, BUILT, CLONING, DONE, RETURNING, ROLLING, Record

NAMES = [
    ("dgx-image", (), "dgx-image-jobstats"),
    ("dgx-image", ("dgx-image-jobstats",), "dgx-image-jobstats-2"),
    ("dgx-image", ("dgx-image-jobstats", "dgx-image-jobstats-2"), "dgx-image-jobstats-3"),
    ("dgx-image-jobstats", (), "dgx-image-jobstats-2"),
    ("dgx-image-jobstats-2", (), "dgx-image-jobstats"),
    ("dgx-image-jobstats-2", ("dgx-image-jobstats",), "dgx-image-jobstats-3"),
    ("-jobstats", (), "-jobstats-jobstats"),
]


def cluster(source: str, *others: str) -> Cluster:
    images = {name: SoftwareImage(name, f"/cm/images/{name}") for name in (source, *others)}
    return Cluster("10.0", {}, {"dgx": Category("dgx", source)}, {}, images, {})


def decide(known: Cluster, root: Path, *records: Record, to: Optional[str] = None, in_place: bool = False) -> Order:
    return order.of(known, {one.category: one for one in records}, root, "dgx", to=to, in_place=in_place)


@pytest.mark.parametrize(("source", "others", "target"), NAMES)
def test_a_new_image_is_named_after_the_first_one(
    source: str, others: tuple[str, ...], target: str, tmp_path: Path
) -> None:
    found = decide(cluster(source, *others), tmp_path)
    assert (found.source, found.target, found.clones, found.in_place) == (source, target, True, False)


def test_a_directory_that_is_there_is_no_new_name(tmp_path: Path) -> None:
    (tmp_path / "cm/images/dgx-image-jobstats").mkdir(parents=True)
    assert decide(cluster("dgx-image"), tmp_path).target == "dgx-image-jobstats-2"


def test_an_image_that_another_category_is_promised_is_no_new_name(tmp_path: Path) -> None:
    other = Record("login", "dgx-image", "dgx-image-jobstats", CLONING)
    assert decide(cluster("dgx-image"), tmp_path, other).target == "dgx-image-jobstats-2"


@pytest.mark.parametrize(("stage", "clones"), [(CLONING, True), (BUILDING, False), (BUILT, False)])
def test_what_was_begun_goes_on(stage: str, clones: bool, tmp_path: Path) -> None:
    record = Record("dgx", "dgx-image", "mine", stage)
    found = decide(cluster("dgx-image", "mine"), tmp_path, record)
    assert (found.target, found.clones) == ("mine", clones)
    assert decide(cluster("dgx-image", "mine"), tmp_path, record, to="mine") == found
    with pytest.raises(CannotBuild, match="image mine was begun"):
        decide(cluster("dgx-image", "mine"), tmp_path, record, to="other")
    with pytest.raises(CannotBuild, match="image mine was begun"):
        decide(cluster("dgx-image", "mine"), tmp_path, record, in_place=True)
    with pytest.raises(CannotBuild, match="begun from dgx-image"):
        decide(cluster("another", "dgx-image", "mine"), tmp_path, record)


@pytest.mark.parametrize("stage", [BUILDING, BUILT])
def test_an_image_that_somebody_removed_is_made_anew(stage: str, tmp_path: Path) -> None:
    found = decide(cluster("dgx-image"), tmp_path, Record("dgx", "dgx-image", "mine", stage))
    assert (found.target, found.clones) == ("mine", True)


@pytest.mark.parametrize("stage", [ROLLING, RETURNING])
def test_during_a_rollout_nothing_is_built(stage: str, tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match="being rolled out or taken back"):
        decide(cluster("dgx-image"), tmp_path, Record("dgx", "dgx-image", "mine", stage))


def test_after_a_rollout_the_image_in_use_is_the_source(tmp_path: Path) -> None:
    record = Record("dgx", "dgx-image", "dgx-image-jobstats", DONE)
    found = decide(cluster("dgx-image-jobstats", "dgx-image"), tmp_path, record)
    assert (found.source, found.target, found.former) == ("dgx-image-jobstats", "dgx-image-jobstats-2", record)


def test_a_category_without_an_image_is_told(tmp_path: Path) -> None:
    known = Cluster("10.0", {}, {"dgx": Category("dgx", "")}, {}, {}, {})
    with pytest.raises(CannotBuild, match="has no software image"):
        decide(known, tmp_path)
