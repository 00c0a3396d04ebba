"""cmsh's output, damaged in every way: a clear error, or exactly what is written there. Never anything else.

What is written there is said by a second reader, `strict`, which takes nothing that it does not fully understand. It
cannot know what was not printed: rows, tables of kinds that may be empty, and values that were taken out whole, of an
answer that is complete otherwise, are a true answer of another cluster. A connection that breaks is always noticed, as
the version stands at the end (bcm-facts §1.7).
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional, Union

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bcm_jobstats.bcm import heads
from bcm_jobstats.bcm.cmsh import answers, assignments, process, producers, reading, scripts
from bcm_jobstats.bcm.cmsh.adapter import CmshBcm
from bcm_jobstats.bcm.entities import (
    CATEGORY,
    NODE,
    OVERLAY,
    Category,
    Cluster,
    GenericRole,
    Node,
    Overlay,
    Place,
    Producer,
    Service,
    SoftwareImage,
    WlmCluster,
)
from bcm_jobstats.bcm.errors import Unreadable
from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.layout import Layout
from tests.bcm.fuzzing import DAMAGES, EVENT, NAMES, PLAIN, SPECIAL, TYPED, Damage, damaged, search

SETUP = """
category; add odd-1; set softwareimage default-image; services; add cups; set monitored yes; set revision mine; commit
category; use dgx-h100; services; add nslcd; set autostart yes; commit
configurationoverlay; add jobstats; set priority 510; set nodes dgx-01 dgx-02 dgx-03 login-01
set categories odd-1 login; set revision "bcm-jobstats 1"; roles; assign generic::jobstats
set services node_exporter cgroup_exporter; set revision "bcm-jobstats 1"; commit
configurationoverlay; add empty; set priority -1; commit
wlm; use slurm; set prologflags Alloc Contain; set selecttypeparameters CR_Core_Memory; commit
device; use dgx-02; roles; assign generic::jobstats; set services other; ..; ..; commit
device; use dgx-03; set softwareimage login-image; roles; assign generic::x; assign login; commit
""".strip().splitlines()
ROLES = ("slurmclient", "generic::jobstats")


@dataclass(frozen=True, repr=False)
class Session:
    """What cmsh was asked by one `read`, what it answered, and the cluster that was read."""

    scripts: tuple[str, ...]
    texts: tuple[str, ...]
    cluster: Cluster
    every_node: bool

    def read(self, number: int, text: str) -> Cluster:
        """`read` when this is the text of that answer."""
        told = dict(zip(self.scripts, (*self.texts[:number], text, *self.texts[number + 1 :])))
        return _bcm(lambda script: told[script]).read(ROLES, every_node=self.every_node)


def _bcm(answer: Any) -> CmshBcm:
    class Told(CmshBcm):
        def _run(self, commands: Sequence[str], least: float = 0.0, *, write: bool = False) -> process.Answer:
            return process.Answer(answer("; ".join(commands)), 0)

    return Told(Path("cmsh"), 30.0)


def _recorded(cluster: InProcess, *, every_node: bool) -> Session:
    asked: dict[str, str] = {}

    def answer(script: str) -> str:
        asked[script] = cluster.cmsh(*process.OPTIONS, "-c", script).out
        return asked[script]

    read = _bcm(answer).read(ROLES, every_node=every_node)
    return Session(tuple(asked), tuple(asked.values()), read, every_node)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> list[Session]:
    found = []
    for profile, switches in (("bcm10", {}), ("bcm11", {"empty_get": "nothing", "get_nodes": "names"})):
        cluster = InProcess(tmp_path_factory.mktemp("fuzz"), Layout(profile), switches)
        try:
            complaints = "".join(cluster.run(line) for line in SETUP)
            assert not complaints, complaints
            found += [_recorded(cluster, every_node=every) for every in (False, True)]
        finally:
            cluster.close()
    return found


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits between two attempts."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)


# The second reader.

Table = list[dict[str, str]]
EVENT_LINE = re.compile(r"\w{3} \w{3} +\d{1,2} \d\d:\d\d:\d\d \d{4} (\[\w+\] )?\S+: ")


class NotUnderstood(Exception):
    """Something that the second reader does not know."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, str]:
    row: dict[str, str] = {}
    for header, value in pairs:
        name = header.replace(" (key)", "").replace(" ", "").lower()
        if name in row or isinstance(value, (list, dict, type(None))):
            raise NotUnderstood(header)
        row[name] = str(value)
        if row[name].endswith("..."):
            raise NotUnderstood(value)
    return row


