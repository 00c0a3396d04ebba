"""Start a stand-in exporter, or that of nvidia-smi, from wherever this directory lies."""

from __future__ import annotations

import sys

# A directory that is run is no package yet, and with -I nothing beside it is found.
__package__ = "standin_exporters"
__spec__ = None  # Python 3.13 warns when it says something else
sys.path.append(sys.path.pop(0).rstrip("/").rpartition("/")[0] or "/")

if sys.argv[1:2] == ["nvidia-smi"]:
    from . import smi

    sys.exit(smi.main(sys.argv[3:], root=sys.argv[2]))

from .server import main

sys.exit(main(sys.argv[1:]))
