"""How cmsh is found and started, and how what it ends with is judged: by a stand-in that only records and prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.bcm.choice import Access
from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.bcm.cmsh.adapter import CmshBcm
from bcm_jobstats.bcm.errors import Refused, Unreachable

START = ["--norc", "--color=no", "--disable-events"]


def stand_in(directory: Path, says: str = "", status: int = 0) -> Path:
    """A cmsh that writes down its arguments and standard input, one a line, and prints `says`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "says").write_text(says)
    program = directory / "cmsh"
    program.write_text(
        f'#!/bin/sh\nfor word; do echo "$word"; done >{directory}/asked\ncat >{directory}/typed\n'
        f"cat {directory}/says\nexit {status}\n"
    )
    program.chmod(0o755)
    return program


def asked(program: Path) -> list[str]:
    return (program.parent / "asked").read_text().splitlines()


def test_it_is_started_with_options_of_its_usage(tmp_path: Path) -> None:
    """bcm-facts §1.1: the usage text; §11 #13: the options for scripting."""
    program = stand_in(tmp_path)
    process.run(program, ["main", "versioninfo"], 30.0)
    assert asked(program) == [*START, "-c", "main; versioninfo"]
    assert (tmp_path / "typed").read_text() == ""


def test_a_write_ends_at_the_first_error(tmp_path: Path) -> None:
    """bcm-facts §1.1: --quit."""
    program = stand_in(tmp_path)
    process.run(program, ["category", "commit"], 30.0, write=True)
    assert asked(program) == [*START, "--quit", "-c", "category; commit"]


def test_a_certificate_of_our_own_is_handed_over(tmp_path: Path) -> None:
    """bcm-facts §1.1: -i and -k; AM11 §6.4."""
    program = stand_in(tmp_path)
    for name in ("a.pem", "a.key"):
        (tmp_path / name).touch(mode=0o600)
    access = Access(tmp_path, 30.0, "localhost:8081", tmp_path / "ca", tmp_path / "a.pem", tmp_path / "a.key")
    process.run(program, ["category"], 30.0, options=access.options)
    assert asked(program) == [*START, "-i", f"{tmp_path}/a.pem", "-k", f"{tmp_path}/a.key", "-c", "category"]


def test_a_long_script_comes_as_a_file(tmp_path: Path) -> None:
    """bcm-facts §1.1: -f does not echo, standard input without it would."""
    program = stand_in(tmp_path)
    script = ["category"] * process.LONGEST_ARGUMENT
    process.run(program, script, 30.0)
    assert asked(program) == [*START, "-f", "/dev/stdin"]
    assert (tmp_path / "typed").read_text().splitlines() == script


def test_it_is_found_on_path_and_where_bcm_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bcm-facts §1.1: `module load cmsh` puts it on PATH, it lies at /cm/local/apps/cmd/bin."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unreachable, match=r"neither on PATH nor at .*/cm/local/apps/cmd/bin/cmsh"):
        process.find(tmp_path)
    on_path = stand_in(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert process.find(tmp_path) == on_path
    installed = stand_in(tmp_path / "cm/local/apps/cmd/bin")
    assert process.find(tmp_path) == installed


ENDS = {
    "newer": ("Provisioning completed on node node001\nimageupdate [ COMPLETED ]\n", True),
    "older": ("Provisioning started on node node001\nProvisioning completed on node node001\n", True),
    "failed": ("imageupdate [ FAILED ]\n", False),
    "one of two": ("Provisioning completed on node node001\nimageupdate [ FAILED ]\n", False),
    "nothing": ("", False),
    "an event only": ("Tue Jan 11 12:13:44 2011 [notice] basecm10: Provisioning completed on node node001\n", False),
}


@pytest.mark.parametrize(("says", "taken"), ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("status", [0, 1])
def test_how_an_imageupdate_ends_is_told_by_its_words(tmp_path: Path, says: str, taken: bool, status: int) -> None:
    """bcm-facts §6: both forms of the last line, from a manual; `-w --wait` from public scripts. The exit status is not
    relied on (§13 #3); that a failure says `failed` is an assumption (capability update-tells-its-end)."""
    bcm = CmshBcm(stand_in(tmp_path, says, status), 30.0)
    if taken:
        bcm.update_nodes("default")
    else:
        with pytest.raises(Refused, match="imageupdate of category default"):
            bcm.update_nodes("default")
