"""Work on software images through cmsh: what is asked, what is read back, and what becomes of faults."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from bcm_jobstats.bcm import certificate
from bcm_jobstats.bcm.cmsh import process, provisioning
from bcm_jobstats.bcm.cmsh.imagework import CmshImageWork
from bcm_jobstats.bcm.cmsh.provisioning import Provisioning
from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.bcm.errors import Refused, Unreachable, Unreadable, UnsafeName
from bcm_jobstats.bcm.imagework import EXCLUDE_LISTS, UPDATE, NodeStatus
from bcm_jobstats.simulator import Simulator
from tests.contract.test_cmsh_process import asked, stand_in
from tests.harness import cluster, cmsh

IMAGE, CLONE, CATEGORY = "dgx-image", "dgx-image-jobstats", "dgx-h100"
SWITCHES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "bcm10": ({"profile": "bcm10"}, {"layouts": "older"}),
    "bcm11": ({"profile": "bcm11"}, {"layouts": "newer", "errors_to": "stderr", "exit_status": "honest",
                                     "empty_get": "nothing", "json_cells": "full"}),
}  # fmt: skip
"""Both versions of BCM, with the second what is not known of cmsh the other way."""


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between two looks at the provisioning system."""
    monkeypatch.setattr(provisioning, "POLL_LEAST", 0.0)
    monkeypatch.setattr(provisioning, "POLL_MOST", 0.0)


@pytest.fixture(scope="module", params=list(SWITCHES.values()), ids=list(SWITCHES))
def simulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    settings, switches = request.param
    with cluster(tmp_path_factory.mktemp("images") / "head", nodes=3, **settings) as started:
        for name, value in switches.items():
            started.control({"op": "switch", "name": name, "value": value})
        yield started


@pytest.fixture
def work(simulator: Simulator) -> Iterator[CmshImageWork]:
    """Every test leaves the cluster as it found it."""
    before = objects(simulator)
    yield CmshImageWork(simulator.cmsh, 30.0)
    simulator.control({"op": "clear_faults"})
    assert objects(simulator) == before


def objects(simulator: Simulator) -> Cluster:
    """What BCM has, without the states of nodes."""
    found = CmshImageWork(simulator.cmsh, 30.0)._objects()
    return replace(found, nodes={name: replace(node, status="") for name, node in found.nodes.items()})


def test_an_image_is_cloned_given_to_a_category_and_removed(simulator: Simulator, work: CmshImageWork) -> None:
    work.clone(IMAGE, CLONE)
    path = objects(simulator).images[CLONE].path
    assert path == f"/cm/images/{CLONE}"
    assert (simulator.directory / path.lstrip("/") / "usr/local/bin/node_exporter").exists(), "the copy was waited for"
    work.use_in_category(CATEGORY, CLONE)
    assert objects(simulator).categories[CATEGORY].image == CLONE
    with pytest.raises(Refused, match=f"software image {CLONE}: BCM did not take the change: .*{CATEGORY}"):
        work.remove(CLONE)
    work.use_in_category(CATEGORY, IMAGE)
    work.remove(CLONE)
    assert CLONE not in objects(simulator).images
    assert not (simulator.directory / path.lstrip("/")).exists(), "its data goes with it"
    work.remove(CLONE)  # as good as removed


def test_an_image_that_is_there_is_not_taken_for_a_clone(simulator: Simulator, work: CmshImageWork) -> None:
    """BCM refuses the name; that an image of it is known proves nothing then."""
    with pytest.raises(Refused, match="software image login-image: is there already"):
        work.clone(IMAGE, "login-image")
    with pytest.raises(Refused, match="software image copy"):
        work.clone("nosuch-image", "copy")


def test_nodes_get_an_image_of_their_own_and_give_it_back(simulator: Simulator, work: CmshImageWork) -> None:
    work.use(["dgx-01", "dgx-03"], "login-image")
    assert [objects(simulator).nodes[f"dgx-0{number}"].image for number in (1, 2, 3)] == [
        "login-image",
        "",
        "login-image",
    ]
    told = work.status(["dgx-01", "nosuch"])
    assert told == {"dgx-01": NodeStatus("UP", ("restart-required",))}
    work.use(["dgx-01", "dgx-03"], "")
    assert objects(simulator).nodes["dgx-01"].image == ""
    work.use([], "login-image")


