"""gpu-table: the table by which the hooks find the number of a UUID, from a stand-in nvidia-smi and driver.

The outputs are as those in `standin_exporters/smi.py`, which names their sources.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.hooks.node import SCRIPTS, set_to

GPUS = ("GPU-aaaaaaaa-0000-4000-8000-000000000000", "GPU-aaaaaaaa-0000-4000-8000-000000000001")
MIGS = tuple(f"MIG-bbbbbbbb-0000-4000-8000-00000000000{number}" for number in range(3))
ADDRESSES = ("00000000:0B:00.0", "00000000:1B:00.0")
QUERY = "".join(f"{index}, {uuid}, {address}\n" for index, (uuid, address) in enumerate(zip(GPUS, ADDRESSES)))
WHOLE = "".join(f"GPU {index}: NVIDIA H100 80GB HBM3 (UUID: {uuid})\n" for index, uuid in enumerate(GPUS))
DIVIDED = WHOLE + "".join(
    f"  MIG 1g.10gb     Device  {index}: (UUID: {uuid})\n" for index, uuid in enumerate(MIGS)
)  # of the second GPU, the last one listed
DEVICE = """\
        MIG Device
            Index                         : {index}
            GPU Instance ID               : {instance}
            Compute Instance ID           : 0
"""
PROCESS = """\
    Processes
        GPU instance ID                   : 13
        GPU Instance ID                   : 13
        Compute Instance ID               : 0
        Process ID                        : 4711
"""
DESCRIBED = (
    f"\nAttached GPUs                             : 2\nGPU {ADDRESSES[0]}\n    Minor Number                      : 3\n"
    f"{PROCESS}GPU {ADDRESSES[1]}\n    MIG Mode\n        Current                           : Enabled\n    MIG Devices\n"
    + "".join(DEVICE.format(index=index, instance=instance) for index, instance in enumerate((7, 8, 13)))
    + PROCESS
)
SMI = """\
#!/bin/sh
# Stand-in nvidia-smi: prints files that lie beside it, and notes that it was asked.
echo "$1" >> "{place}/asked"
[ -e "{place}/broken" ] && {{ echo "Failed to initialize NVML: Driver/library version mismatch"; exit 18; }}
case $1 in -L) cat "{place}/listed";; -q) cat "{place}/described";; --query-gpu=*) cat "{place}/queried";; esac
"""


class Driver:
    """A node's driver, and gpu-table on it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.run = directory, directory / "run"
        (directory / "dev").mkdir()
        for index, minor in enumerate((3, 2)):
            (directory / f"dev/nvidia{minor}").touch()
            information = directory / f"proc/gpus/{ADDRESSES[index][4:].lower()}/information"
            information.parent.mkdir(parents=True)
            information.write_text(f"Model: \t\t NVIDIA H100\nGPU UUID: \t {GPUS[index]}\nDevice Minor: \t {minor}\n")
        self.say(listed=WHOLE, described=DESCRIBED, queried=QUERY)
        smi = directory / "nvidia-smi"
        smi.write_text(SMI.format(place=directory))
        smi.chmod(0o755)
        text = set_to(
            (SCRIPTS / "gpu-table").read_text(),
            run=str(self.run), proc=str(directory / "proc"), devices=str(directory / "dev"),
            **{"export PATH": f"{directory}:/usr/bin:/bin LC_ALL=C"},
        )  # fmt: skip
        self.script = directory / "gpu-table"
        self.script.write_text(text)
        self.script.chmod(0o755)

    def say(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.directory / name).write_text(text)

    def divide(self, *instances: str) -> None:
        for instance in instances:
            (self.directory / "proc/capabilities/gpu2/mig" / instance).mkdir(parents=True)

    def table(self, *words: str, status: int = 0) -> list[str]:
        done = subprocess.run([self.script, *words], env={}, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (status, "")
        file = self.run / "bcm-jobstats/gpus"
        return file.read_text().splitlines()[1:] if file.exists() else []

    @property
    def asked(self) -> int:
        file = self.directory / "asked"
        return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path)


def test_the_numbers_of_whole_gpus(driver: Driver) -> None:
    """NVML's index, and the number of the device file, which is another one here."""
    assert driver.table() == [f"{GPUS[0]} 0 3", f"{GPUS[1]} 1 2"]


def test_mig_instances_by_gpu_and_instance(driver: Driver) -> None:
    """-L has the UUIDs, -q the numbers; the instances of processes, which -q lists too, are nobody's number."""
    driver.say(listed=DIVIDED)
    driver.divide("gi7/ci0", "gi8/ci0", "gi13/ci0")
    assert driver.table()[2:] == [f"{MIGS[0]} 1.7", f"{MIGS[1]} 1.8", f"{MIGS[2]} 1.13"]


def test_the_driver_is_asked_only_when_something_changed(driver: Driver) -> None:
    driver.table(status=0)
    once = driver.asked
    assert driver.table() and driver.table("--check") and driver.asked == once
    for change in ("gi7/ci0", "gi7/ci1"):
        driver.divide(change)
        driver.table("--check", status=1)
        before = driver.asked
        driver.table()
        assert driver.asked > before
        driver.table("--check")
    before = driver.asked
    driver.table("--anew")
    assert driver.asked > before


def test_a_driver_that_does_not_answer_leaves_the_table_as_it_is(driver: Driver) -> None:
    (driver.directory / "broken").touch()
    assert driver.table(status=1) == []
    driver.table("--check", status=1)
    (driver.directory / "broken").unlink()
    there = driver.table()
    (driver.directory / "broken").touch()
    assert driver.table("--anew", status=1) == there


def test_a_node_without_gpus_has_no_table(driver: Driver) -> None:
    for path in (*driver.directory.glob("dev/*"), *driver.directory.glob("proc/gpus/*/*")):
        path.unlink()
    for path in driver.directory.glob("proc/gpus/*"):
        path.rmdir()
    assert driver.table() == [] and driver.table("--check") == [] and not driver.asked
