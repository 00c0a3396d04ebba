"""`bcm-jobstats hooks`: what is in the images of a simulated cluster, and the scripts as they are deployed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Outcome, cluster, run

SITE = "job_map: {mode: both}\nroles:\n  jobstats: {attach: {categories: [dgx-h100]}}\n"
FOLDER = "cm/images/dgx-image/cm/local/apps/slurm/var/prologs"
HOOK = "cm/shared/apps/slurm/var/cm/prolog-jobstats.sh"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    with cluster(tmp_path / "head") as simulator:
        file = simulator.directory / "etc/bcm-jobstats/site.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(SITE)
        yield simulator.directory


def listed(root: Path, *words: str) -> dict[str, str]:
    outcome = run(root, "hooks", *words, "--json")
    return {link["hook"]: link["state"] for link in json.loads(outcome.out)["links"]}


def test_hooks_are_missing_before_apply_and_ours_after(root: Path) -> None:
    assert run(root, "hooks").status == 1
    assert listed(root) == {"prolog-jobstats": "missing", "epilog-jobstats": "missing"}
    assert run(root, "apply", "--yes", "-q").status == 0
    outcome = run(root, "hooks")
    assert outcome.status == 0, outcome.err
    assert listed(root, "list") == {"prolog-jobstats": "ours", "epilog-jobstats": "ours"}
    assert "dgx-image  prolog-jobstats  ours  /cm/shared/apps/slurm/var/cm/prolog-jobstats.sh" in _squeezed(outcome)
    assert run(root, "destroy", "--yes", "-q").status == 0
    assert run(root, "hooks").status == 1


def _squeezed(outcome: Outcome) -> str:
    return "\n".join("  ".join(line.split()) for line in outcome.out.splitlines())


def order(root: Path, *words: str) -> list[str]:
    """The kinds and names of a run's changes, in the order they are made, from its progress."""
    outcome = run(root, *words, "--yes")
    assert outcome.status == 0, outcome.err
    return [line.split()[-1] for line in outcome.err.splitlines() if line.startswith("  [")]


def test_a_link_never_leads_to_nothing(root: Path) -> None:
    """Shared storage has a hook before an image has a link to it, and until running nodes have lost theirs: what BCM
    does with a link to nothing is not known (bcm-facts §13 #12)."""
    link, hook = f"file.dgx-image:/{FOLDER.partition('dgx-image/')[2]}/60-prolog-jobstats.sh", f"hook.shared:/{HOOK}"
    local = "file.dgx-image:/usr/lib/bcm-jobstats/prolog-jobstats.sh"
    made = order(root, "apply")
    assert made.index(hook) < made.index(link) < made.index("imageupdate.dgx-h100")
    (root / "etc/bcm-jobstats/site.yaml").write_text(f"{SITE}hooks: {{location: local}}\n")
    moved = order(root, "apply")
    assert max(moved.index(link), moved.index(local)) < moved.index("imageupdate.dgx-h100") < moved.index(hook)
    (root / "etc/bcm-jobstats/site.yaml").write_text(SITE)
    back = order(root, "apply")
    assert back.index(hook) < back.index(link) < back.index("imageupdate.dgx-h100")
    gone = order(root, "destroy")
    assert gone.index(link) < gone.index("imageupdate.dgx-h100") < gone.index(hook)


def test_who_runs_before_ours_is_named(root: Path) -> None:
    run(root, "apply", "--yes", "-q")
    for name in ("50-mine.sh", "70-theirs.sh"):
        (root / FOLDER / name).touch()
    outcome = run(root, "hooks")
    assert "50-mine.sh in /cm/local/apps/slurm/var/prologs run before ours" in outcome.err
    assert "70-theirs" not in outcome.err
    assert "50-mine.sh  60-prolog-jobstats.sh  70-theirs.sh" in _squeezed(outcome)
    assert (outcome.status, run(root, "hooks", "-q").err) == (0, "")


def test_a_hook_that_is_gone_is_told(root: Path) -> None:
    run(root, "apply", "--yes", "-q")
    (root / HOOK).unlink()
    assert listed(root) == {"prolog-jobstats": "dangling", "epilog-jobstats": "ours"}
    assert run(root, "hooks").status == 1


def test_what_is_shown_is_what_is_deployed(root: Path) -> None:
    run(root, "apply", "--yes", "-q")
    outcome = run(root, "hooks", "show", "prolog-jobstats")
    assert (outcome.status, outcome.out) == (0, (root / HOOK).read_text())
    assert "\nmode=both\n" in outcome.out
    assert json.loads(run(root, "hooks", "show", "gpu-sweep", "--json").out)["name"] == "gpu-sweep"


@pytest.mark.parametrize("words", [("show",), ("show", "prolog-x"), ("find",)])
def test_what_is_no_hook_is_bad_usage(root: Path, words: tuple[str, ...]) -> None:
    outcome = run(root, "hooks", *words)
    assert outcome.status == 64
    assert "prolog-dcgm" in outcome.err or words == ("find",)


def test_a_site_without_hooks(root: Path) -> None:
    (root / "etc/bcm-jobstats/site.yaml").write_text("hooks: {enabled: false}\n")
    outcome = run(root, "hooks")
    assert (outcome.status, outcome.out) == (0, "No image has or needs a hook.\n")
