"""The keys of config.json, one by one: each value is held to a narrow pattern, and everything wrong is told at once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Optional, TypeVar

from bcm_jobstats.node.config import Config, Exporter

T = TypeVar("T")

HOST = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,39}"
ROLE = r"[A-Za-z][A-Za-z0-9_-]{0,47}(::[A-Za-z0-9_-]{1,48})?"
CLUSTER = r"(?=.*\S)[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200}"
"""Any text of a label, as it is: Slurm tells its ClusterName in lower case, but the document asks for no such thing."""
SERVICE = r"(?!.*\.service$)[A-Za-z0-9][A-Za-z0-9:_.@-]{0,127}"
"""systemd's characters but the backslash, which no exporter's unit has."""
LABEL = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
SUFFIX = r"(\+[a-z][a-z0-9_-]{0,47})?"
PATH = r"(?!.*/\.{1,2}(/|$))/[^\x00-\x1f\x7f]*[^/\x00-\x1f\x7f]/*"

WHOLE, DECIMAL = r"[0-9]{1,9}", r"[0-9]{1,9}(\.[0-9]{1,9})?"
"""Numbers that somebody put in quotes; the document's program takes most of them so."""

DAY = 86400.0
MOST = 64
"""Exporters of a node, and warnings; more is no configuration but a mistake."""
FIELDS = {"service", "job", "port", "suffix"}
OF_DOCUMENT = (
    ("node_exporter_port", "node_exporter", "node_exporter", 9100),
    ("cgroup_exporter_port", "cgroup_exporter", "cgroup_exporter", 9306),
    ("nvidia_gpu_exporter_port", "nvidia_gpu_exporter", "gpu_exporter", 9445),
    ("dcgm_exporter_port", "dcgm-exporter", "dcgm-exporter", 0),
)
"""Key of the port, service, label `job`, default. The DCGM one of seed 2 has none: it runs where its port is set."""