def pieces(text: str) -> list[Union[str, Table]]:
    """Lines and tables up to the version."""
    lines = [line for line in text.split("\n") if not EVENT_LINE.match(line)]
    headings = [number for number, line in enumerate(lines) if line.strip() == "Version Information"]
    if not headings or "\n" not in text:
        raise NotUnderstood("no version")
    lines = lines[: headings[-1]]
    found: list[Union[str, Table]] = []
    while lines:
        line = lines.pop(0).strip()
        if line not in {"[", "[]"}:
            found += [line] if line else []
            continue
        rest = "\n".join([line, *lines])
        try:
            table, end = json.JSONDecoder(object_pairs_hook=_pairs).raw_decode(rest)
        except (ValueError, RecursionError) as error:
            raise NotUnderstood(str(error)) from error
        if not all(isinstance(row, dict) and row and row.keys() == table[0].keys() for row in table):
            raise NotUnderstood("rows differ")
        lines = rest[end:].split("\n")
        found.append(table)
    return found


def keyed(table: Table, key: str) -> dict[str, dict[str, str]]:
    found = {row[key]: row for row in table}
    if len(found) != len(table) or "" in found:
        raise NotUnderstood("two of one name, or one without")
    return found


def yes(word: str) -> bool:
    if word.lower() not in {"yes", "no", "1", "0", "on", "off", "true", "false"}:
        raise NotUnderstood(word)
    return word.lower() in {"yes", "1", "on", "true"}


def state(cell: str) -> str:
    return " ".join(re.sub(r"[][]", " ", cell).split())


def strict_objects(text: str) -> Cluster:
    columns = {frozenset(fields): fields for fields in (reading.OVERLAY_FIELDS, reading.CATEGORY_FIELDS,
               reading.IMAGE_FIELDS, reading.WLM_FIELDS, reading.NODE_FIELDS)}  # fmt: skip
    tables: dict[Any, dict[str, dict[str, str]]] = {}
    for piece in pieces(text):
        if isinstance(piece, str):
            raise NotUnderstood(piece)
        if piece:
            fields = columns.get(frozenset(piece[0]))
            if fields is None or fields in tables:
                raise NotUnderstood(f"an unknown table, or twice: {piece[0]}")
            tables[fields] = keyed(piece, fields[0])
    for needed in (reading.CATEGORY_FIELDS, reading.IMAGE_FIELDS, reading.NODE_FIELDS):
        if needed not in tables:
            raise NotUnderstood("a table is missing")
    nodes = tables[reading.NODE_FIELDS]
    if not all(map(str.isprintable, nodes)):
        raise NotUnderstood("a line break in a name")
    version = re.findall(r"^Cluster Manager +(\S+) *\n", text, re.MULTILINE)
    if not version:
        raise NotUnderstood("no version")

    def names(cell: str, known: Any, ranges: bool) -> tuple[str, ...]:
        found: list[str] = []
        for word in cell.split(",") if cell else ():
            dots = re.fullmatch(r"(.*?)(\d+)\.\.(.*?)(\d+)", word) if ranges else None
            if dots and dots[1] == dots[3]:
                found += [f"{dots[1]}{n:0{len(dots[2])}}" for n in range(int(dots[2]), int(dots[4]) + 1)]
            else:
                found.append(word.strip())
        if any(name not in known for name in found):
            raise NotUnderstood(cell)
        return tuple(sorted(found))

    def image(row: dict[str, str]) -> str:
        told = row["softwareimage"]
        return "" if "(" in told and told not in tables[reading.IMAGE_FIELDS] else told

    categories = tables[reading.CATEGORY_FIELDS]
    try:
        return Cluster(
            version[-1],
            {
                name: Overlay(name, int(row["priority"]), yes(row["allheadnodes"]), names(row["nodes"], nodes, True),
                              names(row["categories"], categories, False), row["revision"])
                for name, row in tables.get(reading.OVERLAY_FIELDS, {}).items()
            },
            {name: Category(name, row["softwareimage"]) for name, row in categories.items()},
            {name: Node(name, row["type"], row["category"], image(row), state(row["status"]))
             for name, row in nodes.items()},
            {name: SoftwareImage(name, row["path"]) for name, row in tables[reading.IMAGE_FIELDS].items()},
            {name: WlmCluster(name, row["type"].lower()) for name, row in tables.get(reading.WLM_FIELDS, {}).items()},
        )  # fmt: skip
    except ValueError as error:
        raise NotUnderstood(str(error)) from error


