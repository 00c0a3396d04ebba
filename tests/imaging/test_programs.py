"""Programs in images: whose they are, what is put right, what is given back, what a kill or a full disk leaves."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any, Optional

import pytest

from bcm_jobstats.imaging import payload, programs
from bcm_jobstats.imaging.build import NoJournal
from bcm_jobstats.imaging.elf import WrongArchitecture
from bcm_jobstats.imaging.manifest import clear_leftovers
from bcm_jobstats.imaging.originals import SharedOriginals
from bcm_jobstats.imaging.programs import ProgramProvider, desired, program_state
from bcm_jobstats.imaging.sources import NotSupplied, Resolved, Sources
from bcm_jobstats.imaging.store import NotKept, Store
from bcm_jobstats.imaging.trees import DEFAULT_MANIFEST, InTheWay, OutOfTree, Tree, TreeProvider
from bcm_jobstats.plan import planner
from bcm_jobstats.plan.apply import carry_out
from bcm_jobstats.plan.model import Plan
from bcm_jobstats.plan.resource import Former, Resource
from bcm_jobstats.stack.files import Program
from tests.imaging.artifacts import artifact, elf, sum_of

NAME = "image:/usr/local/bin/exporter"
OWNER = f"{os.getuid()}:{os.getgid()}"
OLD, NEW = elf(rest=b"\xff\x00 old" * 99), elf(rest=b"new" * 99)


class Made:
    """An image with a provider over it, and plans carried out on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store.of_head(root.parent)
        tree = Tree("image", root, "/cm/images/image")
        self.originals = SharedOriginals(payload.shared_tree(root.parent))
        self.provider = ProgramProvider(1, 1, [tree], self.store, self.originals)
        self.files = TreeProvider("file", 1, 1, [tree])
        self.path = root / "usr/local/bin/exporter"

    def plan(self, *wanted: Resource, adopt: bool = False) -> Plan:
        return planner.make([self.provider, self.files], wanted, adopt=adopt, originals=self.originals.all())

    def apply(self, *wanted: Resource, adopt: bool = False) -> list[str]:
        plan = self.plan(*wanted, adopt=adopt)
        assert plan.conflicts == ()
        carry_out(plan, [self.provider, self.files], NoJournal(), self.originals)
        return [f"{change.action} {change.name}" for change in plan.changes]

    def names(self) -> dict[str, tuple[int, Optional[bytes]]]:
        return {
            str(path.relative_to(self.root)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
            for path in self.root.rglob("*")
        }


@pytest.fixture
def image(tmp_path: Path) -> Made:
    (tmp_path / "image/usr/local/bin").mkdir(parents=True)
    return Made(tmp_path / "image")


def wanted(image: Made, content: bytes = NEW, version: str = "1.1", mode: int = 0o755) -> Resource:
    sha256 = image.store.put([content])
    image.store.learn(f"version {sha256}", version)
    values = program_state(Resolved(image.store.folder / sha256, sha256, version, ""), mode, OWNER)
    return Resource("artifact", NAME, values, mark="managed", whole=True)


def theirs(image: Made, content: bytes = OLD) -> dict[str, tuple[int, Optional[bytes]]]:
    image.path.write_bytes(content)
    image.path.chmod(0o711)
    return image.names()


@pytest.mark.parametrize("mode", [0o755, 0o750])
def test_a_program_is_put_there_once_and_goes_without_a_trace(image: Made, mode: int) -> None:
    before = image.names()
    assert image.apply(wanted(image, mode=mode)) == [f"create {NAME}"]
    assert (image.path.read_bytes(), stat.S_IMODE(image.path.stat().st_mode)) == (NEW, mode)
    manifest = json.loads((image.root / "etc/bcm-jobstats/manifest.json").read_text())
    assert manifest["entries"]["/usr/local/bin/exporter"] == {
        "type": "program", "sha256": sum_of(NEW), "mode": f"{mode:04o}", "owner": OWNER, "version": "1.1",
    }  # fmt: skip
    assert image.apply(wanted(image, mode=mode)) == []
    assert image.apply() == [f"delete {NAME}"]
    assert image.names() == before


def test_another_version_takes_its_place(image: Made) -> None:
    image.apply(wanted(image, OLD, "1.0"))
    plan = image.plan(wanted(image))
    assert [(change.action, change.fields()) for change in plan.changes] == [("update", ["sha256", "version"])]
    image.apply(wanted(image))
    assert image.path.read_bytes() == NEW


def test_a_running_program_is_replaced(image: Made) -> None:
    """Not written to: the kernel refuses that, and the process would crash."""
    image.path.write_bytes(Path("/bin/sleep").read_bytes())
    image.path.chmod(0o755)
    with subprocess.Popen([str(image.path), "100"]) as process:
        image.apply(wanted(image), adopt=True)
        assert process.poll() is None
        process.kill()
    assert image.path.read_bytes() == NEW


DRIFT = {
    "a byte": lambda path: path.write_bytes(NEW[:-1] + b"x"),
    "world-writable": lambda path: path.chmod(0o777),
    "removed": lambda path: path.unlink(),
    "a link": lambda path: (path.unlink(), path.symlink_to("/bin/true")),
}


@pytest.mark.parametrize("edit", DRIFT.values(), ids=DRIFT)
def test_what_is_ours_is_put_right(image: Made, edit: Any) -> None:
    image.apply(wanted(image))
    before = image.names()
    edit(image.path)
    assert len(image.apply(wanted(image))) == 1
    assert image.names() == before


def test_a_program_of_the_administrators_is_a_conflict(image: Made) -> None:
    before = theirs(image)
    plan = image.plan(wanted(image))
    assert plan.changes == ()
    assert [conflict.found["sha256"] for conflict in plan.conflicts] == [sum_of(OLD)]
    assert image.names() == before


def test_a_program_of_the_administrators_that_is_as_wanted_stays_theirs(image: Made) -> None:
    theirs(image, NEW)
    image.path.chmod(0o755)
    before = image.names()
    assert image.apply(wanted(image)) == []
    assert image.apply() == []
    assert image.names() == before


def test_an_adopted_program_is_given_back_byte_for_byte(image: Made) -> None:
    before = theirs(image)
    assert image.apply(wanted(image), adopt=True) == [f"adopt {NAME}"]
    assert image.apply(wanted(image, NEW + b"2", "1.2")) == [f"update {NAME}"]
    assert image.apply() == [f"update {NAME}"]
    assert image.names() == before
    assert image.apply() == []


def test_an_adopted_link_is_given_back(image: Made) -> None:
    image.path.symlink_to("/opt/exporter-0.9/exporter")
    before = image.names()
    image.apply(wanted(image), adopt=True)
    assert image.path.read_bytes() == NEW
    image.apply()
    assert str(image.path.readlink()) == "/opt/exporter-0.9/exporter"
    assert image.names() == before


def test_an_original_that_was_lost_is_told_and_ours_stays(image: Made) -> None:
    theirs(image)
    image.apply(wanted(image), adopt=True)
    (image.originals.folder / sum_of(OLD)).unlink()
    with pytest.raises(NotKept, match=f"artifact.{NAME}: its file .*{sum_of(OLD)} is not there"):
        image.apply()
    assert image.path.read_bytes() == NEW


def test_a_roll_back_puts_the_former_version_there(image: Made) -> None:
    image.apply(wanted(image, OLD, "1.0"))
    former = dict(wanted(image, OLD, "1.0").values)
    image.apply(wanted(image))
    plan = planner.towards([image.provider], {f"artifact.{NAME}": Former(former, frozenset({"sha256", "version"}))})
    carry_out(plan, [image.provider], NoJournal(), image.originals)
    assert image.path.read_bytes() == OLD
    assert image.apply(wanted(image, OLD, "1.0")) == []


def test_programs_and_files_share_a_manifest_and_keep_apart(image: Made) -> None:
    from bcm_jobstats.imaging.trees import file_state

    file = Resource("file", "image:/etc/file", file_state(b"x", 0o644, OWNER), mark="managed", whole=True)
    assert image.apply(wanted(image), file) == [f"create {NAME}", "create image:/etc/file"]
    assert image.apply(wanted(image), file) == []
    assert image.apply(file) == [f"delete {NAME}"]
    assert (image.root / "etc/file").exists()


def test_a_directory_in_the_way_is_told(image: Made) -> None:
    image.path.mkdir()
    with pytest.raises(InTheWay, match="is there and is not a file"):
        image.apply(wanted(image), adopt=True)


def test_a_way_that_leads_out_of_the_image_is_refused(image: Made, tmp_path: Path) -> None:
    (image.root / "usr/local/bin").rmdir()
    (image.root / "usr/local/bin").symlink_to(tmp_path)
    with pytest.raises(OutOfTree):
        image.plan(wanted(image))


def test_an_entry_without_its_program_is_struck_off(image: Made) -> None:
    before = image.names()
    image.apply(wanted(image))
    image.path.unlink()
    assert image.apply() == [f"delete {NAME}"]
    assert image.names() == before


def test_a_program_without_an_entry_is_never_removed(image: Made) -> None:
    theirs(image)
    assert image.apply() == []
    assert image.path.read_bytes() == OLD


def killed(image: Made, monkeypatch: pytest.MonkeyPatch, step: str, *resources: Resource) -> None:
    """A run that ends before one of its steps."""
    with monkeypatch.context() as patched:
        patched.setattr(Path, step, _stop)
        with pytest.raises(KeyboardInterrupt):
            image.apply(*resources, adopt=True)


def _stop(*args: Any, **kwargs: Any) -> None:
    raise KeyboardInterrupt


def shared(image: Made) -> list[str]:
    """What is on shared storage."""
    return sorted(str(path.relative_to(image.root.parent)) for path in (image.root.parent / "cm").rglob("*"))


def test_an_original_is_kept_on_shared_storage_for_root_only_until_it_is_given_back(image: Made) -> None:
    before = theirs(image)
    image.apply(wanted(image), adopt=True)
    folder = image.root.parent / "cm/shared/apps/jobstats/originals"
    assert [path.name for path in folder.iterdir()] == [sum_of(OLD)]
    kept = folder / sum_of(OLD)
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(kept.stat().st_mode)) == (0o700, 0o600)
    assert not (image.store.folder / sum_of(OLD)).exists()
    other = Made(image.root)  # the other head node, which has a store of its own
    other.store.folder.rename(image.root.parent / "lost")
    other.apply()
    assert image.names() == before
    assert shared(image) == []


