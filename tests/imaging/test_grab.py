"""The golden-node way over simulated nodes that have files: what is refused, what is grabbed, what is undone."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from bcm_jobstats.bcm.cmsh import provisioning
from bcm_jobstats.bcm.cmsh.imagework import CmshImageWork
from bcm_jobstats.cli.main import main
from bcm_jobstats.imaging.itemized import complaints, foreign, item, summary
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.payload import shared_tree
from bcm_jobstats.imaging.record import BUILT, CLONING, DONE, Record, Records
from bcm_jobstats.imaging.taken import left
from bcm_jobstats.simulator import Simulator
from tests.harness import Outcome, cluster, cmsh, run, snapshot

pytestmark = pytest.mark.slow
GRAB = ("image", "grab", "--from", "dgx-01", "--to", "golden")
KEY = "/root/.cm/admin.key"
UNIT = "etc/systemd/system/node_exporter.service"
MANIFEST = "etc/bcm-jobstats/manifest.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A cluster with the role applied."""
    with cluster(tmp_path_factory.mktemp("grab") / "head", nodes=2, node_kind="process") as simulator:
        site = simulator.directory / "etc/bcm-jobstats/site.yaml"
        site.parent.mkdir(parents=True)
        site.write_text("cluster: slurm\n")
        outcome = run(simulator.directory, "apply", "--yes", "-q")
        assert outcome.status == 0, outcome.err
        yield simulator


