"""The cache of base trees: made once, whole or not at all, and nothing left over; and what is in the real ones."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.simulator.cluster import RELEASES
from bcm_jobstats.simulator.lab import bases, recipes
from tests.harness import until

TREES = 'mkdir "$1/node" "$1/head"; echo "lab-step: all"; echo "$1" >>"$1/../../runs"\n'
"""A recipe that takes milliseconds, and counts how often it ran."""
BLOCKS = (
    'mkdir "$1/half"; mount -t tmpfs stand-in "$1/half"; echo "lab-step: blocked"\n'
    'timeout 30 cat "$1/../../gate" || touch "$1/../../late"\n'
)
"""A recipe that waits, in the middle of its work and with a mount, until the test writes to the gate."""
RELEASE = "bookworm"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(bases.CACHE_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def recipe(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replaces the real recipe by a text."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for namespaces")
    missing = [program for program in ("unshare", "setpriv") if not shutil.which(program)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    monkeypatch.setattr(bases, "missing_programs", list)

    def use(text: str) -> None:
        monkeypatch.setattr(recipes, "script", lambda release: f"set -e\n{text}")

    use(TREES)
    return use


def ignore(line: str) -> None:
    """Takes a step and tells nobody."""


def runs(cache: Path) -> int:
    return len((cache / "runs").read_text().splitlines())


def entries(cache: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in (cache / "bases").iterdir())


def free(cache: Path) -> bool:
    """Whether the last process of a build has ended."""
    with (cache / f"bases/{RELEASE}.lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def processes(cache: Path) -> list[Path]:
    """The processes that have the cache in their command line, as directories of /proc."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(cache) in words and file.parent.name != str(os.getpid()):
            found.append(file.parent)
    return found


# Without root


@pytest.mark.parametrize("release", RELEASES)
def test_recipe_is_a_shell_script_without_blanks_left(release: str) -> None:
    text = recipes.script(release)
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert f" {release} node" in text
    assert not [name for name in ("@STEP@", "@RELEASE@", "@MASKED@", "@LEFT_OUT@") if name in text]
    for package in (*recipes.NODE_PACKAGES, *recipes.HEAD_PACKAGES):
        assert package in text


