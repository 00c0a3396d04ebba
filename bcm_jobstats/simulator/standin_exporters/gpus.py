"""The GPUs of a simulated node: those that have a device node, else eight; their readings are made up.

``BCM_SIMULATED_MIG="0:1g.10gb*7,1:3g.40gb*2"`` divides GPUs 0 and 1 into MIG instances. Where the variable is not set
the text is that of the file ``/etc/bcm-simulated-mig``, read again each time: who writes it divides the GPUs of a node
that runs.
"""

from __future__ import annotations

import os

from .files import names, read

MIG, MIG_FILE = "BCM_SIMULATED_MIG", "etc/bcm-simulated-mig"
GPUS = 8
MODEL = "NVIDIA H100 80GB HBM3"
DRIVER = "550.90.07"
MEMORY = 80 * 1024  # MiB
RESERVED = 638  # MiB
FIRST_INSTANCE = {"7g": 0, "3g": 1, "2g": 3, "1g": 7}  # the lowest GPU instance id of a size


class Device:
    """A whole GPU, or a MIG instance of one when `profile` says its size (as ``1g.10gb``)."""

    def __init__(self, ordinal: int, minor: int, instance: str = "", profile: str = "") -> None:
        self.ordinal, self.minor, self.instance, self.profile = ordinal, minor, instance, profile
        self.model = f"{MODEL} MIG {profile}" if profile else MODEL
        self.memory = int(profile.partition(".")[2][:-2]) * 1024 if profile else MEMORY  # MiB
        self.uuid = gpu_uuid(host_name(), minor, instance)
        self.pci = f"00000000:{minor * 16 + 11:02X}:00.0"

    def readings(self, busy: bool, now: float) -> dict[str, float]:
        """Made-up values at `now` (seconds since the epoch); they move a little, counters only grow.

        W, MHz, degrees Celsius, MiB, mJ, shares of 1, and `util` and `copy_util` in percent.
        """
        wave = (int(now / 15) + 3 * self.ordinal) % 10
        util = min(100, 62 + 3 * self.ordinal + wave) if busy else 0
        used = self.memory * (20 + self.ordinal % 8) // 40 if busy else 4
        clocks = {
            "sm_clock": 1755 if busy else 345,
            "mem_clock": 2619,
            "temp": 31 + util / 3,
            "mem_temp": 36 + util / 3,
        }
        memory = {"fb_used": used, "fb_reserved": RESERVED, "fb_free": self.memory - RESERVED - used}
        shares = {"active": util / 100, "tensor": util / 160, "dram": util / 220, "copy_util": util // 2, "util": util}
        totals = {"energy": int(now) * 400000, "nvlink": int(now) * 1000, "pcie": util * 1.2e8, "zero": 0}
        return {"watts": 110 + 5.5 * util, **clocks, **memory, **shares, **totals}


def host_name() -> str:
    """The node's name: a process node shares the machine's, so the environment comes first."""
    return os.environ.get("HOSTNAME") or os.uname().nodename


def gpu_uuid(host: str, minor: int, instance: str = "") -> str:
    """The UUID of a GPU of the simulated node `host`, or of a MIG instance of it: always the same one."""
    number = 0xCBF29CE484222325  # FNV-1a
    for byte in host.encode():
        number = (number ^ byte) * 0x100000001B3 % 2**64
    kind, last = ("MIG", 256 * (minor + 1) + int(instance)) if instance else ("GPU", minor)
    return f"{kind}-51b0{number >> 48:04x}-{number >> 32 & 0xFFFF:04x}-4{number >> 20 & 0xFFF:03x}-8000-{last:012x}"


def gpus(root: str) -> list[Device]:
    """The whole GPUs of the node whose files lie under `root`, by ordinal; eight where there are no device nodes."""
    return [Device(ordinal, minor) for ordinal, minor in enumerate(minors(root) or range(GPUS))]


def minors(root: str) -> list[int]:
    """The numbers of the device nodes, sorted: /dev/nvidia<minor>."""
    return sorted(int(name[6:]) for name in names(f"{root}/dev") if name[:6] == "nvidia" and name[6:].isdigit())


def mig_layout(root: str) -> str:
    """How the GPUs of the node whose files lie under `root` are divided now, see above; empty when none is."""
    if MIG in os.environ:
        return os.environ[MIG]
    try:
        return read(f"{root}/{MIG_FILE}").strip()
    except OSError:
        return ""


def instances(gpu: Device, layout: str) -> list[Device]:
    """The MIG instances of a GPU by a `mig_layout`, by their numbers; none when it is not divided."""
    found: list[Device] = []
    for entry in filter(None, layout.split(",")):
        ordinal, _, division = entry.partition(":")
        profile, _, count = division.partition("*")
        if int(ordinal) == gpu.ordinal:
            first = FIRST_INSTANCE[profile[:2]]
            found += [Device(gpu.ordinal, gpu.minor, str(first + i), profile) for i in range(int(count or 1))]
    return sorted(found, key=lambda device: int(device.instance))
