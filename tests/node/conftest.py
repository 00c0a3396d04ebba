"""For the tests that ask a head node: its certificates, and the head, one of each for a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bcm.https import Server, serving
from tests.node import tlshead


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tlshead.prepare(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def listening(files: Path) -> Iterator[Server]:
    with serving(files) as server:
        yield server