def test_a_changed_recipe_has_another_place(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {bases._place(release) for release in RELEASES}
    monkeypatch.setattr(recipes, "HEAD_PACKAGES", (*recipes.HEAD_PACKAGES, "hello"))
    places |= {bases._place(release) for release in RELEASES}
    assert len(places) == 4
    assert {place.parent for place in places} == {cache / "bases"}


def test_ready_only_when_the_finished_tree_is_there(cache: Path) -> None:
    assert bases.ready(RELEASE) is None
    (cache / f"bases/{RELEASE}.part").mkdir(parents=True)
    assert bases.ready(RELEASE) is None
    bases._place(RELEASE).mkdir()
    found = bases.ready(RELEASE)
    assert found == bases.Bases(RELEASE, bases._place(RELEASE) / "node", bases._place(RELEASE) / "head")


def test_cache_is_where_the_variable_says(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bases.cache() == cache
    monkeypatch.setenv(bases.CACHE_VARIABLE, "")
    assert bases.cache() == Path("/var/cache/bcm-jobstats-lab")


def test_refusals_name_cause_and_remedy(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(bases.BaseError, match=r"potato .* no recipe .* Choose one of bookworm, trixie"):
        bases.build("potato", ignore)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(bases.BaseError, match=r"needs root\. Run it with sudo"):
        bases.build(RELEASE, ignore)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        shutil, "which", lambda program, path: None if program == "mmdebstrap" else f"/usr/bin/{program}"
    )
    assert bases.missing_programs() == ["mmdebstrap (package mmdebstrap)"]
    with pytest.raises(bases.BaseError, match=r"missing mmdebstrap .* Install"):
        bases.build(RELEASE, ignore)
    assert not (cache / "bases").exists()


# With root, and a recipe of our own


@pytest.mark.lab
def test_built_once_and_told_by_steps(cache: Path, recipe: Any) -> None:
    told: list[str] = []
    made = bases.build(RELEASE, told.append)
    assert told == [f"{RELEASE}: all"]
    assert made == bases.ready(RELEASE)
    assert made.node.is_dir() and made.head.is_dir()
    assert bases.build(RELEASE, told.append) == made
    assert runs(cache) == 1
    assert entries(cache) == [RELEASE, f"{RELEASE}.lock"]


@pytest.mark.lab
def test_failure_tells_step_cause_and_remedy_and_leaves_nothing(cache: Path, recipe: Any) -> None:
    recipe('mkdir "$1/half"; echo "lab-step: unpack"; echo "cp: x: No space left on device" >&2; exit 28\n')
    with pytest.raises(bases.BaseError) as caught:
        bases.build(RELEASE, ignore)
    for part in (str(cache), "step 'unpack' failed", "cp: x: No space", bases.CACHE_VARIABLE):
        assert part in str(caught.value)
    assert entries(cache) == [f"{RELEASE}.lock"]
    recipe(TREES)
    assert bases.build(RELEASE, ignore)


@pytest.mark.lab
def test_a_cache_that_cannot_be_written_is_named(cache: Path, recipe: Any) -> None:
    (cache / "bases").write_text("a file in the way")
    with pytest.raises(bases.BaseError, match=str(cache / "bases")):
        bases.build(RELEASE, ignore)


@pytest.mark.lab
def test_interrupted_build_leaves_nothing(cache: Path, recipe: Any) -> None:
    os.mkfifo(cache / "gate")
    recipe(BLOCKS)

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bases.build(RELEASE, interrupt)
    assert not (cache / "late").exists(), "the recipe was not killed, it ran to its end"
    assert entries(cache) == [f"{RELEASE}.lock"]
    assert free(cache)
    assert processes(cache) == []


@pytest.mark.lab
def test_killed_build_leaves_no_process_and_no_mount_and_the_next_one_succeeds(cache: Path, recipe: Any) -> None:
    os.mkfifo(cache / "gate")
    program = (
        "import sys; from bcm_jobstats.simulator.lab import bases, recipes\n"
        f"bases.missing_programs = list; recipes.script = lambda release: {BLOCKS!r}\n"
        f"bases.build({RELEASE!r}, lambda line: print(line, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as builder:
        assert builder.stdout and builder.stdout.readline() == f"{RELEASE}: blocked\n"
        lock = cache / f"bases/{RELEASE}.lock"
        for process in processes(cache):
            assert lock in [entry.readlink() for entry in (process / "fd").iterdir()], "it could outlive the lock"
        assert processes(cache)
        builder.send_signal(signal.SIGKILL)
    until(lambda: free(cache), what="end of the killed build's processes")
    assert processes(cache) == []
    assert str(cache) not in Path("/proc/self/mountinfo").read_text()
    assert (cache / f"bases/{RELEASE}.part/half").is_dir(), "the test did not kill it in the middle"
    assert bases.build(RELEASE, ignore) == bases.ready(RELEASE)
    assert entries(cache) == [RELEASE, f"{RELEASE}.lock"]


@pytest.mark.lab
def test_second_build_waits_and_says_so(cache: Path, recipe: Any) -> None:
    os.mkfifo(cache / "gate")
    recipe(BLOCKS + TREES)
    first: list[str] = []
    second: list[str] = []
    threads = [threading.Thread(target=bases.build, args=(RELEASE, told.append)) for told in (first, second)]
    threads[0].start()
    until(lambda: f"{RELEASE}: blocked" in first)
    threads[1].start()
    until(lambda: second)
    (cache / "gate").write_text("go\n")
    for thread in threads:
        thread.join()
    assert second == [f"{RELEASE}: another process makes it; waiting for that"]
    assert runs(cache) == 1
    assert bases.ready(RELEASE)


@pytest.fixture
def used(cache: Path, recipe: Any) -> Iterator[bases.Bases]:
    """Trees that a mount in some other namespace lies on."""
    made = bases.build(RELEASE, ignore)
    mount = f"mount -t overlay overlay -o ro,lowerdir={made.head}:{made.node} {cache}/bases && echo up && read -r end"
    holder = ["unshare", "--mount", "sh", "-c", mount]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "up\n"
        yield made


@pytest.mark.lab
def test_trees_of_an_earlier_recipe_go_unless_they_are_used(cache: Path, recipe: Any, used: bases.Bases) -> None:
    recipe(TREES + "# second\n")
    assert bases.ready(RELEASE) is None
    second = bases.build(RELEASE, ignore)
    assert used.node.is_dir()
    recipe(TREES + "# third\n")
    bases.build(RELEASE, ignore)
    assert used.node.is_dir()
    assert not second.node.parent.exists()
    assert entries(cache) == [RELEASE, RELEASE, f"{RELEASE}.lock"]


# The real trees


@pytest.fixture(scope="module", params=RELEASES)
def real(request: pytest.FixtureRequest) -> bases.Bases:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if bases.missing_programs():
        pytest.skip(f"needs {', '.join(bases.missing_programs())}")
    return bases.build(request.param, print)


def ids(tree: Path, name: str, file: str = "passwd") -> tuple[int, int]:
    for line in (tree / "etc" / file).read_text().splitlines():
        words = line.split(":")
        if words[0] == name:
            return int(words[2]), int(words[3])
    return pytest.fail(f"no {name} in {tree}/etc/{file}")


@pytest.mark.lab
def test_users_are_the_same_on_head_and_node(real: bases.Bases) -> None:
    for name in ("slurm", "munge", "alice", "messagebus"):
        assert ids(real.node, name) == ids(real.head, name)
    assert ids(real.node, "alice") == (2001, 2001)
    home = (real.node / "home/alice").stat()
    assert (home.st_uid, home.st_gid) == (2001, 2001)
    key = (real.node / "etc/munge/munge.key").stat()
    assert (key.st_uid, key.st_mode & 0o777) in {(ids(real.node, "munge")[0], mode) for mode in (0o400, 0o600)}
    assert not (real.head / "etc/munge/munge.key").exists()


@pytest.mark.lab
def test_nothing_is_enabled_and_no_trace_of_the_machine_that_made_it(real: bases.Bases) -> None:
    for tree in (real.node, real.head):
        assert list((tree / "etc/systemd/system").glob("*.wants/*")) == []
        for name in ("usr/sbin/policy-rc.d", "etc/hostname", "etc/slurm", "var/lib/dbus/machine-id"):
            assert not os.path.lexists(tree / name), name
        assert not list((tree / "var/cache").glob("apt/archives/*.deb"))
    for name in ("etc/machine-id", "etc/resolv.conf"):
        assert (real.node / name).read_bytes() == b""
        assert not os.path.lexists(real.head / name)
    assert not list((real.node / "run").glob("*.pid"))
    for unit in recipes.MASKED:
        assert (real.node / "etc/systemd/system" / unit).readlink() == Path("/dev/null")
    for name in ("cm/shared", "cm/local", "cm/images", "var/spool/slurmd"):
        assert list((real.node / name).iterdir()) == []


@pytest.mark.lab
def test_the_head_has_its_daemons_and_the_database(real: bases.Bases) -> None:
    for tree, names in (
        (real.node, ("usr/sbin/slurmd", "usr/sbin/munged", "usr/bin/srun", "usr/bin/prometheus-node-exporter")),
        (real.head, ("usr/sbin/slurmctld", "usr/sbin/slurmdbd", "usr/sbin/mariadbd", "usr/bin/prometheus")),
        (real.head, ("usr/bin/promtool", "usr/bin/prometheus-alertmanager", "var/lib/mysql/slurm_acct_db")),
        (real.head, [f"usr/lib/python3/dist-packages/{name}" for name in ("jinja2", "yaml", "requests", "tenacity")]),
    ):
        assert [name for name in names if not os.path.lexists(tree / name)] == []