SLOTS = ("etc", "version", "selecttypeparameters", "prologflags", "constraincores", "constrainramspace")


def strict_wlms(cluster: Cluster, text: str) -> tuple[Cluster, str]:
    """Seven lines with the name of a Slurm cluster and one value each between them; what is left of the text."""
    lines = [line for line in text.split("\n") if not EVENT_LINE.match(line)]
    wlms = dict(cluster.wlms)
    for name in [name for name, wlm in wlms.items() if wlm.type == "slurm" and scripts.can_be_sent(name)]:
        values = []
        while lines and not lines[0].strip():
            del lines[0]
        if not lines or lines.pop(0).strip() != name:
            raise NotUnderstood(name)
        for _ in SLOTS:
            at = next((number for number, line in enumerate(lines) if line.strip() == name), None)
            if at is None:
                raise NotUnderstood(name)
            values.append(" ".join(line.strip() for line in lines[:at] if line.strip()))
            del lines[: at + 1]
        wlms[name] = strict_wlm(wlms[name], dict(zip(SLOTS, values)))
    if "Version Information" not in map(str.strip, lines):
        raise NotUnderstood("no version")
    return replace(cluster, wlms=wlms), "\n".join(lines)


def strict_wlm(wlm: WlmCluster, told: dict[str, str]) -> WlmCluster:
    settings = {}
    flags = "Alloc Contain DeferBatch ForceRequeueOnFail NoHold RunInJob Serial X11".lower().split()
    words = told["selecttypeparameters"].replace(",", " ").split()
    if all(re.match("[A-Z][A-Z]", word) and not re.search("[^A-Za-z_]", word) for word in words):
        settings["selecttypeparameters"] = ",".join(words)
    words = told["prologflags"].replace(",", " ").split()
    if all(word.lower() in flags for word in words):
        settings["prologflags"] = ",".join(words)
    for name in SLOTS[4:]:
        with contextlib.suppress(NotUnderstood):
            settings[name] = "yes" if yes(told[name].strip()) else "no"
    etc = told["etc"] if told["etc"][:1] == "/" and told["etc"].isprintable() else ""
    known = re.fullmatch("[0-9][0-9][.][0-9][0-9]([.-][0-9A-Za-z.-]+)?", told["version"])
    return replace(wlm, etc=etc, version=told["version"] if known else "", settings=settings)


def owners(cluster: Cluster) -> list[Place]:
    overlays = [Place(OVERLAY, name) for name in cluster.overlays]
    return overlays + [Place(CATEGORY, name) for name in cluster.categories]


