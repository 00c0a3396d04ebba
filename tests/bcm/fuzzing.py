"""What the fuzz tests share: how long they search, texts and names to search with, and ways to damage an answer.

The search is bounded and the same at every run, so that CI is stable. `FUZZ=10 pytest tests/bcm` searches ten times as
long and at random; a failure prints how to repeat it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from bcm_jobstats.bcm.errors import Refused, Unreachable, Unreadable, UnsafeName

FACTOR = float(os.environ.get("FUZZ", "1"))
TYPED = (Unreachable, Unreadable, Refused, UnsafeName)
"""What may come out of a way into BCM instead of an answer."""
EVENT = "Fri Apr 14 14:03:40 2017 [notice] node001: Service cups was stopped\n"


def search(examples: int) -> settings:
    """How long a test searches; nothing is kept on disk and nothing is timed."""
    return settings(
        max_examples=max(int(examples * FACTOR), 1),
        deadline=None,
        database=None,
        derandomize="FUZZ" not in os.environ,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


SPECIAL = [
    *("", " ", "-", "--", "-d", "-1", "..", "...", ".", "/", "~", "^", "@", "*", "!", "?", "#", "%", "&", "$", "|"),
    *(">", "<", ";", "\n", "\r", "\t", "\x00", "\x1b[2J", "\x85", "\u2028", "'", '"', "`", "\\", "\\n", "(", ")"),
    *("[", "]", "{", "}", "a,b", "a b", "a  b", "[1-3]", "n[1-3]", "n[01..03]", "n01..n03", "n1,-n2", "^/etc/passwd"),
    *("x...", "a;b", "a\nb", "generic::x", "::", "[overlay:o] r", "yes", "no", "None", "null", "0", "ünïcode", "名前"),
    *("\U0001f600", "a" * 500, "Version Information", "Cluster Manager 10.0", EVENT.strip(), "[]", "name (key)"),
    *("x (y)", "\ud800"),
]
NAMES = st.one_of(
    st.sampled_from(SPECIAL),
    st.text(max_size=12),
    st.text("ab01-.,:[]^~@ /=%+\"';\n(){}*!|<>$\\`", max_size=12),
    st.from_regex(r"[a-z]{1,3}[0-9]{0,2}(-[a-z]{1,3})?", fullmatch=True),
)
PLAIN = st.from_regex(r"[a-z][a-z0-9]{0,3}(-[0-9]{1,2})?", fullmatch=True)
"""Names that mean nothing but themselves."""

Damage = Callable[[str], str]


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _edited(text: str, at: int, removed: int, *put: str) -> str:
    lines = _lines(text)
    at %= max(len(lines), 1)
    lines[at : at + removed] = put
    return "".join(lines)


def _swapped(text: str, one: int, other: int) -> str:
    lines = _lines(text)
    if lines:
        one, other = one % len(lines), other % len(lines)
        lines[one], lines[other] = lines[other], lines[one]
    return "".join(lines)


def _twice(text: str, at: int, count: int) -> str:
    lines = _lines(text)
    at %= max(len(lines), 1)
    lines[at:at] = lines[at : at + count]
    return "".join(lines)


def _piece(text: str, at: int, removed: int, put: str) -> str:
    at %= len(text) + 1
    return text[:at] + put + text[at + removed :]


def _value(text: str, at: int, change: Callable[[str], str]) -> str:
    """Change one value of one row of a table of JSON."""
    found = list(re.finditer(r'(?m)(?<=": )".*?"(?=,?$)', text))
    if not found:
        return text
    match = found[at % len(found)]
    return text[: match.start()] + change(match.group()) + text[match.end() :]


PLACES, SHORT = st.integers(0, 100_000), st.integers(0, 9)
DAMAGES: st.SearchStrategy[Damage] = st.one_of(
    st.builds(lambda at: lambda text: text[: at % (len(text) + 1)], PLACES),
    st.builds(lambda at, n: lambda text: _edited(text, at, n), PLACES, st.integers(1, 8)),
    st.builds(lambda at, n: lambda text: _twice(text, at, n), PLACES, st.integers(1, 8)),
    st.builds(lambda a, b: lambda text: _swapped(text, a, b), PLACES, PLACES),
    st.builds(lambda at: lambda text: _swapped(text, at, at + 1), PLACES),
    st.builds(lambda at: lambda text: _edited(text, at, 0, EVENT), PLACES),
    st.builds(lambda at, new: lambda text: _edited(text, at, 0, new + "\n"), PLACES, NAMES),
    st.builds(lambda at, n, new: lambda text: _piece(text, at, n, new), PLACES, st.integers(0, 40), NAMES),
    st.builds(lambda at, n: lambda text: _value(text, at, lambda old: f'{old[: 1 + n]}..."'), PLACES, SHORT),
    st.builds(
        lambda at, new: lambda text: _value(text, at, lambda old: new),
        PLACES,
        st.sampled_from(["null", "true", "1", "1.5", "[]", "{}", '"maybe"', '""', "1e999", "NaN", "[" * 3000]),
    ),
)  # fmt: skip


def damaged(text: str, damages: list[Damage]) -> str:
    """A text after some damages, one on the other."""
    for damage in damages:
        text = damage(text)
    return text
