"""What is sent to cmsh, for any name and value: nothing, with a clear error, or exactly these commands with exactly
these values, as the simulator's parser understands them, on one line and line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable, Union

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bcm_jobstats.bcm.cmsh import imagescripts, producers, reading, scripts
from bcm_jobstats.bcm.entities import CATEGORY, NODE, OVERLAY, GenericRole, Overlay, Place, Producer, Service
from bcm_jobstats.bcm.errors import UnsafeName
from bcm_jobstats.simulator import grammar, noderanges
from bcm_jobstats.simulator.inprocess import InProcess
from tests.bcm.fuzzing import NAMES, PLAIN, search


class Nodes(tuple[str, ...]):
    """The nodes that one word has to stand for."""

    __slots__ = ()


class Values(tuple[str, ...]):
    """The rest of the words: values of a list, each of which has to stand for itself."""

    __slots__ = ()


class Option(str):
    """An option that we sent, not a value that looks like one."""

    __slots__ = ()


Word = Union[str, Nodes, Values]
Wanted = list[list[Word]]
Call = tuple[Callable[[], list[str]], Wanted]
ANY = st.one_of(NAMES, PLAIN, st.sampled_from(["bcm-jobstats", "generic::jobstats", "node_exporter", "a b", "x/y.z"]))
MANY = st.lists(ANY, max_size=4, unique=True)
AT: dict[str, list[Word]] = {OVERLAY: ["configurationoverlay"], CATEGORY: ["category"], NODE: ["device"]}


def at(where: Place, submode: str) -> Wanted:
    return [AT[where.kind], ["use", where.name], [submode]]


def text(name: str, value: str) -> list[Word]:
    return ["set", name, value] if value else ["clear", name]


def several(name: str, values: Sequence[str]) -> list[Word]:
    return ["set", name, Values(values)] if values else ["clear", name]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """One function of `scripts` with any arguments, and the commands that it has to send."""
    name, other, revision, many, nodes = draw(ANY), draw(ANY), draw(ANY), tuple(draw(MANY)), tuple(draw(MANY))
    where = Place(draw(st.sampled_from([OVERLAY, CATEGORY, NODE])), other)
    overlay = Overlay(name, draw(st.integers(-1, 1000)), True, nodes, many, revision)
    role, service = GenericRole(name, many, revision), Service(name, True, False, revision)
    producer = Producer(name, many, (where,), revision)
    member = f"{where.kind}-{other}"
    commit: list[Word] = ["commit"]
    removed: Wanted = [*at(where, "roles"), ["unassign", name], commit]
    left: Wanted = [*at(where, "services"), ["remove", name], commit]
    fields: Wanted = [["set", "priority", str(overlay.priority)], ["set", "allheadnodes", "yes"]]
    fields += [["set", "nodes", Nodes(nodes)]] if nodes else []
    fields += [several("categories", many)] if many else []
    fields += [text("revision", revision)] if revision else []
    every: list[Call] = [
        (lambda: scripts.save_overlay(None, overlay), [["configurationoverlay"], ["add", name], *fields, commit]),
        (lambda: scripts.remove_overlay(name), [["configurationoverlay"], ["remove", name], commit]),
        (lambda: scripts.save_role(where, None, role),
         [*at(where, "roles"), ["assign", name], ["home"], *at(where, "roles"), ["use", name],
          several("services", many), text("revision", revision), commit]),
        (lambda: scripts.remove_role(where, name), removed),
        (lambda: scripts.save_service(where, None, service),
         [*at(where, "services"), ["add", name], ["set", "monitored", "yes"], ["set", "autostart", "no"],
          text("revision", revision), commit]),
        (lambda: scripts.remove_service(where, name), left),
        (lambda: scripts.update_nodes(name),
         [["softwareimage"], ["updateprovisioners"], ["device"],
          ["imageupdate", "-w", "--wait", "-c", Values([name])]]),
        (lambda: scripts.execute(nodes or (name,), "echo one; echo two | cat > /dev/null"),
         [["device"], ["pexec", "-n", Nodes(nodes or (name,)), "echo one; echo two | cat > /dev/null"]]),
        (lambda: imagescripts.clone(name, other), [["softwareimage"], ["clone", name, other], ["commit", "-w"]]),
        (lambda: imagescripts.remove(name), [["softwareimage"], ["remove", Option("-d"), name], ["commit", "-w"]]),
        (lambda: imagescripts.use_in_category(name, other),
         [["category"], ["use", name], ["set", "softwareimage", other], commit]),
        (lambda: imagescripts.sync(nodes or (name,), write=True),
         [["softwareimage"], ["updateprovisioners"], ["device"],
          ["imageupdate", "-w", "--wait", "-n", Nodes(nodes or (name,))]]),
        (lambda: imagescripts.grab(name, other, write=False), [["device"], ["grabimage", Option("-i"), other, name]]),
        (lambda: imagescripts.reboot(nodes or (name,)), [["device"], ["reboot", "-n", Nodes(nodes or (name,))]]),
        (lambda: imagescripts.synclog(name), [["device"], ["synclog", name]]),
        (lambda: imagescripts.effective_exclude_list(name, "update"),
         [["device"], ["use", name], ["excludelist", "get", "update", "/"]]),
        (lambda: imagescripts.save_exclude_list(name, "grabnew", f"/tmp/{other}"),
         [["category"], ["use", name], ["set", "excludelistgrabnew", f"/tmp/{other}"], commit]),
        (lambda: producers.save(None, producer),
         [["monitoring", "setup"], ["add", "prometheus", name], ["set", "urls", Values(many)],
          text("revision", revision), ["nodeexecutionfilters"], ["add", where.kind, member],
          ["set", producers.MEMBERS[where.kind], Values([other])], [".."], commit]),
        (lambda: producers.remove(name), [["monitoring", "setup"], ["remove", name], commit]),
        (lambda: reading.role_queries([(where, name)]),
         [["home"], *at(where, "roles"), ["use", name], ["get", "name"], ["get", "services"], ["get", "name"],
          ["get", "revision"], ["get", "name"]]),
    ]  # fmt: skip
    return draw(st.sampled_from(every))


def same(words: Sequence[str], wanted: Sequence[Word]) -> None:
    """Whether the words of a command are the wanted ones, lists read as BCM reads them (bcm-facts §1.2)."""
    for number, word in enumerate(wanted):
        if isinstance(word, Nodes):
            assert sorted(noderanges.expand([words[number]])) == sorted(word)
        elif isinstance(word, Values):
            assert tuple(words[number:]) == word
            assert noderanges.expand(words[number:]) == list(dict.fromkeys(word)), "a value of a list is a list itself"
            assert [part for value in word for part in value.split()] == list(word)
            return
        else:
            assert words[number] == word
            assert word[:1] != "-" or word in {"-1", "-w", "--wait", "-c", "-n"} or isinstance(word, Option), (
                "an option"
            )
    assert len(words) == len(wanted)


@search(800)
@given(calls())
def test_what_is_sent_means_what_it_says_and_nothing_more(call: Call) -> None:
    make, wanted = call
    try:
        script = make()
    except UnsafeName as error:
        assert error.subject and error.cause and error.remedy
        return
    for line in ("; ".join(script), "\n".join(script)):
        commands = [grammar.parse(piece) for piece in grammar.split(line)]
        assert [c for c in commands if c.pipe or c.redirect or c.append or c.body] == []
        assert "`" not in line and "!" not in line and "$" not in line
        assert len(commands) == len(wanted)
        for command, words in zip(commands, wanted):
            same(command.words, words)


@search(300)
@given(st.lists(ANY, min_size=1, max_size=4), ANY)
def test_loops_are_over_these_nodes_and_no_others(names: list[str], category: str) -> None:
    restarts: list[tuple[str, ...]] = [("services",), *[("restart", name) for name in names]]
    image = ("set", "softwareimage", category) if category else ("clear", "softwareimage")
    loops: list[tuple[Callable[[], list[str]], str, set[str], list[tuple[str, ...]]]] = [
        (lambda: reading.status_query(names), "-n", set(names), [("get", "hostname"), ("services",), ("status",)]),
        (lambda: scripts.restart_services(category, names), "-c", {category}, restarts),
        (lambda: imagescripts.restart(names, names), "-n", set(names), restarts),
        (lambda: imagescripts.use(names, category)[:-1], "-n", set(names), [image]),
    ]
    for make, option, wanted, inside in loops:
        try:
            *_, loop = make()
        except UnsafeName:
            continue
        (piece,) = grammar.split(loop)
        command = grammar.parse(piece)
        assert command.words[:2] == ("foreach", option)
        assert set(noderanges.expand(command.words[2:])) == wanted
        inner = [grammar.parse(text) for text in grammar.split(command.body)]
        assert [one for one in inner if one.pipe or one.redirect or one.body] == []
        assert [one.words for one in inner] == inside


@pytest.mark.parametrize("value", ["-d", "--data", "-1", "-", "-node002", "- x"])
def test_a_value_is_never_an_option(value: str) -> None:
    """`remove -d` removes the directory of an image, `-a` all of its revisions (bcm-facts §1.5)."""
    assert not scripts.can_be_sent(value)
    with pytest.raises(UnsafeName, match="no - at the beginning"):
        scripts.quoted(value)


@pytest.mark.parametrize("name", ["a,b", "a b", "n[1-3]", "n1..n3", "-n2", "a,-b", "[", "x,"])
def test_one_name_is_never_several(name: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: scripts.node_list(["n1", name]),
        lambda: scripts.update_nodes(name),
        lambda: scripts.restart_services(name, ["s"]),
        lambda: imagescripts.use(["n1", name], "image"),
        lambda: imagescripts.sync([name], write=True),
        lambda: imagescripts.reboot([name]),
        lambda: scripts.save_overlay(None, Overlay("o", categories=("c", name))),
        lambda: scripts.save_overlay(None, Overlay("o", nodes=("n1", name))),
        lambda: scripts.save_role(Place(OVERLAY, "o"), None, GenericRole("generic::r", ("s", name))),
    ]
    for call in calls:
        with pytest.raises(UnsafeName):
            call()


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    cluster = InProcess(tmp_path_factory.mktemp("scripts"))
    yield cluster
    cluster.close()


def sent(simulator: InProcess, make: Callable[[], list[str]]) -> bool:
    """Whether it could be sent; then the simulated CMDaemon took it without a word."""
    try:
        script = make()
    except UnsafeName:
        return False
    answer = simulator.cmsh("--norc", "--color=no", "--disable-events", "--quit", "-c", "; ".join(script))
    said = [line for line in (answer.out + answer.err).splitlines() if not line.startswith("Successfully ")]
    assert said == [], script
    return True


@search(150)
@given(ANY, ANY, ANY, st.lists(ANY, max_size=3, unique=True))
@example("n1..n3", "generic::a", "^/etc/passwd", ["s"])
@example("o", "generic::[1-3]", "set e", ["a@1", "b"])
def test_the_simulated_cluster_holds_what_was_sent(
    simulator: InProcess, name: str, bare: str, revision: str, services: list[str]
) -> None:
    before = simulator.daemon.state
    known = set(before.table("configurationoverlay"))
    where, role = Place(OVERLAY, name), GenericRole(f"generic::{bare or 1}", tuple(services), revision)
    if name in known or not sent(simulator, lambda: scripts.save_overlay(None, Overlay(name, revision=revision))):
        assert simulator.daemon.state is before
        return
    table = simulator.daemon.state.table("configurationoverlay")
    assert set(table) == known | {name}
    assert table[name].values.get("revision", "") == revision
    if sent(simulator, lambda: scripts.save_role(where, None, role)):
        there = simulator.daemon.state.table("configurationoverlay")[name].entries("roles")
        assert set(there) == {role.name}
        assert list(there[role.name].values.get("services", ())) == services
        assert there[role.name].values.get("revision", "") == revision
        assert sent(simulator, lambda: scripts.remove_role(where, role.name))
    assert sent(simulator, lambda: scripts.remove_overlay(name))
    simulator.settled()
    assert set(simulator.daemon.state.table("configurationoverlay")) == known
