"""What is said of the hooks in an image: whose they are, where they lead, what runs before them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bcm_jobstats.imaging import hooks
from bcm_jobstats.imaging.hooks import HookLink, Order
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.site import Site
from bcm_jobstats.stack import Stack, load_definitions

PROLOG = "/cm/local/apps/slurm/var/prologs/60-prolog-jobstats.sh"
SCRIPT = "/cm/shared/apps/slurm/var/cm/prolog-jobstats.sh"


class Image:
    """An image below a head's root, with the prolog of ours recorded or not."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = Tree("image", root / "cm/images/image", "/cm/images/image")
        self.place = self.tree.root / PROLOG[1:]
        self.place.parent.mkdir(parents=True)
        self.script = root / SCRIPT[1:]
        self.script.parent.mkdir(parents=True)
        self.script.write_text("#!/bin/bash\n")
        self.script.chmod(0o755)

    def record(self) -> None:
        empty: dict[str, object] = {"lines": {}, "directories": [], "pushed": {}, "originals": {}}
        self.tree.record.parent.mkdir(parents=True)
        self.tree.record.write_text(json.dumps({"entries": {PROLOG: {"type": "symlink"}}, **empty}))

    def links(self, *roles: str) -> list[HookLink]:
        stack = Stack(Site(), load_definitions())
        return list(hooks.links(stack, {"image": set(roles)}, [self.tree], self.root, "10.0"))

    def state(self, *roles: str) -> tuple[str, str]:
        found = self.links(*roles)[0]
        assert found.hook == "prolog-jobstats"
        return found.state, found.target


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


def nothing(image: Image) -> None:
    pass


def as_wanted(image: Image) -> None:
    image.place.symlink_to(SCRIPT)


def elsewhere(image: Image) -> None:
    image.place.symlink_to("/opt/x")


def a_file(image: Image) -> None:
    image.place.write_text("#!/bin/sh\n")


def dangling(image: Image) -> None:
    image.place.symlink_to(SCRIPT)
    image.script.unlink()


def not_executable(image: Image) -> None:
    image.place.symlink_to(SCRIPT)
    image.script.chmod(0o644)


STATES: list[tuple[Callable[[Image], None], bool, tuple[str, str]]] = [
    (nothing, True, ("missing", "")),
    (nothing, False, ("missing", "")),
    (as_wanted, True, ("ours", SCRIPT)),
    (as_wanted, False, ("ours", SCRIPT)),
    (elsewhere, True, ("changed", "/opt/x")),
    (elsewhere, False, ("foreign", "/opt/x")),
    (a_file, True, ("changed", "")),
    (a_file, False, ("foreign", "")),
    (dangling, True, ("dangling", SCRIPT)),
    (not_executable, True, ("dangling", SCRIPT)),
]


@pytest.mark.parametrize(("make", "recorded", "expected"), STATES)
def test_the_state_of_a_hook(
    image: Image, make: Callable[[Image], None], recorded: bool, expected: tuple[str, str]
) -> None:
    make(image)
    if recorded:
        image.record()
    assert image.state("jobstats") == expected


def test_an_image_without_roles_has_what_was_left_in_it(image: Image) -> None:
    assert image.links() == []
    as_wanted(image)
    assert image.links() == [], "an administrator's"
    image.record()
    assert image.state() == ("unwanted", SCRIPT)


def test_the_order_in_which_scripts_run(image: Image) -> None:
    """bcm-facts §5.1: by name, and those for cloud jobs are not run for others."""
    as_wanted(image)
    for name in (
        "01-prolog-prejob",
        "70-mine.sh",
        "50-mine.sh",
        "40-x-cmjob",
        "40-y-cmjob.sh",
        "notes",
        ".60-x",
        "5-no",
    ):
        (image.place.parent / name).touch()
    found = list(hooks.orders(image.links("jobstats"), [image.tree]))
    scripts = ("01-prolog-prejob", "50-mine.sh", "60-prolog-jobstats.sh", "70-mine.sh")
    assert found[0] == Order("image", "/cm/local/apps/slurm/var/prologs", scripts, scripts[:2])
    assert found[1] == Order("image", "/cm/local/apps/slurm/var/epilogs", (), ())
