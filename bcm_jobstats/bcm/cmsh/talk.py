"""A conversation with cmsh: questions that are asked again, orders that are given once (bcm-facts §1.1, §1.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bcm_jobstats.bcm.cmsh import answers, process
from bcm_jobstats.bcm.errors import TimedOut, Unreachable, Unreadable

ATTEMPTS = 3
"""Of a question whose connection was lost. An order is never repeated blindly: it is read back instead."""
END = ("home", "main versioninfo")
"""At the end of every script: its answer proves that all of the script was run and all that was said arrived."""


@dataclass(frozen=True)
class Said:
    """What cmsh said to an order, without events and without the proof at its end."""

    text: str
    complete: bool
    """Whether the proof arrived: with `--quit` cmsh ends at the first error, and so does a lost connection."""
    altered: str = ""
    """What keeps `text` from being, letter by letter, what cmsh was to tell; empty: nothing."""

    @property
    def words(self) -> str:
        """A validation table's messages, or all that was said, as one line for an error message."""
        told = answers.refusal(self.text) or " / ".join(line.strip() for line in self.text.splitlines() if line.strip())
        return told or "cmsh said nothing"


class Talk:
    """cmsh with a time limit and a certificate."""

    def __init__(self, cmsh: Path, timeout: float, options: Sequence[str] = ()) -> None:
        """`timeout` in seconds, for each cmsh process; `options` go to every one, such as a certificate."""
        self.cmsh, self.timeout, self.options = cmsh, timeout, tuple(options)

    def ask(self, commands: Sequence[str]) -> str:
        """The answer to a reading script, with the version at its end. Raises Unreachable when none is complete."""
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, Unreachable) and not isinstance(error, TimedOut)),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(multiplier=0.2, max=2),
            reraise=True,
        )
        return retrying(self._ask_once, commands)

    def lines(self, commands: Sequence[str]) -> list[str]:
        """The lines of the answer to a reading script, as they are, without the version at its end."""
        return _body(self.ask(commands)).split("\n")

    def told(self, subject: str, commands: Sequence[str], *, verbatim: bool = False) -> str:
        """The answer to a reading script whose form is free, so that an error could be taken for it: the script ends
        at the first one. With `verbatim` it is to be written back: an event between its lines is gone when it is asked
        for again, a line of it that looks like one is not. Raises Unreadable with cmsh's words."""
        said = self.order(commands)
        for _ in range(ATTEMPTS - 1):
            said = said if said.complete and not (verbatim and said.altered) else self.order(commands)
        if not said.complete:
            raise Unreadable(subject, f"cmsh does not tell it: {said.words}", "Ask for it in cmsh by hand.")
        if verbatim and said.altered:
            raise Unreadable(subject, f"would not be written back as it is: {said.altered}", "Set it anew in cmsh.")
        return said.text

    def order(self, commands: Sequence[str], least: float = 0.0, *, stop: bool = True) -> Said:
        """Run a script once; with `stop` it ends at the first error. Raises Unreachable when cmsh cannot be started
        or gives no answer within the timeout, or `least` seconds if that is more."""
        answer = self._run([*commands, *END], least, write=stop)
        text = answers.without_events(answer.text)
        return Said(_body(text), answers.version(text) is not None, _altered(answer))

    def attempt(self, commands: Sequence[str], least: float = 0.0) -> Said:
        """An order that is read back: a cmsh that gave no answer is one more that is not complete."""
        try:
            return self.order(commands, least)
        except Unreachable as error:
            return Said(f"{error.subject} {error.cause}", complete=False)

    def _ask_once(self, commands: Sequence[str]) -> str:
        answer = self._run([*commands, *END])
        text = answers.without_events(answer.text)
        if answers.version(text) is None:
            raise Unreachable(
                "CMDaemon",
                f"cmsh got no complete answer: {answer.last_words()}",
                "Check CMDaemon (systemctl status cmd) and cmsh's certificate, then run the command again.",
            )
        return text

    def _run(self, commands: Sequence[str], least: float = 0.0, *, write: bool = False) -> process.Answer:
        return process.run(self.cmsh, commands, max(self.timeout, least), write=write, options=self.options)


def _altered(answer: process.Answer) -> str:
    """See Said."""
    event = next((line for line in answer.text.split("\n") if answers.EVENT.match(line)), "")
    if event:
        return f"a line in it looks like an event of BCM: {event:.100}"
    if "\ufffd" in answer.text:
        return "it is not all UTF-8"
    return "it has carriage returns" if answer.returns else ""


def _body(text: str) -> str:
    """What stands before the version at the end."""
    before, heading, _ = text.rpartition(answers.VERSION_HEADING)
    return before if heading else text
