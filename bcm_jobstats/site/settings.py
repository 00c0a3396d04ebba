"""Settings declared once: a dataclass field whose metadata holds its kind and its line of documentation.

Loading, checks, the commented template and the settings reference are derived from these declarations, so that none of
them can say something else than the others (the way of nox and Slurm-web, anchors §3.2 and §3.8).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Optional, TypeVar, cast

from bcm_jobstats.site.document import describe, is_null, line_of, shape
from bcm_jobstats.site.problems import Problem, RefusedError

if TYPE_CHECKING:
    import yaml

T = TypeVar("T")


class Kind(Generic[T]):
    """What a value may be. `what` completes the sentence "must be …" and is the type shown in the reference."""

    what: str

    def read(self, node: yaml.Node, path: str, reader: Reader) -> T:
        """The value of `node`; raises RefusedError, or reports to `reader` when several things can be wrong in it."""
        raise NotImplementedError

    def show(self, value: T) -> str:
        """The value as YAML writes it on one line."""
        return str(value)


@dataclass(frozen=True)
class Setting:
    """One declared setting of a section."""

    name: str
    kind: Kind[Any]
    doc: str
    default: Any
    required: bool
    optional: bool
    example: str


@dataclass(frozen=True)
class Origin:
    """The file a section was read from and the line of everything that was in it."""

    file: str = ""
    lines: dict[str, int] = dataclasses.field(default_factory=dict)

    def where(self, path: str) -> str:
        """`FILE:LINE` of a setting such as `roles.jobstats.attach.categories[0]`.

        A setting that the file leaves at its default is at the nearest section that is in the file, else at the file.
        """
        line = self.line(path)
        return f"{self.file}:{line}" if line else self.file

    def line(self, path: str) -> int:
        """The line behind `where`, 0 for the file as a whole."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return 0


class Reader:
    """Collects values' lines and everything that is wrong while one file is read."""

    def __init__(self, file: Path) -> None:
        self.file = str(file)
        self.problems: list[Problem] = []
        self.lines: dict[str, int] = {}

    def add(self, line: int, cause: str, remedy: str = "") -> None:
        """Report one problem."""
        self.problems.append(Problem(self.file, line, cause, remedy))

    def value(self, setting: Setting, node: yaml.Node, path: str) -> Any:
        """The value of a setting; what is wrong is reported and the default stands in for it."""
        if is_null(node):
            if not (setting.optional or getattr(setting.kind, "may_be_empty", False)):
                self.add(line_of(node), f"{path}: has no value", f"give one ({setting.kind.what}) or remove the line")
            return setting.default
        try:
            return setting.kind.read(node, path, self)
        except RefusedError as problem:
            self.add(line_of(node), f"{path}: {problem.cause}", problem.remedy)
            return setting.default

    def pairs(self, node: yaml.Node, path: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """The entries of a mapping as (key, key node, value node); duplicate and odd keys are reported, not given."""
        if shape(node) != "mapping":
            raise RefusedError(
                f"must be a mapping, not {describe(node)}", "write `name: value` lines, indented below it"
            )
        seen: dict[str, int] = {}
        for key_node, value_node in cast("yaml.MappingNode", node).value:
            line, key = line_of(key_node), str(key_node.value) if shape(key_node) == "scalar" else ""
            if not key:
                self.add(line, f"{path or 'the file'}: a key must be a plain name, not {describe(key_node)}")
            elif key in seen:
                self.add(line, f"{join(path, key)}: set twice, first on line {seen[key]}", "keep one of them")
            else:
                seen[key] = line
                self.lines[join(path, key)] = line
                yield key, key_node, value_node

    def origin(self) -> Origin:
        """What `Site.where` needs."""
        return Origin(self.file, self.lines)


def join(path: str, key: str) -> str:
    """The path of `key` below `path`."""
    return f"{path}.{key}" if path else key


def _field(kind: Kind[Any], doc: str, example: str = "", *, optional: bool = False, **default: Any) -> Any:
    metadata = {"kind": kind, "doc": doc, "optional": optional, "example": example}
    return dataclasses.field(metadata=metadata, **default)


def setting(default: T, kind: Kind[T], doc: str, example: str = "") -> T:
    """A setting with a default."""
    return cast(T, _field(kind, doc, example, default_factory=lambda: default))


def optional(kind: Kind[T], doc: str, example: str = "") -> Optional[T]:
    """A setting that may be left unset (None)."""
    return cast(Optional[T], _field(kind, doc, example, optional=True, default=None))


def required(kind: Kind[T], doc: str) -> T:
    """A setting that the file must give."""
    return cast(T, _field(kind, doc))


def settings_of(section: type) -> dict[str, Setting]:
    """The settings that a dataclass declares, in the order of declaration; the field `from_` is the setting `from`."""
    found = {}
    for field in dataclasses.fields(section):
        if "kind" in field.metadata:
            missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            made = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
            name = field.name.rstrip("_")
            found[name] = Setting(name=name, default=None if missing else made, required=missing, **field.metadata)
    return found
