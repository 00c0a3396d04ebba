"""What is wrong in a file that an administrator wrote: all of it at once, each with file, line, cause and remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bcm_jobstats.errors import ExitStatus, JobstatsError


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong; `line` counts from 1, and 0 stands for the file as a whole."""

    file: str
    line: int
    cause: str
    remedy: str = ""

    @property
    def where(self) -> str:
        """`FILE:LINE`, as editors and compilers write it."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def __str__(self) -> str:
        text = f"{self.where}: {self.cause}"
        return f"{text}\n  {self.remedy}" if self.remedy else text


class SiteError(JobstatsError):
    """Everything that is wrong in the site file or in a definition; `problems` is sorted by file and line."""

    status = ExitStatus.BAD_SITE

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        first = self.problems[0]
        super().__init__(first.where, first.cause, first.remedy)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class RefusedError(Exception):
    """A value that its kind refuses; the reader adds the place."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause, remedy)
        self.cause = cause
        self.remedy = remedy


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The remedy for a name that is not known: the nearest known one, else all of them."""
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known here: {', '.join(names)}" if names else ""
