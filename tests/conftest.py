"""For all tests: nothing is flushed to the disk. No test takes the power away, and half of their time went into it.

Those of the lab come first: they wait for nodes most of the time, and others have the processors meanwhile.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

os.fsync = lambda fd: None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With each of several processes that run a part of the tests, the first of them has the lab's."""
    items.sort(key=lambda item: item.get_closest_marker("lab") is None)


@pytest.fixture(autouse=True, scope="session")
def signals_come() -> Iterator[None]:
    """What this process starts can be ended: a module that blocks a signal when it is imported would block it there."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before, "a test has left signals blocked"
