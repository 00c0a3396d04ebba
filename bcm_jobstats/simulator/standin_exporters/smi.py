"""SIMULATED nvidia-smi: the identities of the node's GPUs and MIG instances, by the three calls that tell them.

How the real one prints is from public text, of driver 550 but where another is named:

* ``-L``: outputs in influxdata/telegraf#5812 (A100 with MIG) and in many sources since. The UUIDs of MIG instances are
  here and nowhere else.
* ``--query-gpu``: akash-network/provider-configs and many scripts; the error for an unknown field as seen with 550.
* ``-q``: the full log of an A10 under 550.127 in leptonai/gpud (``e2e/mock/nvidia-smi/test_data.go``). The part of MIG
  is by two logs that public tests and reports have word for word: an RTX PRO 6000 under 580.105, columns as in 550, and
  a GA100 under 610.43, whose columns are wider. A block ``MIG Device`` for each instance stands right behind ``MIG
  Mode``. **It has no UUID**: neither has the XML of 535, 575 and 595.71, although its schema has a place for one.
  ``Index`` counts as ``Device`` does in -L, within a GPU.

Left out of -q: most of what is no identity. Nothing else is stood in for, among it the table that comes without
arguments. What the driver shows in ``/proc/driver/nvidia`` (the number of a GPU's device file, MIG capabilities) cannot
be had at all: a container's /proc takes no files.
"""

from __future__ import annotations

import sys
import time

from .gpus import DRIVER, MODEL, Device, gpus, instances, mig_layout, minors

CUDA = "12.4"
FIELDS = {
    "index": "ordinal",
    "name": "model",
    "gpu_name": "model",
    "uuid": "uuid",
    "gpu_uuid": "uuid",
    "pci.bus_id": "pci",
    "gpu_bus_id": "pci",
}
"""What --query-gpu can ask for, and the attribute of a device that answers."""
INVALID, NOT_FOUND = 2, 6
"""Exit statuses: numbers of NVML's errors of these names."""
WIDTH = 42
"""The column of the colons of -q."""

Parts = dict[int, list[Device]]
"""Ordinal of a GPU -> its MIG instances."""


def main(arguments: list[str], root: str = "") -> int:
    """Print what the arguments ask of the node whose files lie under `root`."""
    if not minors(root):
        return refuse("No devices were found", NOT_FOUND)
    whole, layout = gpus(root), mig_layout(root)
    parts = {gpu.ordinal: instances(gpu, layout) for gpu in whole}
    query, equals, names = arguments[0].partition("=") if arguments else ("", "", "")
    if arguments in (["-L"], ["--list-gpus"]):
        lines = listed(whole, parts)
    elif arguments in (["-q"], ["--query"]):
        lines = described(whole, parts)
    elif query == "--query-gpu" and equals and len(arguments) == 2 and arguments[1].startswith("--format=csv"):
        wanted = [name.strip() for name in names.split(",")]
        unknown = [name for name in wanted if name not in FIELDS]
        if unknown:
            return refuse(f'Field "{unknown[0]}" is not a valid field to query.', INVALID)
        lines = [] if "noheader" in arguments[1].split(",") else [", ".join(wanted)]
        lines += [", ".join(str(getattr(gpu, FIELDS[name])) for name in wanted) for gpu in whole]
    else:
        known = "-L, -q and --query-gpu=" + ",".join(FIELDS) + " --format=csv[,noheader]"
        return refuse(f"nvidia-smi: SIMULATED, it knows only {known}", INVALID)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def refuse(text: str, status: int) -> int:
    """The exit status, after the text on stdout, where the real one has its errors too."""
    sys.stdout.write(f"{text}\n")
    return status


def listed(whole: list[Device], parts: Parts) -> list[str]:
    """-L: a line for each GPU, and below it one for each of its MIG instances."""
    lines = []
    for gpu in whole:
        lines.append(f"GPU {gpu.ordinal}: {MODEL} (UUID: {gpu.uuid})")
        for index, part in enumerate(parts[gpu.ordinal]):
            lines.append(f"  MIG {part.profile:<11} Device {index:>2}: (UUID: {part.uuid})")
    return lines


def described(whole: list[Device], parts: Parts) -> list[str]:
    """-q, as far as GPUs and MIG instances are told apart there."""
    now = time.strftime("%a %b %e %H:%M:%S %Y")
    lines = ["", "==============NVSMI LOG==============", "", entry(0, "Timestamp", now)]
    lines += [entry(0, "Driver Version", DRIVER), entry(0, "CUDA Version", CUDA), ""]
    lines.append(entry(0, "Attached GPUs", str(len(whole))))
    for gpu in whole:
        mode = "Enabled" if parts[gpu.ordinal] else "Disabled"
        lines += [f"GPU {gpu.pci}", entry(1, "Product Name", MODEL)]
        lines += ["    MIG Mode", entry(2, "Current", mode), entry(2, "Pending", mode)]
        for index, part in enumerate(parts[gpu.ordinal]):
            lines += ["    MIG Device", entry(2, "Index", str(index)), entry(2, "GPU Instance ID", part.instance)]
            lines += [entry(2, "Compute Instance ID", "0"), *memory(2, part)]
        lines += [entry(1, "GPU UUID", gpu.uuid), entry(1, "Minor Number", str(gpu.minor))]
        lines += ["    PCI", entry(2, "Bus", f"0x{gpu.pci[9:11]}"), entry(2, "Bus Id", gpu.pci)]
        lines += [*memory(1, gpu), entry(1, "Processes", "None"), ""]
    return lines


def memory(depth: int, device: Device) -> list[str]:
    """The block of a device's memory, which is all free here."""
    size = f"{device.memory} MiB"
    return [f"{'    ' * depth}FB Memory Usage", entry(depth + 1, "Total", size), entry(depth + 1, "Free", size)]


def entry(depth: int, name: str, value: str) -> str:
    """A line of -q, at a depth of four columns each."""
    return f"{'    ' * depth + name:<{WIDTH}}: {value}"
