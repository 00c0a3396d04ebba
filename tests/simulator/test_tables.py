"""Tables, to the blank (bcm-facts §1.4, §1.7)."""

from __future__ import annotations

import json

import pytest

from bcm_jobstats.simulator.tables import Column, cut, delimited, json_rows, show, table, wrapped


@pytest.mark.parametrize(
    ("text", "width", "printed"),
    [
        ("generic::containerd,kubelet", 16, "generic::cont..."),
        ("sixteen letters!", 16, "sixteen letters!"),
        ("ab", 2, "ab"),
    ],
)
def test_a_long_cell_ends_in_dots(text: str, width: int, printed: str) -> None:
    assert cut(text, width) == printed


def test_headers_are_cut_without_dots_and_the_last_dashes_are_one_short() -> None:
    columns = [Column("hostname (key)", 10, 10), Column("ip", 5, 5)]
    assert table(columns, [("node001", "10.141.0.1")]) == "hostname ( ip\n---------- ----\nnode001    10...\n"


@pytest.mark.parametrize(("name", "width"), [("a", 8), ("a" * 12, 12), ("a" * 30, 16)])
def test_a_range_of_widths_takes_the_smallest_that_fits(name: str, width: int) -> None:
    lines = table([Column("name", 8, 16), Column("x", 2, 2)], [(name, "")]).splitlines()
    assert lines[1] == "-" * width + " -"
    assert len(lines[2]) <= width


def test_an_empty_list_has_a_header_and_is_an_empty_list() -> None:
    assert table([Column("Name (key)", 12, 12)], []) == "Name (key)\n-----------\n"
    assert json_rows([Column("Name (key)")], []) == "[]\n"


def test_a_delimiter_stands_for_the_blank() -> None:
    """bcm-facts §1.4."""
    columns = [Column("Type", 6, 6), Column("Name", 5, 5)]
    assert delimited(columns, [("a", "b")], "|") == "Type  |Name \n------|-----\na     |b    \n"


def test_json_is_json_whatever_the_cells_hold() -> None:
    rows = [('a "quoted" \\ text\n', "ü")]
    told = json_rows([Column("one", 40, 40), Column("two", 4, 4)], rows, 3)
    assert json.loads(told) == [{"one": rows[0][0], "two": "ü"}]
    assert told.startswith('[\n   {\n      "one": ')


def test_show_widens_for_a_long_value() -> None:
    assert show([("Name", "x" * 47)]).splitlines()[1] == "-" * 32 + " " + "-" * 47
    assert show([("Name", "x" * 48)]).splitlines()[1] == "-" * 32 + " " + "-" * 64


def test_what_does_not_fit_goes_on_after_a_comma() -> None:
    names = ["basecm10", "eu-west-1-director", "node001..node002"]
    assert wrapped(names, 25) == ["basecm10", ",eu-west-1-director", ",node001..node002"]
    assert wrapped(names[1:], 40) == ["eu-west-1-director,node001..node002"]
    assert wrapped([], 10) == [""]
