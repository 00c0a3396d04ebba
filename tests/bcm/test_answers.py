"""How cmsh's output is read: tables, values between markers, validation tables; with events anywhere in between."""

from __future__ import annotations

import json
from typing import Any, Optional

import pytest

from bcm_jobstats.bcm.cmsh import answers, assignments, reading
from bcm_jobstats.bcm.entities import CATEGORY, NODE, OVERLAY, Category, Cluster, GenericRole, Node, Overlay, Place
from bcm_jobstats.bcm.errors import Unreadable

EVENTS = {
    "literal": "Fri Apr 14 14:03:40 2017 [notice] node001: Service cups was stopped",
    "day of one digit": "Tue Dec  1 09:05:00 2026 [warning] bcm-head: Check 'ManagedServicesOk' is in state FAIL",
    "one blank": "Tue Dec 1 09:05:00 2026 [notice] dgx-01: Service node_exporter was started",
    "no severity": "Fri Apr 14 14:03:40 2017 basecm10: Initial ramdisk for image default-image is being generated",
}
TABLE = """[
  {
    "hostname (key)": "basecm10",
    "ip": "10.141.255.254",
    "mac": "FA:16:3E:D3:56:E0",
    "status": "[   UP   ]"
  },
  {
    "hostname (key)": "node001",
    "ip": "10.141.0.1",
    "mac": "FA:16:3E:71:9F:3B",
    "status": "[  DOWN  ]"
  }
]
"""
ROWS = [
    {"hostname": "basecm10", "ip": "10.141.255.254", "mac": "FA:16:3E:D3:56:E0", "status": "[   UP   ]"},
    {"hostname": "node001", "ip": "10.141.0.1", "mac": "FA:16:3E:71:9F:3B", "status": "[  DOWN  ]"},
]
TEXT = f"first\n{TABLE}middle\n[]\n\nlast\n"
ITEMS: list[answers.Item] = ["first", ROWS, "middle", [], "last"]


def test_lines_and_tables_come_in_order() -> None:
    """bcm-facts §1.4: the transcript of `list -d {}`."""
    assert answers.items(TEXT) == ITEMS
    assert answers.tables(TEXT) == [ROWS, []]


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize("at", range(TEXT.count("\n") + 1))
def test_an_event_before_any_line_is_taken_out(event: str, at: int) -> None:
    """bcm-facts §1.7: the shape of an event line, and that it comes anywhere."""
    lines = TEXT.splitlines(keepends=True)
    lines[at:at] = [f"{event}\n"]
    assert answers.items(answers.without_events("".join(lines))) == ITEMS


def test_events_between_all_lines_are_taken_out() -> None:
    flood = "".join(f"{event}\n" for event in EVENTS.values())
    text = flood + "".join(line + flood for line in TEXT.splitlines(keepends=True))
    assert answers.without_events(text) == TEXT


@pytest.mark.parametrize(
    "line",
    ["node001", "generic::jobstats", "[overlay:slurm-client] slurmclient", "Field                    Message",
     "1     category                 The category should be set", "dgx-01 .............. [   UP   ]",
     '    "status": "[   UP   ]"', "Cluster Manager           10.0", "Fri Apr", "tuned monitoring: on"],
)  # fmt: skip
def test_what_is_no_event_stays(line: str) -> None:
    assert answers.without_events(f"{line}\n") == f"{line}\n"


@pytest.mark.parametrize(
    ("header", "name"),
    [("name (key)", "name"), ("Name (key)", "name"), ("allheadnodes", "allheadnodes"),
     ("All head nodes", "allheadnodes"), ("Software image", "softwareimage"), ("Hostname (key)", "hostname")],
)  # fmt: skip
def test_a_column_is_known_by_its_property_however_its_header_is_written(header: str, name: str) -> None:
    """bcm-facts §1.4: keys are the headers' texts, with ` (key)` behind one of them."""
    assert answers.tables(f'[\n  {{\n    "{header}": "x"\n  }}\n]\n') == [[{name: "x"}]]


@pytest.mark.parametrize("indent", ["", " ", "    "])
def test_the_indent_of_json_does_not_matter(indent: str) -> None:
    assert answers.tables(f'[\n{indent}{{\n{indent}{indent}"ip": "1"\n{indent}}}\n]\n') == [[{"ip": "1"}]]


@pytest.mark.parametrize("end", [i for i in range(1, len(TABLE) - 2) if TABLE[i] in '\n",:'] + [len(TABLE) - 3])
def test_a_table_that_breaks_off_is_an_error(end: int) -> None:
    with pytest.raises(Unreadable, match="not complete JSON"):
        answers.items(TABLE[:end])


