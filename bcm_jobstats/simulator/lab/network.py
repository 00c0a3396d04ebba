"""The lab's network: a bridge in the head node's network namespace, which has no name and ends with its processes.

The simulated CMDaemon lives in that namespace, as it does on a head node; each container has one of its own, linked
to the bridge by a pair of virtual Ethernet devices. Nothing is added to this machine's own network.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess

BRIDGE = "internalnet"
"""The name of BCM's management network (bcm-facts §1.7), for the bridge that stands for it."""
PREFIX = 16
_CLONE_NEWNET = 0x40000000


def enter_own() -> None:
    """Give this process, which must have one thread, a new network namespace; OSError when it may not."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "a network namespace of its own: only root can make one")


def make_bridge(address: str) -> None:
    """The bridge, with the head node's address, in this process' namespace."""
    for line in (
        "ip link set lo up",
        f"ip link add {BRIDGE} type bridge",
        f"ip addr add {address}/{PREFIX} dev {BRIDGE}",
        f"ip link set {BRIDGE} up",
    ):
        subprocess.run(shlex.split(line), check=True, capture_output=True)


def link_commands(number: int, address: str, mac: str) -> str:
    """Shell commands that link a new network namespace, in which they run, to the bridge of this process."""
    port, pid = f"port{number}", os.getpid()
    bridge = f"nsenter -t {pid} -n ip link set {port}"
    return f"""\
ip link set lo up
ip link add eth0 address {mac} type veth peer name {port} netns {pid}
{bridge} master {BRIDGE}
{bridge} up
ip addr add {address}/{PREFIX} dev eth0
ip link set eth0 up
"""
