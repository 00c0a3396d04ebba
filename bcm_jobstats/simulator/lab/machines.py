"""What a container of the lab is made of besides its software image: its name, devices, and what is mounted in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from bcm_jobstats.simulator.lab.container import Machine
from bcm_jobstats.simulator.lab.network import link_commands
from bcm_jobstats.simulator.noderunner import SimulatedNode
from bcm_jobstats.simulator.switches import PROLOG_STATUS

GPUS = 8
NVIDIA_MAJOR = 195
"""The device nodes are real and nothing answers behind them: opening one that a job may use fails with ENXIO, another
with EPERM (lab.md §1)."""
GPU_NODES = "dgx-"
"""The nodes with GPUs are those whose names begin like this."""
HOSTS = "cmd/hosts"


def make_devices(directory: Path) -> None:
    """The device nodes of the GPUs, as every node with GPUs gets them."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(GPUS):
        device = directory / f"nvidia{number}"
        if not device.exists():
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(NVIDIA_MAJOR, number))
            device.chmod(0o666)


def write_hosts(directory: Path, addresses: Mapping[str, str], head: str) -> None:
    """The /etc/hosts of all nodes, in place: it is one file, mounted in each of them."""
    lines = ["127.0.0.1 localhost"]
    lines += [f"{address} {name}" + (" master" if name == head else "") for name, address in addresses.items()]
    file = directory / HOSTS
    with file.open("a+", encoding="utf-8") as stream:
        stream.truncate(0)
        stream.write("\n".join(lines) + "\n")


def furnish(root: Path, name: str) -> None:
    """What the node-installer gives a node of its own before it boots."""
    for file, text in (("etc/hostname", f"{name}\n"), ("etc/machine-id", ""), ("etc/resolv.conf", "")):
        path = root / file
        if path.is_symlink():
            path.unlink()
        path.write_text(text, encoding="utf-8")
    hosts = root / "etc/hosts"
    if not hosts.exists():
        hosts.touch()


def machine(directory: Path, node: SimulatedNode, number: int, shared: Path, devices: Path) -> Machine:
    """How the container of `node`, the `number`-th of the lab, is started. The head node is number 0."""
    root = node.root or directory / "nodes" / node.name
    binds = {directory / HOSTS: "/etc/hosts"}
    if number == 0:
        return Machine(node.name, root, "", binds)
    binds[shared] = "/cm/shared"
    binds[directory / "cmd" / PROLOG_STATUS] = "/cm/local/apps/cmd/etc/prolog-status"
    if node.name.startswith(GPU_NODES):
        binds.update({devices / f"nvidia{gpu}": f"/dev/nvidia{gpu}" for gpu in range(GPUS)})
    mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
    return Machine(node.name, root, link_commands(number, node.address, mac), binds)