def test_a_role_in_brackets_is_no_table() -> None:
    assert answers.items("[overlay:slurm-client] slurmclient\n[750] backup\n") == [
        "[overlay:slurm-client] slurmclient",
        "[750] backup",
    ]


def test_a_cut_cell_is_an_error() -> None:
    """bcm-facts §1.7, §11 #7: `generic::containerd, kube...`; whether §1.4's `-d {}` cuts too is not told."""
    with pytest.raises(Unreadable) as error:
        answers.cell({"roles": "generic::containerd, kube..."}, "roles")
    assert "roles" in str(error.value) and "was cut" in str(error.value)


def test_a_missing_column_is_an_error_that_names_it() -> None:
    with pytest.raises(Unreadable) as error:
        answers.cell({"name": "x", "priority": "500"}, "revision")
    assert "'revision'" in str(error.value) and "name, priority" in str(error.value)


BETWEEN: dict[str, tuple[list[str], list[str]]] = {
    "both": (["r", "a b", "r", "ours", "r"], ["a b", "ours"]),
    "the first is empty, nothing printed": (["r", "r", "ours", "r"], ["", "ours"]),
    "both are empty, nothing printed": (["r", "r", "r"], ["", ""]),
    "both are empty, lines printed": (["r", "", "r", "", "r"], ["", ""]),
    "wrapped": (["r", "a", "b", "r", "r"], ["a b", ""]),
    "something before": (["noise", "r", "a", "r", "b", "r"], ["a", "b"]),
}


@pytest.mark.parametrize(("lines", "values"), BETWEEN.values(), ids=BETWEEN)
def test_values_are_read_between_markers(lines: list[str], values: list[str]) -> None:
    """bcm-facts §1.5 does not tell what `get` of an empty property prints."""
    assert answers.between(lines, "r", 2) == values


@pytest.mark.parametrize("lines", [[], ["r"], ["r", "a", "r"], ["r", "r", "r", "r"], ["No such role: r"]])
def test_markers_that_do_not_come_out_are_an_error(lines: list[str]) -> None:
    with pytest.raises(Unreadable):
        answers.between(lines, "r", 2)


WITH_CODES = """Code  Field                    Message
----- ------------------------ ---------------------------
1     category                 The category should be set
"""
WITHOUT_CODES = """Field                    Message
------------------------ ----------------------------------------------------------------
wlmCluster               Error: The WLM cluster should be set
"""
SEVERAL = """Code  Field                    Message
----- ------------------------ ---------------------------
1     category                 The category should be set
2     ip                       The address is used
"""
REFUSALS: dict[str, tuple[str, str]] = {
    "with codes": (WITH_CODES, "1 category The category should be set"),
    "without codes": (WITHOUT_CODES, "wlmCluster Error: The WLM cluster should be set"),
    "several": (SEVERAL, "1 category The category should be set; 2 ip The address is used"),
    "no newline at the end": (WITHOUT_CODES.rstrip(), "wlmCluster Error: The WLM cluster should be set"),
    "after other output": (f"dgx-01\n\n{WITH_CODES}", "1 category The category should be set"),
    "before other output": (f"{WITH_CODES}\nVersion Information\n", "1 category The category should be set"),
}


@pytest.mark.parametrize(("text", "words"), REFUSALS.values(), ids=REFUSALS)
def test_both_validation_tables_are_understood(text: str, words: str) -> None:
    """bcm-facts §1.5: both layouts [T]."""
    assert answers.refusal(text) == words


@pytest.mark.parametrize(
    "text", ["", "Successfully removed 1 Devices\n", "State  Type  Name\n------ ----- ----\n", TABLE]
)
def test_other_output_is_no_refusal(text: str) -> None:
    assert answers.refusal(text) is None


VERSION = """Version Information
-----------------------------------------
Cluster Manager           10.0
CMDaemon                  3.0
CMDaemon Build Index      156921
"""


@pytest.mark.parametrize(
    ("text", "version"),
    [(VERSION, "10.0"), (TABLE + VERSION, "10.0"), (VERSION.replace("10.0", "11.25.08"), "11.25.08"), ("", None),
     (TABLE, None), ("Unable to connect to CMDaemon\n", None), ("Cluster Manager\n", None),
     ("Cluster Manager 10.0\n", None), (VERSION[: VERSION.index(".0")], None)],
)  # fmt: skip
def test_the_version_proves_that_all_output_arrived(text: str, version: Optional[str]) -> None:
    """bcm-facts §1.7: versioninfo."""
    assert answers.version(text) == version


def table(*rows: dict[str, str]) -> str:
    return json.dumps(list(rows), indent=2) + "\n"


