"""The state file: always whole, read also when the seed wrote it, never believed when it is not sound."""

from __future__ import annotations

import errno
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Optional

import pytest

from bcm_jobstats.node.retries import Attempts
from bcm_jobstats.node.state import State, decode, encode
from bcm_jobstats.node.store import StateLost, Store

TARGETS = "/targets"
FULL = State(
    "node001",
    retries={"cgroup_exporter": Attempts(2, 1_800_000_000.0, 1_800_000_600.0, slow=False)},
    registered={TARGETS: ["node001+dcgm-exporter.json", "node001.json"], "/old": ["node001.json"]},
)
FULL.clusters, FULL.started = ["old", "slurm"], ["cgroup_exporter", "gone"]
FULL.has, FULL.since, FULL.last_check = True, 1_700_000_000.25, 1_800_000_000.0
SEED = {
    "has_slurmclient_role": True,
    "last_check": "2025-10-06T12:00:00.123456",
    "retry_state": {
        "cgroup_exporter": {"attempts": 0, "last_attempt": None, "next_attempt": None, "failed_permanently": False},
        "node_exporter": {
            "attempts": 3,
            "last_attempt": "2025-10-06T12:00:00",
            "next_attempt": "2025-10-06T12:10:00",
            "failed_permanently": True,
        },
    },
}
"""As peers A4 4.8 has it."""


def store(tmp_path: Path, role: str = "slurmclient", dry_run: bool = False) -> Store:
    return Store(tmp_path, role, Path(TARGETS), dry_run)


def told(state: State, *, has: bool, last_check: Optional[float] = None) -> State:
    """`state` once BCM has told the role."""
    state.has, state.last_check = has, last_check
    return state


def written(tmp_path: Path, name: str, content: Any) -> Path:
    path = tmp_path / f"{name}_state.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    store(tmp_path).save(FULL)
    state, problems = store(tmp_path).load("node001")
    assert (vars(state), problems) == (vars(FULL), [])
    assert [path.name for path in tmp_path.iterdir()] == ["node001_state.json"]


def test_the_shape_is_the_seeds(tmp_path: Path) -> None:
    document = json.loads(encode(FULL, "slurmclient"))
    assert document["has_slurmclient_role"] is True
    assert datetime.fromisoformat(document["last_check"]).timestamp() == FULL.last_check
    attempts = document["retry_state"]["cgroup_exporter"]
    assert set(attempts) == {"attempts", "last_attempt", "next_attempt", "failed_permanently"}


def test_a_file_of_the_seed(tmp_path: Path) -> None:
    written(tmp_path, "node001", SEED)
    state, problems = store(tmp_path).load("node001")
    assert problems == []
    assert (state.has, state.since) == (True, None)
    noon = datetime(2025, 10, 6, 12).timestamp()  # the seed writes local time
    assert state.last_check == noon + 0.123456
    assert state.retries == {"node_exporter": Attempts(3, noon, noon + 600, slow=True)}
    assert state.registered == {TARGETS: ["node001.json"]}


def test_what_is_known_about_another_role_is_not_believed(tmp_path: Path) -> None:
    store(tmp_path).save(FULL)
    state, problems = store(tmp_path, "slurmsubmit").load("node001")
    assert (state.has, state.since, problems) == (None, None, [])
    assert state.registered == FULL.registered


def test_a_renamed_node_takes_its_state_with_it(tmp_path: Path) -> None:
    store(tmp_path).save(FULL)
    subject = store(tmp_path)
    state, _ = subject.load("node007")
    renamed = State("node007", retries=FULL.retries, registered=FULL.registered)
    renamed.clusters, renamed.started = FULL.clusters, FULL.started
    assert vars(state) == vars(renamed), "BCM spoke of another name"
    subject.save(state)
    assert [path.name for path in tmp_path.iterdir()] == ["node007_state.json"]


def test_killed_while_it_took_it_over(tmp_path: Path) -> None:
    """Both files are there; the own one counts, and what the other registered is not forgotten."""
    written(tmp_path, "dgx-01.cm.cluster", {**SEED, "retry_state": {}})
    written(
        tmp_path, "node000", json.loads(encode(State("node000", registered={"/old": ["node000.json"]}), "slurmclient"))
    )
    written(tmp_path, "node001", json.loads(encode(FULL, "slurmclient")))
    (tmp_path / ".node000_state.json.1").write_text("{")  # as long as it is young it may be somebody's at work
    subject = store(tmp_path)
    state, _ = subject.load("node001")
    assert (state.has, state.retries) == (True, FULL.retries)
    assert state.registered == {
        TARGETS: ["dgx-01.cm.cluster.json", "node001+dcgm-exporter.json", "node001.json"],
        "/old": ["node000.json", "node001.json"],
    }
    subject.save(state)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".node000_state.json.1", "node001_state.json"]
    os.utime(tmp_path / ".node000_state.json.1", (0, 0))
    subject.save(told(state, has=False))
    assert [path.name for path in tmp_path.iterdir()] == ["node001_state.json"]


