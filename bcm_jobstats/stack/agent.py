"""The node agent of enable.mode role-monitor as files of a software image: its program, units and configuration."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import bcm_jobstats
from bcm_jobstats import data
from bcm_jobstats.site import Site
from bcm_jobstats.site.checks import TEXTFILES
from bcm_jobstats.site.durations import Duration
from bcm_jobstats.stack import render, targets
from bcm_jobstats.stack.files import LIBRARY, UNITS, PayloadFile, script

if TYPE_CHECKING:
    from bcm_jobstats.stack.model import RoleSpec

SERVICE = "bcm-role-monitor"
ORDERS = f"{SERVICE}-orders"
PROGRAM = f"{LIBRARY}/role-monitor"
CONFIG = f"/etc/{SERVICE}/config.json"
CERTIFICATES = "/cm/shared/apps/jobstats/role-monitor"
"""Certificate, key and authority of all agents: on shared storage, so that no image and no node's disk holds a key."""
CERTIFICATE, KEY, CA = (f"{CERTIFICATES}/{name}" for name in ("role-monitor.pem", "role-monitor.key", "ca.pem"))
RUN = f"/run/{SERVICE}"
TEXTFILE = f"{RUN}/role_monitor.prom"
"""What the agent tells of itself, in its own folder: the one that node_exporter reads is root's."""
LINK = f"{TEXTFILES}/role_monitor.prom"
"""The link that leads from there to TEXTFILE while the agent runs (see its unit)."""
FILES = (
    PROGRAM,
    f"{LIBRARY}/role-monitor-orders",
    CONFIG,
    f"{UNITS}/{SERVICE}.service",
    f"{UNITS}/{ORDERS}.path",
    f"{UNITS}/{ORDERS}.service",
)
"""The paths of all that `files` gives."""
PYTHON = "/usr/bin/python3"
SHEBANG = f"#!{PYTHON} -IS\n".encode()
"""Neither the environment nor what is installed beside Python's own library has a say in it (-I, -S); it starts in half
the time for it."""
TOO_OLD = 78
"""The program's exit status where PYTHON is older than LEAST (node.__main__)."""
LEAST = (3, 9)
SOURCES = ("__init__.py", "errors.py", "node/*.py")
"""The modules that travel."""
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip file can name."""


def files(site: Site, roles: Sequence[RoleSpec], heads: Sequence[str]) -> list[PayloadFile]:
    """Every file of the agent on nodes whose exporters are those of `roles`, all attached to one BCM role.

    `heads` are the names of the head nodes in the order in which the agent is to ask them; none: it asks `master`.
    """
    values = {
        "site": site,
        "followed": followed(roles),
        "services": [exporter.name for role in roles for exporter in role.exporters],
        "hooks": any(role.hooks for role in roles),
        "program": PROGRAM,
        "library": LIBRARY,
        "service": SERVICE,
        "orders": ORDERS,
        "run": RUN,
        "textfile": TEXTFILE,
        "link": LINK,
        "too_old": TOO_OLD,
        "parent": str(PurePosixPath(site.targets.directory).parent),
    }
    units = (f"{SERVICE}.service", f"{ORDERS}.path", f"{ORDERS}.service")
    folder = data.path("overlays") / "templates"
    return [
        PayloadFile(PROGRAM, program(), 0o755),
        PayloadFile(f"{LIBRARY}/role-monitor-orders", script("role-monitor-orders"), 0o755),
        PayloadFile(CONFIG, config(site, roles, heads)),
        *(PayloadFile(f"{UNITS}/{unit}", render.unit(f"{unit}.j2", folder, values)) for unit in units),
    ]


def followed(roles: Sequence[RoleSpec]) -> str:
    """The BCM role that the agent follows: the one that all `roles` are attached to."""
    return next((role.settings.attach.with_role for role in roles if role.settings.attach.with_role), "slurmclient")


def config(site: Site, roles: Sequence[RoleSpec], heads: Sequence[str]) -> bytes:
    """The agent's configuration: the keys of seed 4 and what that lacks (node.config)."""
    monitor = site.role_monitor
    chosen: dict[str, Any] = {
        "bcm_port": int(site.bcm.address.rpartition(":")[2]),
        "cert_path": CERTIFICATE,
        "key_path": KEY,
        "ca_path": CA,
        "role": followed(roles),
        "cluster_name": site.cluster,
        "prometheus_targets_dir": site.targets.directory,
        "exporters": list(_exporters(roles)),
        "check_interval": _seconds(monitor.check_interval),
        "retry_interval": _seconds(monitor.retry_interval),
        "max_retries": monitor.max_retries,
        "slow_retry_interval": _seconds(monitor.slow_retry_interval),
        "share": monitor.share,
        "textfile": TEXTFILE,
    }
    if monitor.server_name:
        chosen["server_name"] = monitor.server_name
    first = {"bcm_headnodes": list(heads)} if heads else {}
    return (json.dumps({**first, **chosen}, indent=2) + "\n").encode()


def _seconds(duration: Duration) -> float:
    return duration.milliseconds // 1000 if duration.milliseconds % 1000 == 0 else duration.seconds


def _exporters(roles: Sequence[RoleSpec]) -> Iterator[dict[str, Any]]:
    for role in roles:
        suffix = targets.suffix(role.name)
        for exporter in role.exporters:
            entry = {"service": exporter.name, "job": exporter.label, "port": exporter.port}
            yield {**entry, "suffix": suffix} if suffix else entry


def program() -> bytes:
    """The agent as one file that Python runs: a zip file behind a first line for the shell.

    The same bytes for the same sources wherever it is made: fixed dates, order and modes, and nothing compressed, as
    that would depend on the zlib at hand. Python reads such a file without zlib, too.
    """
    top = Path(bcm_jobstats.__file__).resolve().parent
    file = io.BytesIO()
    file.write(SHEBANG + b"# " + render.HEADER.encode() + b"\n")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "__main__.py", (top / "node/__main__.py").read_bytes())
        for pattern in SOURCES:
            for source in sorted(top.glob(pattern)):
                _add(archive, f"bcm_jobstats/{source.relative_to(top).as_posix()}", source.read_bytes())
    return file.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, LONG_AGO)
    entry.create_system = 3  # Unix, wherever it is made
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
