"""Syncs between images and nodes, in cmsh: exclude lists, dry runs, slots, grabs, boots, and what goes wrong."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.simulator.excludelists import DEFAULTS
from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.layout import Layout
from tests.simulator.web import Web

NODE, OTHER = "dgx-01", "dgx-02"
IMAGE = "cm/images/dgx-image"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[InProcess]:
    made = InProcess(tmp_path, Layout(nodes=2, logins=1), trees=True)
    yield made
    made.control(op="release")
    made.close()


def put(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def root(site: InProcess, node: str = NODE) -> Path:
    return site.daemon.directory / "nodes" / node


def image(site: InProcess, path: str = IMAGE) -> Path:
    return site.daemon.directory / path


def told(site: InProcess) -> list[str]:
    """The texts of all events, without their times."""
    return [line.partition("] ")[2] for line in site.daemon.events.since(0)]


def until(reached: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_category_has_the_default_lists(cluster: InProcess) -> None:
    """bcm-facts §6."""
    for field, text in DEFAULTS.items():
        assert cluster.run(f"category; use dgx-h100; get {field}") == text
        cluster.run("home")
    assert cluster.run("category; use dgx-h100; show").count("Exclude list") == 6
    assert f"<{len(DEFAULTS['excludelistupdate'])}B>" in cluster.run("show")
    cluster.run("set excludelistupdate '- /own/*'; commit; clear excludelistupdate; commit; home")
    assert "excludelistupdate" not in cluster.daemon.state.table("category")["dgx-h100"].values


def test_lists_in_json_are_the_same(web11: Web) -> None:
    """bcm-facts §6: the names; source TF."""
    names = {"Full": "fullinstall", "Sync": "syncinstall", "Update": "update", "Grab": "grab", "Grabnew": "grabnew"}
    category = web11.admin.call("cmdevice", "getCategory", "dgx-h100")
    for name, field in names.items():
        assert category[f"excludeList{name}"] == DEFAULTS[f"excludelist{field}"]
    category["modified"], category["excludeListUpdate"] = True, "- /own/*\n"
    assert web11.admin.call("cmdevice", "updateCategory", category)["success"]
    values = web11.cluster.daemon.state.table("category")["dgx-h100"].values
    assert {name: text for name, text in values.items() if "exclude" in name} == {"excludelistupdate": "- /own/*\n"}


def test_the_effective_list_of_a_node(cluster: InProcess) -> None:
    """bcm-facts §6: the node's own value when it has one, and the snippets of its roles."""
    overlay = "configurationoverlay; use slurm-client; roles; assign generic::x; excludelistsnippets"
    cluster.run(
        f"{overlay}; add a; set excludelist /var/lib/a '+ /var/lib/b'; set nonewfiles yes; set modegrab yes; exit"
    )
    cluster.run("add off; set excludelist /var/lib/off; set disabled yes; exit; commit; home")
    get = f"device; use {NODE}; excludelist get {{}} /"
    lines = cluster.run(get.format("update")).splitlines()
    assert {"- /var/log/*", "no-new-files: - /var/lib/a", "no-new-files: + /var/lib/b"} <= set(lines)
    assert "no-new-files: - /cm/shared" in lines and not any("off" in line for line in lines)
    assert "no-new-files: - /var/lib/a" in cluster.run(get.format("grab"))
    assert "/var/lib/a" not in cluster.run(get.format("full"))
    assert "/var/lib/a" not in cluster.run("home; device; use login-01; excludelist get update /")
    cluster.run(f"home; device; use {NODE}; set excludelistupdate '- /mine/*'; commit")
    lines = cluster.run(get.format("update")).splitlines()
    assert "- /mine/*" in lines and "- /var/log/*" not in lines and "no-new-files: - /var/lib/a" in lines
    assert "update" in cluster.run("excludelist list")
    assert cluster.run("excludelist get nosuch /") != "" and cluster.session.failed


