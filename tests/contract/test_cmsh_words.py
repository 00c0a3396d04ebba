"""Every command that is sent to cmsh has a form that a public text shows, or belongs to a named doubt."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from bcm_jobstats.bcm import certificate
from bcm_jobstats.bcm.cmsh import assignments, imagescripts, producers, reading, scripts, wlm
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
    WlmCluster,
)

FORMS = {
    "modes": (r"(configurationoverlay|category|device|softwareimage|wlm|profile|cert|main|monitoring setup|home|\.\.)"),
    "submodes": r"(roles|services|nodeexecutionfilters|cgroups)",
    "one-off": r"(configurationoverlay|category|softwareimage|wlm|device) list .*|main versioninfo",
    "list": r"list -f [a-z]+:\d+(,[a-z]+:\d+)* -d \{\}",
    "get": r"get [a-z]+",
    "copies": r'remove (-d )?"[^"]+"|clone "[^"]+" "[^"]+"',
    "objects": r'(use|add|assign|unassign) "[^"]+"|add (static|prometheus|overlay|category|node) "[^"]+"',
    "values": r'set [a-z]+( "[^"]+")+|set nonuser yes|clear [a-z]+|commit( -w)?',
    "foreach": r'foreach (\*|-[lnc] "[^"]+") \(.+\)',
    "images": r'updateprovisioners|provisioningstatus|imageupdate( -w)? --wait -[cn] "[^"]+"',
    "grabs": r'grabimage( -w)? -i "[^"]+" "[^"]+"|synclog "[^"]+"|excludelist get (full|sync|update|grab|grabnew) /',
    "nodes": r'restart "[^"]+"|reboot -n "[^"]+"|status|device status|pexec -n "[^"]+" "[^"]+"',
    "certificates": r'createcertificate 2048( "[^"]*"){7} "" \d+ "[^"]+" "[^"]+"',
}
PLACES = (Place(OVERLAY, "o"), Place(CATEGORY, "c"), Place(NODE, "n1"))
ROLE, SERVICE = GenericRole("generic::r", ("a", "b"), "ours"), Service("s", True, True, "ours")
PRODUCER = Producer("p", ("http://localhost:9100/metrics",), PLACES, "ours")
WLM = WlmCluster("s", "slurm", settings={"constrainramspace": "no", "selecttypeparameters": "CR_Core"})
WLM_CHANGED = WlmCluster("s", "slurm", settings={"constrainramspace": "yes", "selecttypeparameters": ""})
CLUSTER = Cluster(
    "11.0", {"o": Overlay("o")}, {"c": Category("c", "i")}, {"n1": Node("n1", "PhysicalNode", "c")}, {}, {}
)
SENT: dict[str, Sequence[str]] = {
    "objects": (*reading.OBJECTS, "home", "main versioninfo"),
    "assignments": assignments.query(CLUSTER, ["slurmclient", "generic::r"], every_node=False),
    "assignments of every node": assignments.query(CLUSTER, [], every_node=True),
    "assignments of some": assignments.query_nodes(["n1", "n2"]),
    "fields": reading.role_queries([(where, "generic::r") for where in PLACES]),
    "states": reading.status_query(["n1", "n2"]),
    "overlay": scripts.save_overlay(None, Overlay("o", 510, True, ("n1",), ("c", "d"), "ours")),
    "overlay emptied": scripts.save_overlay(Overlay("o", 510, True, ("n1",), ("c",), "ours"), Overlay("o")),
    "overlay removed": scripts.remove_overlay("o"),
    **{f"role of {where}": scripts.save_role(where, None, ROLE) for where in PLACES},
    "role emptied": scripts.save_role(PLACES[0], ROLE, GenericRole("generic::r")),
    "role removed": scripts.remove_role(PLACES[0], "generic::r"),
    "service": scripts.save_service(PLACES[1], None, SERVICE),
    "service changed": scripts.save_service(PLACES[2], SERVICE, Service("s")),
    "service removed": scripts.remove_service(PLACES[1], "s"),
    "imageupdate": scripts.update_nodes("c"),
    "restart": scripts.restart_services("c", ["a", "b"]),
    "clone": imagescripts.clone("a", "b"),
    "image removed": imagescripts.remove("a"),
    "image of nodes": imagescripts.use(["n1", "n2"], "a"),
    "image of nodes cleared": imagescripts.use(["n1", "n2"], ""),
    "image of a category": imagescripts.use_in_category("c", "a"),
    "provisioners": imagescripts.UPDATE_PROVISIONERS,
    "provisioning": imagescripts.PROVISIONING,
    "sync": imagescripts.sync(["n1", "n2"], write=True),
    "dry sync": imagescripts.sync(["n1", "n2"], write=False),
    "synclog": imagescripts.synclog("n1"),
    "grab": imagescripts.grab("n1", "a", write=True),
    "dry grab": imagescripts.grab("n1", "a", write=False),
    "restart on nodes": imagescripts.restart(["n1", "n2"], ["a", "b"]),
    "reboot": imagescripts.reboot(["n1", "n2"]),
    "status of devices": imagescripts.STATUS,
    "exclude lists": imagescripts.exclude_lists("c"),
    "exclude list of a node": imagescripts.effective_exclude_list("n1", "update"),
    "exclude list": imagescripts.save_exclude_list("c", "update", "/tmp/list.txt"),
    "execute": scripts.execute(["head"], "cd ; ls"),
    "settings of Slurm": wlm.query({"s": WLM}),
    "settings of Slurm changed": wlm.save(WLM, WLM_CHANGED),
    "producers": producers.LIST,
    "producer fields": producers.fields_query(["p"]),
    "producer": producers.save(None, PRODUCER),
    "producer changed": producers.save(PRODUCER, Producer("p", ("http://localhost:1/metrics",))),
    "producer removed": producers.remove("p"),
    "certificate": certificate.script(certificate.wanted("apply", 30, "/etc/x", two_heads=True, metrics=True), ()),
}


def parts(command: str) -> list[str]:
    """A command, and those inside the parentheses of a `foreach`."""
    inner = re.fullmatch(r"foreach .*? \((.*)\)", command)
    return [command, *(inner.group(1).split("; ") if inner else ())]


@pytest.mark.parametrize("script", SENT.values(), ids=SENT)
def test_nothing_is_sent_that_no_public_text_shows(script: Sequence[str]) -> None:
    """bcm-facts §1.1 one-liners, §1.2 modes, quoting and one-off commands, §1.4 `list -f … -d {}`, §1.5 commands on
    objects, §1.6 foreach, §1.7 provisioningstatus, §2 overlays, §3.3 services, §5.2 and §5.3 wlm, §6 imageupdate,
    clone, grabimage, synclog, excludelist, §9 monitoring setup; AM11 §4.2.3, §6.4, §14.1.2."""
    words = [part for command in script for part in parts(command)]
    odd = [word for word in words if not any(re.fullmatch(form, word) for form in FORMS.values())]
    assert odd == []


@pytest.mark.parametrize("script", SENT.values(), ids=SENT)
def test_no_read_ends_with_a_commit_and_every_write_does(script: Sequence[str]) -> None:
    """bcm-facts §1.5: changes are local to the session until `commit`."""
    changes = [line for line in script if re.match(r"(set|add|assign|unassign|remove|clear|clone)\b", line)]
    changes += [line for line in script if re.search(r"\((set|clear)", line)]
    commits = [number for number, line in enumerate(script) if line in ("commit", "commit -w")]
    assert bool(changes) == bool(commits) or any(line.startswith("createcertificate") for line in script)
    assert not changes or max(number for number, line in enumerate(script) if line in changes) < commits[-1]


def test_a_new_overlay_is_written_as_the_manual_makes_one() -> None:
    """bcm-facts §2 [T]: add, nodes, roles, assign, commit; settings by name."""
    made = scripts.save_overlay(None, Overlay("o", 510, True, ("n1", "n2", "n3"), ("c",)))
    assert made == [
        "configurationoverlay", 'add "o"', 'set priority "510"', 'set allheadnodes "yes"', 'set nodes "n1..n3"',
        'set categories "c"', "commit",
    ]  # fmt: skip


def test_a_service_is_written_as_public_scripts_do() -> None:
    """bcm-facts §3.3 [U] GB200: add, monitored, autostart, commit; removing it with autostart on stops it [T]."""
    assert scripts.save_service(PLACES[1], None, SERVICE) == [
        "category", 'use "c"', "services", 'add "s"', 'set monitored "yes"', 'set autostart "yes"',
        'set revision "ours"', "commit",
    ]  # fmt: skip


def test_services_are_restarted_on_the_nodes_of_a_category() -> None:
    """bcm-facts §1.1 has `use X; restart` of one service, §1.6 the loop; `restart NAME` without `use` is inferred."""
    assert scripts.restart_services("c", ["a", "b"]) == [
        "device",
        'foreach -c "c" (services; restart "a"; restart "b")',
    ]


def test_images_are_cloned_removed_and_set_as_the_manual_does_it() -> None:
    """bcm-facts §1.5: `commit -w` waits for a copy, `remove -d` takes the directory too, long texts come from a file;
    §1.6: `foreach` over objects needs a commit afterwards; §6 [T]: `clone`, `grabimage -w -i IMAGE NODE`, and `-w`
    writes, §11 #8; AM11 §4.2.3: reboot."""
    assert imagescripts.clone("default-image", "imagetwo") == [
        "softwareimage", 'clone "default-image" "imagetwo"', "commit -w",
    ]  # fmt: skip
    assert imagescripts.remove("a") == ["softwareimage", 'remove -d "a"', "commit -w"]
    assert imagescripts.use(["n1", "n2", "n3"], "a") == [
        "device", 'foreach -n "n1..n3" (set softwareimage "a")', "commit",
    ]  # fmt: skip
    assert imagescripts.grab("node001", "default-image1", write=True)[-1] == (
        'grabimage -w -i "default-image1" "node001"'
    )
    assert imagescripts.grab("node001", "default-image1", write=False)[-1] == 'grabimage -i "default-image1" "node001"'
    assert imagescripts.sync(["n1", "n2"], write=False) == [
        "softwareimage", "updateprovisioners", "device", 'imageupdate --wait -n "n1..n2"',
    ]  # fmt: skip
    assert imagescripts.save_exclude_list("c", "grabnew", "/root/list") == [
        "category", 'use "c"', 'set excludelistgrabnew "/root/list"', "commit",
    ]  # fmt: skip
    assert imagescripts.reboot(["n1", "n2"]) == ["device", 'reboot -n "n1..n2"']


