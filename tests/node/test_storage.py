"""Work on shared storage that hangs, comes back, is interrupted, and outlives its process's will to end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bcm_jobstats.node.config import Config
from bcm_jobstats.node.ports import StorageLost, Unknown
from bcm_jobstats.node.storage import Storage
from bcm_jobstats.node.tls import Tls

HANGS = """
import time
from bcm_jobstats.node.ports import StorageLost
from bcm_jobstats.node.storage import Storage
try:
    Storage(0.05).run("/x", lambda: time.sleep(1000))
except StorageLost as error:
    print(error.cause)
"""


class Interrupted(BaseException):
    """What a signal's handler raises."""


@contextmanager
def hanging() -> Iterator[threading.Event]:
    """What work can wait for; it happens in the end, so that no thread is left behind."""
    event = threading.Event()
    try:
        yield event
    finally:
        event.set()


def test_it_gives_what_the_work_gives() -> None:
    storage = Storage(60)
    assert [storage.run("x", lambda: 1), storage.run("x", lambda: 2)] == [1, 2]
    assert storage.run("x", threading.get_ident) != threading.get_ident()


@pytest.mark.parametrize("error", [OSError(5, "no"), KeyError("x"), StorageLost("x", "y")])
def test_it_raises_what_the_work_raises(error: Exception) -> None:
    def fail() -> None:
        raise error

    storage = Storage(60)
    with pytest.raises(type(error)) as caught:
        storage.run("x", fail)
    assert caught.value is error
    assert storage.run("x", lambda: 1) == 1


def test_what_hangs_is_left_and_nothing_else_tried_until_it_comes_back() -> None:
    storage, tried = Storage(0.05), []
    with hanging() as event:
        with pytest.raises(StorageLost, match="does not answer") as caught:
            storage.run("/cm/shared", event.wait)
        assert caught.value.subject == "/cm/shared"
        for _ in range(3):
            with pytest.raises(StorageLost):
                storage.run("/cm/shared", lambda: tried.append(1))
        assert tried == []
        assert storage.run("/other", lambda: 3) == 3, "it may lie on another server"
        left = [thread for thread in threading.enumerate() if thread.name == "storage"]
        assert len(left) == 1 and left[0].daemon
        event.set()
        left[0].join()
    assert storage.run("/cm/shared", lambda: 7) == 7


def test_a_certificate_that_hangs_is_no_reason_to_make_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with hanging() as event:
        monkeypatch.setattr(Tls, "_load", lambda self: event.wait())
        with pytest.raises(Unknown, match="does not answer") as caught:
            Tls(Config(), Storage(0.05).run, lambda priority, line: None).context()
    assert "shared storage" in caught.value.remedy


def test_what_was_interrupted_ends_before_the_next_begins() -> None:
    """Else a file that a signal found half written would be written after it was withdrawn."""
    order: list[str] = []
    begun = threading.Event()

    def stop(number: int, frame: object) -> None:
        raise Interrupted

    with hanging() as event:

        def first() -> None:
            begun.set()
            event.wait()
            order.append("first")

        storage = Storage(60)
        before = signal.signal(signal.SIGALRM, stop)
        try:
            with pytest.raises(Interrupted):
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                storage.run("x", first)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert begun.is_set()
        threading.Timer(0.05, event.set).start()
        storage.run("x", lambda: order.append("second"))
    assert order == ["first", "second"]


def test_a_process_ends_also_while_work_hangs() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "does not answer\n", "")
