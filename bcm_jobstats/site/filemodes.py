"""The modes of files and programs that an administrator may ask for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bcm_jobstats.site.document import describe, shape
from bcm_jobstats.site.problems import RefusedError
from bcm_jobstats.site.settings import Kind, Reader

if TYPE_CHECKING:
    import yaml


class FileMode(Kind[int]):
    """A mode in octal digits, with or without quotes and the leading 0. Nobody but the owner may write, and no program
    of ours runs with other rights than its caller's."""

    what = "a mode such as 0755"

    def read(self, node: yaml.Node, path: str, reader: Reader) -> int:
        """The mode as a number."""
        # YAML 1.1 reads 0755 as 493: what counts are the digits as they stand in the file.
        text = str(node.value) if shape(node) == "scalar" else ""
        if not re.fullmatch(r"0?[4-7][0145][0145]", text):
            hint = "octal digits; readable for its owner, writable for nobody else, no set-user-id bit"
            raise RefusedError(f"must be {self.what}, not {describe(node)}", hint)
        return int(text, 8)

    def show(self, value: int) -> str:
        """The octal digits, with a leading 0."""
        return f"{value:04o}"