def strict_assigned(cluster: Cluster, text: str, *, of_nodes: bool = False) -> tuple[Cluster, set[str]]:
    places = owners(cluster)
    left, roles, services = [] if of_nodes else list(places), dict(cluster.roles), dict(cluster.services)
    named: set[str] = set()
    done: set[tuple[Place, bool]] = set()
    where: Optional[Place] = None
    for piece in pieces(text):
        if isinstance(piece, str):
            if left:
                where = left.pop(0)
                if piece != where.name:
                    raise NotUnderstood(piece)
            elif piece in cluster.nodes:
                where = Place(NODE, piece)
                named.add(piece)
            else:
                where = None
                if re.match(r"[\[{}\]\"]", piece):
                    raise NotUnderstood(piece)
            continue
        if where is None:
            raise NotUnderstood("a table of nobody")
        of_services = "service" in piece[0] if piece else (where, False) in done
        if (where, of_services) in done or (of_services and where.kind == OVERLAY):
            raise NotUnderstood("a table too many")
        done.add((where, of_services))
        if of_services and piece:
            if set(piece[0]) != set(reading.SERVICE_FIELDS):
                raise NotUnderstood("columns")
            services[where] = {
                name: Service(name, yes(row["monitored"]), yes(row["autostart"]), row["revision"])
                for name, row in keyed(piece, "service").items()
            }
        elif piece:
            if set(piece[0]) != {"name"}:
                raise NotUnderstood("columns")
            own = tuple(name for name in keyed(piece, "name") if not name.startswith("["))
            if own:
                roles[where] = own
    if left:
        raise NotUnderstood("not all are answered for")
    listed = {place.name for place, of_services in done if place.kind == NODE and not of_services}
    return replace(cluster, roles=roles, services=services), named - listed


def strict_fields(cluster: Cluster, text: str) -> Cluster:
    """Three lines with the role's name, and between them at most the services and the revision."""
    told = re.sub(r"\n *Version Information *\n(?!(.*\n)*? *Version Information *\n)(.*\n?)*", "\n", "\n" + text)
    lines = [line.strip() for line in told.split("\n") if line.strip() and not EVENT_LINE.match(line)]
    generic: dict[Place, dict[str, GenericRole]] = {}
    for where, names in cluster.roles.items():
        for name in (name for name in names if name.startswith("generic::")):
            values = []
            if not lines or lines.pop(0) != name:
                raise NotUnderstood(name)
            for _ in range(2):
                if name not in lines:
                    raise NotUnderstood(name)
                values.append(" ".join(lines[: lines.index(name)]))
                del lines[: lines.index(name) + 1]
            services = tuple(values[0].replace(",", " ").split())
            generic.setdefault(where, {})[name] = GenericRole(name, services, values[1])
    if lines:
        raise NotUnderstood(lines[0])
    return replace(cluster, generic=generic)


def strict(session: Session, number: int, text: str) -> Cluster:
    """What `session.read` has to tell, or NotUnderstood. What the product asks depends on what it read before: where
    the second reader comes to other questions than were answered, so does the product (a KeyError of `told`)."""
    texts = [*session.texts[:number], text, *session.texts[number + 1 :]]
    cluster, rest = strict_wlms(strict_objects(texts[0]), texts[1])
    cluster, left = strict_assigned(cluster, rest)
    if left:
        if len(texts) == 3:
            raise NotUnderstood("other questions")
        cluster, _ = strict_assigned(cluster, texts[2], of_nodes=True)
    return strict_fields(cluster, texts[-1])


def test_both_readers_understand_what_is_not_damaged(sessions: list[Session]) -> None:
    for session in sessions:
        assert strict(session, 0, session.texts[0]) == session.cluster
    assert [len(session.texts) for session in sessions] == [4, 3, 4, 3]


def judge(session: Session, number: int, text: str) -> None:
    """One damaged answer: an error of ours, or what the second reader reads."""
    try:
        found = session.read(number, text)
    except TYPED:
        return
    except KeyError as error:  # it asks something else now, so it saw another cluster: nothing to compare with
        assert error.args[0] not in session.scripts and "; main versioninfo" in error.args[0]
        return
    assert found == strict(session, number, text)


@search(700)
@given(st.integers(0, 3), st.integers(0, 3), st.lists(DAMAGES, min_size=1, max_size=3))
def test_a_damaged_answer_is_an_error_or_what_is_written_there(
    sessions: list[Session], which: int, answer: int, damages: list[Damage]
) -> None:
    session = sessions[which]
    number = answer % len(session.texts)
    judge(session, number, damaged(session.texts[number], damages))