def test_what_bcm_does_not_know_is_refused_and_nothing_is_committed(work: CmshImageWork) -> None:
    with pytest.raises(Refused, match=r"software image of .*dgx-99: BCM did not take the change: .*dgx-99"):
        work.use(["dgx-01", "dgx-99"], "login-image")
    with pytest.raises(Refused, match="nosuch-image"):
        work.use(["dgx-01"], "nosuch-image")
    with pytest.raises(Refused, match="nosuch-image"):
        work.use_in_category(CATEGORY, "nosuch-image")
    with pytest.raises(Refused, match="software image of category nosuch"):
        work.use_in_category("nosuch", IMAGE)


def test_nodes_are_synced_restarted_and_booted(work: CmshImageWork) -> None:
    assert "dry run" in work.sync(["dgx-01", "dgx-02"], write=False)
    assert "dry run" not in work.sync(["dgx-01", "dgx-02"], write=True)
    assert work.sync([], write=True) == ""
    work.update_provisioners()
    work.restart(["dgx-01"], ["nosuch", "node_exporter"])
    work.reboot(["dgx-01"])
    with pytest.raises(Refused, match=r"reboot: .*dgx-99"):
        work.reboot(["dgx-99"])


def test_a_grab_is_waited_for_and_one_that_bcm_refuses_is_told(simulator: Simulator, work: CmshImageWork) -> None:
    work.clone(IMAGE, CLONE)
    assert "dry run" in work.grab("dgx-01", CLONE, write=False)
    work.grab("dgx-01", CLONE, write=True)
    work.remove(CLONE)
    with pytest.raises(Refused, match=r"grabimage of dgx-01: .*nosuch-image"):
        work.grab("dgx-01", "nosuch-image", write=True)


def test_there_are_slots(work: CmshImageWork) -> None:
    assert work.slots() == 10


def test_exclude_lists_are_read_and_written(simulator: Simulator, work: CmshImageWork) -> None:
    before = work.exclude_lists(CATEGORY)
    assert tuple(before) == EXCLUDE_LISTS
    text = "# ours, of the monitoring\n- /var/lib/prometheus/*\n\nno-new-files: - /var/lib/grafana/*\n"
    work.save_exclude_list(CATEGORY, UPDATE, text)
    assert work.exclude_lists(CATEGORY) == {**before, UPDATE: text}
    assert not list(Path(tempfile.gettempdir()).glob("bcm-jobstats-*.txt")), "the file went too"
    work.save_exclude_list(CATEGORY, UPDATE, before[UPDATE])
    assert work.exclude_lists(CATEGORY) == before
    with pytest.raises(Unreadable, match="nosuch"):
        work.exclude_lists("nosuch")


def test_the_list_that_a_node_has_and_the_log_of_its_dry_run(work: CmshImageWork) -> None:
    """Capabilities excludelist-get and synclog: as the simulator plays them."""
    assert work.exclude_lists(CATEGORY)[UPDATE] in work.effective_exclude_list("dgx-01", UPDATE)
    work.sync(["dgx-01"], write=False)
    assert work.synclog("dgx-01").strip() == "", "a paper node has no files"
    with pytest.raises(Unreadable, match=r"synclog of dgx-99: .*dgx-99"):
        work.synclog("dgx-99")
    with pytest.raises(Unreadable, match=r"exclude list update of dgx-99: .*dgx-99"):
        work.effective_exclude_list("dgx-99", UPDATE)


def test_events_in_a_list_are_no_part_of_it(simulator: Simulator, work: CmshImageWork) -> None:
    before = work.exclude_lists(CATEGORY)
    for lines in range(3):
        simulator.control({"op": "fault", "kind": "events_anyway", "lines": lines, "nth": 1 + 3 * lines})
    assert work.exclude_lists(CATEGORY) == before


