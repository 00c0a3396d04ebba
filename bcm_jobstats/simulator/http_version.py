"""The version that CMDaemon tells over HTTPS."""

from __future__ import annotations

from typing import Any


def version(profile: str) -> dict[str, Any]:
    """The version as REST tells it; 10.25.03 and 11.0 are seen, the build is not (bcm-facts §8.2)."""
    cm, cmd = {"bcm10": ("10.25.03", "3.0")}.get(profile, ("11.0", "3.1"))
    build = {"build_hash": "0123456789ab", "build_index": 156921, "database_version": 36294}
    return {"cm_version": cm, "cmd_version": cmd, **build}
