"""What is derived from the settings' declarations for people: the commented template and the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from bcm_jobstats.site.schema import Site
from bcm_jobstats.site.settings import Setting, join, settings_of
from bcm_jobstats.site.structure import MapOf, Section

HEADER = """\
# The site file of bcm-jobstats. '# text' explains, '#setting: value' shows a default: remove the '#' to change it.
# `bcm-jobstats validate` checks this file, `bcm-jobstats plan` shows what it would change.
"""


@dataclass(frozen=True)
class SettingDoc:
    """One row of the settings reference; `path` has `<name>` where the administrator chooses a name."""

    path: str
    what: str
    default: str
    doc: str


def reference() -> list[SettingDoc]:
    """All settings of the site file in the order of their declaration."""
    return list(_rows(Site, ""))


def _rows(section: type, path: str) -> Iterator[SettingDoc]:
    for name, setting in settings_of(section).items():
        place = join(path, name)
        inner = setting.kind.each if isinstance(setting.kind, MapOf) else setting.kind
        if isinstance(inner, Section):
            below = join(place, "<name>") if isinstance(setting.kind, MapOf) else place
            yield SettingDoc(place, setting.kind.what, "", setting.doc)
            yield from _rows(inner.of, below)
        else:
            yield SettingDoc(place, setting.kind.what, _default(setting), setting.doc)


def _default(setting: Setting) -> str:
    if setting.required:
        return "required"
    return "unset" if setting.default is None else setting.kind.show(setting.default)


def template(values: Optional[Mapping[str, Any]] = None) -> str:
    """A commented site file that sets `values` (a nested mapping as in YAML) and shows every other default.

    Loading it gives what loading `values` alone would give.
    """
    return HEADER + "".join(_lines(Site, values or {}, Site(), 0))


def _lines(section: type, values: Mapping[str, Any], defaults: Any, depth: int) -> Iterator[str]:
    for name, setting in settings_of(section).items():
        if not depth:
            yield "\n"
        default = setting.default if defaults is None else getattr(defaults, name)
        yield f"{'  ' * depth}# {setting.doc}\n"
        yield from _setting(setting, values.get(name), name in values, default, depth)


def _setting(setting: Setting, value: Any, given: bool, default: Any, depth: int) -> Iterator[str]:
    indent, kind = "  " * depth, setting.kind
    if isinstance(kind, MapOf) and isinstance(kind.each, Section):
        yield f"{indent}{setting.name}:\n"
        names = {**{name: {} for name in default}, **(value or {})}
        for name, entry in names.items():
            yield f"{indent}  {name}:\n"
            yield from _lines(kind.each.of, entry or {}, default.get(name), depth + 2)
        yield f"{indent}  #{setting.example}\n"
    elif isinstance(kind, Section) and setting.name != "attach":
        yield f"{indent}{setting.name}:\n"
        yield from _lines(kind.of, value or {}, default, depth + 1)
    elif given:
        yield f"{indent}{setting.name}: {_flow(value)}\n"
    else:
        yield f"{indent}#{setting.name}: {_shown(setting, default)}\n"


def _shown(setting: Setting, default: Any) -> str:
    if isinstance(setting.kind, Section):
        return "{with_role: slurmclient}"
    if default is None:
        return f"{setting.example}  # an example; unset unless given"
    return setting.kind.show(default)


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.replace("\n...", "").strip()