EVENT = "Fri Apr 14 14:03:40 2017 [notice] node001: of an administrator"
ALTERED = {
    "a line like an event": (f"- /a\n{EVENT}\n- /b\n".encode(), "looks like an event of BCM: Fri Apr 14"),
    "another encoding": ("# caf\xe9\n- /a\n".encode("latin-1"), "it is not all UTF-8"),
    "ends of lines of another system": (b"# dos\r\n- /a\r\n", "it has carriage returns"),
}


def printed(directory: Path, update: bytes) -> Path:
    """A cmsh that prints the exclude lists of a category `login`, of which one has something in it."""
    program = stand_in(directory)
    end = b"Version Information\nCluster Manager 10.25.03\n"
    (directory / "says").write_bytes(b"login\nlogin\nlogin\n" + update + b"login\nlogin\nlogin\n" + end)
    return program


@pytest.mark.parametrize(("text", "why"), ALTERED.values(), ids=ALTERED)
def test_a_list_that_would_not_be_written_back_as_it_is_is_refused(tmp_path: Path, text: bytes, why: str) -> None:
    with pytest.raises(
        Unreadable, match=f"exclude lists of category login: would not be written back as it is: .*{why}"
    ):
        CmshImageWork(printed(tmp_path, text), 30.0).exclude_lists("login")
    plain = CmshImageWork(printed(tmp_path, b"  - /a \xc3\xa9\n\n- /b\n"), 30.0).exclude_lists("login")
    assert plain[UPDATE] == "  - /a \xe9\n\n- /b\n"


NODES = ("dgx-01", "dgx-02")
ENDS = {
    "newer": ("Provisioning completed on node dgx-01\nimageupdate [ COMPLETED ]\n", True),
    "older, all": ("Provisioning completed on node dgx-01\nProvisioning completed on node dgx-02\n", True),
    "older, one of two": ("Provisioning completed on node dgx-01\n", False),
    "older, one twice": ("Provisioning completed on node dgx-01\n" * 2, False),
    "newer, and not its end": ("imageupdate [ COMPLETED ]\nimageupdate [ FAILED ]\n", False),
    "nothing": ("", False),
}


@pytest.mark.parametrize(("says", "over"), ENDS.values(), ids=ENDS)
def test_a_sync_is_over_when_cmsh_says_so_of_all_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, over: bool
) -> None:
    """bcm-facts §6: both forms of the last line. Otherwise BCM is asked until it is idle."""
    waited: list[Any] = []
    monkeypatch.setattr(provisioning, "wait", lambda talk, nodes, work: waited.append(nodes))
    program = stand_in(tmp_path, f"{says}Version Information\nCluster Manager 10.25.03\n")
    CmshImageWork(program, 30.0).sync(NODES, write=True)
    assert (waited == []) == over


WRITES: dict[str, tuple[Callable[[CmshImageWork], None], Callable[[CmshImageWork], None]]] = {
    "clone": (lambda work: work.clone(IMAGE, CLONE), lambda work: work.remove(CLONE)),
    "use": (lambda work: work.use(["dgx-02"], "login-image"), lambda work: work.use(["dgx-02"], "")),
    "clear": (lambda work: work.use(["dgx-02"], ""), lambda work: work.use(["dgx-02"], "")),
    "use in category": (lambda work: work.use_in_category(CATEGORY, "login-image"),
                        lambda work: work.use_in_category(CATEGORY, IMAGE)),
    "exclude list": (lambda work: work.save_exclude_list(CATEGORY, UPDATE, "- /a\n"),
                     lambda work: work.save_exclude_list(CATEGORY, UPDATE, "")),
}  # fmt: skip
"""A change, and how to take it back."""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with cluster(tmp_path_factory.mktemp("faults") / "head", nodes=3) as started:
        cmsh(started, "category; use dgx-h100; clear excludelistupdate; commit")
        yield started