class Reader:
    """Takes known keys out of `found`; what is wrong is in `problems`, a line each, `KEY: CAUSE; REMEDY`."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found
        self.problems: list[str] = []
        self._known: set[str] = set()

    def config(self, targets: Optional[Path], root: Path) -> Config:
        """All of it; not to be used when there are problems."""
        default = Config()
        return Config(
            heads=self._heads(default.heads),
            port=self._whole("bcm_port", default.port, 1, 65535),
            certificate=self._path("cert_path", default.certificate),
            key=self._path("key_path", default.key),
            ca=self._path("ca_path", default.ca),
            server_name=self._optional("server_name", HOST, "the name in the head nodes' certificate"),
            role=self._text("role", default.role, ROLE, "the name of a BCM role such as slurmclient").lower(),
            check_interval=self._seconds("check_interval", default.check_interval),
            retry_interval=self._seconds("retry_interval", default.retry_interval),
            max_retries=self._whole("max_retries", default.max_retries, 0, 1000),
            slow_retry_interval=self._seconds("slow_retry_interval", default.slow_retry_interval),
            targets=self._targets(targets, default.targets),
            cluster=self._text("cluster_name", default.cluster, CLUSTER, "visible text, at most 200 characters"),
            exporters=self._exporters(),
            share=self._switch("share", default.share),
            textfile=self._textfile(default.textfile),
            root=root,
            warnings=self._warnings(),
        )

    def wrong(self, key: str, cause: str, remedy: str) -> None:
        """Note a problem."""
        self.problems.append(f"{key}: {cause}; {remedy}")

    def _take(self, key: str, default: T) -> Any:
        self._known.add(key)
        return self.found.get(key, default)

    def _text(self, key: str, default: str, pattern: str, remedy: str) -> str:
        return self._word(key, self._take(key, default), pattern, remedy)

    def _word(self, key: str, value: object, pattern: str, remedy: str) -> str:
        if isinstance(value, str) and re.fullmatch(pattern, value):
            return value
        self.wrong(key, f"{_shown(value)} cannot be used", remedy)
        return ""

    def _optional(self, key: str, pattern: str, remedy: str) -> Optional[str]:
        value = self._take(key, None)
        return None if value is None else self._word(key, value, pattern, remedy)

    def _whole(self, key: str, default: int, low: int, high: int) -> int:
        return self._number(key, self._take(key, default), low, high)

    def _number(self, key: str, value: object, low: int, high: int) -> int:
        found = int(value) if isinstance(value, str) and re.fullmatch(WHOLE, value) else value
        if isinstance(found, int) and not isinstance(found, bool) and low <= found <= high:
            return found
        self.wrong(key, f"{_shown(value)} cannot be used", f"a whole number from {low} to {high}")
        return low

    def _seconds(self, key: str, default: float) -> float:
        value = self._take(key, default)
        found = float(value) if isinstance(value, str) and re.fullmatch(DECIMAL, value) else value
        if isinstance(found, (int, float)) and not isinstance(found, bool) and 1 <= found <= DAY:
            return float(found)
        self.wrong(key, f"{_shown(value)} cannot be used", "seconds, from 1 to 86400")
        return DAY

    def _switch(self, key: str, default: bool) -> bool:
        value = self._take(key, default)
        if isinstance(value, bool):
            return value
        self.wrong(key, f"{_shown(value)} cannot be used", "true or false")
        return default

    def _path(self, key: str, default: Path) -> Path:
        return self._path_in(key, self._take(key, str(default)), "an absolute path without '..'")

    def _path_in(self, key: str, value: object, remedy: str) -> Path:
        try:
            os.fsencode(value if isinstance(value, str) else "")
        except UnicodeEncodeError:  # such as "\ud800", which JSON can say and no file can be called
            self.wrong(key, f"{_shown(value)} cannot be used", remedy)
            return Path("/")
        return Path(self._word(key, value, PATH, remedy))

    def _targets(self, given: Optional[Path], default: Path) -> Path:
        key = "prometheus_targets_dir"
        if given is None:
            return self._path(key, default)
        self._known.add(key)
        return self._path_in("--prometheus-targets-dir", str(given), "an absolute path without '..'")

    def _textfile(self, default: Optional[Path]) -> Optional[Path]:
        value = self._take("textfile", str(default))
        return None if value is None else self._path_in("textfile", value, "an absolute path or null")

    def _heads(self, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._take("bcm_headnodes", [])
        if not isinstance(value, list):
            self.wrong("bcm_headnodes", f"{_shown(value)} is not a list", 'such as ["master"]')
            return default
        heads = [self._word("bcm_headnodes", head, HOST, "a host name or an address") for head in value]
        return tuple(heads) or default

    def _exporters(self) -> tuple[Exporter, ...]:
        listed = self._take("exporters", None)
        of_document = [
            Exporter(service, job, self._whole(key, port, 1, 65535))
            for key, service, job, port in OF_DOCUMENT
            if port or key in self.found
        ]
        self._known.update(key for key, *_ in OF_DOCUMENT)
        exporters = of_document if listed is None else self._listed(listed)
        for what in ("service", "port"):
            values = [getattr(exporter, what) for exporter in exporters]
            for value in sorted({value for value in values if values.count(value) > 1}):
                self.wrong("exporters" if listed else f"*_{what}", f"{what} {value} is there twice", "each has its own")
        return tuple(exporters)

    def _listed(self, listed: object) -> list[Exporter]:
        remedy = 'such as [{"service": "node_exporter", "job": "node_exporter", "port": 9100}]'
        if not isinstance(listed, list) or not 0 < len(listed) <= MOST:
            self.wrong("exporters", f"{_shown(listed)} is not a list of exporters", remedy)
            return []
        exporters = []
        for number, entry in enumerate(listed):
            where = f"exporters[{number}]"
            if not isinstance(entry, dict) or not entry.keys() <= FIELDS:
                self.wrong(where, f"{_shown(entry)} is not an exporter", remedy)
            else:
                exporters.append(self._exporter(where, entry))
        return exporters

    def _exporter(self, where: str, entry: dict[str, Any]) -> Exporter:
        problems = len(self.problems)
        exporter = Exporter(
            self._word(f"{where}.service", entry.get("service"), SERVICE, "a systemd service without .service"),
            self._word(f"{where}.job", entry.get("job"), LABEL, "letters, digits, '_', '-' and '.', at most 64"),
            self._number(f"{where}.port", entry.get("port"), 1, 65535),
            self._word(f"{where}.suffix", entry.get("suffix", ""), SUFFIX, "'+' and the name of a role"),
        )
        # Unusable ones must not look like doubles of each other.
        return exporter if len(self.problems) == problems else Exporter(where, "", -1 - problems)

    def _warnings(self) -> tuple[str, ...]:
        unused = [key for key, *_ in OF_DOCUMENT if key in self.found and "exporters" in self.found]
        stray = [key for key in self.found if key not in self._known]
        told = [f"{key}: is not used; exporters tells all ports" for key in unused]
        return tuple(told + [f"{_shown(key)}: is not a setting; {_meant(key, self._known)}" for key in stray[:MOST]])


def _shown(value: object) -> str:
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _meant(key: str, known: set[str]) -> str:
    import difflib

    near = difflib.get_close_matches(key[:80], sorted(known), n=1)
    return f"did you mean {near[0]!r}?" if near else "it is not used"