@pytest.fixture
def head(made: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """The same for one test: what it grabbed and recorded is gone afterwards."""
    monkeypatch.setattr(provisioning, "POLL_LEAST", 0.02)
    before = images(made)
    yield made
    made.control({"op": "clear_faults"})
    Records(shared_tree(made.directory)).remove("dgx-h100")
    for image in images(made) - before:
        cmsh(made, f"softwareimage; remove -d {image}; commit -w")


@pytest.fixture
def node(head: Simulator) -> Iterator[Path]:
    """The golden node's tree; what a test put there is gone afterwards."""
    tree = head.directory / "nodes/dgx-01"
    unit = (tree / UNIT).read_bytes()
    yield tree
    for path in (KEY, "/etc/machine-id", "/usr/local/bin/golden", "/opt/golden"):
        (tree / path.lstrip("/")).unlink(missing_ok=True)
    (tree / UNIT).write_bytes(unit)


def images(simulator: Simulator) -> set[str]:
    return {path.name for path in (simulator.directory / "cm/images").iterdir()}


def put(tree: Path, path: str, text: str = "x") -> None:
    file = tree / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def record(simulator: Simulator) -> Optional[Record]:
    return Records(shared_tree(simulator.directory)).of("dgx-h100")


def fails(outcome: Outcome, *words: str) -> None:
    assert outcome.status == 1, outcome.err
    assert all(word in outcome.err for word in words), outcome.err


def test_a_nodes_files_come_into_a_clone_that_can_be_rolled_out(head: Simulator, node: Path, tmp_path: Path) -> None:
    put(node, "/usr/local/bin/golden")
    log = tmp_path / "log"
    outcome = run(head.directory, *GRAB, "--yes", "--json", "--log", str(log))
    assert outcome.status == 0, outcome.err
    golden = head.directory / "cm/images/golden"
    assert (golden / "usr/local/bin/golden").read_text() == "x"
    assert (golden / MANIFEST).read_bytes() == (node / MANIFEST).read_bytes()
    assert "usr/local/bin/golden" in log.read_text()
    told = json.loads(outcome.out)
    assert (told["stage"], told["source"], told["image"]) == (BUILT, "dgx-image", "golden")
    assert record(head) == Record("dgx-h100", "dgx-image", "golden", BUILT, told["digest"]) and told["digest"]
    # Nobody uses it, and it is ours: it may be grabbed into again.
    (node / "usr/local/bin/golden").unlink()
    assert run(head.directory, *GRAB, "--yes").status == 0
    assert not (golden / "usr/local/bin/golden").exists()


def test_a_secret_is_refused_with_the_line_that_keeps_it_out(head: Simulator, node: Path) -> None:
    put(node, KEY)
    put(node, "/etc/machine-id")
    fails(run(head.directory, *GRAB, "--yes", "--accept"), KEY, "excludelistgrabnew of category dgx-h100: - /root/.cm/")
    with excluded(head, f"- {KEY}"):
        # What is the node's own has to be accepted.
        fails(run(head.directory, *GRAB, "--yes"), "/etc/machine-id: the node's number", "--accept")
        assert "golden" not in images(head) and record(head) is None
        assert run(head.directory, *GRAB, "--yes", "--accept").status == 0
    golden = head.directory / "cm/images/golden"
    assert (golden / "etc/machine-id").exists() and not (golden / KEY[1:]).exists()


def test_declined_nothing_is_left(head: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    former = Records(shared_tree(head.directory)).save(Record("dgx-h100", "default-image", "dgx-image", DONE, "d"))
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    fails(run(head.directory, *GRAB), "Nothing was grabbed.")
    assert "golden" not in images(head) and record(head) == former


REFUSED = [
    (("--from", "dgx-01", "--to", "dgx-image"), "is used by category dgx-h100"),
    (("--from", "dgx-01", "--to", "login-image"), "is used by category login"),
    (("--from", "dgx-09", "--to", "golden"), "no such node"),
    (("--from", "bcm-head", "--to", "golden"), "no software image"),
    (("--from", "dgx-01", "--to", "a/../b"), "cannot be the name"),
]


@pytest.mark.parametrize(("words", "why"), REFUSED)
def test_what_is_refused_before_anything_is_done(head: Simulator, words: tuple[str, ...], why: str) -> None:
    before = images(head)
    fails(run(head.directory, "image", "grab", *words, "--yes"), why)
    assert images(head) == before and record(head) is None


def test_the_way_back_of_a_rollout_is_never_wiped(head: Simulator) -> None:
    Records(shared_tree(head.directory)).save(Record("dgx-h100", "default-image", "dgx-image", DONE))
    words = ("image", "grab", "--from", "dgx-01", "--to", "default-image", "--overwrite", "--yes")
    fails(run(head.directory, *words), "the way back of category dgx-h100")


def test_somebody_elses_image_only_when_asked_for(head: Simulator, node: Path) -> None:
    cmsh(head, "softwareimage; clone default-image golden; commit -w")
    fails(run(head.directory, *GRAB, "--yes"), "there is an image of that name")
    assert record(head) is None
    put(node, "/usr/local/bin/golden")
    assert run(head.directory, *GRAB, "--yes", "--overwrite").status == 0
    assert (head.directory / "cm/images/golden/usr/local/bin/golden").exists()


ALIASES = {"same": "/cm/images/dgx-image", "in it": "/cm/images/dgx-image/usr", "around it": "/cm/images"}


@pytest.mark.parametrize("path", ALIASES.values(), ids=ALIASES)
def test_an_image_that_is_not_apart_from_another_one_is_never_wiped(head: Simulator, path: str) -> None:
    cmsh(head, f"softwareimage; add alias; set path {path}; commit")
    before = snapshot(head.directory)
    try:
        words = ("image", "grab", "--from", "login-01", "--to", "alias", "--overwrite", "--accept", "--yes")
        fails(run(head.directory, *words), "software image alias: its directory", "has /cm/images/")
        assert snapshot(head.directory) == before
    finally:
        cmsh(head, "softwareimage; remove alias; commit")  # without -d


FAILURES = {1: "rsync: connection refused", 2: "Ende der Vorstellung"}
"""What BCM may say of a sync that failed, in words of its own or not; the first is the dry run, the second the grab."""


@pytest.mark.parametrize(("time", "message"), FAILURES.items())
def test_a_sync_that_fails_is_no_grab(head: Simulator, node: Path, time: int, message: str) -> None:
    put(node, "/usr/local/bin/golden")
    head.control({"op": "fault", "kind": "fail_sync", "nth": time, "message": message})
    subject = "node dgx-01: the log of the dry run" if time == 1 else "image golden: does not have all of dgx-01"
    fails(run(head.directory, *GRAB, "--yes", "--accept"), subject, message)
    assert "golden" not in images(head) and record(head) is None


def test_a_grab_that_took_only_a_part_is_none(head: Simulator, node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the disk became full in the middle, and the log of it says nothing."""
    put(node, "/usr/local/bin/golden")
    put(node, "/opt/golden")
    grab = CmshImageWork.grab

    def partly(self: CmshImageWork, name: str, image: str, *, write: bool) -> str:
        told = grab(self, name, image, write=write)
        if write:
            (head.directory / "cm/images" / image / "opt/golden").unlink()
        return told

    monkeypatch.setattr(CmshImageWork, "grab", partly)
    fails(run(head.directory, *GRAB, "--yes", "--accept"), "does not have all of dgx-01: opt/golden (new)")
    assert "golden" not in images(head) and record(head) is None


def test_what_came_to_the_node_after_the_grab_is_no_failure(
    head: Simulator, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grab = CmshImageWork.grab

    def meanwhile(self: CmshImageWork, name: str, image: str, *, write: bool) -> str:
        told = grab(self, name, image, write=write)
        if write:
            put(node, "/opt/golden")
        return told

    monkeypatch.setattr(CmshImageWork, "grab", meanwhile)
    assert run(head.directory, *GRAB, "--yes", "--accept").status == 0


def test_lines_that_tell_of_no_file_have_to_be_accepted(head: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Capability synclog: a heading, say, with a time that is another one in each log."""
    synclog, calls = CmshImageWork.synclog, iter(range(9))

    def headed(self: CmshImageWork, name: str) -> str:
        return f"Log 12:00:0{next(calls)}\n.d..t...... usr/\n{synclog(self, name)}"

    monkeypatch.setattr(CmshImageWork, "synclog", headed)
    fails(run(head.directory, *GRAB, "--yes"), "a line that tells of no file: Log 12:00:0", "--accept")
    assert run(head.directory, *GRAB, "--yes", "--accept").status == 0


def test_files_of_ours_that_differ_on_the_node_are_refused(head: Simulator, node: Path) -> None:
    (node / UNIT).write_text("[Service]\n")
    fails(run(head.directory, *GRAB, "--yes"), f"/{UNIT}: content")
    assert "golden" not in images(head)


def test_a_secret_that_came_meanwhile_is_found_in_the_image(
    head: Simulator, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grab = CmshImageWork.grab

    def meanwhile(self: CmshImageWork, name: str, image: str, *, write: bool) -> str:
        put(node, KEY)
        return grab(self, name, image, write=write)

    monkeypatch.setattr(CmshImageWork, "grab", meanwhile)
    fails(run(head.directory, *GRAB, "--yes"), "software image golden", KEY)
    assert "golden" not in images(head) and record(head) is None


def test_a_node_without_anything_of_ours_can_be_grabbed(head: Simulator) -> None:
    outcome = run(head.directory, "image", "grab", "--from", "login-01", "--to", "golden", "--yes")
    assert outcome.status == 0, outcome.err
    assert "Nothing of bcm-jobstats is on login-01." in outcome.err
    assert not Manifest(head.directory / "cm/images/golden", MANIFEST).entries
    Records(shared_tree(head.directory)).remove("login")


KILLED = {"clone": 1, "grab": 2}


@pytest.mark.parametrize("after", KILLED)
def test_killed_the_same_command_completes_it(head: Simulator, node: Path, after: str) -> None:
    put(node, "/usr/local/bin/golden")
    killed(head, after, KILLED[after])
    there = record(head)
    assert there is not None and there.stage == CLONING
    assert "golden" in images(head)
    outcome = run(head.directory, *GRAB, "--yes")
    assert outcome.status == 0, outcome.err
    assert (head.directory / "cm/images/golden/usr/local/bin/golden").exists()
    assert getattr(record(head), "stage", None) == BUILT


LOG = [
    (">f+++++++++ usr/local/bin/golden", "new", "usr/local/bin/golden"),
    ("cd+++++++++ a b/", "new", "a b/"),
    (">f.st...... etc/motd", "changed", "etc/motd"),
    ("cLc.t...... etc/link -> x", "changed", "etc/link -> x"),
    (".d..t...... usr/", "of other mode, owner or time", "usr/"),
    ("*deleting   opt/old/", "deleted", "opt/old/"),
]


@pytest.mark.parametrize(("line", "what", "path"), LOG)
def test_a_line_of_a_log(line: str, what: str, path: str) -> None:
    told = item(line)
    assert told is not None and (told.what, told.path) == (what, path)


def test_a_log_is_counted_and_lines_of_another_form_too() -> None:
    log = "\n".join([line for line, _, _ in LOG] + ["sent 5 bytes", ""])
    assert summary(log) == "2 new, 2 changed, 1 deleted, 1 of other mode, owner or time, 1 lines of another form"
    assert summary("\n") == "nothing differs"


TALK = [
    "sending incremental file list", "receiving incremental file list", "sent 1,234 bytes  received 99 bytes  2.5/sec",
    "total size is 5  speedup is 0.1 (DRY RUN)", "skipping non-regular file \"x\"", "file has vanished: \"/run/x\"",
    "rsync warning: some files vanished before they could be transferred (code 24) at main.c(1338) [sender=3.2.7]",
    "cannot delete non-empty directory: usr",
]  # fmt: skip
BAD = [
    "rsync: [receiver] write failed on \"/usr/x\": No space left on device (28)",
    "rsync error: error in file IO (code 11) at receiver.c(381) [receiver=3.2.7]", "Connection closed",
]  # fmt: skip


def test_what_rsync_says_when_all_is_well_is_no_complaint_and_errors_are() -> None:
    item_line = LOG[0][0]
    assert complaints("\n".join([*TALK, item_line])) == foreign("\n".join(TALK)) == []
    assert complaints("\n".join([*BAD, item_line])) == [*BAD[:2]]
    assert complaints("\n".join(BAD)) == BAD, "a log that tells of no file at all"
    assert foreign(f"a heading\n{item_line}") == ["a heading"] and complaints(f"a heading\n{item_line}") == []


BEFORE = ">f+++++++++ usr/a\n>f.st...... etc/b\n*deleting   opt/c\n.d...p..... srv/\n.d..t...... usr/\n"
AFTER = {
    "nothing": ("", []),
    "a time": (".d..t...... usr/", []),
    "what came meanwhile": (">f+++++++++ usr/new", []),
    "not taken": (">f+++++++++ usr/a", ["usr/a (new)"]),
    "taken by half": (">f.st...... usr/a", ["usr/a (changed)"]),
    "not changed": (">f.st...... etc/b", ["etc/b (changed)"]),
    "not deleted": ("*deleting   opt/c", ["opt/c (deleted)"]),
    "its mode": (".d...p..... srv/", ["srv/ (of other mode, owner or time)"]),
}


@pytest.mark.parametrize(("after", "told"), AFTER.values(), ids=AFTER)
def test_what_a_grab_left_behind(after: str, told: list[str]) -> None:
    assert list(left(BEFORE, "", after)) == told
    assert list(left("", BEFORE, after)) == told


ALIVE = {
    ">f+++++++++ var/log/journal/x": True, ">f.st...... run/x": True, "*deleting   var/tmp/x": True,
    ">f.st...... var/lib/chrony/drift": True, ">f.st...... home/bob/x": True, ">f.st...... opt/tool/x.log": True,
    ">f.st...... etc/machine-id": True, ">f+++++++++ var/lib/dpkg/info/x": False, ">f+++++++++ home/bob/x": False,
    ">f.st...... cm/local/apps/slurm/var/prologs/x": False, ">f+++++++++ opt/tool/x.log": False,
}  # fmt: skip


@pytest.mark.parametrize(("line", "by_itself"), ALIVE.items())
def test_what_differs_by_itself_on_a_node_that_runs(line: str, by_itself: bool) -> None:
    assert (list(left(line, "", line)) == []) == by_itself


class excluded:  # noqa: N801 - a context manager
    """A line in the category's list for grabs into other images, for the length of a block."""

    def __init__(self, simulator: Simulator, line: str) -> None:
        self.work = CmshImageWork(simulator.cmsh, 30.0)
        self.line = line
        self.text = self.work.exclude_lists("dgx-h100")["grabnew"]

    def __enter__(self) -> None:
        self.work.save_exclude_list("dgx-h100", "grabnew", f"{self.text}{self.line}\n")

    def __exit__(self, *_: object) -> None:
        self.work.save_exclude_list("dgx-h100", "grabnew", self.text)


def killed(simulator: Simulator, method: str, calls: int) -> None:
    """The command in a child that is killed right after that call of a method of ImageWork."""
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        try:
            setattr(CmshImageWork, method, _counted(getattr(CmshImageWork, method), calls))
            main(["--root", str(simulator.directory), *GRAB, "--yes"])
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _counted(function: Callable[..., Any], calls: int) -> Callable[..., Any]:
    left = [calls]

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapper
