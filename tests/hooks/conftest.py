"""The fixtures of the hooks' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hooks.node import Node, on_tmpfs


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    with on_tmpfs(tmp_path) as directory:
        yield directory


@pytest.fixture
def node(tmpfs: Path) -> Node:
    return Node(tmpfs / "node")
