"""Progress of work on many nodes: lines on stderr, and on a terminal a bar below them."""

from __future__ import annotations

import argparse
import sys

WIDTH = 30


class Progress:
    """`tell` prints a line, `bar` draws how many nodes are done, failed and left; `end` takes the bar away."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.quiet = bool(args.quiet)
        self.live = not self.quiet and sys.stderr.isatty()
        self.drawn = ""

    def tell(self, text: str) -> None:
        """One line."""
        if not self.quiet:
            self.end()
            print(text, file=sys.stderr, flush=True)
            self._draw()

    def bar(self, done: int, failed: int, left: int) -> None:
        """How far it is."""
        filled = WIDTH * (done + failed) // max(1, done + failed + left)
        self.drawn = f"[{'#' * filled}{'.' * (WIDTH - filled)}] {done} done, {failed} failed, {left} left"
        self._draw()

    def end(self) -> None:
        """Nothing of the bar is left."""
        if self.live and self.drawn:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _draw(self) -> None:
        if self.live and self.drawn:
            print(f"\r\033[K{self.drawn}", end="", file=sys.stderr, flush=True)
