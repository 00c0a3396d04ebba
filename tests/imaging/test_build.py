"""`image plan` and `image build` over a simulated BCM: what is made, what is left as it was, what goes wrong."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.imaging import build, clonecheck, payload, trees
from bcm_jobstats.imaging.manifest import write_atomically
from bcm_jobstats.imaging.record import BUILDING, BUILT, CLONING, DONE, Record, Records
from bcm_jobstats.simulator import Simulator
from tests.harness import BINARIES, Outcome, Snapshot, cluster, cmsh, killed_after, run, snapshot

IMAGE, CLONE = "cm/images/dgx-image", "cm/images/dgx-image-jobstats"
UNIT = "etc/systemd/system/node_exporter.service"
MOST_KILLS = 100


class Head:
    """A head node, with what is asked of it again and again."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.root = simulator.directory
        self.site("")

    def site(self, text: str) -> None:
        self.write("etc/bcm-jobstats/site.yaml", text)

    def write(self, name: str, text: str) -> Path:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run(self, *words: str) -> Outcome:
        return run(self.root, *words)

    def build(self, *words: str, status: int = 0) -> Outcome:
        outcome = self.run("image", "build", "dgx-h100", "--yes", *words)
        assert outcome.status == status, outcome.out + outcome.err
        return outcome

    def record(self) -> Optional[Record]:
        return self.records().of("dgx-h100")

    def records(self) -> Records:
        return Records(payload.shared_tree(self.root))

    def images(self) -> set[str]:
        answer = process.run(self.simulator.cmsh, ["softwareimage; list -f name -d {}"], 30.0)
        return {str(*row.values()) for row in json.loads(answer.text)}

    def use(self, image: str) -> None:
        cmsh(self.simulator, f"category; use dgx-h100; set softwareimage {image}; commit")

    def all(self) -> Snapshot:
        return snapshot(self.root)


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    with cluster(tmp_path / "head", nodes=2) as simulator:
        yield Head(simulator)


def below(found: Snapshot, top: str) -> dict[str, Any]:
    """The part of a snapshot in one tree, with the times of nothing."""
    return {name[len(top) :]: entry for name, entry in found.items() if name.startswith(f"{top}/")}


def test_a_clone_gets_everything_and_nothing_else_changes(head: Head) -> None:
    before = head.all()
    planned = json.loads(head.run("image", "plan", "dgx-h100", "--json").out)
    assert head.all() == before, "a plan changes nothing"
    outcome = head.build()
    after = head.all()
    made = below(after, CLONE).keys() - below(before, IMAGE).keys()
    for change in planned["changes"]:
        kind, _, name = change["address"].partition(".")
        if kind == "file":
            assert name.partition(":")[2] in made
    assert below(after, IMAGE) == below(before, IMAGE)
    assert below(after, "nodes") == below(before, "nodes")
    assert head.images() == {"default-image", "dgx-image", "login-image", "dgx-image-jobstats"}
    record = head.record()
    assert record and (record.source, record.image, record.stage) == ("dgx-image", "dgx-image-jobstats", BUILT)
    assert (
        record.digest == hashlib.sha256((head.root / CLONE / "etc/bcm-jobstats/manifest.json").read_bytes()).hexdigest()
    )
    assert "image rollout dgx-h100" in outcome.err


def test_a_second_build_changes_nothing_at_all(head: Head) -> None:
    head.build()
    before = head.all()
    told = head.build().out
    assert "No changes. Image dgx-image-jobstats" in told and "Check" not in told
    assert head.run("image", "plan", "dgx-h100", "--detailed-exitcode").status == 0
    assert head.all() == before


def test_what_an_administrator_edits_in_the_clone_is_put_right(head: Head) -> None:
    head.build()
    before = head.all()
    (head.root / CLONE / UNIT).write_text("edited\n")
    (head.root / CLONE / "usr/lib/bcm-jobstats/gpu-table").unlink()
    assert head.run("image", "plan", "dgx-h100", "--detailed-exitcode").status == 2
    head.build()
    assert head.all() == before


def test_the_image_in_use_gets_the_same_by_apply(head: Head) -> None:
    head.build()
    built = below(head.all(), CLONE)
    head.records().remove("dgx-h100")
    cmsh(head.simulator, "softwareimage; remove -d dgx-image-jobstats; commit")
    assert head.run("apply", "--yes").status == 0
    assert below(head.all(), IMAGE) == built
    assert "No changes. Image dgx-image holds" in head.build().out


