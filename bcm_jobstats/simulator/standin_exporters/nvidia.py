"""The stand-in for nvidia_gpu_prometheus_exporter from 0.2.2 on (peers C4, C6): made-up readings of real jobs' GPUs."""

from __future__ import annotations

import os

from .files import read
from .gpus import Device, gpus, instances, mig_layout
from .page import Page

MIB = 1024.0**2

# (name, help, key of the reading, factor)
READINGS = (
    ("memory_used_bytes", "Used memory in bytes", "fb_used", MIB),
    ("duty_cycle", "Percent of time over the past sample period the GPU was busy", "util", 1.0),
    ("power_usage_milliwatts", "Power usage in milliwatts", "watts", 1000.0),
    ("temperature_celsius", "Temperature in Celsius", "temp", 1.0),
    ("graphics_util_percent", "Share of time the graphics engine was busy (0 to 1)", "active", 1.0),
)


def nvidia(page: Page, options: dict[str, str], now: float) -> None:
    """All whole GPUs and their MIG instances, with the job and user of the gpustat map as labels."""
    root = options.get("simulated-root", "")
    whole, layout = gpus(root), mig_layout(root)
    page.family("nvidia_gpu_num_devices", "gauge", "Number of GPU devices", ({}, len(whole)))
    rows = []
    for device in [part for gpu in whole for part in (gpu, *instances(gpu, layout))]:
        job, user = job_of(device, f"{root}/run/gpustat")
        labels = {"minor_number": str(device.minor), "ordinal": str(device.ordinal), "name": device.model}
        labels.update({"uuid": device.uuid, "GPU_I_ID": device.instance, "jobid": job, "userid": user})
        labels = {name: value for name, value in labels.items() if value}  # an empty label is none
        rows.append((device, labels, device.readings(bool(job), now)))
    total = [(labels, device.memory * MIB) for device, labels, _ in rows]
    page.family("nvidia_gpu_memory_total_bytes", "gauge", "Total memory in bytes", *total)
    divided = {device.ordinal for device, _, _ in rows if device.instance}
    for name, text, key, factor in READINGS:
        # NVML does not tell the duty cycle of a GPU in MIG mode.
        shown = [row for row in rows if name != "duty_cycle" or row[0].ordinal not in divided]
        page.family(
            f"nvidia_gpu_{name}", "gauge", text, *((labels, values[key] * factor) for _, labels, values in shown)
        )
    for name, label in (("jobId", "jobid"), ("jobUid", "userid")):
        numbers = [(labels, int(labels[label])) for _, labels, _ in rows if labels.get(label, "").isdigit()]
        page.family(f"nvidia_gpu_{name}", "gauge", f"{label} as a value, as before 0.2.2", *numbers)


def job_of(device: Device, directory: str) -> tuple[str, str]:
    """Job id and uid from the gpustat map, empty without a job.

    The file named by UUID counts, where there is none the one named by ordinal (``<ordinal>.<instance>`` on MIG). What
    it says is not checked: any one or two words are taken, three are not.
    """
    path = f"{directory}/{device.uuid}"
    if not os.path.exists(path):  # noqa: PTH110
        path = f"{directory}/{device.ordinal}" + (f".{device.instance}" if device.instance else "")
    try:
        words = read(path).strip().split(" ")
    except OSError:
        return "", ""
    job, user = (*words, "")[:2]
    return (job, user) if len(words) <= 2 else ("", "")
