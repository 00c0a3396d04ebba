"""A reader of the systemd unit files in a node's file tree: as much of systemd.service(5) as a simulated node needs.

Left out on purpose: aliases and [Install], dash-truncated and type-wide drop-ins (`foo-.service.d`, `service.d`),
`NAME.wants/` directories, ordering, globs in EnvironmentFile=, UnsetEnvironment= and PassEnvironment=, C escapes in
environment files, conditions other than those of `CONDITIONS` and
their `|` form. User=, sandboxing and limits are read and not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bcm_jobstats.simulator.unitwords import Command, UnitError, expand, is_true, split_commands, split_words

UNIT_DIRECTORIES = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
TYPES = ("simple", "exec", "notify", "notify-reload", "idle", "oneshot")
CONDITIONS = ("ConditionPathExists", "ConditionPathIsDirectory", "ConditionFileIsExecutable")
DIRECTORY_BASES = {"Runtime": "/run", "State": "/var/lib", "Cache": "/var/cache", "Logs": "/var/log"}
_COMMAND_KEYS = ("ExecStartPre", "ExecStart", "ExecStartPost", "ExecStop", "ExecStopPost")

Settings = Mapping[tuple[str, str], list[str]]


class UnitNotFoundError(UnitError):
    """No unit file of that name is in the tree, as `systemctl start` says of an unknown unit."""


@dataclass(frozen=True)
class Directory:
    """One entry of RuntimeDirectory= and its kin: the variable that names it, its path in the node and its mode."""

    variable: str
    path: str
    mode: int


@dataclass(frozen=True)
class Unit:
    """A service unit as loaded, specifiers expanded; paths are the node's own.

    `conditions` are (directive, path) pairs, a path with a leading `!` is negated. `environment_files` are
    (path, optional) pairs. `working_directory` keeps a leading `-` (may be missing).
    """

    name: str
    type: str = "simple"
    remain_after_exit: bool = False
    commands: Mapping[str, tuple[Command, ...]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_files: tuple[tuple[str, bool], ...] = ()
    working_directory: str = ""
    requires: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    conditions: tuple[tuple[str, str], ...] = ()
    directories: tuple[Directory, ...] = ()
    keep_runtime_directory: bool = False

    def run(self, key: str) -> tuple[Command, ...]:
        """The commands of `key`, such as ``ExecStart``, in file order."""
        return self.commands.get(key, ())


def load_unit(root: Path, service: str, host: str) -> Unit:
    """Load `service` (with or without ``.service``) from the tree `root` of the node named `host`."""
    name = service if service.endswith(".service") else f"{service}.service"
    path = _find(root, name)
    settings: dict[tuple[str, str], list[str]] = {}
    for file in (path, *_drop_ins(root, name)):
        _merge(settings, file.read_text(encoding="utf-8", errors="replace"))
    return _build(name, settings, specifiers(name, host))


def specifiers(name: str, host: str) -> dict[str, str]:
    """The values of systemd's % specifiers for the system unit `name` on `host` (systemd.unit(5), "Specifiers")."""
    stem = name[: -len(".service")]
    prefix, _, instance = stem.partition("@")
    names = {"n": name, "N": stem, "p": prefix, "i": instance, "j": prefix.rpartition("-")[2]}
    hosts = {"I": instance.replace("-", "/"), "H": host, "l": host.partition(".")[0]}
    places = {"t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "h": "/root"}
    return {"%": "%", **names, **hosts, **places, "s": "/bin/sh", "u": "root", "U": "0", "g": "root", "G": "0"}


def read_settings(text: str) -> Iterator[tuple[str, str, str]]:
    """The (section, key, value) triples of a unit file, continuation lines joined, comments left out."""
    section, pending = "", ""
    for raw in [*text.splitlines(), ""]:
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue  # also between continuation lines, as systemd does
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        line, pending = (pending + line).strip(), ""
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif "=" in line:
            key, _, value = line.partition("=")
            yield section, key.strip(), value.strip()


def read_environment_file(text: str) -> dict[str, str]:
    """The variables of an EnvironmentFile=: comments, quotes and continuation lines as in systemd.exec(5)."""
    found = {}
    joined = re.sub(r"\\\n", "", text)
    for line in joined.splitlines():
        match = re.match(r"\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*$", line)
        if match:
            quoted = re.fullmatch(r"""'([^']*)'|"((?:[^"\\]|\\.)*)\"""", match[2])
            value = match[2] if not quoted else quoted[1] if quoted[1] is not None else quoted[2]
            single = quoted is not None and quoted[1] is not None
            found[match[1]] = value if single else re.sub(r"\\(.)", r"\1", value)
    return found


def _template(name: str) -> str | None:
    prefix, at, rest = name.partition("@")
    return f"{prefix}@.service" if at and rest != ".service" else None


def _find(root: Path, name: str) -> Path:
    for candidate in filter(None, (name, _template(name))):
        for directory in UNIT_DIRECTORIES:
            path = root / directory / candidate
            if path.is_symlink():
                path = _follow(root, path, name)
            if path.is_file():
                return path
    raise UnitNotFoundError(f"unit {name} not found")


def _follow(root: Path, link: Path, name: str) -> Path:
    """The file a unit's symbolic link means inside the tree; /dev/null is a masked unit."""
    target = link.readlink()
    if str(target) == "/dev/null":
        raise UnitError(f"unit {name} is masked")
    return root / str(target).lstrip("/") if target.is_absolute() else link.parent / target


def _drop_ins(root: Path, name: str) -> list[Path]:
    """The drop-in files in order of their names; of two with one name that of the stronger directory counts."""
    found: dict[str, Path] = {}
    for owner in filter(None, (name, _template(name))):
        for directory in UNIT_DIRECTORIES:
            for path in (root / directory / f"{owner}.d").glob("*.conf"):
                found.setdefault(path.name, path)
    return [found[key] for key in sorted(found) if found[key].is_file()]


def _merge(settings: dict[tuple[str, str], list[str]], text: str) -> None:
    for section, key, value in read_settings(text):
        values = settings.setdefault((section, key), [])
        if value:
            values.append(value)
        else:
            values.clear()  # an empty assignment resets what came before, for lists and for single values alike


def _build(name: str, settings: Settings, known: Mapping[str, str]) -> Unit:
    def service(key: str) -> list[str]:
        return settings.get(("Service", key), [])

    def last(key: str, default: str = "") -> str:
        return expand(service(key)[-1], known) if service(key) else default

    def others(*keys: str) -> tuple[str, ...]:
        words = (word for key in keys for value in settings.get(("Unit", key), []) for word in value.split())
        return tuple(dict.fromkeys(expand(word, known) for word in words if word.endswith(".service")))

    pairs = (expand(word, known).partition("=") for value in service("Environment") for word in split_words(value))
    unit = Unit(
        name=name,
        type=last("Type", "simple"),
        remain_after_exit=is_true(last("RemainAfterExit", "no")),
        commands={key: split_commands(service(key), known) for key in _COMMAND_KEYS},
        environment={key: value for key, equals, value in pairs if equals},
        environment_files=tuple((expand(f.lstrip("-"), known), f[0] == "-") for f in service("EnvironmentFile")),
        working_directory=last("WorkingDirectory"),
        requires=others("Requires", "BindsTo"),
        wants=others("Wants"),
        conditions=tuple((c, expand(v, known)) for c in CONDITIONS for v in settings.get(("Unit", c), [])),
        directories=tuple(_directories(settings, known)),
        keep_runtime_directory=last("RuntimeDirectoryPreserve", "no") not in ("no", "false", "0", "off"),
    )
    return _checked(unit)


def _directories(settings: Settings, known: Mapping[str, str]) -> Iterator[Directory]:
    for kind, base in DIRECTORY_BASES.items():
        modes = settings.get(("Service", f"{kind}DirectoryMode"), []) or ["0755"]
        if not re.fullmatch("[0-7]{3,4}", modes[-1]):
            raise UnitError(f"{kind}DirectoryMode={modes[-1]} is not a mode")
        for value in settings.get(("Service", f"{kind}Directory"), []):
            for word in value.split():
                path = f"{base}/{expand(word.partition(':')[0], known)}"
                yield Directory(f"{kind.upper()}_DIRECTORY", path, int(modes[-1], 8))


def _checked(unit: Unit) -> Unit:
    """Refuse what systemd refuses to load ("bad-setting"), and the types that are not simulated."""
    starts = len(unit.run("ExecStart"))
    if unit.type not in TYPES:
        raise UnitError(f"{unit.name}: Type={unit.type} is not simulated")
    if unit.type != "oneshot" and starts != 1:
        raise UnitError(f"{unit.name}: Type={unit.type} needs one ExecStart=, found {starts}")
    if unit.type == "oneshot" and not starts and not unit.run("ExecStop"):
        raise UnitError(f"{unit.name}: no ExecStart= and no ExecStop=")
    return unit
