"""config.json as JSON: whatever lies there, it is told in words where it stops being an object."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from bcm_jobstats.node.config import BadConfig

LARGEST = 1 << 20
"""Bytes of a file that can be a configuration; the document's has 500."""


def read(path: Path) -> bytes:
    """The file's bytes; never waits, whatever `path` is. Raises BadConfig."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadConfig(str(path), "is not a file", "Write the configuration there.")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that can be no file's
        cause = str(getattr(error, "strerror", None) or error).lower()
        raise BadConfig(str(path), cause, "Name the configuration with --config, or write it there.") from error
    if len(content) > LARGEST:
        raise BadConfig(str(path), f"has more than {LARGEST} bytes", "That is no configuration of bcm-role-monitor.")
    return content


def parse(path: Path, content: bytes) -> dict[str, Any]:
    """The object in it. Raises BadConfig."""
    try:
        found = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_pairs, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise _not_json(path, f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise _not_json(path, f"byte {error.start + 1} is not UTF-8") from error
    except RecursionError as error:
        raise _not_json(path, "its brackets are too deep") from error
    except ValueError as error:  # of the hooks below, and of numbers with thousands of digits
        raise _not_json(path, str(error)) from error
    if not isinstance(found, dict):
        raise BadConfig(str(path), "is not a JSON object", "It begins with { and ends with }.")
    return found


def _not_json(path: Path, cause: str) -> BadConfig:
    return BadConfig(str(path), cause, "Correct its JSON: no comments, a comma between entries, none at the end.")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"has {twice[:80]!r} twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")