def test_a_certificate_is_made_as_the_manual_makes_one() -> None:
    """AM11 §6.4: a profile with tokens for no user, then createcertificate; the tokens are of AM11 Table J."""
    wanted = certificate.wanted("read", 30, "/etc/bcm-jobstats", two_heads=False, metrics=False)
    *profile, home, mode, create = certificate.script(wanted, ())
    tokens = " ".join(f'"{token}"' for token in wanted.tokens)
    assert profile == ["profile", 'add "bcm-jobstats-read"', f"set tokens {tokens}", "set nonuser yes", "commit"]
    assert (home, mode) == ("home", "cert")
    assert create == (
        'createcertificate 2048 "bcm-jobstats-read" "" "" "" "" "" "bcm-jobstats-read" "" 30 '
        '"/etc/bcm-jobstats/read.key" "/etc/bcm-jobstats/read.pem"'
    )
    assert certificate.profile_script(wanted, ["bcm-jobstats-read"])[1] == 'use "bcm-jobstats-read"'


def test_an_exporter_is_sampled_as_the_manual_does_it() -> None:
    """bcm-facts §9 [T]: monitoring setup; add prometheus; set urls; AM11 App. L: filters by their type. That the
    members of a filter of overlays are set with `overlays` is by analogy with `nodes`."""
    assert producers.save(None, Producer("p", ("http://h:1/metrics",), PLACES)) == [
        "monitoring setup", 'add prometheus "p"', 'set urls "http://h:1/metrics"', "clear revision",
        "nodeexecutionfilters", 'add overlay "overlay-o"', 'set overlays "o"', "..", 'add category "category-c"',
        'set categories "c"', "..", 'add node "node-n1"', 'set nodes "n1"', "..", "commit",
    ]  # fmt: skip