@pytest.mark.parametrize("fault", ["refuse_commit", "drop_before_commit"])
@pytest.mark.parametrize("name", [name for name in WRITES if name != "clear"])
def test_a_change_that_was_not_made_is_refused_with_the_reason(faulty: Simulator, name: str, fault: str) -> None:
    change, _ = WRITES[name]
    before = faulty.state()
    faulty.control({"op": "fault", "kind": fault, "field": "name", "message": "because of a fault"})
    work = CmshImageWork(faulty.cmsh, 30.0)
    with pytest.raises(Refused, match="because of a fault" if fault == "refuse_commit" else "Connection to CMDaemon"):
        change(work)
    assert faulty.state() == before


@pytest.mark.parametrize("name", WRITES)
def test_a_connection_that_breaks_after_the_commit_is_made_good_by_reading_back(faulty: Simulator, name: str) -> None:
    change, back = WRITES[name]
    if name == "clear":
        WRITES["use"][0](CmshImageWork(faulty.cmsh, 30.0))
    before = objects(faulty)
    faulty.control({"op": "fault", "kind": "drop_after_commit"})
    work = CmshImageWork(faulty.cmsh, 30.0)
    if name == "clone":
        with pytest.raises(Unreachable, match=f"software image {CLONE}: nobody knows whether its copy has ended"):
            change(work)
    else:
        change(work)
    assert objects(faulty) != before or name == "exclude list"
    back(work)