def artifact(head: Head, content: bytes = b"#!/bin/sh\necho 1.9.1\n", sha256: str = "") -> None:
    head.write("root/node_exporter", content.decode())
    told = sha256 or hashlib.sha256(content).hexdigest()
    head.site(
        f"artifacts: {{node_exporter: {{version: '1.9.1', x86_64: {{file: /root/node_exporter, sha256: {told}}}}}}}\n"
    )


def test_an_artifact_comes_into_the_image_and_its_program_is_not_missed(head: Head) -> None:
    (head.root / IMAGE / BINARIES[0]).unlink()
    assert "node_exporter has no program" in head.run("image", "plan", "dgx-h100").out
    artifact(head)
    head.build()
    program = head.root / CLONE / BINARIES[0]
    assert program.read_bytes() == b"#!/bin/sh\necho 1.9.1\n"
    assert program.stat().st_mode & 0o7777 == 0o755
    assert not (head.root / IMAGE / BINARIES[0]).exists()
    assert "No changes" in head.build().out


@pytest.mark.parametrize(
    ("sha256", "gone", "says"), [("a" * 64, False, f"and {'a' * 64} is wanted"), ("", True, "there is no file")]
)
def test_what_is_wrong_with_an_artifact_is_a_problem_of_the_plan(
    head: Head, sha256: str, gone: bool, says: str
) -> None:
    (head.root / IMAGE / BINARIES[0]).unlink()
    artifact(head, sha256=sha256)
    if gone:
        (head.root / "root/node_exporter").unlink()
    for words in (("image", "plan", "dgx-h100"), ("plan",)):
        outcome = head.run(*words)
        assert outcome.status == 1
        assert says in outcome.out
        assert "has no program" not in outcome.out
    before = head.all()
    assert says in head.build(status=1).err
    assert head.all() == before


def test_a_recipe_of_the_site_adds_to_the_image(head: Head) -> None:
    head.site("recipes: {login: login}\n")
    assert head.run("image", "build", "login", "--yes").status == 0
    assert (head.root / "cm/images/login-image-jobstats/etc/profile.d/bcm-jobstats.sh").exists()
    assert not (head.root / "cm/images/login-image/etc/profile.d/bcm-jobstats.sh").exists()
    head.records().remove("login")
    planned = json.loads(head.run("plan", "--json").out)["changes"]
    assert "file.login-image:/etc/profile.d/bcm-jobstats.sh" in {change["address"] for change in planned}


def test_a_clone_that_breaks_off_is_removed_and_the_same_command_completes(head: Head) -> None:
    before = head.all()
    head.simulator.control({"op": "fault", "kind": "fail_clone", "message": "I/O error"})
    outcome = head.build(status=1)
    assert "was not whole and was removed: /" in outcome.err
    assert below(head.all(), "cm") == below(before, "cm")
    assert head.images() == {"default-image", "dgx-image", "login-image"}
    assert head.record() is None
    head.build()


def test_too_little_room_is_told_before_anything_is_changed(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clonecheck, "allocated", lambda root: 42 * (1 << 30))
    monkeypatch.setattr(clonecheck, "free", lambda path: 7 * (1 << 29))
    before = head.all()
    outcome = head.build(status=1)
    assert "takes 42.0 GiB, and 3.5 GiB are free" in outcome.err
    assert head.all() == before


def test_a_disk_that_fills_up_costs_the_clone_alone(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    before = head.all()

    def full(path: Path, *rest: Any) -> None:
        if path.name == "node_exporter.service":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write_atomically(path, *rest)

    monkeypatch.setattr(trees, "write_atomically", full)
    outcome = head.build(status=1)
    assert "is full" in outcome.err and "No space left on device" in outcome.err
    assert "The clone was removed" in outcome.err
    assert head.images() == {"default-image", "dgx-image", "login-image"}
    assert below(head.all(), IMAGE) == below(before, IMAGE)
    assert not (head.root / CLONE).exists()
    assert head.record() is None
    monkeypatch.undo()
    head.build()


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="a file system of its own needs root")
def test_a_file_system_that_really_is_full_costs_the_clone_alone(head: Head, tmp_path: Path) -> None:
    images = head.root / "cm/images"
    before = head.all()
    shutil.copytree(images, tmp_path / "images", symlinks=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M,mode=0755", "bcm-jobstats-test", str(images)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{tmp_path}/images/.", str(images)], check=True)
        # A clone fits; what is written into it then does not.
        room = clonecheck.allocated(images / "dgx-image") + 64 * 1024
        ballast = images / "ballast"
        ballast.write_bytes(b"x" * (clonecheck.free(images) - room))
        outcome = head.build(status=1)
        assert "No space left on device" in outcome.err and "The clone was removed" in outcome.err
        assert not (head.root / CLONE).exists()
        assert below(head.all(), IMAGE) == below(before, IMAGE)
        assert head.record() is None
        ballast.unlink()
        head.build()
    finally:
        subprocess.run(["umount", str(images)], check=True)


