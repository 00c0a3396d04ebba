"""An exporter's arguments: the definition's, and what a site gives instead or besides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def merged(definition: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """The definition's arguments without each `--name=value` and `--no-name` whose name the site gives too, then the
    site's.

    Programs that use Go's kingpin, as node_exporter does, refuse an option given twice.
    """
    given = {_name(argument) for argument in own}
    return (*(one for one in definition if not _whole(one) or _name(one) not in given), *own)


def values(arguments: Sequence[str], name: str) -> Iterator[str]:
    """What is given for the option `name`, such as `--path`: as `--path=x`, or as two words."""
    for index, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            yield argument.partition("=")[2]
        elif argument == name:
            yield from arguments[index + 1 : index + 2]


def _whole(argument: str) -> bool:
    """Whether it is an option whose value cannot be the next word."""
    return argument.startswith("--no-") or (argument.startswith("-") and "=" in argument)


def _name(argument: str) -> str:
    """`--path` of `--path=x`, `--log` of `--no-log`; "" for what is no option."""
    name = argument.partition("=")[0] if argument.startswith("-") else ""
    return f"--{name[5:]}" if name.startswith("--no-") else name