CORRUPT: list[Any] = [
    b"", b"{", b"\0" * 200, b'{"has_slurmclient_role": true, "last_check": "', b"[]", b"null", b"\xff", b"[" * 100_000,
    {}, {"has_slurmclient_role": 1}, {"has_slurmclient_role": "yes"},
    {**SEED, "last_check": "yesterday"}, {**SEED, "last_check": 5}, {**SEED, "retry_state": []},
    {**SEED, "retry_state": {"x": 1}}, {**SEED, "retry_state": {"x": {"attempts": "1"}}},
    {**SEED, "registered": []}, {**SEED, "registered": {"/targets": "x"}}, {**SEED, "registered": {"targets": []}},
    {**SEED, "registered": {"/targets": ["../../etc/passwd"]}}, {**SEED, "registered": {"/targets": ["passwd"]}},
    {**SEED, "registered": {"/targets": [1]}}, {**SEED, "registered": {"/\ud800": ["a.json"]}},
    {**SEED, "clusters": "slurm"}, {**SEED, "clusters": [1]}, {**SEED, "started": ["-x"]}, {**SEED, "started": {}},
]  # fmt: skip


@pytest.mark.parametrize("content", CORRUPT, ids=range(len(CORRUPT)))
def test_a_corrupt_file_is_set_aside_and_said_once(tmp_path: Path, content: Any) -> None:
    path = written(tmp_path, "node001", content)
    before = path.read_bytes()
    assert vars(store(tmp_path, dry_run=True).load("node001")[0]) == vars(State("node001"))
    assert path.read_bytes() == before
    state, problems = store(tmp_path).load("node001")
    assert vars(state) == vars(State("node001"))
    assert len(problems) == 1
    assert len(str(problems[0])) < 500
    assert not path.exists()
    assert Path(f"{path}.corrupt").read_bytes() == before
    state, problems = store(tmp_path).load("node001")
    assert (vars(state), problems) == (vars(State("node001")), [])


@pytest.mark.parametrize("content", [b"{", b'{"has_slurmclient_role": true}'])
def test_a_file_that_cannot_be_moved_does_not_stop_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "node001_state.json").mkdir()
    (tmp_path / "node001_state.json.corrupt").write_bytes(content)
    state, problems = store(tmp_path).load("node001")
    assert vars(state) == vars(State("node001"))
    assert len(problems) == 1


@pytest.mark.parametrize("time", [1e300, -1e300, float("inf"), float("nan"), 3e11])
def test_a_clock_beyond_all_bounds(time: float) -> None:
    saved = encode(told(State("node001"), has=True, last_check=time), "slurmclient")
    assert decode(saved, "node001", "slurmclient", TARGETS).last_check is None


def owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


@pytest.mark.skipif(os.geteuid() != 0, reason="is about what root does")
@pytest.mark.parametrize("where", ["node001_state.json", ".node001_state.json.{}", "node000_state.json"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_root_is_not_led_elsewhere(tmp_path: Path, where: str, kind: str) -> None:
    """The folder is that of the agent's user, who is not root."""
    victim = tmp_path / "victim"
    victim.write_bytes(encode(FULL, "slurmclient"))
    where = where.format(os.getpid())
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 967, 967)
    if kind == "link":
        (folder / where).symlink_to(victim)
    else:
        os.mkfifo(folder / where)
    state, problems = store(folder).load("node001")
    assert (state.has, len(problems)) == (None, int(not where.startswith(".")))
    store(folder).save(told(state, has=False))
    assert victim.read_bytes() == encode(FULL, "slurmclient")
    assert store(folder).load("node001")[0].has is False
    assert owner(folder / "node001_state.json") == (967, 967)
    assert not (folder / "node001_state.json").is_symlink()


def test_a_link_that_is_there_again_after_it_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    (tmp_path / f".node001_state.json.{os.getpid()}").symlink_to(victim)
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
    with pytest.raises(StateLost):
        store(tmp_path).save(FULL)
    assert victim.read_bytes() == b""


def test_a_file_that_is_too_large_is_none(tmp_path: Path) -> None:
    written(tmp_path, "node001", encode(FULL, "slurmclient") + b" " * (1 << 20))
    assert len(store(tmp_path).load("node001")[1]) == 1


def test_a_full_disk_leaves_the_state_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = store(tmp_path)
    subject.save(FULL)
    before = (tmp_path / "node001_state.json").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StateLost, match="no space left on device"):
            subject.save(told(State("node001"), has=False))
    assert (tmp_path / "node001_state.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["node001_state.json"]
    subject.save(told(State("node001"), has=False))
    assert store(tmp_path).load("node001")[0].has is False


def test_what_did_not_change_is_not_written(tmp_path: Path) -> None:
    subject = store(tmp_path)
    subject.save(FULL)
    before = (tmp_path / "node001_state.json").stat().st_ino
    subject.save(FULL)
    assert (tmp_path / "node001_state.json").stat().st_ino == before


def test_dry_run_touches_nothing(tmp_path: Path) -> None:
    written(tmp_path, "node000", SEED)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    subject = store(tmp_path, dry_run=True)
    state, _ = subject.load("node001")
    subject.save(state)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
