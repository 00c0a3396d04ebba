"""YAML as a tree of nodes in which every value still knows its line.

`yaml.compose` with the safe loader builds no objects, so a tag in the file cannot run anything, and what YAML 1.1 makes
of `yes`, `0755` or `12:30` is judged by the setting that reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcm_jobstats.site.problems import Problem, SiteError

if TYPE_CHECKING:
    import yaml

RANGE_IN_LIST = "a node range inside [...] needs quotes, as in nodes: ['dgx-[01-04]']"
"""A range's own brackets end a YAML list; the error that follows is hard to read."""


def compose(path: Path) -> yaml.MappingNode | None:
    """The top-level mapping of `path`, None when the file holds nothing; raises SiteError."""
    import yaml

    try:
        node: Any = yaml.compose(path.read_bytes(), Loader=yaml.SafeLoader)
    except OSError as error:
        raise SiteError([_unreadable(path, error)]) from error
    except yaml.MarkedYAMLError as error:
        raise SiteError([_syntax(path, error)]) from error
    except yaml.YAMLError as error:
        text = " ".join(str(error).split())
        raise SiteError([Problem(str(path), 0, f"not YAML: {text}", "save the file as UTF-8 text")]) from error
    if node is None or is_null(node):
        return None
    if not isinstance(node, yaml.MappingNode):
        cause = f"the file must be a mapping of settings, not {describe(node)}"
        raise SiteError([Problem(str(path), line_of(node), cause, "write settings as `name: value` lines")])
    return node


def _unreadable(path: Path, error: OSError) -> Problem:
    remedy = "write one with `bcm-jobstats init`" if isinstance(error, FileNotFoundError) else "check its permissions"
    return Problem(str(path), 0, f"cannot be read: {error.strerror}", remedy)


def _syntax(path: Path, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 0
    text = path.read_text(errors="replace").splitlines()
    near = text[max(0, line - 2) : line]
    remedy = RANGE_IN_LIST if any(one.count("[") > 1 for one in near) else "check indentation, colons and quotes here"
    return Problem(str(path), line, f"not YAML: {error.problem or error.context}", remedy)


def line_of(node: yaml.Node) -> int:
    """The line of a node, counted from 1."""
    return int(node.start_mark.line) + 1


def shape(node: yaml.Node) -> str:
    """`scalar`, `sequence` or `mapping`."""
    return str(getattr(node, "id", ""))


def is_null(node: yaml.Node) -> bool:
    """Whether the node is `key:` with nothing behind it, or an explicit null."""
    return node.tag == "tag:yaml.org,2002:null"


def describe(node: yaml.Node) -> str:
    """A value as an error message shows it: `'x'`, `a list`, `a mapping`, `nothing`."""
    if is_null(node):
        return "nothing"
    if shape(node) == "scalar":
        value = str(node.value)
        return repr(value if len(value) <= 40 else value[:37] + "...")
    return {"sequence": "a list", "mapping": "a mapping"}.get(shape(node), shape(node))