def test_a_cleared_image_that_is_listed_as_the_categorys_is_none_unless_cmsh_complained(
    faulty: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Capability inherited-image: the list is given here as a BCM could print it that tells nothing apart."""
    work = CmshImageWork(faulty.cmsh, 30.0)
    real = process.run

    def same(*words: Any, **more: Any) -> process.Answer:
        answer = real(*words, **more)
        return process.Answer(answer.text.replace('"softwareimage": ""', f'"softwareimage": "{IMAGE}"'), answer.status)

    work.use(["dgx-02"], IMAGE)
    monkeypatch.setattr(process, "run", same)
    faulty.control({"op": "fault", "kind": "refuse_commit", "message": "not today"})
    with pytest.raises(Refused, match="not today"):
        work.use(["dgx-02"], "")
    work.use(["dgx-02"], "")
    monkeypatch.setattr(process, "run", real)
    assert objects(faulty).nodes["dgx-02"].image == ""


def test_a_clone_that_got_its_sources_directory_is_refused(faulty: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Capability clone-path: what is written into such a clone would be written into the image in use."""
    real = process.run

    def shared(*words: Any, **more: Any) -> process.Answer:
        answer = real(*words, **more)
        return process.Answer(answer.text.replace(f"/cm/images/{CLONE}", f"/cm/images/{IMAGE}"), answer.status)

    work = CmshImageWork(faulty.cmsh, 30.0)
    monkeypatch.setattr(process, "run", shared)
    with pytest.raises(Refused, match=f"BCM gave it the directory of {IMAGE}"):
        work.clone(IMAGE, CLONE)
    monkeypatch.setattr(process, "run", real)
    work.remove(CLONE)


HOSTILE = ("a;b", 'a"b', "a\nb", "-d", "a`b`", "(a)", "$HOME")
CALLS: dict[str, Callable[[CmshImageWork, str], object]] = {
    "clone from": lambda work, name: work.clone(name, CLONE),
    "clone to": lambda work, name: work.clone(IMAGE, name),
    "remove": lambda work, name: work.remove(name),
    "use of": lambda work, name: work.use([name], IMAGE),
    "use": lambda work, name: work.use(["dgx-01"], name),
    "use in": lambda work, name: work.use_in_category(name, IMAGE),
    "use in category": lambda work, name: work.use_in_category(CATEGORY, name),
    "sync": lambda work, name: work.sync([name], write=True),
    "synclog": lambda work, name: work.synclog(name),
    "grab from": lambda work, name: work.grab(name, IMAGE, write=True),
    "grab to": lambda work, name: work.grab("dgx-01", name, write=True),
    "restart on": lambda work, name: work.restart([name], ["a"]),
    "restart": lambda work, name: work.restart(["dgx-01"], [name]),
    "reboot": lambda work, name: work.reboot([name]),
    "lists": lambda work, name: work.exclude_lists(name),
    "list": lambda work, name: work.effective_exclude_list(name, UPDATE),
    "save list": lambda work, name: work.save_exclude_list(name, UPDATE, "- /a\n"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_name_that_means_something_to_cmsh_is_not_sent(
    call: Callable[[CmshImageWork, str], object], tmp_path: Path
) -> None:
    program = stand_in(tmp_path)
    for name in HOSTILE:
        with pytest.raises(UnsafeName):
            call(CmshImageWork(program, 30.0), name)
    assert not (tmp_path / "asked").exists()


def started(simulator: Simulator, call: Callable[[], object]) -> int:
    """How many cmsh processes a call starts."""
    simulator.control({"op": "reset_log"})
    call()
    return sum("argv" in entry for entry in simulator.control({"op": "log"})["result"])


def counted(directory: Path, names: list[str]) -> dict[str, int]:
    with cluster(directory, nodes=len(names)) as simulator:
        work = CmshImageWork(simulator.cmsh, 60.0)
        calls: dict[str, Callable[[], object]] = {
            "clone": lambda: work.clone(IMAGE, CLONE),
            "use": lambda: work.use(names, CLONE),
            "sync": lambda: work.sync(names, write=True),
            "dry": lambda: work.sync(names, write=False),
            "restart": lambda: work.restart(names, ["nosuch"]),
            "status": lambda: work.status(names),
            "slots": work.slots,
            "category": lambda: work.use_in_category(CATEGORY, CLONE),
            "give back": lambda: work.use(names, ""),
            "provisioners": work.update_provisioners,
            "reboot": lambda: work.reboot(names),
            "lists": lambda: work.exclude_lists(CATEGORY),
            "save": lambda: work.save_exclude_list(CATEGORY, UPDATE, "- /a\n"),
        }
        return {name: started(simulator, call) for name, call in calls.items()}


def test_the_number_of_cmsh_processes_does_not_depend_on_the_number_of_nodes(tmp_path: Path) -> None:
    few = counted(tmp_path / "few", ["dgx-01", "dgx-02", "dgx-03"])
    assert few == counted(tmp_path / "many", [f"dgx-{number:03}" for number in range(1, 301)])
    assert few == {"clone": 3, "use": 2, "sync": 1, "dry": 1, "restart": 1, "status": 1, "slots": 1, "category": 2,
                   "give back": 2, "provisioners": 1, "reboot": 1, "lists": 1, "save": 2}  # fmt: skip


def test_the_certificate_for_images_is_enough_and_one_for_apply_is_not(tmp_path: Path) -> None:
    """AM11 §6.4, Table J: the tokens of its profile."""
    with cluster(tmp_path / "head", nodes=3) as simulator:
        works = {}
        for purpose in (certificate.APPLY, certificate.IMAGES):
            wanted = certificate.wanted(purpose, 30, "/etc/bcm-jobstats", two_heads=False, metrics=False)
            certificate.create(simulator.cmsh, 30.0, wanted, simulator.directory)
            files = [str(simulator.directory / path.lstrip("/")) for path in (wanted.certificate, wanted.key)]
            works[purpose] = CmshImageWork(simulator.cmsh, 30.0, ("-i", files[0], "-k", files[1]))
        with pytest.raises(Refused, match=r"software image .*: BCM did not take the change"):
            works[certificate.APPLY].clone(IMAGE, CLONE)
        work = works[certificate.IMAGES]
        work.clone(IMAGE, CLONE)
        work.use(["dgx-01"], CLONE)
        work.sync(["dgx-01"], write=True)
        work.synclog("dgx-01")
        work.grab("dgx-01", CLONE, write=True)
        work.restart(["dgx-01"], ["nosuch"])
        work.reboot(["dgx-02"])
        assert work.slots() == 10 and work.status(["dgx-01"])
        work.use(["dgx-01"], "")
        work.save_exclude_list(CATEGORY, UPDATE, "- /a\n")
        work.effective_exclude_list("dgx-01", UPDATE)
        work.remove(CLONE)


STATUS = {
    "older": ("node001 ............. [   UP   ] restart-required, health check failed",
              "node001", NodeStatus("UP", ("restart-required", "health check failed"))),
    "newer": ("node001 .................. [   UP   ] state flapping", "node001", NodeStatus("UP", ("state flapping",))),
    "in parentheses": ("node002 ............. [  DOWN  ] (hostname changed) restart-required",
                       "node002", NodeStatus("DOWN", ("(hostname changed)", "restart-required"))),
    "no remarks": ("node001 ............. [ CLOSED ]", "node001", NodeStatus("CLOSED")),
    "two words": ("node001 ............. [DOWN/CLOSED]", "node001", NodeStatus("DOWN/CLOSED")),
    "dots close by": ("node001.................. [   UP   ]", "node001", NodeStatus("UP")),
}  # fmt: skip


@pytest.mark.parametrize(("line", "name", "told"), STATUS.values(), ids=STATUS)
def test_status_lines(line: str, name: str, told: NodeStatus) -> None:
    """bcm-facts §1.7: device status, both columns of dots, states and remarks."""
    assert provisioning.status([line, ""]) == {name: told}
    assert told.up == (told.state == "UP") and told.restart_required == ("restart-required" in line)


def test_status_lines_of_another_form_and_nodes_told_twice_are_errors() -> None:
    with pytest.raises(Unreadable, match="something else: No such device"):
        provisioning.status(["No such device: dgx-99"])
    with pytest.raises(Unreadable, match="twice"):
        provisioning.status(["a ... [   UP   ]", "a ... [  DOWN  ]"])


OLDER = """Provisioning subsystem status:
  idle, accepting requests
Update of provisioning nodes requested: no
Maximum number of nodes provisioning: {limit}
Nodes currently provisioning: 0
Nodes waiting to be provisioned: {waiting}
Provisioning node basecm10:
  Max number of provisioning nodes: 10
  Nodes provisioning: 0
  Nodes currently being provisioned: {busy}
"""
NEWER = """Provisioning subsystem status
Pending request: {waiting}
Provisioning node status:
+ basecm10
Slots: 1 / 10
State: draining
Active nodes: {busy}
Up to date images: default-image
+ node009
Slots: 0 / 4
State: running
Active nodes: <none>
"""
PROVISIONING = {
    "older, idle": (OLDER.format(limit=10000, waiting="<none>", busy="<none>"), Provisioning(10, frozenset())),
    "older, at work": (OLDER.format(limit=4, waiting="n1, n3..n4", busy="n7"),
                       Provisioning(4, frozenset({"n1", "n3", "n4", "n7"}))),
    "newer, two provisioning nodes": (NEWER.format(waiting="node001, node002", busy="node003"),
                                      Provisioning(14, frozenset({"node001", "node002", "node003"}))),
    "newer, idle": (NEWER.format(waiting="<none>", busy="<none>"), Provisioning(14, frozenset())),
    "no slots": ("Pending request: a_b\n", Provisioning(None, frozenset({"a_b"}))),
}  # fmt: skip


@pytest.mark.parametrize(("text", "told"), PROVISIONING.values(), ids=PROVISIONING)
def test_the_provisioning_status(text: str, told: Provisioning) -> None:
    """bcm-facts §1.7: provisioningstatus, older and newer layout."""
    assert provisioning.provisioning(text.split("\n")) == told


def test_a_provisioning_status_of_another_form_is_an_error() -> None:
    with pytest.raises(Unreadable, match="softwareimage provisioningstatus: cmsh printed something else: no such"):
        provisioning.provisioning(["no such command"])


def scripted(directory: Path, answers: list[str]) -> Path:
    """A cmsh that gives one answer after the other, and the last again and again; it writes down what it was asked."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(answers):
        (directory / f"answer{number}").write_text(text + "Version Information\n-----\nCluster Manager  11.0\n")
    program = directory / "cmsh"
    program.write_text(
        f'#!/bin/bash\nfor word; do :; done; echo "$word" >>{directory}/asked\nn=$(($(wc -l <{directory}/asked) - 1))\n'
        f"[ $n -lt {len(answers)} ] || n={len(answers) - 1}\ncat {directory}/answer$n\n"
    )
    program.chmod(0o755)
    return program


def test_an_end_that_cmsh_does_not_tell_is_waited_for(tmp_path: Path) -> None:
    """bcm-facts §6, §11 #10: commands return before the work ends. A node that waits for its turn is at work,
    too; one look at an idle system may have come too early."""
    busy, waits = (NEWER.format(waiting="<none>", busy="dgx-01"), NEWER.format(waiting="dgx-01", busy="dgx-09"))
    idle = NEWER.format(waiting="<none>", busy="dgx-09")
    program = scripted(tmp_path, ["image update in progress ...\n", idle, waits, busy, idle, idle])
    assert CmshImageWork(program, 30.0).sync(["dgx-01", "dgx-02"], write=True) == "image update in progress ...\n"
    assert len(asked(program)) == 6
    program = scripted(tmp_path / "grab", ["", busy, idle, idle])
    assert CmshImageWork(program, 30.0).grab("dgx-01", IMAGE, write=True) == ""
    assert asked(program)[0].startswith(f'device; grabimage -w -i "{IMAGE}" "dgx-01"; ')
    assert len(asked(program)) == 4


def test_work_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "LONG", 0.0)
    program = scripted(tmp_path, ["", NEWER.format(waiting="<none>", busy="dgx-01")])
    with pytest.raises(Refused, match="grabimage: has not ended within 0 hours"):
        CmshImageWork(program, 30.0).grab("dgx-01", IMAGE, write=True)


def test_what_cmsh_does_not_tell_is_no_text(tmp_path: Path) -> None:
    """Capabilities synclog and excludelist-get: an error is no log and no list."""
    program = stand_in(tmp_path, "Unknown command: synclog\n")
    with pytest.raises(Unreadable, match="synclog of dgx-01: cmsh does not tell it: Unknown command: synclog"):
        CmshImageWork(program, 30.0).synclog("dgx-01")
    with pytest.raises(Unreadable, match="exclude list update of dgx-01"):
        CmshImageWork(program, 30.0).effective_exclude_list("dgx-01", UPDATE)


def test_a_list_is_told_as_it_stands(tmp_path: Path) -> None:
    text = "- /proc/*\n# Version Information\n\nno-new-files: - /run/*\n"
    program = scripted(tmp_path, [text])
    assert CmshImageWork(program, 30.0).effective_exclude_list("dgx-01", UPDATE) == text
    assert asked(program)[0].startswith('device; use "dgx-01"; excludelist get update /; ')
    assert CmshImageWork(program, 30.0).synclog("dgx-01") == text


def test_exclude_lists_among_which_one_has_the_categorys_name_as_a_line_are_not_guessed_at(tmp_path: Path) -> None:
    lists = "".join(f"- /{name}\n{CATEGORY}\n" for name in EXCLUDE_LISTS)
    program = scripted(tmp_path, [f"{CATEGORY}\n{lists}"])
    assert CmshImageWork(program, 30.0).exclude_lists(CATEGORY) == {name: f"- /{name}\n" for name in EXCLUDE_LISTS}
    for number, odd in enumerate((f"{CATEGORY}\n{CATEGORY}\n{lists}", f"No such category\n{CATEGORY}\n{lists}")):
        program = scripted(tmp_path / f"odd{number}", [odd])
        with pytest.raises(Unreadable, match=f"category {CATEGORY}: cmsh printed something else than its exclude"):
            CmshImageWork(program, 30.0).exclude_lists(CATEGORY)


def test_a_cmsh_that_gives_no_answer_to_a_change_is_refused_by_what_is_read_back(
    faulty: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = process.run

    def hasty(program: Path, commands: list[str], timeout: float, **more: Any) -> process.Answer:
        return real(program, commands, min(timeout, 1.0), **more)

    monkeypatch.setattr(process, "run", hasty)
    faulty.control({"op": "fault", "kind": "hang_commit"})
    with pytest.raises(Refused, match="gave no answer within 1 seconds"):
        CmshImageWork(faulty.cmsh, 30.0).use_in_category(CATEGORY, "login-image")
    faulty.control({"op": "release"})
