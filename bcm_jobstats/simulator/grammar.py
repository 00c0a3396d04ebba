"""The grammar of a cmsh line: commands between semicolons, words, quotes, pipes (bcm-facts §1.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bcm_jobstats.simulator.messages import unbalanced

_LOOPS = re.compile(r"^\s*(?:\w+\s+)?foreach\b")


@dataclass(frozen=True)
class Command:
    """One command: its words, its text as written, and what a shell gets to do with its output."""

    words: tuple[str, ...]
    text: str
    body: str = ""
    """What stands between the parentheses of `foreach`."""
    pipe: str = ""
    redirect: str = ""
    append: bool = False


def split(line: str) -> list[str]:
    """The commands of a line: cut at ``;`` and line ends outside quotes, backquotes and the body of a foreach.

    Parentheses count only after `foreach`: elsewhere they are ordinary characters.
    """
    pieces: list[str] = []
    start = depth = 0
    quote = ""
    for at, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        elif char == "(" and (depth or _LOOPS.match(line[start:at])):
            depth += 1
        elif char == ")" and depth:
            depth -= 1
        elif char in ";\n" and not depth:
            pieces.append(line[start:at])
            start = at + 1
    if quote or depth:
        raise unbalanced("quote" if quote else "parenthesis")
    pieces.append(line[start:])
    return [piece.strip() for piece in pieces if piece.strip()]


def parse(text: str) -> Command:
    """One command in words. Backquotes are the session's business: it runs them before."""
    body = ""
    if _LOOPS.match(text):
        text, body = _loop(text)
    words, rest, mark = _words(text)
    if mark == "|":
        return Command(tuple(words), text, body, pipe=rest.strip())
    if mark:
        target, _, _ = _words(rest)
        return Command(tuple(words), text, body, redirect=" ".join(target), append=mark == ">>")
    return Command(tuple(words), text, body)


def _loop(text: str) -> tuple[str, str]:
    opening = _outside_quotes(text, "(")
    closing = text.rfind(")")
    if opening < 0 or closing < opening:
        return text, ""
    return text[:opening] + text[closing + 1 :], text[opening + 1 : closing]


def _outside_quotes(text: str, wanted: str) -> int:
    quote = ""
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == wanted:
            return at
    return -1


def _words(text: str) -> tuple[list[str], str, str]:
    """The words up to a pipe or redirection, then what follows it, and its mark."""
    words: list[str] = []
    word = quote = ""
    begun = False
    for at, char in enumerate(text):
        if quote:
            if char == quote:
                quote = ""
            else:
                word += char
        elif char in "'\"":
            quote, begun = char, True
        elif char.isspace() or char in "|>":
            if begun:
                words.append(word)
            word, begun = "", False
            if char == "|":
                return words, text[at + 1 :], "|"
            if char == ">":
                twice = text.startswith(">>", at)
                return words, text[at + 1 + twice :], ">>" if twice else ">"
        else:
            word, begun = word + char, True
    if quote:
        raise unbalanced("quote")
    return words + [word] if begun else words, "", ""