OVERLAY_ROW = {
    "name (key)": "slurm-client",
    "priority": "500",
    "allheadnodes": "no",
    "nodes": "",
    "categories": "",
    "revision": "",
}


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({}, {}),
        ({"priority": "-1"}, {"priority": -1}),
        ({"allheadnodes": "yes"}, {"all_head_nodes": True}),
        ({"nodes": "node001..node003"}, {"nodes": ("node001", "node002", "node003")}),
        ({"nodes": "node003,node001"}, {"nodes": ("node001", "node003")}),
        ({"nodes": "node[001-002],login"}, {"nodes": ("login", "node001", "node002")}),
        ({"categories": "b,a"}, {"categories": ("a", "b")}),
        ({"categories": "b, a"}, {"categories": ("a", "b")}),
        (
            {"revision": "bcm-jobstats, members by administrator"},
            {"revision": "bcm-jobstats, members by administrator"},
        ),
    ],
)
def test_an_overlay_is_read(changed: dict[str, str], fields: dict[str, Any]) -> None:
    """bcm-facts §1.2: node lists in every form, booleans as yes and no."""
    text = table({**OVERLAY_ROW, **changed})
    assert reading.overlays(text) == {"slurm-client": Overlay("slurm-client", **fields)}


@pytest.mark.parametrize("changed", [{"nodes": "a1b..a3c"}, {"nodes": "a_b"}, {"priority": ""}, {"priority": "high"}])
def test_an_overlay_that_cannot_be_read_is_an_error_that_names_it(changed: dict[str, str]) -> None:
    with pytest.raises(Unreadable, match="slurm-client"):
        reading.overlays(table({**OVERLAY_ROW, **changed}))


def test_a_range_of_names_that_end_in_letters_is_read() -> None:
    """As cmsh writes it: the dot form of whole names."""
    text = table({**OVERLAY_ROW, "nodes": "gpu01-a..gpu03-a"})
    assert reading.overlays(text)["slurm-client"].nodes == ("gpu01-a", "gpu02-a", "gpu03-a")


@pytest.mark.parametrize(
    ("image", "own"), [("", ""), ("dgx-image", "dgx-image"), ("dgx-image (dgx-h100)", ""), ("(dgx-h100)", "")]
)
def test_an_inherited_image_is_not_the_nodes_own(image: str, own: str) -> None:
    """bcm-facts §1.5: an inherited value has its source in parentheses; §1.7: status cells."""
    row = {"hostname (key)": "n1", "type": "PhysicalNode", "category": "c", "softwareimage": image}
    cluster = reading.objects(objects(device=table({**row, "status": "[   UP   ]"})))
    assert cluster.nodes == {"n1": Node("n1", "PhysicalNode", "c", own, "UP")}
    assert cluster.nodes["n1"].is_up


OBJECTS = {
    "configurationoverlay": table(OVERLAY_ROW),
    "category": table({"name (key)": "c", "softwareimage": "image"}),
    "softwareimage": table({"name (key)": "image", "path": "/cm/images/image"}),
    "wlm": table({"name (key)": "slurm", "type": "Slurm"}),
    "device": table(
        {"hostname (key)": "n1", "type": "PhysicalNode", "category": "c", "softwareimage": "", "status": "[   UP   ]"}
    ),
}


def objects(**changed: str) -> str:
    return "".join({**OBJECTS, **changed}.values()) + VERSION


def test_all_objects_are_read() -> None:
    """bcm-facts §1.7: a type may be printed `Slurm`."""
    cluster = reading.objects(objects())
    assert cluster.version == "10.0"
    assert (list(cluster.overlays), list(cluster.nodes)) == (["slurm-client"], ["n1"])
    assert cluster.categories == {"c": Category("c", "image")}
    assert cluster.images["image"].path == "/cm/images/image"
    assert cluster.wlms["slurm"].type == "slurm"


@pytest.mark.parametrize("mode", ["configurationoverlay", "wlm"])
def test_a_kind_of_which_there_is_none_is_empty(mode: str) -> None:
    cluster = reading.objects(objects(**{mode: "[]\n"}))
    kinds = [cluster.overlays, cluster.categories, cluster.images, cluster.wlms, cluster.nodes]
    assert [len(kind) for kind in kinds] == [int(other != mode) for other in OBJECTS]


@pytest.mark.parametrize("mode", OBJECTS)
@pytest.mark.parametrize("said", ["No such property: revision\n", "Permission denied\n"])
def test_a_list_that_cmsh_refuses_is_not_taken_for_an_empty_one(mode: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said.strip()):
        reading.objects(objects(**{mode: said}))


@pytest.mark.parametrize("mode", ["category", "softwareimage", "device"])
def test_a_list_that_never_is_empty_is_missed(mode: str) -> None:
    with pytest.raises(Unreadable):
        reading.objects(objects(**{mode: ""}))