def test_every_truncation_is_noticed(sessions: list[Session]) -> None:
    """At every byte up to the end of the line with the version; what follows tells of CMDaemon only."""
    for session in sessions[:2]:
        for number, text in enumerate(session.texts):
            end = text.index("\n", text.index("Cluster Manager"))
            for position in range(max(end - 400, 0), end + 1):
                with pytest.raises(TYPED):
                    session.read(number, text[:position])
            for position in range(0, end - 400, 7):
                with pytest.raises(TYPED):
                    session.read(number, text[:position])


def test_every_line_that_is_missing_or_there_twice(sessions: list[Session]) -> None:
    for session in sessions[:2]:
        for number, text in enumerate(session.texts):
            lines = text.splitlines(keepends=True)
            for at, line in enumerate(lines):
                judge(session, number, "".join(lines[:at] + lines[at + 1 :]))
                judge(session, number, "".join(lines[:at] + [line] + lines[at:]))


def test_an_event_anywhere_changes_nothing(sessions: list[Session]) -> None:
    for session in sessions:
        for number, text in enumerate(session.texts):
            lines = text.splitlines(keepends=True)
            for at in range(len(lines) + 1):
                assert session.read(number, "".join([*lines[:at], EVENT, *lines[at:]])) == session.cluster


# Texts of any kind.

WHERE = Place(OVERLAY, "jobstats")
READERS: dict[str, Any] = {
    "items": answers.items,
    "lines": answers.lines,
    "tables": answers.tables,
    "shaped": lambda text: answers.shaped(text, ("name",), ("name", "priority")),
    "without_events": answers.without_events,
    "refusal": answers.refusal,
    "version": answers.version,
    "objects": reading.objects,
    "overlays": reading.overlays,
    "names": reading.names,
    "services": reading.services,
    "role_fields": lambda text: reading.role_fields([(WHERE, "generic::a"), (WHERE, "generic::b")], text),
    "service_states": lambda text: reading.service_states(text, ["n1", "n2"]),
    "outputs": lambda text: reading.outputs(text, ["n1", "n2"]),
    "producers": lambda text: producers.producers({"a": "", "b": "mine"}, ["a", "b"], text),
    "names of producers": producers.names,
}
WORDS = st.one_of(
    st.sampled_from(["generic::a", "generic::b", "n1", "n2", "a", "b", "[n1] :", "[", "[]", "]", "{", "}", "},",
                     "---- ----", "Service  Status", "x  [   UP   ]", "x [ DOWN ]", "Field  Message",
                     "Code  Field  Message", "- -", '"name (key)": "a",', '"name": "b"', '"name (key)": 1e400', "[[",
                     "Cluster Manager", "[{}]", "[1]"]),
    st.sampled_from(SPECIAL),
    st.text(max_size=30),
)  # fmt: skip


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_no_text_makes_a_reader_break(reader: Any) -> None:
    @search(40)
    @given(st.one_of(st.lists(WORDS, max_size=12).map("\n".join), st.text()))
    @example("[\n" * 100_000)
    @example("[\n1\n]")
    @example('[\n{"name": ' + "[" * 100_000)
    @example('[\n{"name": {"a": 1}}\n]\n')
    @example('[\n{"name": 1' + "0" * 10_000 + "}\n]\n")
    @example("\n" * 50_000)
    @example(" " * 50_000 + "\nField  Message\n-\n" + " " * 50_000)
    def broken(text: str) -> None:
        with contextlib.suppress(*TYPED):
            reader(text)

    broken()


@search(200)
@given(st.lists(st.one_of(WORDS, st.sampled_from(["Node Status: running in active master mode", "a* -> b", "a -> b*"])))
       .map("\n".join))  # fmt: skip
