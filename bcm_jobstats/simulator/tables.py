"""Tables as cmsh prints them: `list`, its delimiter and JSON forms, and `show` (bcm-facts §1.4, §1.7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as quoted

Line = tuple[str, ...]
VALUE_WIDTH, WIDE_VALUE_WIDTH = 47, 64


@dataclass(frozen=True)
class Column:
    """A column: its header, the width it has at least and at most, and whether a long cell is cut."""

    header: str
    low: int = 20
    high: int = 20
    cut: bool = True


def cut(text: str, width: int) -> str:
    """A cell in its column: one that is too long ends in three dots."""
    if len(text) <= width:
        return text
    return text[: max(width - 3, 0)] + "..."


def widths(columns: Sequence[Column], rows: Sequence[Line]) -> list[int]:
    """The width of every column: the smallest of its range in which all its cells fit."""
    found = []
    for at, column in enumerate(columns):
        longest = 0
        if column.low < column.high:
            longest = max([len(column.header), *(len(row[at]) for row in rows)])
        found.append(min(max(column.low, longest), column.high))
    return found


def table(columns: Sequence[Column], rows: Sequence[Line]) -> str:
    """Header, dashes and rows; the last run of dashes is one shorter than its column (bcm-facts §1.4).

    Blanks at the end of a line are not printed: the text of the manuals does not show whether cmsh does.
    """
    wide = widths(columns, rows)
    header = [column.header[:width] for column, width in zip(columns, wide)]
    dashes = ["-" * width for width in wide]
    dashes[-1] = dashes[-1][1:]
    body = (_cells(columns, wide, row) for row in rows)
    return "".join(_line(cells, wide) for cells in (header, dashes, *body))


def _cells(columns: Sequence[Column], wide: Sequence[int], row: Line) -> list[str]:
    return [cut(cell, width) if column.cut else cell for column, width, cell in zip(columns, wide, row)]


def _line(cells: Sequence[str], wide: Sequence[int]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, wide)).rstrip() + "\n"


def delimited(columns: Sequence[Column], rows: Sequence[Line], mark: str) -> str:
    """`list -d MARK`: the same columns, joined with the mark instead of a blank."""
    wide = widths(columns, rows)
    header = [column.header[:width] for column, width in zip(columns, wide)]
    dashes = ["-" * width for width in wide]
    body = (_cells(columns, wide, row) for row in rows)
    lines = (header, dashes, *body)
    return "".join(mark.join(cell.ljust(width) for cell, width in zip(cells, wide)) + "\n" for cells in lines)


def json_rows(columns: Sequence[Column], rows: Sequence[Line], indent: int = 2, *, cells_cut: bool = True) -> str:
    """`list -d {}`: a JSON list of objects whose keys are the headers and whose values are strings."""
    if not rows:
        return "[]\n"
    wide = widths(columns, rows)
    limits = [width if cells_cut and column.cut else 1 << 30 for column, width in zip(columns, wide)]
    step = " " * indent
    keys = [f"{step}{step}{quoted(column.header)}: " for column in columns]
    parts = []
    for row in rows:
        cells = (
            key + quoted(cell if len(cell) <= limit else cut(cell, limit))
            for key, cell, limit in zip(keys, row, limits)
        )
        parts.append(f"{step}{{\n" + ",\n".join(cells) + f"\n{step}}}")
    return "[\n" + ",\n".join(parts) + "\n]\n"


def show(rows: Sequence[tuple[str, str]], low: tuple[int, int] = (32, VALUE_WIDTH)) -> str:
    """`show`: two columns of 32 and 47, the second widened to 64 when a value is longer (bcm-facts §1.7).

    `device show` has 39 and 35, and is not widened for a value of 37.
    """
    longest = max((len(value) for _, value in rows), default=0)
    second = low[1] if longest <= VALUE_WIDTH else max(WIDE_VALUE_WIDTH, longest)
    lines = [("Parameter", "Value"), ("-" * low[0], "-" * second), *rows]
    return "".join(f"{label:{low[0]}} {value}".rstrip() + "\n" for label, value in lines)


def wrapped(cells: Iterable[str], width: int) -> list[str]:
    """A list in a narrow cell: what does not fit goes on in lines that start with a comma (roleoverview)."""
    lines = [""]
    for cell in cells:
        piece = cell if lines == [""] else "," + cell
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append(piece)
        else:
            lines[-1] += piece
    return lines