def test_a_failed_check_stops_before_anything_can_be_rolled_out(head: Head) -> None:
    folder = "etc/bcm-jobstats/images.d"
    head.site("recipes: {dgx-h100: own}\n")
    head.write(f"{folder}/own.yaml", "name: own\nfiles: [{path: /etc/own.conf, template: own.conf.j2}]\n")
    template = head.write(f"{folder}/own.conf.j2", "-----BEGIN PRIVATE KEY-----\n")
    outcome = head.build(status=1)
    assert "no private keys" in outcome.out and "/etc/own.conf" in outcome.out
    assert (head.record() or Record("", "", "", "")).stage == BUILDING
    template.write_text("harmless\n")
    head.build()
    assert (head.record() or Record("", "", "", "")).stage == BUILT


REFUSED = {
    "--to of another image": (("--to", "login-image"), "there is an image of that name"),
    "--to of its own": (("--to", "dgx-image"), "there is an image of that name"),
    "--to out of the directory": (("--to", "../x"), "cannot be the name"),
    "--to of a directory": (("--to", "stray"), "BCM knows no such image"),
    "--to and --in-place": (("--to", "x", "--in-place"), "does not go with"),
}


@pytest.mark.parametrize(("words", "says"), REFUSED.values(), ids=REFUSED)
def test_a_target_that_is_not_ours_is_refused(head: Head, words: tuple[str, ...], says: str) -> None:
    (head.root / "cm/images/stray").mkdir()
    before = head.all()
    assert says in head.build(*words, status=1).err
    assert head.all() == before


def test_another_target_than_the_one_begun_is_refused(head: Head) -> None:
    head.build("--to", "mine")
    assert "image mine was begun" in head.build("--to", "other", status=1).err
    assert "image mine was begun" in head.build("--in-place", status=1).err
    assert "No changes" in head.build().out


def test_an_unknown_category_is_told_with_a_name_that_is_near(head: Head) -> None:
    outcome = head.run("image", "build", "dgx-h10", "--yes")
    assert (outcome.status, "dgx-h100" in outcome.err) == (1, True)


def test_after_a_rollout_the_next_build_has_a_new_name(head: Head) -> None:
    head.build()
    head.use("dgx-image-jobstats")
    record = head.record()
    assert record
    head.records().save(record.at(DONE))
    before = head.all()
    assert "No changes" in head.build().out
    assert head.all() == before
    head.site("exporters: {node_exporter: {port: 9101}}\n")
    head.build()
    record = head.record()
    assert record and (record.source, record.image) == ("dgx-image-jobstats", "dgx-image-jobstats-2")
    assert "9101" in (head.root / "cm/images/dgx-image-jobstats-2" / UNIT).read_text()
    assert "9101" not in (head.root / CLONE / UNIT).read_text()


def test_a_clone_that_breaks_off_gives_the_finished_record_back(head: Head) -> None:
    head.build()
    head.use("dgx-image-jobstats")
    done = (head.record() or Record("", "", "", "")).at(DONE)
    head.records().save(done)
    head.site("exporters: {node_exporter: {port: 9101}}\n")
    head.simulator.control({"op": "fault", "kind": "fail_clone"})
    head.build(status=1)
    assert head.record() == done


