"""What is sent to cmsh: nothing that could break out of a command, and no more than what differs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bcm_jobstats.bcm.cmsh import process, scripts
from bcm_jobstats.bcm.cmsh.adapter import CmshBcm
from bcm_jobstats.bcm.entities import CATEGORY, NODE, OVERLAY, GenericRole, Overlay, Place, Service
from bcm_jobstats.bcm.errors import UnsafeName
from bcm_jobstats.simulator import Simulator
from bcm_jobstats.site.noderange import expand
from tests.harness import cluster

MEANINGFUL = {
    "semicolon": ";",
    "double quote": '"',
    "single quote": "'",
    "newline": "\n",
    "carriage return": "\r",
    "tabulator": "\t",
    "exclamation mark": "!",
    "backquote": "`",
    "pipe": "|",
    "greater": ">",
    "less": "<",
    "dollar": "$",
    "opening parenthesis": "(",
    "closing parenthesis": ")",
    "backslash": "\\",
    "asterisk": "*",
    "caret, a file of node names": "^",
    "hash": "#",
    "ampersand": "&",
    "opening brace": "{",
    "question mark": "?",
    "tilde": "~",
    "NUL": "\0",
    "escape": "\x1b",
    "end of text": "\x03",
    "DEL": "\x7f",
    "full-width semicolon": "\uff1b",
    "typographic quote": "\u201d",
    "Cyrillic letter": "\u0430",
    "Arabic digit": "\u0661",
    "no-break space": "\u00a0",
    "line separator": "\u2028",
    "next line": "\u0085",
    "surrogate escape": "\udc80",
}
WHOLE = {
    "empty": "",
    "blank": " ",
    "leading blank": " name",
    "trailing blank": "name ",
    "two blanks": "a  b",
    "trailing newline": "name\n",
    "a command after a newline": "name\n!touch marker",
    "a command of the shell": "!touch marker",
    "a substitution": "`touch marker`",
    "a redirection": "name > marker",
}
PLACES = (Place(OVERLAY, "o"), Place(CATEGORY, "c"), Place(NODE, "n"))


def hostile() -> Iterator[object]:
    for what, char in MEANINGFUL.items():
        for where, name in (("first", f"{char}name"), ("inside", f"na{char}me"), ("last", f"name{char}")):
            yield pytest.param(name, id=f"{what} {where}")
    for what, name in WHOLE.items():
        yield pytest.param(name, id=what)


@pytest.mark.parametrize("name", list(hostile()))
def test_a_name_with_a_meaning_to_cmsh_is_refused(name: str) -> None:
    """bcm-facts §1.2: quotes, `;`, `!`, backquotes, `|`, `>` and loops."""
    with pytest.raises(UnsafeName) as refused:
        scripts.quoted(name)
    assert refused.value.subject == repr(name)
    assert refused.value.remedy


@pytest.mark.parametrize(
    "name",
    ["slurm-client", "generic::jobstats", "a b c", "node[001-002]s[001..005:2]", "a=b,c+d%e@f/g", "x_1.y"],
)
def test_a_name_of_ordinary_characters_is_quoted_as_it_is(name: str) -> None:
    assert scripts.quoted(name) == f'"{name}"'


BAD = "x`touch marker`"
WRITERS: dict[str, Callable[[], object]] = {
    "at": lambda: scripts.at(Place(NODE, BAD), "roles"),
    "new overlay": lambda: scripts.save_overlay(None, Overlay(BAD)),
    "nodes": lambda: scripts.save_overlay(None, Overlay("o", nodes=(BAD,))),
    "categories": lambda: scripts.save_overlay(None, Overlay("o", categories=("good", BAD))),
    "revision of an overlay": lambda: scripts.save_overlay(None, Overlay("o", revision=BAD)),
    "removed overlay": lambda: scripts.remove_overlay(BAD),
    "place of a role": lambda: scripts.save_role(Place(CATEGORY, BAD), None, GenericRole("generic::r")),
    "role": lambda: scripts.save_role(PLACES[0], None, GenericRole(BAD)),
    "services of a role": lambda: scripts.save_role(PLACES[0], None, GenericRole("generic::r", ("good", BAD))),
    "revision of a role": lambda: scripts.save_role(PLACES[0], None, GenericRole("generic::r", revision=BAD)),
    "removed role": lambda: scripts.remove_role(PLACES[0], BAD),
    "service": lambda: scripts.save_service(PLACES[1], None, Service(BAD)),
    "revision of a service": lambda: scripts.save_service(PLACES[1], None, Service("s", revision=BAD)),
    "removed service": lambda: scripts.remove_service(PLACES[1], BAD),
    "updated category": lambda: scripts.update_nodes(BAD),
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_every_argument_of_every_script_is_checked(writer: Callable[[], object]) -> None:
    with pytest.raises(UnsafeName):
        writer()


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with cluster(tmp_path_factory.mktemp("scripts") / "head") as started:
        yield started


ATTACKS = ("!touch {0}", "`touch {0}`", "x`touch {0}`y", 'x"; !touch {0}; use "y', "x\n!touch {0}\n", 'x" > {0}',
           'x" | touch {0}', "x'; `touch {0}`; '")  # fmt: skip
CALLS: dict[str, Callable[[CmshBcm, str], object]] = {
    "read": lambda bcm, bad: bcm.read([bad]),
    "save_overlay": lambda bcm, bad: bcm.save_overlay(None, Overlay(bad)),
    "members": lambda bcm, bad: bcm.save_overlay(None, Overlay("o", nodes=(bad,))),
    "remove_overlay": lambda bcm, bad: bcm.remove_overlay(bad),
    "save_role": lambda bcm, bad: bcm.save_role(Place(OVERLAY, "slurm-client"), None, GenericRole(bad)),
    "services": lambda bcm, bad: bcm.save_role(Place(OVERLAY, "slurm-client"), None, GenericRole("generic::r", (bad,))),
    "remove_role": lambda bcm, bad: bcm.remove_role(Place(OVERLAY, "slurm-client"), bad),
    "save_service": lambda bcm, bad: bcm.save_service(Place(CATEGORY, "login"), None, Service("s", revision=bad)),
    "remove_service": lambda bcm, bad: bcm.remove_service(Place(CATEGORY, "login"), Service(bad)),
    "can_assign": lambda bcm, bad: bcm.can_assign(Place(OVERLAY, "slurm-client"), bad),
    "update_nodes": lambda bcm, bad: bcm.update_nodes(bad),
    "service_states": lambda bcm, bad: bcm.service_states([bad]),
}


def test_the_simulated_cmsh_really_executes_what_is_not_quoted(simulator: Simulator, tmp_path: Path) -> None:
    made = []
    scripts_ = {
        "!touch {0}": tmp_path / "marker0",
        "configurationoverlay; use x`touch {0}`": tmp_path / "marker1",
        "device; list > marker2": simulator.directory / "marker2",
    }
    for script, marker in scripts_.items():
        process.run(simulator.cmsh, [script.format(marker)], 30.0)
        made.append(marker.exists())
        marker.unlink(missing_ok=True)
    assert made == [True, True, True]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_would_be_executed_is_never_sent(
    simulator: Simulator, tmp_path: Path, call: Callable[[CmshBcm, str], object]
) -> None:
    bcm = CmshBcm(simulator.cmsh, 30.0)
    before = simulator.state()
    sent_before = sent(simulator)
    for attack in ATTACKS:
        with pytest.raises(UnsafeName):
            call(bcm, attack.format(tmp_path / "marker"))
    assert [text for text in sent(simulator)[len(sent_before) :] if "touch" in text or "marker" in text] == []
    assert list(tmp_path.iterdir()) == []
    assert simulator.state() == before


def sent(simulator: Simulator) -> list[str]:
    """The scripts that cmsh was started with so far."""
    log = simulator.control({"op": "log"})["result"]
    return [" ".join(entry["argv"]) for entry in log if "argv" in entry]


OLD = Overlay("o", 500, False, ("n01", "n02"), ("c",), "bcm-jobstats")
OVERLAYS: dict[str, tuple[Overlay | None, Overlay, list[str]]] = {
    "new, nothing but the priority": (None, Overlay("o"), ['add "o"', 'set priority "500"']),
    "new, ignored": (None, Overlay("o", -1), ['add "o"', 'set priority "-1"']),
    "new, all fields": (
        None,
        replace(OLD, all_head_nodes=True, nodes=("n01",)),
        ['add "o"', 'set priority "500"', 'set allheadnodes "yes"', 'set nodes "n01"', 'set categories "c"',
         'set revision "bcm-jobstats"'],
    ),
    "unchanged": (OLD, OLD, ['use "o"']),
    "priority": (OLD, replace(OLD, priority=510), ['use "o"', 'set priority "510"']),
    "head nodes": (OLD, replace(OLD, all_head_nodes=True), ['use "o"', 'set allheadnodes "yes"']),
    "no head nodes": (replace(OLD, all_head_nodes=True), OLD, ['use "o"', 'set allheadnodes "no"']),
    "nodes": (OLD, replace(OLD, nodes=("n07",)), ['use "o"', 'set nodes "n07"']),
    "no nodes": (OLD, replace(OLD, nodes=()), ['use "o"', "clear nodes"]),
    "categories": (OLD, replace(OLD, categories=("c", "d")), ['use "o"', 'set categories "c" "d"']),
    "no categories": (OLD, replace(OLD, categories=()), ['use "o"', "clear categories"]),
    "no revision": (OLD, replace(OLD, revision=""), ['use "o"', "clear revision"]),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "script"), OVERLAYS.values(), ids=OVERLAYS)
def test_of_an_overlay_only_what_differs_is_set(before: Overlay | None, after: Overlay, script: list[str]) -> None:
    """bcm-facts §2; §1.5: `clear` unsets."""
    assert scripts.save_overlay(before, after) == ["configurationoverlay", *script, "commit"]


HERE = ["configurationoverlay", 'use "o"', "roles"]
ROLE = GenericRole("generic::r", ("a", "b"), "bcm-jobstats")
ROLES: dict[str, tuple[GenericRole | None, GenericRole, list[str]]] = {
    "new": (
        None,
        ROLE,
        [*HERE, 'assign "generic::r"', "home", *HERE, 'use "generic::r"', 'set services "a" "b"',
         'set revision "bcm-jobstats"'],
    ),
    "new and empty": (
        None,
        GenericRole("generic::r"),
        [*HERE, 'assign "generic::r"', "home", *HERE, 'use "generic::r"', "clear services", "clear revision"],
    ),
    "unchanged": (ROLE, ROLE, [*HERE, 'use "generic::r"']),
    "services": (ROLE, replace(ROLE, services=("a",)), [*HERE, 'use "generic::r"', 'set services "a"']),
    "no services": (ROLE, replace(ROLE, services=()), [*HERE, 'use "generic::r"', "clear services"]),
    "given back": (ROLE, replace(ROLE, revision=""), [*HERE, 'use "generic::r"', "clear revision"]),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "script"), ROLES.values(), ids=ROLES)
def test_of_a_role_only_what_differs_is_set(before: GenericRole | None, after: GenericRole, script: list[str]) -> None:
    """bcm-facts §3.2."""
    assert scripts.save_role(PLACES[0], before, after) == [*script, "commit"]


@pytest.mark.parametrize(
    ("where", "path"),
    list(zip(PLACES, (["configurationoverlay", 'use "o"'], ["category", 'use "c"'], ["device", 'use "n"']))),
)
def test_a_place_is_entered_from_its_own_mode(where: Place, path: list[str]) -> None:
    """bcm-facts §1.2."""
    assert scripts.at(where) == path
    assert scripts.remove_role(where, "generic::r") == [*path, "roles", 'unassign "generic::r"', "commit"]
    assert scripts.remove_service(where, "s") == [*path, "services", 'remove "s"', "commit"]


@pytest.mark.parametrize(
    ("before", "after", "script"),
    [
        (None, Service("s", True, True, "m"),
         ['add "s"', 'set monitored "yes"', 'set autostart "yes"', 'set revision "m"']),
        (Service("s", True, True, "m"), Service("s"),
         ['use "s"', 'set monitored "no"', 'set autostart "no"', "clear revision"]),
    ],
)  # fmt: skip
def test_a_service_is_added_or_changed(before: Service | None, after: Service, script: list[str]) -> None:
    assert scripts.save_service(PLACES[1], before, after) == ["category", 'use "c"', "services", *script, "commit"]


@pytest.mark.parametrize(
    "nodes",
    [("n07",), ("n01", "n03"), ("n01", "n02", "n03", "n05", "n06", "n07"), ("login", "n1", "n2", "n3"), ("n9", "n10")],
    ids=",".join,
)
def test_nodes_are_written_as_cmsh_reads_them(nodes: tuple[str, ...]) -> None:
    """Commas part the items of a node list; inside brackets they are not documented (bcm-facts §1.2)."""
    (line,) = [line for line in scripts.save_overlay(None, Overlay("o", nodes=nodes)) if line.startswith("set nodes")]
    text = line.split('"')[1]
    assert re.findall(r"\[[^\]]*,[^\]]*\]", text) == []
    assert sorted(expand(text)) == sorted(nodes)


def test_an_overlay_is_removed() -> None:
    """bcm-facts §2."""
    assert scripts.remove_overlay("o") == ["configurationoverlay", 'remove "o"', "commit"]


@pytest.mark.parametrize("script", [s for _, _, s in (*OVERLAYS.values(), *ROLES.values())])
def test_no_script_sets_something_to_nothing(script: list[str]) -> None:
    """A bare `set` may open an editor and wait for ever (bcm-facts §1.5)."""
    assert [line for line in script if line.startswith("set") and not line.endswith('"')] == []


def test_nodes_are_updated_after_the_provisioners_and_waited_for() -> None:
    """bcm-facts §6, §11 #19: else a fresh change may be missed; §11 #8: `-w` writes."""
    assert scripts.update_nodes("dgx-h100") == [
        "softwareimage",
        "updateprovisioners",
        "device",
        'imageupdate -w --wait -c "dgx-h100"',
    ]
