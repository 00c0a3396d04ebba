"""Labs for tests: one for each module and release, however many tests use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bcm_jobstats.simulator.cluster import RELEASES
from tests.lab import labs


@pytest.fixture(scope="module", params=RELEASES)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[labs.Lab]:
    """A lab without the product; the test skips where none can be had."""
    reason = labs.missing()
    if reason:
        pytest.skip(reason)
    with labs.lab(tmp_path_factory.mktemp("lab") / "head", request.param) as made:
        yield made