def test_an_original_that_two_images_had_stays_for_the_second(image: Made) -> None:
    theirs(image)
    image.apply(wanted(image), adopt=True)
    image.originals.hold("artifact.clone:/usr/local/bin/exporter", image.originals.all()[f"artifact.{NAME}"])
    image.apply()
    assert image.originals.require(sum_of(OLD), "").read_bytes() == OLD
    image.originals.clear()
    assert shared(image) == []


def test_another_program_in_the_place_of_an_original_is_not_given_back(image: Made) -> None:
    theirs(image)
    image.apply(wanted(image), adopt=True)
    (image.originals.folder / sum_of(OLD)).write_bytes(b"another")
    with pytest.raises(NotKept, match="is damaged"):
        image.apply()
    assert image.path.read_bytes() == NEW


STEPS = ("replace", "rename", "mkdir", "chmod", "unlink", "rmdir")


def stopped_after(writes: int, image: Made, monkeypatch: pytest.MonkeyPatch, *resources: Resource) -> bool:
    """A run that ends right after one of its changes of the file system; False: it came to its end before that."""
    left = [writes]

    def counted(function: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return result

        return wrapper

    with monkeypatch.context() as patched:
        for step in STEPS:
            patched.setattr(Path, step, counted(getattr(Path, step)))
        try:
            image.apply(*resources, adopt=True)
        except KeyboardInterrupt:
            return True
    return False


@pytest.mark.parametrize("way", ["adopt", "give back"])
def test_stopped_anywhere_no_original_is_lost_and_none_is_left(
    image: Made, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    before = theirs(image)
    resource = wanted(image)
    for writes in range(1, 60):
        if way == "give back":
            image.apply(resource, adopt=True)
        stopped = stopped_after(writes, image, monkeypatch, *([resource] if way == "adopt" else []))
        for root, manifest in ((image.root, DEFAULT_MANIFEST), (image.root.parent, payload.RECORD)):
            clear_leftovers(root, manifest)  # as every run begins
        if way == "adopt":
            image.apply(resource, adopt=True)
            assert image.path.read_bytes() == NEW
        image.apply()
        image.originals.clear()  # as `destroy` ends
        assert image.names() == before, writes
        assert shared(image) == [], writes
        if not stopped:
            assert writes > 5
            return
    pytest.fail("more changes than expected")


def test_a_link_at_the_temporary_name_is_not_followed(image: Made, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("the head's")
    (image.path.parent / ".exporter.bcm-jobstats").symlink_to(tmp_path / "precious")
    image.apply(wanted(image))
    assert (tmp_path / "precious").read_text() == "the head's"
    assert image.path.read_bytes() == NEW


def test_a_pipe_in_the_place_of_a_program_is_told_and_stays(image: Made) -> None:
    os.mkfifo(image.path)
    assert [conflict.found["sha256"] for conflict in image.plan(wanted(image)).conflicts] == [""]
    with pytest.raises(InTheWay, match="is there and is not a file"):
        image.apply(wanted(image), adopt=True)
    image.originals.clear()
    image.path.unlink()
    image.apply(wanted(image))
    image.path.unlink()
    os.mkfifo(image.path)
    assert image.apply() == [f"delete {NAME}"]
    assert stat.S_ISFIFO(image.path.lstat().st_mode)
    assert image.apply() == []


@pytest.mark.parametrize("step", ["replace", "open", "mkdir", "chmod"])
def test_stopped_at_a_step_the_next_run_completes_and_can_give_back(
    image: Made, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = theirs(image)
    resource = wanted(image)
    killed(image, monkeypatch, step, resource)
    assert image.path.read_bytes() == OLD
    image.apply(resource, adopt=True)
    assert image.path.read_bytes() == NEW
    image.apply()
    assert image.names() == before


def test_a_leftover_of_a_killed_run_goes(image: Made) -> None:
    before = image.names()
    image.apply(wanted(image))
    (image.path.parent / ".exporter.bcm-jobstats").write_bytes(b"half")
    image.apply()
    assert image.names() == before


def test_a_full_disk_leaves_no_half_program(image: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    before = theirs(image)
    resource = wanted(image)
    with monkeypatch.context() as patched:
        patched.setattr(programs, "read", _full)
        with pytest.raises(Exception, match=f"artifact.{NAME}: .*No space left on device"):
            image.apply(resource, adopt=True)
    assert image.path.read_bytes() == OLD
    assert not list(image.path.parent.glob(".*"))
    image.apply(resource, adopt=True)
    image.apply()
    assert image.names() == before


def _full(file: Path) -> Any:
    yield b"half of it"
    raise OSError(28, "No space left on device")


def test_the_commands_do_the_same_by_hand(image: Made) -> None:
    create = image.provider.commands(NAME, None, wanted(image).values)
    uid, gid = OWNER.split(":")
    assert create == [
        f"install -D -o {uid} -g {gid} -m 0755 /var/lib/bcm-jobstats/artifacts/{sum_of(NEW)}"
        " /cm/images/image/usr/local/bin/exporter"
    ]
    given_back = {"sha256": sum_of(OLD), "mode": "0711", "owner": OWNER, "managed": False}
    (command,) = image.provider.commands(NAME, {}, given_back)
    assert f" /cm/shared/apps/jobstats/originals/{sum_of(OLD)} " in command
    assert image.provider.commands(NAME, {}, None) == ["rm /cm/images/image/usr/local/bin/exporter"]


def supplied(image: Made, machine: str = "x86_64", **supply: Any) -> Program:
    (image.root.parent / "exporter").write_bytes(NEW)
    one = artifact(machine=machine, **(supply or {"file": "/exporter", "sha256": sum_of(NEW)}))
    return Program("exporter", "/usr/local/bin/exporter", 0o755, one, None)


def resources(image: Made, program: Program, architecture: str) -> list[Resource]:
    tree = Tree("image", image.root, "/cm/images/image")
    return list(desired(tree, [program], Sources(image.root.parent, image.store), architecture))


def test_what_the_site_supplies_becomes_a_resource(image: Made) -> None:
    (resource,) = resources(image, supplied(image), "x86_64")
    assert resource.address == f"artifact.{NAME}"
    assert resource.values == {
        "sha256": sum_of(NEW), "mode": "0755", "owner": "0:0", "version": "1.0", "managed": True,
    }  # fmt: skip


def test_a_package_becomes_a_resource_of_its_own_kind(image: Made) -> None:
    (resource,) = resources(image, supplied(image, package="dcgm"), "x86_64")
    assert (resource.address, resource.values) == ("package.image:dcgm", {"version": "1.0", "managed": True})


def test_a_program_for_another_processor_is_refused(image: Made) -> None:
    program = supplied(image, "aarch64", file="/exporter", sha256=sum_of(NEW))
    told = "artifact exporter for software image image: is a program for x86_64, and the image is for aarch64"
    with pytest.raises(WrongArchitecture, match=told):
        resources(image, program, "aarch64")


def test_an_image_of_a_processor_that_the_site_has_nothing_for(image: Made) -> None:
    with pytest.raises(NotSupplied, match="the site file has it for x86_64 only"):
        resources(image, supplied(image), "aarch64")
