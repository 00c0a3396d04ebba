"""Single lines in files that are not ours: passwd, group and shadow of an image."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from bcm_jobstats.imaging.lines import LineProvider
from bcm_jobstats.imaging.trees import MANAGED, InTheWay, Tree
from bcm_jobstats.plan import planner
from bcm_jobstats.plan.model import Plan
from bcm_jobstats.plan.resource import Resource

LINE = "jobstats:x:967:967::/nonexistent:/usr/sbin/nologin"
CHANGED = "jobstats:x:968:968::/nonexistent:/usr/sbin/nologin"
NAME = "image:/etc/passwd:jobstats"
FILES = {
    "usual": b"root:x:0:0:root:/root:/bin/bash\ncmsupport:x:1000:1000::/home/cmsupport:/bin/bash\n",
    "empty": b"",
    "no newline at the end": b"root:x:0:0:root:/root:/bin/bash",
    "blank line at the end": b"root:x:0:0:root:/root:/bin/bash\n\n",
    "a name that begins like ours": b"jobstats2:x:1:1:::\njobstat:x:2:2:::\n",
    "ours in another field": b"root:x:0:0:jobstats:/root:/bin/bash\n#jobstats:x\n",
    "not UTF-8": b"m\xfcller:x:1000:1000:M\xfcller:/home/m:/bin/sh\n",
    "carriage returns": b"root:x:0:0::/root:/bin/sh\r\nuser:x:1:1:::\r\n",
    "form feed and line separator": "a:x:1:1:one\x0ctwo\u2028three:/:\n".encode(),
}


class Made:
    """An image with a passwd file."""

    def __init__(self, root: Path, content: bytes = FILES["usual"], mode: int = 0o644) -> None:
        self.root = root
        self.file = root / "etc/passwd"
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(content)
        self.file.chmod(mode)
        self.provider = LineProvider(1, 1, [Tree("image", root, "/cm/images/image")])

    def plan(self, *lines: str, adopt: bool = False) -> Plan:
        wanted = [Resource("line", NAME, {"line": line, MANAGED: True}, mark=MANAGED) for line in lines]
        return planner.make([self.provider], wanted, adopt=adopt, originals=getattr(self, "originals", {}))

    def apply(self, *lines: str, adopt: bool = False) -> list[str]:
        plan = self.plan(*lines, adopt=adopt)
        assert plan.conflicts == ()
        for change in plan.changes:
            if change.action == "adopt":
                self.originals = {change.address: change.before or {}}
            if change.after is None:
                self.provider.remove(change.name, change.before or {})
            else:
                self.provider.write(change.name, change.before, change.after)
        return [change.action for change in plan.changes]

    @property
    def others(self) -> list[str]:
        return sorted(path.name for path in (self.root / "etc").iterdir() if path != self.file)


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_the_line_comes_and_goes_and_the_file_is_byte_for_byte_as_before(tmp_path: Path, content: bytes) -> None:
    made = Made(tmp_path, content)
    assert made.apply(LINE) == ["create"]
    text = made.file.read_bytes()
    assert text.rstrip(b"\n").split(b"\n")[-1] == LINE.encode(), text
    assert text.startswith(content)
    assert made.apply(LINE) == []
    assert made.apply() == ["delete"]
    assert made.file.read_bytes() == content
    assert made.others == []


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o600, 0o640, 0o644])
def test_the_file_keeps_its_mode_and_owner(tmp_path: Path, mode: int) -> None:
    """shadow is 0000 on Red Hat, 0640 root:shadow on Debian."""
    if mode == 0 and os.geteuid() != 0:
        pytest.skip("only root reads a file without permissions")
    made = Made(tmp_path, mode=mode)
    owner = (3, 42) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    os.chown(made.file, *owner)
    for lines in ((LINE,), ()):
        made.apply(*lines)
        status = made.file.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, *owner)


def test_a_user_of_that_name_with_other_values_is_a_conflict(tmp_path: Path) -> None:
    made = Made(tmp_path, b"jobstats:x:1042:1042::/home/jobstats:/bin/bash\n")
    plan = made.plan(LINE)
    assert plan.changes == ()
    assert [conflict.address for conflict in plan.conflicts] == [f"line.{NAME}"]


def test_a_user_that_is_as_wanted_stays_the_administrators(tmp_path: Path) -> None:
    content = f"{LINE}\nlast:x:1:1:::\n".encode()
    made = Made(tmp_path, content)
    assert made.apply(LINE) == []
    assert made.apply() == []
    assert (made.file.read_bytes(), made.others) == (content, [])


def test_an_adopted_user_is_given_back_in_its_place(tmp_path: Path) -> None:
    content = b"first:x:1:1:::\njobstats:x:1042:1042::/home/jobstats:/bin/bash\nlast:x:2:2:::\n"
    made = Made(tmp_path, content)
    assert made.apply(LINE, adopt=True) == ["adopt"]
    assert made.file.read_text().splitlines()[1] == LINE
    assert made.apply() == ["update"]
    assert (made.file.read_bytes(), made.others) == (content, [])


@pytest.mark.parametrize("edit", ["jobstats:x:5:5:::", ""])
def test_our_line_is_put_right(tmp_path: Path, edit: str) -> None:
    made = Made(tmp_path)
    made.apply(LINE)
    made.file.write_text(made.file.read_text().replace(LINE, edit).strip() + "\n")
    assert len(made.apply(LINE)) == 1
    assert made.file.read_text().splitlines()[-1] == LINE
    made.apply()
    assert made.file.read_bytes() == FILES["usual"]


def test_a_changed_line_of_ours_takes_the_place_of_the_old(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.apply(LINE)
    with made.file.open("a") as file:
        file.write("later:x:1:1:::\n")
    assert made.apply(LINE.replace("967", "968")) == ["update"]
    assert [line.split(":")[0] for line in made.file.read_text().splitlines()[-2:]] == ["jobstats", "later"]


def test_an_entry_without_its_line_is_struck_off(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.apply(LINE)
    made.file.write_bytes(FILES["usual"])
    assert made.apply() == ["delete"]
    assert (made.file.read_bytes(), made.others) == (FILES["usual"], [])


def test_a_file_that_went_away_is_no_trouble_when_the_line_goes(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.apply(LINE)
    made.file.unlink()
    made.apply()
    assert not made.file.exists()


def test_a_file_that_is_a_symlink_stays_one(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.file.rename(tmp_path / "etc/passwd.real")
    made.file.symlink_to("passwd.real")
    made.apply(LINE)
    assert made.file.is_symlink()
    made.apply()
    assert (tmp_path / "etc/passwd.real").read_bytes() == FILES["usual"]


@pytest.mark.parametrize("name", FILES)
def test_the_commands_do_the_same(tmp_path: Path, name: str) -> None:
    made = Made(tmp_path, FILES[name])
    provider = LineProvider(1, 1, [Tree("image", tmp_path, str(tmp_path))])
    for command in provider.commands(NAME, None, {"line": LINE, MANAGED: True}) * 2:
        subprocess.run(["bash", "-euc", command], check=True)
    lines = [*FILES[name].splitlines(), LINE.encode()]
    assert made.file.read_bytes().splitlines() == lines, "once, and on a line of its own"
    by_hand = made.file.read_bytes()
    made.file.write_bytes(FILES[name])
    made.apply(LINE)
    assert made.file.read_bytes() == by_hand
    for command in provider.commands(NAME, {"line": LINE}, {"line": CHANGED, MANAGED: True}):
        subprocess.run(["bash", "-euc", command], check=True)
    assert made.file.read_bytes().splitlines() == [*lines[:-1], CHANGED.encode()]
    for command in provider.commands(NAME, {"line": CHANGED}, None):
        subprocess.run(["bash", "-euc", command], check=True)
    assert made.file.read_bytes().splitlines() == lines[:-1]


def test_a_link_at_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("the head's")
    made = Made(tmp_path / "image")
    (made.file.parent / ".passwd.bcm-jobstats").symlink_to(precious)
    made.apply(LINE)
    assert precious.read_text() == "the head's"
    assert made.file.read_text().splitlines()[-1] == LINE


def test_a_pipe_in_the_place_of_the_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.file.unlink()
    os.mkfifo(made.file)
    with pytest.raises(InTheWay, match="passwd: is there and is not a file"):
        made.plan(LINE)
