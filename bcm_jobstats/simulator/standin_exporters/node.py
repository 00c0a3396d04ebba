"""The stand-in for node_exporter: a few of its metrics, all made up. Where Debian's is installed, that one runs."""

from __future__ import annotations

import time

from .gpus import host_name
from .page import Page

CPUS = 8
GIB = 1024**3


def node(page: Page, now: float) -> None:
    """CPU, memory, load, boot time, names (peers C6)."""
    boot = now - time.monotonic()
    labels = {"nodename": host_name(), "sysname": "Linux", "machine": "x86_64", "release": "5.15.0-1063-nvidia"}
    page.family("node_uname_info", "gauge", "Labeled system information.", (labels, 1))
    page.family("node_boot_time_seconds", "gauge", "Node boot time, in unixtime.", ({}, round(boot)))
    page.family("node_time_seconds", "gauge", "System time in seconds since epoch.", ({}, now))
    shares = {"idle": 0.6, "user": 0.35, "system": 0.04, "iowait": 0.01}
    cpus = [({"cpu": str(c), "mode": m}, (now - boot) * share) for c in range(CPUS) for m, share in shares.items()]
    page.family("node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode.", *cpus)
    for name, amount in (("MemTotal", 2048), ("MemFree", 1200), ("MemAvailable", 1500), ("Cached", 280)):
        page.family(f"node_memory_{name}_bytes", "gauge", f"Memory information field {name}.", ({}, amount * GIB))
    for minutes in (1, 5, 15):
        page.family(f"node_load{minutes}", "gauge", f"{minutes}m load average.", ({}, 3 + int(now / 60) % minutes / 10))
