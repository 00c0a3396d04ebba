"""Templates to text: arguments, environment and units. jinja2 with StrictUndefined: a slip is an error, not a gap."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcm_jobstats import data
from bcm_jobstats.site.problems import Problem, SiteError, did_you_mean

if TYPE_CHECKING:
    import jinja2

    from bcm_jobstats.site.settings import Origin
    from bcm_jobstats.stack.definitions import Exporter

HEADER = "Managed by bcm-jobstats: do not edit, changes are undone by the next apply"
"""The first comment of every file of ours that has comments."""

SLIPS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What an expression in somebody's template can run into."""

NAMES = {"port": 1, "name": "x", "cluster": "x"}
"""What arguments and environment may use, with values to try them out."""


def quote(text: str) -> str:
    """One word of a systemd command line: specifiers, variables and quotes mean nothing in it (systemd.service(5))."""
    return assignment(text.replace("$", "$$"))


def assignment(text: str) -> str:
    """One NAME=VALUE of a systemd Environment= line, where '$' is a plain letter (systemd.exec(5))."""
    plain = specifiers(text)
    if re.fullmatch(r"[A-Za-z0-9_@%+=:,./$-]+", plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def specifiers(text: str) -> str:
    """Text in which systemd expands no %-specifier."""
    return text.replace("%", "%%")


def _three_quarters(amount: str) -> str:
    """Three quarters of an amount of memory, in whole numbers: of 256M, 201326592."""
    return str(int(amount[:-1]) * 1024 ** ("KMGT".index(amount[-1]) + 1) * 3 // 4)


def _folders(folder: Path) -> list[Path]:
    """Where the templates of a definition in `folder` may lie, the first place first."""
    return [folder, folder / "templates", *(data.path(name) / "templates" for name in ("overlays", "images"))]


@cache
def _environment(folder: Path) -> jinja2.Environment:
    import jinja2

    # No escaping: what is written are units, not HTML; words are quoted for systemd by the filter `quote`.
    environment = jinja2.Environment(  # noqa: S701
        loader=jinja2.FileSystemLoader(_folders(folder)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(quote=quote, assignment=assignment, specifiers=specifiers)
    environment.filters.update(three_quarters=_three_quarters)
    return environment


def words(texts: Iterable[str], values: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Rendered arguments; those that come out empty are left away."""
    environment = _environment(folder)
    rendered = [environment.from_string(text).render(values) if "{" in text else text for text in texts]
    broken = next((text for text in rendered if not text.isprintable()), None)
    if broken is not None:
        # A line break would end the line of the unit and begin another setting.
        raise ValueError(f"{broken!r} has characters that cannot stand in a unit")
    return tuple(text for text in rendered if text)


def unit(template: str, folder: Path, values: Mapping[str, Any]) -> bytes:
    """A file from a template next to the definition or of the package; SiteError when the template fails."""
    import jinja2

    try:
        return _environment(folder).get_template(template).render(values, header=HEADER).encode()
    except jinja2.TemplateSyntaxError as error:
        raise SiteError([Problem(str(error.filename), error.lineno, f"not jinja2: {error.message}")]) from error
    except (jinja2.TemplateError, *SLIPS) as error:
        cause = f"the template fails: {error}"
        raise SiteError([Problem(str(folder / template), 0, cause, "mend the template")]) from error


def problems(exporter: Exporter) -> Iterator[Problem]:
    """What is wrong with an exporter's templates, found by trying them out."""
    origin = exporter.origin
    places = [(f"arguments[{index}]", text) for index, text in enumerate(exporter.arguments)]
    places += [(f"environment.{key}", text) for key, text in exporter.environment.items()]
    for place, text in places:
        cause, remedy = trial(text, exporter.folder)
        if cause:
            yield Problem(origin.file, origin.line(place), f"{place}: {cause}", remedy)
    yield from missing(exporter.unit, exporter.folder, origin, "unit")


def missing(template: str, folder: Path, origin: Origin, place: str) -> Iterator[Problem]:
    """A template that is nowhere; `place` is the setting that names it."""
    if not any((one / template).is_file() for one in _folders(folder)):
        remedy = f"put it into {folder}, or remove the line"
        yield Problem(origin.file, origin.line(place), f"{place}: there is no template {template}", remedy)


def trial(text: str, folder: Path, names: Mapping[str, Any] = NAMES) -> tuple[str, str]:
    """What is wrong with a text that is to be rendered with `names`, as (cause, remedy); both empty when it works."""
    import jinja2

    if "{" not in text:
        return "", ""
    try:
        words([text], names, folder)
    except jinja2.UndefinedError as error:
        match = re.search(r"'(\w+)' is undefined", str(error.message))
        return f"{error.message}", did_you_mean(match[1] if match else "", names)
    except jinja2.TemplateError as error:
        return f"not jinja2: {error.message}", "known names: " + ", ".join(names)
    except SLIPS as error:
        return f"fails: {error}", "mend the expression"
    return "", ""
