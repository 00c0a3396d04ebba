"""A simulated cluster within the test's process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.layout import Layout
from tests.simulator.web import Web


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[InProcess]:
    made = InProcess(tmp_path)
    yield made
    made.close()


@pytest.fixture
def cluster11(tmp_path: Path) -> Iterator[InProcess]:
    made = InProcess(tmp_path, Layout("bcm11"))
    yield made
    made.close()


@pytest.fixture
def web(cluster: InProcess) -> Iterator[Web]:
    made = Web(cluster)
    yield made
    made.close()


@pytest.fixture
def web11(cluster11: InProcess) -> Iterator[Web]:
    made = Web(cluster11)
    yield made
    made.close()
