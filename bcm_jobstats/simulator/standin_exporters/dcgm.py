"""The stand-in for dcgm-exporter with its HPC job mapping (peers C7): made-up readings of real jobs' GPUs.

``BCM_SIMULATED_DCGM_EXPORTER`` says which version it is, 4.8.2 without. The versions differ in what an empty mapping
file does (4.4.0, PR#533), in the files of MIG instances (4.8.2, PR#602) and in the label `Hostname` (4.8.3, #655). The
renames of 4.9 are left out.
"""

from __future__ import annotations

import os

from .dcgm_fields import DCGM_FIELDS
from .files import read
from .gpus import DRIVER, MODEL, Device, gpus, host_name, instances, mig_layout
from .page import Page

Version = tuple[int, ...]


def dcgm(page: Page, options: dict[str, str], now: float) -> None:
    """The fields of every whole GPU, or of its instances when it is divided: once for each job that a GPU has."""
    version = tuple(map(int, os.environ.get("BCM_SIMULATED_DCGM_EXPORTER", "4.8.2").split(".")))
    directory = options.get("hpc-job-mapping-dir") or os.environ.get("DCGM_HPC_JOB_MAPPING_DIR", "")
    jobs, wanted = mapping(directory, version), fields(options)
    root = options.get("simulated-root", "")
    whole, layout = gpus(root), mig_layout(root)
    rows = []
    for device in [part for gpu in whole for part in instances(gpu, layout) or [gpu]]:
        by_instance = device.instance and version >= (4, 8, 2)
        held = jobs.get(f"{device.ordinal}.{device.instance}" if by_instance else str(device.ordinal), [""])
        labels, readings = labels_of(device, version), device.readings(any(held), now)
        rows += [({**labels, "hpc_job": job} if job else labels, readings) for job in held]
    for name, kind, text, key in DCGM_FIELDS:
        if name in wanted:
            page.family(name, kind, text, *((labels, readings[key]) for labels, readings in rows))


def mapping(directory: str, version: Version) -> dict[str, list[str]]:
    """Name of a mapping file (``<gpu>`` or ``<gpu>.<instance>``) -> its lines; other names are skipped.

    OSError, which fails the whole scrape, when a file that was listed cannot be opened. A file without lines counts as
    none from 4.4.0 on; before, the GPU's metrics came once for each of no jobs.
    """
    found = {}
    for name in os.listdir(directory) if directory and os.path.exists(directory) else ():  # noqa: PTH110, PTH208
        gpu, dot, instance = name.partition(".")
        if gpu.isdigit() and (not dot or instance.isdigit()) and not is_directory(f"{directory}/{name}"):
            lines = [line.rstrip("\r") for line in read(f"{directory}/{name}").split("\n")]
            found[name] = lines if lines[-1] else lines[:-1]
    return {name: lines for name, lines in found.items() if lines or version < (4, 4)}


def is_directory(path: str) -> bool:
    """Whether it is a directory itself, not a link to one."""
    return os.path.isdir(path) and not os.path.islink(path)  # noqa: PTH112, PTH114


def fields(options: dict[str, str]) -> set[str]:
    """The fields that the counters file asks for; all when there is none."""
    path = options.get("f") or options.get("collectors") or os.environ.get("DCGM_EXPORTER_COLLECTORS", "")
    try:
        return {line.split(",")[0].strip() for line in read(path).splitlines()}
    except OSError:
        return {field[0] for field in DCGM_FIELDS}


def labels_of(device: Device, version: Version) -> dict[str, str]:
    """The labels that say which GPU it is."""
    labels = {"gpu": str(device.ordinal), "UUID": device.uuid, "pci_bus_id": device.pci}
    labels.update({"device": f"nvidia{device.minor}", "modelName": MODEL})
    if device.instance:
        labels.update({"GPU_I_PROFILE": device.profile, "GPU_I_ID": device.instance})
    return {**labels, "Hostname" if version < (4, 8, 3) else "hostname": host_name(), "DCGM_FI_DRIVER_VERSION": DRIVER}
