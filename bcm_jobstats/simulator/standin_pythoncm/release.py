"""The version of BCM that this pythoncm belongs to: client and head must match (bcm-facts §7)."""

from __future__ import annotations

VERSION = "11.0"  # the simulator writes its own here
OLD_KEYS = VERSION.startswith("10.")
KEY = "uniqueKey" if OLD_KEYS else "uuid"
"""What an entity's own key is called (bcm-facts §8.1)."""
