"""One run of the virtual machine: boot, let the guest observe, power off, read what it observed."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.vm.parts import Parts, VmError, archive_of

MEMORY = 768  # MiB; two processors, which Slurm's jobs ask for
DEADLINE = 300.0  # seconds; a run takes 20 to 30, and six times as long on a machine with much else to do
PLACE = "usr/local/lib/vm"
UNIT = f"""\
[Unit]
Description=Observations for the tests
Requires=basic.target
After=basic.target

[Service]
ExecStart=/usr/bin/python3 -I /{PLACE}/guest.py
StandardError=journal+console
"""


@dataclass(frozen=True)
class Seen:
    """What each observation of the guest gave or how it failed, and what the console showed."""

    values: dict[str, Any]
    errors: dict[str, str]
    console: str

    def __getitem__(self, name: str) -> Any:
        """The value of one observation; VmError with the guest's traceback when it gave none."""
        if name not in self.values:
            error = self.errors.get(name) or "not reached"
            raise VmError(f"{name}: {error}\nlast lines of the console:\n{self.console[-3000:]}")
        return self.values[name]


def boot(parts: Parts, work: Path) -> None:
    """Boot with the files of the directory `work`/payload laid over the disk, and run until the guest powers off.

    The disk is not written: QEMU keeps what the guest writes in a temporary file without a name.
    """
    payload = work / "payload"
    (payload / PLACE).mkdir(parents=True, exist_ok=True)
    for script in ("guest.py", "job.py"):
        shutil.copy(Path(__file__).with_name(script), payload / PLACE)
    (payload / "etc/systemd/system/vm-checks.service").write_text(UNIT, encoding="utf-8")
    (work / "initrd").write_bytes(parts.initrd.read_bytes() + archive_of(work, payload.name))
    _run(_command(parts, work), work / "console")


def seen(work: Path) -> Seen:
    """What a boot in the directory `work` brought, also one that failed."""
    results = work / "results"
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    records = {record["name"]: record for record in map(json.loads, lines)}
    values = {name: record["value"] for name, record in records.items() if "value" in record}
    errors = {name: record["error"] for name, record in records.items() if "error" in record}
    return Seen(values, errors, _text(work / "console"))


def _command(parts: Parts, work: Path) -> list[str]:
    kernel_line = (
        "console=ttyS0 quiet loglevel=1 panic=1 mitigations=off "
        "systemd.unit=vm-checks.service systemd.show_status=0 systemd.condition-needs-update=0"
    )
    return [
        # The machine ends with the tests, also when they are killed.
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"),
        *("-smp", "2", "-m", str(MEMORY), "-nodefaults", "-display", "none", "-no-reboot"),
        *("-kernel", str(parts.kernel), "-initrd", str(work / "initrd"), "-append", kernel_line),
        *("-drive", f"file={parts.disk},format=raw,if=virtio,cache=unsafe,snapshot=on"),
        # The console is the first port, the results are alone on the second.
        *("-serial", f"file:{work}/console", "-serial", f"file:{work}/results"),
    ]


def _run(command: list[str], console: Path) -> None:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as qemu:
        try:
            output, _ = qemu.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired as error:
            raise VmError(f"not done after {DEADLINE:g} s; its console:\n{_text(console)[-3000:]}") from error
        finally:
            qemu.kill()
    if qemu.returncode != 0:
        raise VmError(f"qemu ended with {qemu.returncode}: {output.decode(errors='replace')}")


def _text(console: Path) -> str:
    return console.read_text(encoding="utf-8", errors="replace") if console.exists() else ""