def test_cmha_may_say_anything(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Which head is active is told in words of two forms (bcm-facts §10); all else is not known."""
    mine, active = heads.understood(text)
    assert mine == heads.UNKNOWN or f"running in {mine.lower()} m" in text.lower()
    assert active is None or f"{active}* -> " in text or f" -> {active}*" in text


# There and back.


def table(rows: list[dict[str, str]]) -> str:
    """`list -d {}` (bcm-facts §1.4)."""
    return "[]\n" if not rows else json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


VERSION = "Version Information\n-------------\nCluster Manager        10.0\nCMDaemon               3.0\n"
HOST = st.from_regex(r"[a-z]{1,3}[0-9]{1,3}", fullmatch=True)


@st.composite
def clusters(draw: st.DrawFn, names: st.SearchStrategy[str], hosts: st.SearchStrategy[str]) -> Cluster:
    """Objects whose names and texts are drawn; references go to objects that are there."""

    def some(of: st.SearchStrategy[str], least: int = 0) -> list[str]:
        return draw(st.lists(of, min_size=least, max_size=4, unique=True))

    images, categories, nodes = some(names, 1), some(names, 1), some(hosts, 1)

    def chosen(of: list[str]) -> tuple[str, ...]:
        return tuple(sorted(draw(st.lists(st.sampled_from(of), unique=True))))

    one = st.sampled_from
    return Cluster(
        "10.0",
        {name: Overlay(name, draw(st.integers(-1, 1000)), draw(st.booleans()), chosen(nodes), chosen(categories),
                       draw(names)) for name in some(names)},
        {name: Category(name, draw(one(images))) for name in categories},
        {name: Node(name, "PhysicalNode", draw(one(categories)), draw(one([*images, ""])), "UP") for name in nodes},
        {name: SoftwareImage(name, draw(names)) for name in images},
        {name: WlmCluster(name, "slurm") for name in some(names)},
    )  # fmt: skip


def printed(cluster: Cluster) -> str:
    """The answer to reading.OBJECTS as BCM prints it: lists joined with commas."""
    flags = {True: "yes", False: "no"}
    return (
        table([{"name (key)": o.name, "priority": str(o.priority), "allheadnodes": flags[o.all_head_nodes],
                "nodes": ",".join(o.nodes), "categories": ",".join(o.categories), "revision": o.revision}
               for o in cluster.overlays.values()])
        + table([{"name (key)": c.name, "softwareimage": c.image} for c in cluster.categories.values()])
        + table([{"name (key)": i.name, "path": i.path} for i in cluster.images.values()])
        + table([{"name (key)": w.name, "type": "Slurm"} for w in cluster.wlms.values()])
        + table([{"hostname (key)": n.name, "type": n.type, "category": n.category, "softwareimage": n.image,
                  "status": "[   UP   ]"} for n in cluster.nodes.values()])
        + VERSION
    )  # fmt: skip


@search(200)
@given(clusters(NAMES, st.one_of(HOST, NAMES)))
def test_objects_come_back_as_they_are_or_with_an_error(cluster: Cluster) -> None:
    with contextlib.suppress(*TYPED):
        assert reading.objects(printed(cluster)) == cluster


@search(100)
@given(clusters(PLAIN, HOST))
def test_plain_objects_come_back(cluster: Cluster) -> None:
    assert reading.objects(printed(cluster)) == cluster


ROLE_NAMES = st.one_of(PLAIN, PLAIN.map("generic::{}".format), NAMES)


@search(120)
@given(st.data())
def test_roles_and_services_come_back_as_they_are_or_with_an_error(data: st.DataObject) -> None:
    cluster = data.draw(clusters(st.one_of(PLAIN, NAMES), HOST))
    asked = [where for where in owners(cluster) if scripts.can_be_sent(where.name)]
    text, roles, services = "", {}, {}
    for where in [*asked, *(Place(NODE, name) for name in cluster.nodes)]:
        held = data.draw(st.lists(ROLE_NAMES, max_size=3, unique=True))
        text += f"{where.name}\n" + table([{"name (key)": name} for name in held])
        if held:
            roles[where] = tuple(held)
        if where.kind != OVERLAY:
            offered = {name: Service(name, data.draw(st.booleans()), data.draw(st.booleans()), data.draw(NAMES))
                       for name in data.draw(st.lists(NAMES, max_size=2, unique=True))}  # fmt: skip
            text += table([{"service (key)": s.name, "monitored": "yes" if s.monitored else "no",
                            "autostart": "yes" if s.autostart else "no", "revision": s.revision}
                           for s in offered.values()])  # fmt: skip
            if offered:
                services[where] = offered
    try:
        found, left = assignments.read(cluster, text + VERSION)
    except TYPED:
        return
    inherited = {where: tuple(name for name in names if not name.startswith("[")) for where, names in roles.items()}
    assert found.roles == {where: names for where, names in inherited.items() if names}
    assert found.services == services
    assert not left


UNITS = st.from_regex(r"[a-z][a-z0-9_.@-]{0,8}", fullmatch=True)
LETTERS = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
TEXTS = st.text(LETTERS, max_size=20).map(lambda text: " ".join(text.split()))


@search(120)
@given(st.dictionaries(PLAIN.map("generic::{}".format), st.tuples(st.lists(UNITS, max_size=3), TEXTS), max_size=3),
       st.booleans())  # fmt: skip
def test_fields_of_roles_come_back_as_they_are_or_with_an_error(fields: dict[str, Any], empty_line: bool) -> None:
    """`get` prints a value alone: a revision that is the role's own name, or looks like an event, is not told."""
    text = ""
    for name, (services, revision) in fields.items():
        for value in (" ".join(services), revision):
            text += f"{name}\n" + (f"{value}\n" if value or empty_line else "")
        text += f"{name}\n"
    wanted = [(WHERE, name) for name in fields]
    try:
        found = reading.role_fields(wanted, text + VERSION)
    except TYPED:
        assert any(revision in fields for _, revision in fields.values()), "an error without a reason"
        return
    assert found == {(WHERE, name): GenericRole(name, tuple(services), revision)
                     for name, (services, revision) in fields.items()}  # fmt: skip


STATES = st.sampled_from(["UP", "DOWN", "STOPPED", "FAILING"])


@search(80)
@given(st.dictionaries(HOST, st.dictionaries(UNITS, STATES, max_size=3), min_size=1, max_size=3), st.integers(-1, 9))
def test_states_of_services_come_back_or_a_node_is_missed(states: dict[str, dict[str, str]], lost: int) -> None:
    """Without the line that names a node, its services are not those of the node before."""
    text = ""
    for number, (node, services) in enumerate(states.items()):
        text += "" if number == lost else f"{node}\n"
        text += "Service      Status\n------------ ----------\n"
        text += "".join(f"{name:12} [{state:^8}]\n" for name, state in services.items())
    try:
        found = reading.service_states(text + VERSION, list(states))
    except TYPED:
        assert 0 <= lost < len(states)
        return
    assert found == states or all(not services for node, services in states.items() if node not in found)


@search(200)
@given(st.dictionaries(PLAIN, st.tuples(st.lists(UNITS.map("http://{}/metrics".format), max_size=2),
                                        st.lists(PLAIN, max_size=2, unique=True)), min_size=1, max_size=3))  # fmt: skip
def test_producers_come_back(wanted: dict[str, Any]) -> None:
    text = ""
    for name, (urls, overlays) in wanted.items():
        text += f"{name}\n{' '.join(urls)}\n"
        text += table([{"name (key)": f"overlay-{o}", "type": "Overlay", "filter": o} for o in overlays])
    found = producers.producers(dict.fromkeys(wanted, "mine"), list(wanted), text + VERSION)
    assert found == {
        name: Producer(name, tuple(urls), tuple(sorted((Place(OVERLAY, o) for o in overlays), key=str)), "mine")
        for name, (urls, overlays) in wanted.items()
    }


def test_a_name_that_may_be_several_is_not_taken_for_them() -> None:
    """`a,b` is one category here, and `a` and `b` are two others."""
    categories = {name: Category(name, "i") for name in ("a", "b", "a,b")}
    nodes = {"n1": Node("n1", "PhysicalNode", "a", "", "UP")}
    cluster = Cluster("10.0", {"o": Overlay("o", categories=("a,b",))}, categories, nodes,
                      {"i": SoftwareImage("i", "/cm/images/i")}, {})  # fmt: skip
    with pytest.raises(Unreadable, match=r"overlay o.*'a,b' or several"):
        reading.objects(printed(cluster))
