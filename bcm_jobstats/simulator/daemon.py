"""The daemon process of a simulator: ``python -m bcm_jobstats.simulator.daemon DIR`` returns when it serves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from bcm_jobstats.simulator import replay
from bcm_jobstats.simulator.addresses import claim_network
from bcm_jobstats.simulator.cmdaemon import CMDaemon
from bcm_jobstats.simulator.following import Hardware
from bcm_jobstats.simulator.ha import Heads
from bcm_jobstats.simulator.headtree import make_head, roots, seed_paper_image
from bcm_jobstats.simulator.https import serve as serve_https
from bcm_jobstats.simulator.layout import HEADS, LAB_ADDRESS, LAB_NETWORK, WLM, Layout, fresh
from bcm_jobstats.simulator.noderunner import NodeRunner, SimulatedNode
from bcm_jobstats.simulator.papernodes import PaperNodes
from bcm_jobstats.simulator.server import Server
from bcm_jobstats.simulator.settings import TRANSCRIPT
from bcm_jobstats.simulator.state import load, write_atomically
from bcm_jobstats.simulator.storage import place
from bcm_jobstats.simulator.switches import Switches

if TYPE_CHECKING:
    from bcm_jobstats.simulator.lab.start import Lab

PAPER, PROCESS, CONTAINER = "paper", "process", "container"
LONGEST_SOCKET_PATH = 100
READY = b"ready\n"


def main(directory: Path) -> int:
    """Fork the daemon and wait until it serves; 1 when it does not, with the reason on stderr."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            answer = stream.read()
        if answer != READY:
            sys.stderr.write(answer.decode())
        return int(answer != READY)
    os.close(reader)
    os.setsid()
    try:
        _serve(directory, writer)
    except BaseException:
        os.write(writer, traceback.format_exc().encode())
        raise
    return 0


def _serve(directory: Path, ready: int) -> None:
    _detach(directory)
    settings = json.loads((directory / "cmd" / "cluster.json").read_text(encoding="utf-8"))
    lab = _lab(directory, settings)
    network, claim = (LAB_NETWORK, None) if lab else claim_network(str(settings.get("network", "")))
    head, passive = (*HEADS[settings.get("heads", 1)], "")[:2]
    layout = Layout(settings["profile"], settings["nodes"], settings["logins"], network, head, passive)
    write_atomically(directory / "cmd" / "cluster.json", json.dumps({**settings, "network": network}, indent=1))
    daemon = _daemon(directory, layout, settings, lab)
    path = _socket_path(directory)
    server = Server(path, daemon)
    listeners = serve_https(daemon, LAB_ADDRESS) if lab else serve_https(daemon)

    def stop(number: int, frame: object) -> None:
        del number, frame
        server.stop()

    signal.signal(signal.SIGTERM, stop)
    (directory / "cmd" / "daemon.pid").write_text(f"{os.getpid()}\n", encoding="utf-8")
    write_atomically(
        directory / "cmd" / "client.json",
        json.dumps({"socket": path.name if path.parent == directory / "cmd" else str(path)}),
    )
    daemon.start(daemon.nodes.settle)
    os.write(ready, READY)
    os.close(ready)
    try:
        server.run()
    finally:
        for listener in listeners.values():
            listener.close()
        _end(directory, path, daemon)
        if claim is not None:
            claim.close()


def _detach(directory: Path) -> None:
    """Leave the caller's terminal and pipes: messages go to ``cmd/daemon.log``."""
    log = os.open(directory / "cmd" / "daemon.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    os.chdir("/")  # the caller's directory stays free to be removed or unmounted
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)


def _lab(directory: Path, settings: dict[str, Any]) -> Optional[Lab]:
    """What containers stand on; None for the other kinds of node, which need none of it."""
    if settings["node_kind"] != CONTAINER:
        return None
    from bcm_jobstats.simulator.lab.start import Lab

    return Lab(directory, str(settings["release"]))


class Told:
    """What nodes tell a daemon, which is made after them."""

    daemon: Optional[CMDaemon] = None

    def event(self, text: str) -> None:
        """Something happened."""
        if self.daemon:
            self.daemon.events.add([text])

    def reboot(self, node: str) -> None:
        """A node boots anew by itself."""
        daemon = self.daemon
        if daemon:
            daemon.start(lambda: daemon.nodes.switch_on([node]))


def _daemon(directory: Path, layout: Layout, settings: dict[str, Any], lab: Optional[Lab]) -> CMDaemon:
    file = directory / "cmd" / "state.json"
    state = load(file) if file.exists() else fresh(layout)
    kind = settings["node_kind"]
    heads = roots(directory, layout.heads)
    slurm_etc = str(state.table("wlm")[WLM].values["etc"])
    make_head(directory, layout.profile, lab.seed_image(slurm_etc) if lab else _seeder(kind), heads)
    switches = Switches(settings["switches"], directory / "cmd" / "switches.json")
    told = Told()
    ha = Heads(heads, directory / "cmd" / "ha.json")
    shared = place(directory, ha, switches["shared_storage"])
    hardware = _hardware(directory, kind, lab)
    devices = {name: device for name, device in state.table("device").items() if device.kind == "PhysicalNode"}
    found = [hardware(name, str(device.values["ip"])) for name, device in devices.items()]
    nodes = [node for node in found if node is not None]
    runner: NodeRunner
    if lab:
        runner = lab.runner(layout.head, nodes, shared, slurm_etc, tell=told.event, reboot=told.reboot)
    elif kind == PAPER:
        runner = PaperNodes(SimulatedNode(name, "") for name in devices)
    else:
        from bcm_jobstats.simulator.processnodes import ProcessNodes  # paper nodes need none of it

        addresses = {name: str(state.table("device")[name].values["ip"]) for name in heads}
        own = [SimulatedNode(name, addresses[name], root) for name, root in heads.items()]
        runner = ProcessNodes(nodes, heads=own, shared=shared, on_event=told.event)
    daemon = told.daemon = CMDaemon(
        directory, layout.profile, state, runner, switches, ha=ha, hardware=hardware,
        image_store=lab.trees if lab else None, wlm=lab.slurm(shared) if lab else None,
    )  # fmt: skip
    transcript = directory / TRANSCRIPT
    if transcript.exists():
        daemon.transcript = replay.load(transcript)
    daemon.nodes.boot(devices)
    return daemon


def _hardware(directory: Path, kind: str, lab: Optional[Lab]) -> Hardware:
    """Makes a node of this kind; nodes on paper need no making."""

    def paper(name: str, address: str) -> None:
        del name, address

    def process(name: str, address: str) -> SimulatedNode:
        root = directory / "nodes" / name
        root.mkdir(parents=True, exist_ok=True)
        return SimulatedNode(name, address, root)

    return lab.node if lab else (paper if kind == PAPER else process)


def _seeder(kind: str) -> Any:
    if kind == PAPER:
        return seed_paper_image
    from bcm_jobstats.simulator.imagetree import seed_image  # paper nodes need none of it

    return seed_image


def _socket_path(directory: Path) -> Path:
    """In the directory, or in a short one of its own when the path would be too long for a socket."""
    path = directory / "cmd" / "daemon.sock"
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        return Path(tempfile.mkdtemp(prefix="bcm-simulator-")) / "daemon.sock"
    path.unlink(missing_ok=True)
    return path


def _end(directory: Path, path: Path, daemon: CMDaemon) -> None:
    daemon.close()
    path.unlink(missing_ok=True)
    if path.parent != directory / "cmd":
        shutil.rmtree(path.parent, ignore_errors=True)
    for name in ("client.json", "daemon.pid"):
        (directory / "cmd" / name).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
