"""Software images on real systems: built, booted, grabbed, rolled out to a canary that fails, and taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.simulator.lab import monitoring
from bcm_jobstats.simulator.lab.pod import USER
from bcm_jobstats.simulator.layout import HEAD
from tests.harness import until
from tests.lab import imagesite
from tests.lab.hookjobs.check import NVML
from tests.lab.imagesite import BUILT, CATEGORY, PROGRAM, SOURCE
from tests.lab.labs import NODES, OURS, SLURM, Lab

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("lab", ["trixie"], indirect=True)]

FIRST, SECOND = NODES
NEW = "dgx-05"
MANIFEST = "/etc/bcm-jobstats/manifest.json"
SERVICES = (*OURS, "dcgm-exporter", "dcgm-exporter-target")
PORTS = (9100, 9306, 9445, 9400)
OTHER = "/usr/local/bin/nvidia_gpu_exporter"
"""A program that the image has of its own."""
Tree = dict[str, tuple[int, ...]]


@pytest.fixture(scope="module")
def pod(lab: Lab) -> Lab:
    """A lab with the product on its head node, whose site supplies a program; nothing is applied."""
    imagesite.prepare(lab)
    return lab


@pytest.fixture(scope="module")
def deployed(pod: Lab) -> Lab:
    """The image built, rolled out, the roles assigned."""
    pod.ok("image", "build", CATEGORY, "--yes", "-q")
    pod.ok("image", "rollout", CATEGORY, "--yes", "-q")
    pod.apply()
    until(lambda: all(whole(pod, node) for node in NODES), what="all nodes are whole")
    return pod


@pytest.fixture
def clean(deployed: Lab) -> Iterator[Lab]:
    """The deployed lab, and again afterwards: the good program everywhere."""
    yield deployed
    imagesite.supply(deployed, "0.3.3", imagesite.good(deployed, "0.3.3"))


def whole(pod: Lab, node: str) -> bool:
    return pod.services(node) == dict.fromkeys((*SERVICES, *SLURM), "UP") and pod.slurm(node) == "idle"


def image(pod: Lab, name: str) -> Path:
    return pod.path(f"/cm/images/{name}")


def disk(pod: Lab, node: str) -> Tree:
    """What a node has on its disk besides what it writes itself while it runs."""
    upper = pod.path(f"/disks/nodes/{node}/upper")
    paths = (path for path in upper.rglob("*") if path.relative_to(upper).parts[0] not in {"var", "run", "tmp"})
    return {str(path): (path.lstat().st_mode, path.lstat().st_ino, path.lstat().st_mtime_ns) for path in paths}


def own_image(pod: Lab, node: str) -> str:
    return pod.cmsh(f"device; use {node}; get softwareimage").strip()


def test_a_node_that_never_existed_boots_from_a_built_image(pod: Lab, request: pytest.FixtureRequest) -> None:
    """Role by its category, exporters up, a hook with a real job, scraped; no command is run on the new node."""
    before = {node: disk(pod, node) for node in NODES}
    source = tree(image(pod, SOURCE))
    told = pod.on(HEAD, "bcm-jobstats", "image", "build", CATEGORY, "--yes")  # with the head node's own Python
    assert "failed" not in told, told
    assert {node: disk(pod, node) for node in NODES} == before, "a build touches no node"
    assert tree(image(pod, SOURCE)) == source, "nor the image that is in use"
    again = pod.on(HEAD, "bcm-jobstats", "image", "build", CATEGORY, "--yes")
    assert "No changes." in again

    deployed: Lab = request.getfixturevalue("deployed")
    assert deployed.cmsh(f"category; use {CATEGORY}; get softwareimage").strip() == BUILT
    monitoring.start_prometheus(pod.pod)
    pod.cmsh(f"device; clone {FIRST} {NEW}; set mac 02:00:00:00:00:AA; commit")
    try:
        pod.cmsh(f"device; use {NEW}; set ip 10.141.0.5; commit")
        until(lambda: pod.slurm(NEW), what="Slurm knows the node")
        pod.cmsh(f"device; power on {NEW}")
        until(lambda: whole(pod, NEW), 60.0, "the new node is whole")
        until(lambda: all(pod.answers(NEW, port) for port in PORTS), what="its exporters answer")
        until(lambda: scraped(pod, NEW) == 4, 60.0, "Prometheus scrapes it")
        words = ("sbatch", "--parsable", f"--nodelist={NEW}", "--gpus=1", "--mem=100", "--wrap=sleep 600")
        job = pod.pod.run(HEAD, *words, user=USER).strip()
        until(lambda: f'jobid="{job}"' in page(pod, NEW, NVML), 60.0, "its hook tied a GPU to the job")
        pod.on(HEAD, "scancel", job)
        until(lambda: f'jobid="{job}"' not in page(pod, NEW, NVML), 60.0, "its hook took the job out")
        assert pod.run_status("image", "diff", CATEGORY, "--node", NEW) == 0
    finally:
        pod.cmsh(f"device; remove {NEW}; commit")
        pod.ok("targets", "sync", "-q")


def scraped(pod: Lab, node: str) -> int:
    """How many exporters of a node Prometheus has an answer of."""
    return sum(float(one["value"][1]) == 1 for one in pod.pod.query(f'up{{hostname="{node}"}}'))


def page(pod: Lab, node: str, port: int) -> str:
    return pod.tried(HEAD, "curl", "--silent", f"http://{node}:{port}/metrics").stdout


def tree(root: Path) -> Tree:
    """All that an image holds, by type, mode, size and time of change."""
    found: Tree = {}
    for path in root.rglob("*"):
        status = path.lstat()
        found[str(path.relative_to(root))] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_uid)
    return found


def test_a_golden_node_gives_the_same_manifest(deployed: Lab) -> None:
    name = "dgx-golden"
    deployed.ok("image", "grab", "--from", FIRST, "--to", name, "--accept", "--yes", "-q")
    try:
        assert (image(deployed, name) / MANIFEST[1:]).read_bytes() == (
            image(deployed, BUILT) / MANIFEST[1:]
        ).read_bytes()
        assert not list((image(deployed, name) / "run").glob("bcm-jobstats*")), "no state of the node"
    finally:
        deployed.ok("image", "rollback", CATEGORY, "--yes", "--remove-image", "-q")
    assert not image(deployed, name).exists()


DAMAGES = {
    "deleted": ("/usr/lib/bcm-jobstats/jobstats-target", "rm {path}", "missing"),
    "edited": ("/etc/systemd/system/node_exporter.service", "echo '# mine' >> {path}", "content"),
    "writable": (PROGRAM, "chmod o+w {path}", "world-writable"),
}


@pytest.mark.parametrize("where", ["node", "image"])
def test_damage_is_named_and_a_rollout_repairs_it(clean: Lab, where: str) -> None:
    words = ("image", "diff", CATEGORY, *(("--node", SECOND) if where == "node" else ()))
    assert clean.run_status(*words) == 0, clean.run_out(*words)
    for path, damage, _ in DAMAGES.values():
        place = path if where == "node" else f"/cm/images/{BUILT}{path}"
        clean.on(SECOND if where == "node" else HEAD, "sh", "-c", damage.format(path=place))
    told = clean.run_out(*words)
    assert clean.run_status(*words) == 1
    assert [name for name, (path, _, what) in DAMAGES.items() if not named(told, path, what)] == [], told
    clean.ok("image", "rollout", CATEGORY, "--yes", "-q")
    for node in NODES:
        assert clean.run_status("image", "diff", CATEGORY, "--node", node) == 0
    assert clean.run_status("image", "diff", CATEGORY) == 0
    until(lambda: all(whole(clean, node) for node in NODES), what="all nodes are whole")


def named(told: str, path: str, what: str) -> bool:
    return any(path in line and what in line for line in told.splitlines())


CRASHES = b"""#!/bin/sh
# SIMULATED stand-in that crashes
[ "$1" = --version ] && exec echo 'cgroup_exporter, version 0.3.9'
echo 'panic: of the test' >&2
exit 3
"""
FAILURES = {"crash": "panic: of the test", "port": "listen tcp", "architecture": "another architecture"}


@pytest.mark.parametrize("how", FAILURES)
def test_a_canary_that_fails_stops_the_rollout(clean: Lab, how: str) -> None:
    before = disk(clean, SECOND)
    was = {path: (image(clean, BUILT) / path[1:]).read_bytes() for path in (PROGRAM, OTHER, MANIFEST)}
    program = CRASHES if how == "crash" else imagesite.good(clean, "0.3.9")
    imagesite.supply(clean, "0.3.9", program)
    clean.ok("image", "build", CATEGORY, "--yes", "-q")
    record = json.loads(clean.run_out("image", "list", "--json"))
    target = next(one["image"] for one in record if one["image"] != BUILT and one["image"].startswith(BUILT))
    if how == "port":
        bound = "s = socket.socket(); s.setsockopt(1, 2, 1); s.bind(('', 9306)); s.listen()"
        taken = f"import socket, time; {bound}; time.sleep(600)"
        clean.on(FIRST, "systemctl", "stop", "cgroup_exporter")
        clean.on(FIRST, "systemd-run", "--quiet", "--unit=intruder", "python3", "-c", taken)
    if how == "architecture":
        # A build refuses it; this one is the site's own, put there by hand.
        foreign = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(44)
        (image(clean, target) / OTHER[1:]).write_bytes(foreign)
    try:
        outcome = clean.run("image", "rollout", CATEGORY, "--canary", FIRST, "--yes")
        assert outcome.status == 1
        assert FAILURES[how] in outcome.err, outcome.err
        assert f"{SECOND} not touched" in outcome.err
        assert disk(clean, SECOND) == before, "no other node was touched"
        assert (
            own_image(clean, SECOND) != target
            and clean.cmsh(f"category; use {CATEGORY}; get softwareimage").strip() == BUILT
        )
    finally:
        clean.tried(FIRST, "systemctl", "stop", "intruder")
        clean.ok("image", "rollback", CATEGORY, "--yes", "--remove-image", "-q")
    assert {path: clean.path(path, FIRST).read_bytes() for path in was} == was
    assert clean.run_status("image", "diff", CATEGORY, "--node", ",".join(NODES)) == 0
    until(lambda: all(whole(clean, node) for node in NODES), 60.0, "all nodes are whole")
