"""Builds and rollouts beside `destroy` and `rollback N`: nobody's file is lost, and no link leads to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.simulator import Simulator
from tests.harness import Outcome, cluster, run
from tests.imaging.papers import answering

pytestmark = pytest.mark.slow

CATEGORY = "dgx-h100"
UNIT = "etc/systemd/system/node_exporter.service"
MINE = "# an administrator's\n"
HOOK = "cm/shared/apps/slurm/var/cm/prolog-jobstats.sh"


class Head:
    """A head node with two nodes on paper."""

    def __init__(self, simulator: Simulator) -> None:
        self.root = simulator.directory
        self.site(9100)

    def site(self, port: int) -> None:
        file = self.root / "etc/bcm-jobstats/site.yaml"
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(f"exporters: {{node_exporter: {{port: {port}}}}}\n")

    def ok(self, *words: str) -> Outcome:
        outcome = run(self.root, *words)
        assert outcome.status == 0, outcome.err
        return outcome

    def new_image(self, *options: str) -> None:
        self.ok("image", "build", CATEGORY, "--yes", "-q")
        self.ok("image", "rollout", CATEGORY, "--settle", "0s", "--yes", "-q", *options)

    def image(self, name: str, path: str) -> Path:
        return self.root / "cm/images" / name / path


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    with cluster(tmp_path / "head", nodes=2, logins=0) as simulator, answering(simulator):
        yield Head(simulator)


def test_what_an_administrator_had_is_given_back_in_every_clone(head: Head) -> None:
    source = head.image("dgx-image", UNIT)
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(MINE)
    for port in (9100, 9101):
        head.site(port)
        head.new_image()
        head.ok("apply", "--yes", "-q")
    head.ok("destroy", "--yes", "-q")
    for name in ("dgx-image", "dgx-image-jobstats", "dgx-image-jobstats-2"):
        assert head.image(name, UNIT).read_text() == MINE, name


@pytest.mark.parametrize("edited", [False, True])
def test_destroy_updates_nodes_that_only_a_rollout_came_to(head: Head, edited: bool) -> None:
    head.ok("image", "build", CATEGORY, "--yes", "-q")
    if edited:
        head.site(9105)
    head.ok("image", "rollout", CATEGORY, "--nodes", "dgx-01", "--settle", "0s", "--yes", "-q")
    assert f"- imageupdate.{CATEGORY}" in head.ok("destroy", "--yes").out
    assert not head.image("dgx-image-jobstats", "etc/bcm-jobstats").exists() and not (head.root / HOOK).exists()


def test_a_rollback_that_would_take_hooks_from_a_later_image_is_refused(head: Head) -> None:
    head.ok("apply", "--yes", "-q")
    head.site(9101)
    head.new_image()
    outcome = run(head.root, "rollback", "1", "--yes", "-q")
    assert outcome.status == 1 and "has a link to it" in outcome.err
    assert (head.root / HOOK).exists()
    head.ok("image", "rollback", CATEGORY, "--remove-image", "--yes", "-q")
    head.site(9100)
    head.ok("rollback", "1", "--yes", "-q")
    assert not (head.root / HOOK).exists()


def test_a_build_leaves_hooks_that_run_to_apply(head: Head) -> None:
    head.ok("apply", "--yes", "-q")
    file, manifest = head.root / HOOK, head.root / "cm/shared/apps/jobstats/manifest.json"
    file.write_text(file.read_text() + "# older\n")
    before = (file.read_bytes(), manifest.read_bytes())
    head.site(9101)
    head.ok("image", "build", CATEGORY, "--yes", "-q")
    assert file.read_bytes() == before[0]
    head.ok("image", "rollout", CATEGORY, "--settle", "0s", "--yes", "-q")
    assert f"~ hook.shared:/{HOOK}" in head.ok("plan").out


def test_an_image_without_hooks_brings_none_to_shared_storage(head: Head) -> None:
    file = head.root / "etc/bcm-jobstats/site.yaml"
    file.write_text(file.read_text() + "recipes: {login: login}\n")
    told = head.ok("image", "plan", "login").out
    assert "profile.d/bcm-jobstats.sh" in told and "hook." not in told
