"""`bcm-jobstats` and `python -m bcm_jobstats`."""

from __future__ import annotations

import sys

from bcm_jobstats.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