def test_an_update_obeys_the_lists_of_its_node(site: InProcess) -> None:
    for node in (NODE, OTHER):
        for path in ("opt/own", "srv/own", "etc/own"):
            put(root(site, node) / path)
    site.run("category; set dgx-h100 excludelistupdate '- /opt/*'; commit; home")
    site.run(f"device; set {OTHER} excludelistupdate '- /srv/*'; commit")
    site.cmsh("-n", "-c", "device; imageupdate -c dgx-h100 -w --wait")
    left = {
        node: [path for path in ("opt/own", "srv/own", "etc/own") if (root(site, node) / path).exists()]
        for node in (NODE, OTHER)
    }
    assert left == {NODE: ["opt/own"], OTHER: ["srv/own"]}
    assert (root(site) / "cm/shared").is_symlink()  # a mount, which is no business of a sync


def test_a_dry_run_is_told_by_the_synclog(site: InProcess) -> None:
    """bcm-facts §6."""
    put(image(site) / "etc/new")
    put(root(site) / "etc/own")
    site.cmsh("-n", "-c", f"device; imageupdate -n {NODE} --wait")
    log = site.run(f"device; synclog {NODE}").splitlines()
    assert {"*deleting   etc/own", ">f+++++++++ etc/new"} <= set(log)
    assert (root(site) / "etc/own").exists() and not (root(site) / "etc/new").exists()
    sending = f"bcm-head: Provisioning started: sending bcm-head:/{IMAGE} to {NODE}:/, mode UPDATE"
    assert told(site)[-2:] == [
        f"{sending}, dry run = yes, no data changes!",
        f"bcm-head: Provisioning completed on node {NODE}",
    ]
    assert site.run(f"synclog {OTHER}") == ""
    site.cmsh("-n", "-c", f"device; imageupdate -n {NODE} -w --wait")
    assert {"*deleting   etc/own", ">f+++++++++ etc/new"} <= set(site.run(f"synclog {NODE}").splitlines())
    assert (root(site) / "etc/new").exists() and f"{sending}, dry run = no" in told(site)
    site.cmsh("-n", "-c", f"device; imageupdate -n {NODE} -w --wait")
    assert [line for line in site.run(f"synclog {NODE}").splitlines() if "own" in line or "new" in line] == []


