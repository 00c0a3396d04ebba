"""The tables of README.md against the code: files, names, capabilities, tests and cases, citations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from bcm_jobstats.bcm import capabilities

HERE = Path(__file__).parent
TESTS = HERE.parent
PRODUCT = TESTS.parent / "bcm_jobstats"
INTERACTIONS = ("interaction", "where", "fact", "sure", "pinned by")
TRANSCRIPTS = ("section", "transcript", "case")
OMITTED = ("section", "transcript", "reason")
CODE = re.compile(r"`([^`]+)`")
MARK = re.compile(r"(\[[TDUI?]\])( \[[TDUI?]\])*")
OF_FACTS = r"§(?:[1-9]|1[0-3])(?:\.[1-9])?(?: #[1-9][0-9]?)?"
OF_MANUAL = r"AM11 (?:§[1-9][0-9]?(?:\.[1-9][0-9]?)*|Table [A-Z]|App\. [A-Z])"
CAPABILITY = re.compile(r"assumption: capability ([a-z0-9-]+)")
OTHER_SECTIONS = re.compile(
    r"\b[A-Z]{2}1[01](?:/[A-Z]{2}1[01])* §[0-9.]+(?:, §[0-9.]+)*|\blab §[0-9.]+|design §[0-9.]+"
)
"""Sections of manuals and of other papers, which are not those of bcm-facts."""


@dataclass(frozen=True)
class Line:
    """A line of a table: which table, its number in the file, its cells."""

    header: tuple[str, ...]
    number: int
    cells: tuple[str, ...]

    def cell(self, name: str) -> str:
        return self.cells[self.header.index(name)]

    def named(self, name: str) -> list[str]:
        """What stands in backquotes in a cell."""
        return CODE.findall(self.cell(name))


def read(text: str) -> list[Line]:
    """The lines of all tables but the one of the marks."""
    found = []
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            header = ()
            continue
        cells = tuple(part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1])
        if not header:
            header = cells
        elif not set("".join(cells)) <= {"-"} and header != ("mark", "meaning"):
            assert len(cells) == len(header), f"line {number} has {len(cells)} cells"
            found.append(Line(header, number, cells))
    return found


LINES = read((HERE / "README.md").read_text(encoding="utf-8"))
ROWS = [line for line in LINES if line.header == INTERACTIONS]
CASES = [line for line in LINES if line.header == TRANSCRIPTS]
UNTESTED = [line for line in LINES if line.header == OMITTED]


def sections(fact: str) -> list[str]:
    """The sections that a cell cites, as `§1.1` and `AM11 §6.4`."""
    return [part for part in fact.split("; ") if not CAPABILITY.fullmatch(part)]


@cache
def functions(file: Path) -> dict[str, str]:
    """Name -> source of every test of a file, with its decorators and the comment lines before it."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            while first > 1 and lines[first - 2].startswith("#"):
                first -= 1
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return found


def source(pin: str) -> str:
    """What a pin says of itself: the source of a test, or the header of a case. KeyError or OSError: not there."""
    file, _, test = pin.partition("::")
    if test:
        return functions(TESTS / file)[test]
    lines = (TESTS / file).read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.startswith("# "))


def mentions(text: str, section: str) -> bool:
    """Whether a text cites a section: of the manual, or of bcm-facts. All unknowns at once are cited as §13."""
    if section.startswith("AM11 "):
        word = section.partition(" ")[2]
        return "AM11" in text and re.search(rf"{re.escape(word)}(?![\w]|\.\d)", text) is not None
    own = OTHER_SECTIONS.sub("", text)
    if section.startswith("§13 #") and re.search(r"§13(?! #|\d|\.\d)", own):
        return True
    return re.search(rf"{re.escape(section)}(?!\d|\.\d)", own) is not None


def pins(line: Line) -> list[str]:
    return line.named("pinned by" if line.header == INTERACTIONS else "case")


def each(lines: list[Line]) -> Iterator[object]:
    for line in lines:
        yield pytest.param(line, id=f"{line.number}: {line.cells[1 if line.header != INTERACTIONS else 0][:50]}")


def test_there_are_the_tables_that_are_looked_at() -> None:
    assert {line.header for line in LINES} == {INTERACTIONS, TRANSCRIPTS, OMITTED}
    assert len(ROWS) > 100 and len(CASES) > 60 and UNTESTED


@pytest.mark.parametrize("line", list(each(ROWS)))
def test_the_place_in_the_product_is_there(line: Line) -> None:
    places = line.named("where")
    assert len(places) == 1
    file, _, name = places[0].partition("::")
    assert re.search(rf"\b{name}\b", (PRODUCT / file).read_text(encoding="utf-8")), f"{file} has no {name}"


@pytest.mark.parametrize("line", list(each([*ROWS, *CASES, *UNTESTED])))
def test_sections_and_marks_look_like_such(line: Line) -> None:
    cited = sections(line.cell("fact" if line.header == INTERACTIONS else "section"))
    odd = [section for section in cited if not re.fullmatch(f"{OF_FACTS}|{OF_MANUAL}", section)]
    assert odd == []
    if line.header == INTERACTIONS:
        assert cited or CAPABILITY.search(line.cell("fact"))
        assert MARK.fullmatch(line.cell("sure"))


@pytest.mark.parametrize("line", list(each([*ROWS, *CASES])))
def test_tests_and_cases_are_there(line: Line) -> None:
    assert pins(line), "nothing pins it"
    for pin in pins(line):
        assert source(pin), pin


@pytest.mark.parametrize("line", list(each(ROWS)))
def test_who_pins_a_fact_cites_it(line: Line) -> None:
    """Every section is cited by a test that pins it, and every test cites one of the sections that it pins."""
    cited = sections(line.cell("fact"))
    texts = {pin: source(pin) for pin in pins(line)}
    assert [section for section in cited if not any(mentions(text, section) for text in texts.values())] == []
    if cited:
        assert [pin for pin, text in texts.items() if not any(mentions(text, section) for section in cited)] == []


@pytest.mark.parametrize("line", list(each(CASES)))
def test_a_case_cites_its_transcript(line: Line) -> None:
    missing = [pin for pin in pins(line) if not mentions(source(pin), line.cell("section"))]
    assert missing == []


def test_every_capability_has_a_row_and_every_doubt_of_a_row_is_a_capability() -> None:
    told = {name for line in ROWS for name in CAPABILITY.findall(line.cell("fact"))}
    assert told == {capability.name for capability in capabilities.ALL}


def test_every_case_is_in_a_row() -> None:
    named = {pin for line in [*ROWS, *CASES] for pin in pins(line)}
    there = {f"assets/cmsh/{path.name}" for path in (TESTS / "assets/cmsh").glob("*.txt")}
    assert sorted(there - named) == []


def test_sections_are_told_apart() -> None:
    assert mentions("bcm-facts §1.1, §1.5", "§1.5") and not mentions("bcm-facts §1.15", "§1.1")
    assert not mentions("provisioningstatus [T] AM10 §5.2", "§5.2") and mentions("AM11 §6.4, Table J", "AM11 Table J")
    assert mentions("(bcm-facts §13 #1)", "§13 #1") and not mentions("§13 #11", "§13 #1")
