"""Words of unit files: quoting, specifiers, command lines and their variables, as in systemd.service(5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')+""", re.DOTALL)
_PIECE = re.compile(r"""\\(x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|.)|["']""", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_]\w*)\})")
_BARE = re.compile(r"\$([A-Za-z_]\w*)")


class UnitError(Exception):
    """A unit that systemd would not load, or that a simulated node cannot run."""


@dataclass(frozen=True)
class Command:
    """One Exec line: the executable, its words before variables are put in, and what the prefixes say.

    `ignore_failure` is the prefix ``-``; ``+``, ``!`` and ``!!`` change privileges only and are dropped. With ``@``
    the first word is the process's own name; with ``:`` no variable is put in.
    """

    path: str
    words: tuple[str, ...] = ()
    ignore_failure: bool = False
    own_name: str | None = None
    substitute: bool = True

    def arguments(self, environment: Mapping[str, str]) -> list[str]:
        """The words with variables of `environment` put in: ``${X}`` anywhere, ``$X`` only as a word of its own."""
        if not self.substitute:
            return list(self.words)
        result: list[str] = []
        for word in self.words:
            bare = _BARE.fullmatch(word)
            if bare:
                result += split_words(environment.get(bare[1], ""))
            else:
                result.append(_VARIABLE.sub(lambda m: environment.get(m[1], "") if m[1] else "$", word))
        return result


def is_true(text: str) -> bool:
    """Whether a boolean setting is on."""
    return text.lower() in ("1", "yes", "true", "on", "y", "t")


def expand(text: str, known: Mapping[str, str]) -> str:
    """`text` with its % specifiers put in; one that systemd (or this reader) does not know is an error."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise UnitError(f"failed to resolve the specifier %{match[1]} in {text!r}")
        return known[match[1]]

    return re.sub(r"%(.?)", value, text)


def split_words(text: str) -> list[str]:
    """`text` split at blanks, quotes and C escapes resolved."""
    return [_unquote(raw) for raw in _raw_words(text)]


def split_commands(values: Iterable[str], known: Mapping[str, str]) -> tuple[Command, ...]:
    """The commands of all assignments of one Exec key; a lone ``;`` divides commands of one line."""
    commands = []
    for value in values:
        line: list[str] = []
        for raw in [*_raw_words(value), ";"]:
            if raw != ";":
                line.append(expand(";" if raw == r"\;" else _unquote(raw), known))
            elif line:
                commands.append(_command(line))
                line = []
    return tuple(commands)


def _raw_words(text: str) -> list[str]:
    words = _WORD.findall(text)
    if _WORD.sub("", text).strip():
        raise UnitError(f"unbalanced quoting in {text!r}")
    return words


def _unquote(raw: str) -> str:
    quote = ""

    def value(match: re.Match[str]) -> str:
        nonlocal quote
        escape = match[1]
        if escape is None:  # a quote: it opens, closes, or is plain text inside the other kind
            if quote and match[0] != quote:
                return match[0]
            quote = "" if quote else match[0]
            return ""
        if len(escape) > 1:
            return chr(int(escape, 8)) if escape[0] not in "xu" else chr(int(escape[1:], 16))
        return _ESCAPES.get(escape, escape if escape in "\\\"'" else f"\\{escape}")

    return _PIECE.sub(value, raw)


def _command(line: list[str]) -> Command:
    match = re.match(r"[-@:+!|]*", line[0])
    prefixes = match[0] if match else ""
    path, words = line[0][len(prefixes) :], line[1:]
    if not path:
        raise UnitError(f"no executable in {' '.join(line)!r}")
    own_name = words.pop(0) if "@" in prefixes and words else None
    return Command(path, tuple(words), "-" in prefixes, own_name, ":" not in prefixes)
