"""Damage to an image put right before nodes get it: what the manifest records, as it was written, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.drift import Difference
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.plan.model import Change, Plan


class Damaged(JobstatsError):
    """An image that is not as it was written, and cannot be made so with what the site file says now."""


def mending(plan: Plan, image: str, damage: Sequence[Difference], manifest: Manifest) -> Plan:
    """Those changes of `plan`, the one that brings an image to what it should be, that put damage right; raises
    Damaged where the plan has none, or wants something else there than was written."""
    paths = {one.path for one in damage}
    chosen = [change for change in plan.changes if _place(change)[0] == image and _place(change)[1] in paths]
    healed = {_place(change)[1] for change in chosen if _as_written(change, manifest)}
    lost = sorted(paths - healed)
    if lost:
        cause = f"{len(damage)} things in it are not as they were written, such as {lost[0]}"
        remedy = "See them with: bcm-jobstats image diff, and build the image again: bcm-jobstats image build"
        raise Damaged(f"software image {image}", cause, remedy)
    return replace(plan, changes=tuple(chosen), conflicts=(), problems=(), notes=())


def _place(change: Change) -> tuple[str, str]:
    """Image and path of a change: `file.IMAGE:/path`, `line.IMAGE:/path:name`."""
    image, _, path = change.name.partition(":")
    return image, path.rpartition(":")[0] if change.kind == "line" else path


def _as_written(change: Change, manifest: Manifest) -> bool:
    if change.after is None:
        return False
    _, path = _place(change)
    if change.kind == "line":
        return path in manifest.lines
    entry = manifest.entries.get(path)
    return entry is not None and _digest(change.after) == (entry.get("sha256"), entry.get("target"))


def _digest(state: Mapping[str, Any]) -> tuple[Any, Any]:
    if "content" in state:
        return hashlib.sha256(state["content"].encode("utf-8", "surrogateescape")).hexdigest(), None
    return state.get("sha256"), state.get("target")
