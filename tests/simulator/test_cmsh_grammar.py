"""The grammar of cmsh: how a line becomes commands and words, and what a shell gets to see (bcm-facts §1.2)."""

from __future__ import annotations

import pytest

from bcm_jobstats.simulator.grammar import parse, split
from bcm_jobstats.simulator.messages import CmshError


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("device; list", ["device", "list"]),
        ("  device;;  list ; ", ["device", "list"]),
        ('set notes "a; b"; commit', ['set notes "a; b"', "commit"]),
        ("set notes 'a; b'", ["set notes 'a; b'"]),
        ("set notes `echo a;b`", ["set notes `echo a;b`"]),
        ("foreach * (get hostname; status); commit", ["foreach * (get hostname; status)", "commit"]),
        ("device foreach -n a (use b; (c; d))", ["device foreach -n a (use b; (c; d))"]),
        ("set notes (a; commit", ["set notes (a", "commit"]),
        ("foreach * (set notes ')'; commit)", ["foreach * (set notes ')'; commit)"]),
        ("device\nlist", ["device", "list"]),
        ("", []),
    ],
)
def test_a_line_is_cut_at_semicolons_outside_quotes_and_loops(line: str, commands: list[str]) -> None:
    assert split(line) == commands


@pytest.mark.parametrize("line", ["set notes 'a; b", 'set notes "a', "get `x", "foreach * (status"])
def test_what_does_not_end_is_refused(line: str) -> None:
    with pytest.raises(CmshError):
        split(line)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('set revision "changed on 10th May"', ("set", "revision", "changed on 10th May")),
        ("set room 'skonk works'", ("set", "room", "skonk works")),
        ('use "slurm-client"', ("use", "slurm-client")),
        ('set notes ""', ("set", "notes", "")),
        ("set notes a'b c'd", ("set", "notes", "ab cd")),
        ('set notes "it\'s"', ("set", "notes", "it's")),
        ("set notes 'a|b > c'", ("set", "notes", "a|b > c")),
    ],
)
def test_quotes_make_one_word(text: str, words: tuple[str, ...]) -> None:
    assert parse(text).words == words


def test_pipes_and_redirections_are_the_shells() -> None:
    """bcm-facts §1.2."""
    assert parse("list | grep a | wc -l").pipe == "grep a | wc -l"
    assert (parse("list > out").redirect, parse("list > out").append) == ("out", False)
    assert (parse("list >>out").redirect, parse("list >>out").append) == ("out", True)


def test_a_loop_has_its_commands_apart() -> None:
    loop = parse("foreach -l slurmclient (get hostname; roles; list -d {})")
    assert loop.words == ("foreach", "-l", "slurmclient")
    assert loop.body == "get hostname; roles; list -d {}"
