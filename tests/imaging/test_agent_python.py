"""Which images the role monitor can run in, told before it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest

from bcm_jobstats.imaging import payload
from bcm_jobstats.imaging.contents import Content
from bcm_jobstats.imaging.sources import Sources
from bcm_jobstats.imaging.store import Store
from bcm_jobstats.imaging.supplied import Supplied
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.site import load_site
from bcm_jobstats.stack import Stack, load_definitions

BASH = b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\x00"
CASES: dict[str, tuple[dict[str, str], Optional[str]]] = {
    "Debian 12": ({"python3": "python3.11", "python3.11": ""}, None),
    "the oldest": ({"python3": "python3.9", "python3.9": ""}, None),
    "a later one": ({"python3": "python4.0", "python4.0": ""}, None),
    "by alternatives": (
        {"python3": "/etc/python3", "../../etc/python3": "/usr/bin/python3.12", "python3.12": ""},
        None,
    ),
    "no version in its name": ({"python3": ""}, None),
    "Rocky 8": (
        {
            "python3": "/usr/bin/python3.6",
            "python3.6": "/usr/libexec/platform-python3.6",
            "../libexec/platform-python3.6": "",
        },
        "is platform-python3.6",
    ),
    "Ubuntu 20.04": ({"python3": "python3.8", "python3.8": ""}, "is python3.8"),
    "none": ({}, "is not there"),
    "a link to nothing": ({"python3": "python3.11"}, "is not there"),
}


def told(root: Path, files: dict[str, str], mode: str = "role-monitor", programs: bool = True) -> list[str]:
    """What is said about Python in an image with these files and links in /usr/bin."""
    tree = root / "image"
    (tree / "usr/bin").mkdir(parents=True)
    if programs:
        (tree / "usr/bin/bash").write_bytes(BASH)
    for name, target in files.items():
        (tree / "usr/bin" / name).parent.resolve().mkdir(parents=True, exist_ok=True)
        if target:
            (tree / "usr/bin" / name).symlink_to(target)
        else:
            (tree / "usr/bin" / name).touch()
    site = root / "site.yaml"
    site.write_text(f"enable: {{mode: {mode}}}\n")
    definitions = load_definitions()
    stack = Stack(load_site(site, definitions), definitions)
    content, supplied = Content(frozenset({"jobstats"})), Supplied(Sources(root, Store(root / "store"), None))
    found = payload.problems_of_image(stack, Tree("image", tree, "/image"), content, supplied)
    return [line for line in found if "/usr/bin/python3" in line]


@pytest.mark.parametrize("case", CASES)
def test_an_image_whose_python_is_too_old_is_told(tmp_path: Path, case: str) -> None:
    files, problem = CASES[case]
    found = told(tmp_path, files)
    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_only_for_the_role_monitor_and_where_something_can_run(tmp_path: Path) -> None:
    for name in ("other", "paper"):
        (tmp_path / name).mkdir()
    assert told(tmp_path / "other", {}, mode="services") == []
    assert told(tmp_path / "paper", {}, programs=False) == []
