"""Start a stand-in exporter from wherever this directory lies."""

from __future__ import annotations

import sys

# A directory that is run is no package yet, and with -I nothing beside it is found.
__package__ = "standin_exporters"
sys.path.append(sys.path.pop(0).rstrip("/").rpartition("/")[0] or "/")

from .server import main

sys.exit(main(sys.argv[1:]))
