"""A virtual machine in software with a pure cgroup v2, for what the lab's containers cannot show (lab.md §3b).

The containers see the cgroup v1 of the machine they run on; DGX OS 6 and later boot with v2. One boot serves many
checks: `guest.py` runs in the machine, observes, and hands back what it saw; the assertions are the host's.
"""

from __future__ import annotations

from tests.lab.vm.machine import PLACE, Seen, boot, seen
from tests.lab.vm.parts import Parts, VmError, missing, parts

__all__ = ["PLACE", "Parts", "Seen", "VmError", "boot", "missing", "parts", "seen"]
