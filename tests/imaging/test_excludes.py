"""Exclude lists are read as rsync reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from bcm_jobstats.imaging.excludes import captured

LIST = """\
# Left alone in the image.
; rsync's other kind of comment

- /home/*
- /boot/grub*/grub.cfg
+ /var/log/kept.log
- /var/log/*
- lost+found/
/etc/hostname
no-new-files: - /run/*
- *.swp
- opt/**/cache
- /srv/data/***
- /cm/local/apps/cmd/etc/cert.[kp]e[ym]
"""
CASES = [
    ("/home", True, True),
    ("/home/anna", True, False),
    ("/home/anna/.ssh/id_rsa", False, False),
    ("/boot/grub2/grub.cfg", False, False),
    ("/boot/grub2/i386/grub.cfg", False, True),
    ("/var/log/kept.log", False, True),
    ("/var/log/other.log", False, False),
    ("/data/lost+found/x", False, False),
    ("/data/lost+found", False, True),
    ("/etc/hostname", False, False),
    ("/srv/etc/hostname", False, True),
    ("/run/gpustat", True, False),
    ("/root/.a.swp", False, False),
    ("/srv/opt/a/b/cache", True, False),
    ("/srv/opt/cache", True, True),
    ("/srv/data", True, False),
    ("/srv/data", False, True),
    ("/cm/local/apps/cmd/etc/cert.key", False, False),
    ("/cm/local/apps/cmd/etc/cert.pem", False, False),
    ("/cm/local/apps/cmd/etc/cert.csr", False, True),
]


@pytest.mark.parametrize(("path", "is_dir", "taken"), CASES)
def test_what_a_list_takes(path: str, is_dir: bool, taken: bool) -> None:
    assert captured(path, LIST, is_dir=is_dir) is taken


def test_an_exclamation_mark_forgets_what_was_before_and_an_empty_list_takes_all() -> None:
    assert captured("/a", "- /a\n!\n")
    assert captured("/a", "")


@pytest.mark.parametrize("pattern", ["/a[b", "/[a/]b", "/a\\/*"])
def test_a_rule_that_is_not_understood_excludes_nothing(pattern: str) -> None:
    assert captured("/ab", f"- {pattern}")


NAMES = st.text("ab.x-]", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
WORDS = ["a", "b", "x", "ab", ".", "-", "*", "**", "***", "?", "/", "[ab]", "[!a]", "[^a-b]", "[b-a]", "[]x]",
         "[[:alpha:]]", "[", "]", "\\"]  # fmt: skip
PATTERNS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map("".join)
RULES = st.lists(st.tuples(st.sampled_from(["", "/", "- ", "- /", "+ ", "+ /"]), PATTERNS).map("".join), max_size=3)


@pytest.mark.skipif(not shutil.which("rsync"), reason="there is no rsync to compare with")
@settings(max_examples=25, deadline=None)
@given(paths=st.dictionaries(PATHS, st.booleans(), min_size=1, max_size=6), rules=RULES)
@example(paths={"a/b": False, "b/a/b": False}, rules=["a/b"])
@example(paths={"a/b": False, "x": True}, rules=["**/x", "- a/***"])
def test_real_rsync_takes_the_same(paths: dict[str, bool], rules: list[str]) -> None:
    text = "".join(f"{rule}\n" for rule in rules)
    assume(not re.search(r"\\/|\[[^\n]*/", text))  # what nobody writes, see NOTHING
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory) / "tree"
        for path, is_dir in paths.items():
            _make(tree / path, is_dir)
        (Path(directory) / "list").write_text(text)
        command = ["rsync", "-an", "--out-format=%n", f"--exclude-from={directory}/list", f"{tree}/", f"{directory}/to"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        taken = {str(path.relative_to(tree)): path.is_dir() for path in tree.rglob("*")}
        ours = {path for path, is_dir in taken.items() if captured(f"/{path}", text, is_dir=is_dir)}
    assert ours == {line.rstrip("/") for line in told if line in taken or line.rstrip("/") in taken}


def _make(path: Path, is_dir: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True) if is_dir else path.touch()
    except (FileExistsError, NotADirectoryError):
        pass  # a file is where a directory should be
