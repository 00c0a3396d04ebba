"""For all tests: nothing is flushed to the disk. No test takes the power away, and half of their time went into it."""

from __future__ import annotations

import os

os.fsync = lambda fd: None
