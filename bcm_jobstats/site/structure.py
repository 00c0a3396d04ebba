"""The kinds that hold other kinds: lists, mappings by name, and sections (dataclasses of settings)."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, cast

from bcm_jobstats.site.document import describe, line_of, shape
from bcm_jobstats.site.problems import RefusedError, did_you_mean
from bcm_jobstats.site.settings import Kind, Reader, Setting, join, settings_of

if TYPE_CHECKING:
    import yaml

T = TypeVar("T")
Check = Callable[[Any], Iterator[tuple[str, str]]]
"""Looks at a whole section and gives what is wrong as (cause, remedy)."""


@dataclass(frozen=True)
class ListOf(Kind[tuple[T, ...]]):
    """A list of values of one kind, without repetitions unless `repeats`."""

    each: Kind[T]
    repeats: bool = False

    @property
    def what(self) -> str:  # type: ignore[override]
        """The type for messages and the reference."""
        return f"a list, each entry {self.each.what}"

    def read(self, node: yaml.Node, path: str, reader: Reader) -> tuple[T, ...]:
        """The values; each bad entry is reported on its own line."""
        if shape(node) != "sequence":
            raise RefusedError(f"must be {self.what}, not {describe(node)}", f"write it as a list: [{describe(node)}]")
        values: list[T] = []
        for index, entry in enumerate(cast("yaml.SequenceNode", node).value):
            place = f"{path}[{index}]"
            reader.lines[place] = line_of(entry)
            try:
                value = self.each.read(entry, place, reader)
            except RefusedError as problem:
                reader.add(line_of(entry), f"{place}: {problem.cause}", problem.remedy)
                continue
            if value in values and not self.repeats:
                reader.add(line_of(entry), f"{place}: {describe(entry)} is in the list already", "remove it")
            values.append(value)
        return tuple(values)

    def show(self, value: tuple[T, ...]) -> str:
        """A YAML flow list."""
        return "[" + ", ".join(self.each.show(one) for one in value) + "]"


@dataclass(frozen=True)
class MapOf(Kind[Mapping[str, T]]):
    """A mapping from names to values of one kind. The entries of `always` are there even if the file names others."""

    key: Kind[str]
    each: Kind[T]
    empty: Optional[T] = None
    always: Mapping[str, T] = field(default_factory=dict)
    may_be_empty = True

    @property
    def what(self) -> str:  # type: ignore[override]
        """The type for messages and the reference."""
        return f"a mapping from {self.key.what} to its settings" if self.empty is not None else "a mapping of names"

    def read(self, node: yaml.Node, path: str, reader: Reader) -> Mapping[str, T]:
        """The values by name."""
        values = dict(self.always)
        entry = Setting("", self.each, "", self.empty, required=False, optional=self.empty is not None, example="")
        for key, key_node, value_node in reader.pairs(node, path):
            try:
                self.key.read(key_node, path, reader)
            except RefusedError as problem:
                reader.add(line_of(key_node), f"{path}: {problem.cause}", problem.remedy)
                continue
            values[key] = reader.value(entry, value_node, join(path, key))
        return values

    def show(self, value: Mapping[str, T]) -> str:
        """A YAML flow mapping."""
        return "{" + ", ".join(f"{self.key.show(key)}: {self.each.show(one)}" for key, one in value.items()) + "}"


@dataclass(frozen=True)
class Section(Kind[T]):
    """A group of settings: the fields of a frozen dataclass, then checked as a whole."""

    of: type[T]
    check: Optional[Check] = None
    what: str = "a mapping of settings"
    may_be_empty = True

    def read(self, node: yaml.Node, path: str, reader: Reader) -> T:
        """An instance of the dataclass."""
        before = len(reader.problems)
        values = self._values(node, path, reader)
        # A setting whose name is a word of Python's own has a field with '_' behind it.
        result = self.of(**{name + "_" * keyword.iskeyword(name): value for name, value in values.items()})
        if self.check is not None and len(reader.problems) == before:
            for cause, remedy in self.check(result):
                reader.add(reader.lines.get(path, line_of(node)), f"{path}: {cause}" if path else cause, remedy)
        return result

    def _values(self, node: yaml.Node, path: str, reader: Reader) -> dict[str, Any]:
        known = settings_of(self.of)
        # A required setting that is missing stays None: its problem keeps the result from ever being used.
        values: dict[str, Any] = {name: setting.default for name, setting in known.items()}
        missing = {name for name, setting in known.items() if setting.required}
        for key, key_node, value_node in reader.pairs(node, path):
            missing.discard(key)
            if key in known:
                values[key] = reader.value(known[key], value_node, join(path, key))
            else:
                cause = f"{join(path, key)}: there is no such setting"
                reader.add(line_of(key_node), cause, did_you_mean(key, known))
        for name in sorted(missing):
            cause = f"{join(path, name)}: is missing"
            reader.add(reader.lines.get(path, line_of(node)), cause, f"add it: {known[name].doc}")
        return values
