"""A role and the nodes' real systemd (design §3): services with our hardening, their targets, nothing afterwards."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.simulator.lab import bases
from bcm_jobstats.simulator.layout import HEAD
from tests.harness import until
from tests.lab.labs import EXPORTERS, NODES, OURS, Lab

pytestmark = pytest.mark.lab

FIRST, SECOND = NODES
MANUAL = "roles: {jobstats: {attach: {manual: true}}}\n"
REST = "https://master:8081/rest/v1/device"
CA = "/cm/local/apps/cmd/etc/cacert.pem"
OF_NODES = re.compile(r"nodes/[^/]+/upper/(var|run)(/|$)")
"""What a running node writes for itself."""
Tree = dict[str, tuple[object, ...]]


@pytest.fixture
def pod(lab: Lab) -> Iterator[Lab]:
    """The lab as it was found, before a test and after it."""
    lab.site()
    yield lab
    lab.cmsh("configurationoverlay; use jobstats; set nodes; commit")  # with members it would be let go, not removed
    lab.ok("destroy", "--yes", "-q")


def differences(lab: Lab) -> Tree:
    """Every entry of images, nodes and the shared storage that is not as in the base that they are laid over."""
    base = bases.ready(lab.release)
    assert base is not None
    found: Tree = {"objects": (lab.path("/cmd/state.json").read_bytes(),)}
    for disk, point in trees(lab).items():
        for path in (disk / "upper").rglob("*"):
            name = path.relative_to(disk / "upper")
            now = entry(point / name)
            if not OF_NODES.match(str(path.relative_to(lab.path("/disks")))) and now != entry(base.node / name):
                found[f"{point.name}/{name}"] = now
    for path in lab.path("/cm/shared").rglob("*"):
        if "slurm" not in path.parts:
            found[str(path)] = entry(path)
    return found


def trees(lab: Lab) -> dict[Path, Path]:
    """The disks of all images and nodes, and where they are mounted."""
    places = {"images": "/cm/images", "nodes": "/nodes"}
    return {disk: lab.path(f"{place}/{disk.name}") for kind, place in places.items()
            for disk in lab.path(f"/disks/{kind}").iterdir()}  # fmt: skip


def entry(path: Path) -> tuple[object, ...]:
    """What is at a path, times apart."""
    try:
        status = path.lstat()
    except OSError:
        return ("nothing",)
    told = (stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    if path.is_symlink():
        return (*told, str(path.readlink()))
    return (*told, path.read_bytes()) if path.is_file() else told


def has_role(pod: Lab, nodes: str) -> None:
    assert "rror" not in pod.cmsh(f"configurationoverlay; use jobstats; set nodes {nodes}; commit")


def test_services_run_while_the_node_has_the_role_and_no_longer(pod: Lab) -> None:
    pod.site(MANUAL)
    pod.apply()
    assert not pod.active(FIRST) and not pod.active(SECOND)
    has_role(pod, FIRST)
    pod.apply()  # now the node's image gets the files
    until(lambda: pod.active(FIRST) == set(OURS), what="the units are active")
    assert [row["targets"] for row in json.loads(pod.target(FIRST).read_text(encoding="utf-8"))] == [
        [f"{FIRST}:{port}"] for port in EXPORTERS.values()
    ]
    until(lambda: all(pod.answers(FIRST, port) for port in EXPORTERS.values()), what="the exporters answer the head")
    assert not pod.active(SECOND) and not pod.target(SECOND).exists()
    has_role(pod, SECOND)
    until(lambda: pod.active(SECOND) == set(OURS) and not pod.active(FIRST), what="the services have moved")
    assert pod.target(SECOND).exists() and not pod.target(FIRST).exists()
    assert not any(pod.answers(FIRST, port) for port in EXPORTERS.values())
    has_role(pod, "")
    until(lambda: not pod.active(SECOND) and not pod.target(SECOND).exists(), what="nothing runs any more")


@pytest.mark.parametrize("attach", ["", MANUAL], ids=["with_role", "manual"])
def test_destroy_leaves_images_nodes_and_the_shared_storage_as_they_were(pod: Lab, attach: str) -> None:
    before = differences(pod)
    pod.site(attach)
    pod.apply()
    if attach:
        has_role(pod, ",".join(NODES))
        pod.apply()
    until(lambda: all(pod.active(node) == set(OURS) for node in NODES), what="the units are active")
    assert len(differences(pod)) > len(before) + 20
    if attach:
        has_role(pod, "")
    pod.ok("destroy", "--yes", "-q")
    assert not any(pod.active(node) for node in NODES)
    after = differences(pod)
    assert {name: after.get(name) for name in {*before, *after} if before.get(name) != after.get(name)} == {}


def test_the_hardening_of_the_units_is_in_force(pod: Lab) -> None:
    pod.apply()
    # A unit is active before its sandbox is made; what answers is the exporter itself.
    until(lambda: all(pod.answers(FIRST, port) for port in EXPORTERS.values()), what="the exporters answer")
    user = pod.on(FIRST, "id", "-u", "jobstats")
    for unit in EXPORTERS:
        pid = pod.property(FIRST, unit, "MainPID")
        status = dict(re.findall(r"^(\w+):\s+(.*)$", pod.on(FIRST, "cat", f"/proc/{pid}/status"), re.M))
        assert status["Uid"].split() == [user] * 4 and user != "0"
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
        mounts = {point: (root, options.split(",")) for root, point, options in mounted(pod, pid)}
        assert "ro" in mounts["/"][1] and "ro" in mounts.get("/usr", mounts["/"])[1]
        assert f"-{unit}.service-" in mounts["/tmp"][0]  # the unit has its own
        text = pod.path(f"/cm/images/dgx-image/etc/systemd/system/{unit}.service").read_text(encoding="utf-8")
        said = re.findall(r"^MemoryMax=(\d+)M$", text, re.M)
        group = pod.property(FIRST, unit, "ControlGroup")
        limit = pod.on(FIRST, "cat", f"/sys/fs/cgroup/memory{group}/memory.limit_in_bytes")
        assert [limit] == [str(int(size) << 20) for size in said]


def mounted(pod: Lab, pid: str) -> list[tuple[str, str, str]]:
    """The mounts that a process of the first node sees: root, mount point, options."""
    lines = pod.on(FIRST, "cat", f"/proc/{pid}/mountinfo").splitlines()
    return [(fields[3], fields[4], fields[5]) for fields in map(str.split, lines)]


def test_a_node_asks_the_head_over_mutual_tls(pod: Lab, tmp_path: Path) -> None:
    """bcm-facts §8.2, §9: port 8081 of `master`, with a certificate of the cluster's CA on either side."""
    pod.ok("certificate", "--for", "read", "--force", "-q")
    made = pod.path("/etc/bcm-jobstats")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=foreign"]
        + ["-keyout", str(tmp_path / "foreign.key"), "-out", str(tmp_path / "foreign.pem")],
        check=True,
        capture_output=True,
    )  # fmt: skip
    cluster = next(made.glob("*.pem"))
    for source in (cluster, cluster.with_suffix(".key"), tmp_path / "foreign.key", tmp_path / "foreign.pem"):
        pod.path(f"/root/{source.name}", FIRST).write_bytes(source.read_bytes())
    pod.path("/root/ca.pem", FIRST).write_bytes(pod.path(CA).read_bytes())

    def ask(name: str = "", ca: str = "/root/ca.pem") -> tuple[int, str, str]:
        own = ["--cert", f"/root/{name}.pem", "--key", f"/root/{name}.key"] if name else []
        trust = ["--cacert", ca] if ca else []
        done = pod.tried(FIRST, "curl", "--silent", "--write-out", "\n%{http_code}", *trust, *own, REST)
        text, _, code = done.stdout.rpartition("\n")
        return done.returncode, code, text

    status, code, text = ask(cluster.stem)
    assert (status, code) == (0, "200")
    assert {device["hostname"] for device in json.loads(text)} == {HEAD, *NODES}
    assert ask()[:2] == (0, "401")
    status, code, _ = ask("foreign")
    assert status != 0 and code == "000"
    assert ask(cluster.stem, ca="")[:2] == (60, "000")  # nothing but the cluster's CA vouches for the head
