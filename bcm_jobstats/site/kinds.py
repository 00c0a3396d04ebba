"""The kinds of single values: text, numbers, switches, choices, durations, paths, node ranges."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from bcm_jobstats.site.document import describe, line_of, shape
from bcm_jobstats.site.durations import Duration
from bcm_jobstats.site.noderange import RangeError, expand, fold
from bcm_jobstats.site.problems import RefusedError, did_you_mean
from bcm_jobstats.site.settings import Kind, Reader

if TYPE_CHECKING:
    import yaml

TAG = "tag:yaml.org,2002:"


def scalar(node: yaml.Node, tag: str, what: str) -> str:
    """The text of a scalar of the given YAML type; RefusedError with what it is instead."""
    if shape(node) == "scalar" and node.tag == TAG + tag:
        return str(node.value)
    remedy = ""
    if tag == "str" and shape(node) == "scalar":
        remedy = f'YAML reads this as {node.tag.rsplit(":", 1)[-1]}: put quotes around it: "{node.value}"'
    elif tag == "int" and shape(node) == "scalar" and re.fullmatch(r"\d+", str(node.value)):
        remedy = f"write it without quotes or leading zeros: {int(str(node.value))}"
    raise RefusedError(f"must be {what}, not {describe(node)}", remedy)


def quoted(text: str) -> str:
    """`text` as a YAML scalar: plain where YAML would read the same text back, else in double quotes."""
    if re.fullmatch(r"[A-Za-z_/][A-Za-z0-9_./-]*", text) and text.lower() not in _WORDS_YAML_TAKES:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_WORDS_YAML_TAKES = {"yes", "no", "true", "false", "on", "off", "null", "y", "n"}


@dataclass(frozen=True)
class Text(Kind[str]):
    """Text that matches `pattern` from end to end; `hint` says in words what the pattern means."""

    what: str
    pattern: str = r"[^\x00-\x1f\x7f]+"
    hint: str = ""

    def read(self, node: yaml.Node, path: str, reader: Reader) -> str:
        """The text."""
        text = scalar(node, "str", self.what)
        if not re.fullmatch(self.pattern, text):
            raise RefusedError(f"{describe(node)} is not {self.what}", self.hint)
        return text

    def show(self, value: str) -> str:
        """The text, quoted where YAML asks for it."""
        return quoted(value)


@dataclass(frozen=True)
class Whole(Kind[int]):
    """A whole number from `least` to `most`, without those of `barred` (number and reason)."""

    what: str
    least: int
    most: int
    barred: tuple[tuple[int, str], ...] = ()

    def read(self, node: yaml.Node, path: str, reader: Reader) -> int:
        """The number."""
        text = scalar(node, "int", self.what)
        if not re.fullmatch(r"-?(0|[1-9]\d*)", text):
            raise RefusedError(f"must be {self.what}, not {text!r}", "write a plain decimal number")
        number = int(text)
        if not self.least <= number <= self.most:
            raise RefusedError(f"must be {self.what}, not {number}")
        for value, reason in self.barred:
            if number == value:
                raise RefusedError(f"must not be {number}: {reason}", f"for example {number + 10}")
        return number


class Switch(Kind[bool]):
    """true or false."""

    what = "true or false"

    def read(self, node: yaml.Node, path: str, reader: Reader) -> bool:
        """The truth value."""
        return scalar(node, "bool", self.what).lower() in {"true", "yes", "on"}

    def show(self, value: bool) -> str:
        """`true` or `false`."""
        return "true" if value else "false"


class Choice(Kind[str]):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.what = "one of " + ", ".join(words)

    def read(self, node: yaml.Node, path: str, reader: Reader) -> str:
        """The word."""
        text = scalar(node, "str", self.what)
        if text not in self.words:
            raise RefusedError(f"must be {self.what}, not {text!r}", did_you_mean(text, self.words))
        return text


class DurationKind(Kind[Duration]):
    """A time span as Prometheus writes it."""

    what = "a duration such as 30s, 5m or 1h30m"

    def read(self, node: yaml.Node, path: str, reader: Reader) -> Duration:
        """The time span."""
        if shape(node) == "scalar" and node.tag == TAG + "int":
            raise RefusedError(f"must be {self.what}, not {describe(node)}", f"name the unit: {node.value}s")
        text = scalar(node, "str", self.what)
        try:
            return Duration.parse(text)
        except ValueError as error:
            raise RefusedError(f"must be {self.what}, not {text!r}", str(error)) from error


class NodeRanges(Kind[tuple[str, ...]]):
    """Node names, each entry in the range syntax of BCM and ClusterShell; the value holds every single name."""

    what = "a list of node names or ranges, such as dgx-[01-04] or dgx-01..dgx-04"
    may_be_empty = False

    def read(self, node: yaml.Node, path: str, reader: Reader) -> tuple[str, ...]:
        """All names, in the order given, each once."""
        entries = cast("yaml.SequenceNode", node).value if shape(node) == "sequence" else [node]
        names: dict[str, int] = {}
        for index, entry in enumerate(entries):
            try:
                found = expand(scalar(entry, "str", "a node name or range"))
            except (RangeError, RefusedError) as error:
                cause, remedy = (error.cause, error.remedy) if isinstance(error, RefusedError) else (str(error), "")
                reader.add(line_of(entry), f"{path}[{index}]: {cause}", remedy)
                continue
            for name in found:
                names.setdefault(name, line_of(entry))
        reader.lines.update((f"{path}[{index}]", line) for index, line in enumerate(names.values()))
        return tuple(names)

    def show(self, value: tuple[str, ...]) -> str:
        """The names folded into ranges, in quotes because of their brackets."""
        return "[" + (quoted(fold(value)) if value else "") + "]"