def test_a_node_that_is_down_or_fails_is_told(site: InProcess) -> None:
    put(image(site) / "etc/new")
    site.run(f"device; power off -n {NODE}")
    site.control(op="fault", kind="fail_sync", name=OTHER, message="No space left on device (28)")
    answer = site.cmsh("-n", "-c", "device; imageupdate -c dgx-h100 -w --wait")
    assert {f"bcm-head: Provisioning failed on node {node}" for node in (NODE, OTHER)} <= set(told(site))
    assert f"Provisioning failed on node {OTHER}" in answer.out
    assert site.run(f"device; synclog {OTHER}") == "No space left on device (28)\n"
    assert not any((root(site, node) / "etc/new").exists() for node in (NODE, OTHER))
    site.cmsh("-n", "-c", f"device; imageupdate -n {OTHER} -w --wait")
    assert (root(site, OTHER) / "etc/new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_full_disk_stops_a_sync_and_a_clone(site: InProcess) -> None:
    (image(site) / "opt").mkdir()
    (image(site) / "opt/large").write_bytes(os.urandom(3 << 20))
    places = (root(site) / "opt", image(site, "cm/images/small"))
    for place in places:
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "bcm-simulator-test", str(place)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("nothing can be mounted here")
    try:
        site.cmsh("-n", "-c", f"device; imageupdate -n {NODE} -w --wait")
        assert "No space left on device" in site.run(f"device; synclog {NODE}")
        assert told(site)[-1] == f"bcm-head: Provisioning failed on node {NODE}"
        answer = site.cmsh("-n", "--hide-events", "-c", "softwareimage; clone dgx-image small; commit -w")
        assert (answer.out, answer.status) == ("", 0)  # nobody says so but an event
        failed = f"bcm-head: Failed to copy: /{IMAGE} -> /cm/images/small: "
        assert told(site)[-1].startswith(failed) and "No space left" in told(site)[-1]
        assert (image(site, "cm/images/small") / "etc").is_dir()
    finally:
        for place in places:
            subprocess.run(["umount", str(place)], check=True)


def test_a_copy_under_way_is_told_and_holds_up_nothing(web11: Web) -> None:
    """bcm-facts §6: fileOperationInProgress."""
    cluster = web11.cluster

    def copying() -> bool:
        return bool(web11.admin.call("cmpart", "getSoftwareImage", "copy")["fileOperationInProgress"])

    cluster.control(op="fault", kind="hang_clone", name="copy")
    cluster.control(op="fault", kind="fail_clone", name="half", message="No space left on device")
    cluster.run("softwareimage; clone dgx-image copy; commit; clone dgx-image half; commit; home")
    until(lambda: cluster.daemon.faults.armed() == [{"kind": "fail_clone", "nth": 1}])  # it hangs
    assert copying()
    cluster.run("device; imageupdate -n dgx-01 -w; home")
    try:
        until(lambda: any("Provisioning completed on node dgx-01" in text for text in told(cluster)))
    finally:
        cluster.control(op="release")
    cluster.settled()
    assert not copying()
    images = cluster.daemon.directory / "cm/images"
    assert (images / "copy/etc/passwd").exists()
    assert (images / "half/etc/passwd").exists() and not (images / "half/usr").exists()
    assert any("Failed to copy: /cm/images/dgx-image -> /cm/images/half" in text for text in told(cluster))


@pytest.mark.parametrize("layout", ["older", "newer"])
def test_nodes_wait_for_slots(cluster: InProcess, layout: str) -> None:
    """bcm-facts §1.7, provisioningstatus."""
    cluster.control(op="switch", name="layouts", value=layout)
    cluster.run("device; use bcm-head; roles; use provisioning; set provisioningslots 3; commit; home")
    cluster.control(op="fault", kind="hang_sync", name="dgx-02")
    cluster.run("device; imageupdate -c dgx-h100 -w; home")
    until(lambda: not cluster.daemon.faults.armed())
    busy = cluster.run("softwareimage; provisioningstatus")
    if layout == "newer":
        assert "Slots: 3 / 3\n" in busy and "Pending request: dgx-04\n" in busy
        assert "Active nodes: dgx-01, dgx-02, dgx-03\n" in busy
    else:
        assert "Nodes currently provisioning: 3\nNodes waiting to be provisioned: dgx-04\n" in busy
        assert "  Max number of provisioning nodes: 3\n  Nodes provisioning: 3\n" in busy
        assert busy.endswith("Nodes currently being provisioned: dgx-01, dgx-02, dgx-03\n")
    assert not any("to dgx-04:/" in text for text in told(cluster))
    cluster.control(op="release")
    cluster.settled()
    assert sum("Provisioning completed" in text for text in told(cluster)) == 4
    assert "dgx" not in cluster.run("provisioningstatus").replace("dgx-image", "")


def flags(site: InProcess) -> bool:
    return "restart-required" in site.run(f"device status {NODE}")


@pytest.mark.parametrize("clears", ["yes", "no"])
def test_a_new_image_wants_a_restart(site: InProcess, clears: str) -> None:
    """bcm-facts §1.7, §6: whether an imageupdate is enough is not documented."""
    site.control(op="switch", name="imageupdate_clears_restart", value=clears)
    put(image(site, "cm/images/default-image") / "etc/other")
    site.run(f"device; set {NODE} softwareimage default-image; commit; home")
    assert flags(site)
    site.cmsh("-n", "-c", f"device; imageupdate -n {NODE} --wait")
    assert flags(site)
    site.cmsh("-n", "-c", f"device; imageupdate -n {NODE} -w --wait")
    assert flags(site) == (clears == "no") and (root(site) / "etc/other").exists()
    site.run(f"device reboot {NODE}")
    site.settled()
    assert not flags(site)


def test_an_imageupdate_may_send_the_old_image_until_a_reboot(site: InProcess) -> None:
    site.control(op="switch", name="imageupdate_new_image", value="no")
    put(image(site, "cm/images/default-image") / "etc/other")
    put(image(site) / "etc/new")
    site.run(f"device; set {NODE} softwareimage default-image; commit; home")
    site.cmsh("-n", "-c", f"device; imageupdate -n {NODE} -w --wait")
    assert (root(site) / "etc/new").exists() and not (root(site) / "etc/other").exists()
    site.run(f"device reboot {NODE}")
    site.settled()
    assert not (root(site) / "etc/new").exists() and (root(site) / "etc/other").exists()


@pytest.mark.parametrize(
    ("where", "mode", "left"),
    [
        ("category; set dgx-h100 installmode AUTO", "AUTO", {"var/log/own", "home/alice/own"}),
        (f"device; set {NODE} nextinstallmode FULL", "FULL", set()),
        ("category; set dgx-h100 installmode FULL", "FULL", set()),
        (f"device; set {NODE} installmode NOSYNC", "NOSYNC", {"var/log/own", "home/alice/own", "etc/own"}),
    ],
)
def test_install_modes(site: InProcess, where: str, mode: str, left: set[str]) -> None:
    """bcm-facts §6: the lists of a sync and of a whole installation; what the next mode was is forgotten then."""
    for path in ("var/log/own", "home/alice/own", "etc/own"):
        put(root(site) / path)
    put(image(site) / "etc/new")
    site.run(f"{where}; commit; home; device reboot {NODE}")
    site.settled()
    assert {path for path in ("var/log/own", "home/alice/own", "etc/own") if (root(site) / path).exists()} == left
    assert (root(site) / "etc/new").exists() == (mode != "NOSYNC")
    assert (root(site) / "etc/hostname").read_text() == f"{NODE}\n" and (root(site) / "cm/shared").is_symlink()
    assert site.run(f"device; get {NODE} nextinstallmode") == "\n"
    (root(site) / "home/alice/again").mkdir(parents=True)
    site.run(f"device reboot {NODE}")
    site.settled()
    assert (root(site) / "home/alice/again").exists() == (where != "category; set dgx-h100 installmode FULL")


def test_a_gentle_grab_goes_to_the_nodes_image(site: InProcess) -> None:
    """bcm-facts §6: excludelistgrab, and the image that the node was provisioned from; -w writes."""
    for path in ("opt/app", "var/log/app", "etc/fstab", "root/.cm/admin.key", "run/gpustat/0"):
        put(root(site) / path)
    put(image(site) / "etc/gone")
    site.run(f"device; set {NODE} softwareimage default-image; commit; home")  # it was not provisioned from that yet
    site.cmsh("-n", "-c", f"device; grabimage --wait {NODE}")
    assert not (image(site) / "opt/app").exists()
    assert ">f+++++++++ opt/app" in site.run(f"device; synclog {NODE}").splitlines()
    site.cmsh("-n", "-c", f"device; use {NODE}; grabimage -w --wait")
    found = [path for path in ("opt/app", "root/.cm/admin.key") if (image(site) / path).exists()]
    assert found == ["opt/app", "root/.cm/admin.key"]  # a grab takes secrets along
    left = ("var/log/app", "etc/fstab", "run/gpustat/0", "etc/gone", "etc/hostname")
    assert not [path for path in left if (image(site) / path).exists()]
    assert not (image(site, "cm/images/default-image") / "opt/app").exists()


def test_a_grab_into_another_image_wipes_it(site: InProcess) -> None:
    """bcm-facts §6: all that excludelistgrabnew does not name, and the image must be there."""
    answer = site.cmsh("-n", "-c", f"device; grabimage -w -i nosuch --wait {NODE}")
    assert "nosuch" in answer.out
    target = image(site, "cm/images/golden")
    site.cmsh("-n", "-c", "softwareimage; clone default-image golden; commit -w")
    for path in ("opt/of-the-image", "var/log/of-the-image", "tmp/of-the-image", "cm/shared/of-the-image"):
        put(target / path)
    for path in ("opt/app", "var/log/app", "etc/fstab", "tmp/app"):
        put(root(site) / path)
    put(site.daemon.directory / "cm/shared/on-nfs")
    site.cmsh("-n", "-c", f"device; grabimage -i golden --wait {NODE}")
    assert (target / "opt/of-the-image").exists()
    site.cmsh("-n", "-c", f"device; grabimage -w -i golden --wait {NODE}")
    assert {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()} >= {
        *("opt/app", "var/log/app", "etc/fstab", "tmp/of-the-image", "cm/shared/of-the-image"),
    }
    assert not [path for path in ("opt/of-the-image", "var/log/of-the-image", "tmp/app") if (target / path).exists()]
    assert not (target / "cm/shared/on-nfs").exists() and not (image(site) / "opt/app").exists()


def test_a_grab_of_a_node_that_is_down_fails(site: InProcess) -> None:
    put(root(site) / "opt/app")
    site.run(f"device; power off -n {NODE}; grabimage -w --wait {NODE}")
    assert told(site)[-1] == f"bcm-head: Provisioning failed on node {NODE}"
    assert not (image(site) / "opt/app").exists()
