"""Time spans in Prometheus' notation."""

from __future__ import annotations

import pytest

from bcm_jobstats.site.durations import Duration


@pytest.mark.parametrize(
    ("text", "seconds", "shown"),
    [
        ("30s", 30, "30s"),
        ("500ms", 0.5, "500ms"),
        ("90s", 90, "1m30s"),
        ("1h30m", 5400, "1h30m"),
        ("365d", 31_536_000, "1y"),
        ("15d", 1_296_000, "15d"),
        ("14d", 1_209_600, "2w"),
        ("25h", 90_000, "25h"),
        ("1m500ms", 60.5, "1m500ms"),
    ],
)
def test_text_and_seconds(text: str, seconds: float, shown: str) -> None:
    duration = Duration.parse(text)
    assert duration.seconds == seconds
    assert str(duration) == shown
    assert Duration.parse(shown) == duration


@pytest.mark.parametrize("text", ["", "s", "30", "1.5h", "-1s", "1s1m", "1m1m", "0s", "30 s", "30S"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"units|longer"):
        Duration.parse(text)
