"""Simulated clusters whose category has an image that was built and not rolled out, and what is asked of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bcm_jobstats import imageplan, images
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.imaging.build import NoJournal, manifest_digest
from bcm_jobstats.imaging.payload import shared_tree
from bcm_jobstats.imaging.record import BUILT, Record, Records
from bcm_jobstats.plan.apply import carry_out
from bcm_jobstats.simulator import Simulator
from tests.harness import Outcome, cluster, run
from tests.imaging.papers import answering

CATEGORY, OLD, NEW = "dgx-h100", "dgx-image", "dgx-image-jobstats"
SITE = "rollout: {settle: 1s, timeout: 3s, wave: 100%}\n"
UNIT = "etc/systemd/system/node_exporter.service"


def ok(root: Path, *words: str) -> Outcome:
    outcome = run(root, *words)
    assert outcome.status == 0, outcome.err
    return outcome


def made(directory: Path, **settings: object) -> Iterator[Simulator]:
    """A cluster whose category has an image that was built and not rolled out."""
    with cluster(directory, logins=0, **settings) as simulator, contextlib.ExitStack() as stack:
        if "node_kind" not in settings:
            stack.enter_context(answering(simulator))
        for root in simulator.heads().values():
            (root / "etc/bcm-jobstats").mkdir(parents=True, exist_ok=True)
            (root / "etc/bcm-jobstats/site.yaml").write_text(SITE)
        build(simulator.heads()[simulator.active])
        yield simulator


def build(root: Path) -> None:
    """What `image build` does, without its checks."""
    where = Deployment(root, root / "etc/bcm-jobstats/site.yaml")
    where.imagework.clone(OLD, NEW)
    where.refresh()
    tree = images.tree_of(where, NEW)
    plan = imageplan.for_image(where, CATEGORY, tree, adopt=True)
    carry_out(plan, imageplan.image_providers(where, tree), NoJournal(), where.originals)
    where.records.save(Record(CATEGORY, OLD, NEW, BUILT, manifest_digest(tree)))


def rollout(root: Path, *words: str, action: str = "rollout") -> Outcome:
    """The words come last, so that they count where an option is given twice."""
    settle = ("--settle", "0s") if action == "rollout" else ()
    return run(root, "image", action, CATEGORY, "--yes", *settle, *words)


def rolled(root: Path, *words: str) -> None:
    """A rollout that ends well."""
    outcome = rollout(root, *words)
    assert outcome.status == 0, outcome.err


def record(root: Path) -> Record:
    found = Records(shared_tree(root)).of(CATEGORY)
    assert found is not None
    return found


def states(root: Path) -> dict[str, str]:
    return {name: node.state for name, node in record(root).nodes.items()}


def image_of(simulator: Simulator, node: str) -> str:
    return str(simulator.state()["device"][node]["values"].get("softwareimage", ""))


def category_image(simulator: Simulator) -> str:
    return str(simulator.state()["category"][CATEGORY]["values"]["softwareimage"])