@pytest.mark.parametrize("whole", [True, False])
def test_a_run_killed_while_bcm_copied_is_completed(head: Head, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PATIENCE", 0.0)
    monkeypatch.setattr(build, "SECOND", 0.01)
    cmsh(head.simulator, "softwareimage; clone dgx-image dgx-image-jobstats; commit -w")
    head.records().save(Record("dgx-h100", "dgx-image", "dgx-image-jobstats", CLONING))
    (head.root / CLONE / "mark").touch()
    if not whole:
        (head.root / CLONE / BINARIES[0]).unlink()
    head.build()
    assert (head.root / CLONE / "mark").exists() == whole
    assert (head.root / CLONE / BINARIES[0]).exists()


def test_in_place_changes_the_image_in_use_and_can_be_rolled_back(head: Head) -> None:
    before = head.all()
    head.build("--in-place")
    record = head.record()
    assert record and record.source == record.image == "dgx-image"
    assert (head.root / IMAGE / UNIT).exists()
    assert head.images() == {"default-image", "dgx-image", "login-image"}
    head.records().remove("dgx-h100")
    assert head.run("rollback", "--yes").status == 0
    assert head.all() == before


def test_in_place_takes_over_nothing_unasked(head: Head) -> None:
    head.write(f"{IMAGE}/{UNIT}", "mine\n")
    assert "--adopt" in head.build("--in-place", status=1).err
    assert (head.root / IMAGE / UNIT).read_text() == "mine\n"
    head.build()
    assert (head.root / IMAGE / UNIT).read_text() == "mine\n"
    assert (head.root / CLONE / UNIT).read_text() != "mine\n"


def test_a_hook_of_an_administrator_on_shared_storage_is_not_taken_over_unasked(head: Head) -> None:
    hook = head.write("cm/shared/apps/slurm/var/cm/prolog-jobstats.sh", "mine\n")
    assert "--adopt" in head.build(status=1).err
    assert hook.read_text() == "mine\n"
    assert head.images() == {"default-image", "dgx-image", "login-image"}
    head.build("--adopt")
    assert hook.read_text() != "mine\n"


def test_apply_waits_for_a_build_to_be_rolled_out(head: Head) -> None:
    assert head.run("apply", "--yes").status == 0
    head.site("exporters: {node_exporter: {port: 9101}}\n")
    head.build()
    before = head.all()
    outcome = head.run("apply", "--yes")
    assert outcome.status == 1
    assert "image dgx-image-jobstats was built for category dgx-h100 and is not rolled out" in outcome.err
    told = json.loads(head.run("plan", "--json").out)
    assert not [one for one in told["changes"] if "image" in one["address"]]
    assert head.all() == before


def test_apply_leaves_the_former_image_to_a_rollback_and_destroy_sees_it(head: Head) -> None:
    before = head.all()
    assert head.run("apply", "--yes").status == 0
    filled = below(head.all(), IMAGE)
    head.site("exporters: {node_exporter: {port: 9101}}\n")
    head.build()
    head.use("dgx-image-jobstats")
    head.records().save((head.record() or Record("", "", "", "")).at(DONE))
    planned = json.loads(head.run("plan", "--json").out)
    assert not [one for one in planned["changes"] if one["address"].startswith(("file.", "line."))]
    assert head.run("apply", "--yes").status == 0
    assert below(head.all(), IMAGE) == filled
    outcome = head.run("destroy", "--yes")
    assert outcome.status == 0
    assert "bcm-jobstats image rollback dgx-h100" in outcome.out
    assert below(head.all(), IMAGE) == below(before, IMAGE)
    assert below(head.all(), CLONE) == below(before, IMAGE)


def test_a_category_without_nodes_gets_an_image_too(head: Head) -> None:
    cmsh(head.simulator, "category; clone dgx-h100 dgx-new; commit")
    cmsh(head.simulator, "configurationoverlay; use slurm-client; append categories dgx-new; commit")
    outcome = head.run("image", "build", "dgx-new", "--yes", "--json")
    assert outcome.status == 0, outcome.err
    assert (head.root / CLONE / UNIT).exists()


def test_json_tells_how_it_ended(head: Head) -> None:
    told = json.loads(head.build("--json").out)
    assert (told["category"], told["source"], told["image"], told["stage"]) == (
        "dgx-h100", "dgx-image", "dgx-image-jobstats", "built")  # fmt: skip
    assert told["changes"] > 10
    assert {"name", "state", "detail"} == set(told["checks"][0])
    again = json.loads(head.build("--json").out)
    assert (again["changes"], again["image"], again["digest"]) == (0, told["image"], told["digest"])


def test_no_is_no(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    before = head.all()
    outcome = head.run("image", "build", "dgx-h100")
    assert (outcome.status, "Nothing was changed" in outcome.err) == (1, True)
    assert head.all() == before


@pytest.mark.slow
def test_killed_again_and_again_it_comes_to_its_end(head: Head, tmp_path: Path) -> None:
    """Each run gets five writes further, and what is there in the end is what one run makes."""
    for _ in range(MOST_KILLS):
        if not killed_after(5, head.root, "image", "build", "dgx-h100", "--yes"):
            break
    else:
        pytest.fail("it never came to its end")
    with cluster(tmp_path / "other", nodes=2) as simulator:
        other = Head(simulator)
        other.build()
        assert below(head.all(), CLONE) == below(other.all(), CLONE)
        assert below(head.all(), IMAGE) == below(other.all(), IMAGE)
        assert below(head.all(), "cm/shared") == below(other.all(), "cm/shared")