@pytest.mark.parametrize("mode", OBJECTS)
def test_a_list_without_one_of_its_columns_is_an_error_that_names_it(mode: str) -> None:
    """What BCM may not be able to list (capability `list-fields`) must not look like an empty cluster.
    bcm-facts §1.7 has the names of `show` only."""
    (row,) = json.loads(OBJECTS[mode])
    *kept, dropped = row
    with pytest.raises(Unreadable, match=dropped):
        reading.objects(objects(**{mode: table({name: row[name] for name in kept})}))


WHERE = Place(OVERLAY, "o")
WANTED = [(WHERE, "generic::a"), (Place(CATEGORY, "c"), "generic::b")]
FIRST = "generic::a\nx y\ngeneric::a\nbcm-jobstats\ngeneric::a\n"
ROLE_LINES = {
    "lines for empty values": f"{FIRST}generic::b\n\ngeneric::b\n\ngeneric::b\n",
    "nothing for empty values": f"{FIRST}generic::b\ngeneric::b\ngeneric::b\n",
    "commas": FIRST.replace("x y", "x,y") + "generic::b\ngeneric::b\ngeneric::b\n",
}


@pytest.mark.parametrize("text", ROLE_LINES.values(), ids=ROLE_LINES)
def test_the_fields_of_roles_are_read_one_after_the_other(text: str) -> None:
    """bcm-facts §1.5: `get` prints the value alone, several with blanks between; how an empty one looks is not told."""
    assert reading.role_fields(WANTED, text + VERSION) == {
        WANTED[0]: GenericRole("generic::a", ("x", "y"), "bcm-jobstats"),
        WANTED[1]: GenericRole("generic::b"),
    }


@pytest.mark.parametrize(
    "text",
    ["", "No such role: generic::a\n", "generic::a\nx y\ngeneric::a\n",
     "generic::a\nx\ngeneric::a\nr\ngeneric::a\nNo such role: generic::b\n"],
)  # fmt: skip
def test_roles_that_cannot_be_read_are_an_error(text: str) -> None:
    with pytest.raises(Unreadable):
        reading.role_fields(WANTED, text + VERSION)


def test_a_role_whose_revision_is_its_own_name_is_not_misread() -> None:
    text = "generic::a\nx\ngeneric::a\ngeneric::a\ngeneric::a\n"
    with pytest.raises(Unreadable, match="generic::a"):
        reading.role_fields(WANTED[:1], text)


STATES = """dgx-01
Service      Status
------------ ----------
nslcd        [   UP   ]
cups         [STOPPED ]
a_b@c.d      [FAILING ]
dgx-02
sshd         [  DOWN  ]
dgx-03
"""


def test_service_states_are_read_node_by_node() -> None:
    """bcm-facts §1.7: `nslcd        [   UP   ]`, `cups [STOPPED ]`."""
    assert reading.service_states(STATES, ["dgx-01", "dgx-02", "dgx-03"]) == {
        "dgx-01": {"nslcd": "UP", "cups": "STOPPED", "a_b@c.d": "FAILING"},
        "dgx-02": {"sshd": "DOWN"},
        "dgx-03": {},
    }


CLUSTER = Cluster(
    "10.0",
    {"o": Overlay("o"), "n1": Overlay("n1")},
    {"c": Category("c", "image")},
    {name: Node(name, "PhysicalNode", "c") for name in ("n1", "n2")},
    {},
    {},
)
SERVICE = {"service (key)": "s", "monitored": "yes", "autostart": "no", "revision": ""}


def names(*roles: str) -> str:
    return table(*({"name (key)": role} for role in roles)) if roles else "[]\n"


def assigned(nodes: str = "n1\n", category: str = "c\n") -> tuple[Cluster, set[str]]:
    text = f"o\n{names('slurmclient')}n1\n{names('generic::a')}{category}{names('[overlay:o] slurmclient')}"
    return assignments.read(CLUSTER, f"{text}{table(SERVICE)}{nodes}{names('[overlay:o] slurmclient', 'own')}n2\n")


def test_assignments_belong_to_the_owner_named_before_them() -> None:
    """bcm-facts §1.7: an inherited role has its source in brackets, an own one is bare."""
    cluster, left_over = assigned()
    assert cluster.roles == {
        Place(OVERLAY, "o"): ("slurmclient",),
        Place(OVERLAY, "n1"): ("generic::a",),
        Place(NODE, "n1"): ("own",),
    }
    assert list(cluster.services) == [Place(CATEGORY, "c")]
    assert left_over == {"n2"}


def test_an_owner_that_is_not_answered_for_is_an_error() -> None:
    with pytest.raises(Unreadable, match="category/c"):
        assigned(category="No such category: c\n")
