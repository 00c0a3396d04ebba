"""Runs inside the virtual machine, as its only work: starts Slurm and our services, observes, powers off.

Every observation is one line of JSON on the second serial port. What is right is for the host to say.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Callable

PLACE = Path(__file__).parent
RESULTS = Path("/dev/ttyS1")
ADDRESS = "192.0.2.1"  # the node's own, which nothing else has (RFC 5737)
USER = "alice"  # runs the jobs; the base trees have this account
MEETING = Path("/run/vm")  # as in job.py
LIMITS = {"oom": 60, "gpu": 200}  # MiB that each job asks for
GROUPS = Path("/sys/fs/cgroup")
SHARED = Path("/cm/shared/apps/jobstats")
DIRECTORIES = (
    (MEETING, USER),
    (Path("/var/lib/slurm/slurmctld"), "slurm"),
    (SHARED / "prometheus-targets", "jobstats"),
    (SHARED / ".prometheus-targets.tmp", "jobstats"),
)
PORTS = {"node_exporter": 9100, "cgroup_exporter": 9306, "nvidia_gpu_exporter": 9445}
UNITS = (*PORTS, "jobstats-target")
PATIENCE = 60.0  # seconds; software emulation is slow

jobs: dict[str, subprocess.Popen[str]] = {}


def machine() -> Any:
    """The control groups and versions; also gives the node an address, accounts, and GPUs that have no driver."""
    for number in range(8):
        device = Path(f"/dev/nvidia{number}")
        os.mknod(device, 0o20666, os.makedev(195, number))
        device.chmod(0o666)
    # With nothing but 127.0.0.1 Slurm's look-ups of addresses fail (lab.md §3b).
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
    for lines in (PLACE / "accounts").iterdir():
        with Path("/etc", lines.name).open("a", encoding="utf-8") as accounts:
            accounts.write(lines.read_text(encoding="utf-8"))
    for directory, owner in DIRECTORIES:
        directory.mkdir(parents=True, exist_ok=True)
        os.chown(directory, pwd.getpwnam(owner).pw_uid, pwd.getpwnam(owner).pw_gid)
    os.mkfifo(MEETING / "end")
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    return {
        "mounts": [[place, kind] for _, place, kind, *_ in mounts if kind.startswith("cgroup")],
        "controllers": text(GROUPS / "cgroup.controllers").split(),
        "versions": [os.uname().release, run("systemctl", "--version").splitlines()[0], run("slurmd", "-V").strip()],
    }


def slurm() -> Any:
    """The node as sinfo has it, once Slurm is up."""
    run("systemctl", "start", "munge", "slurmctld", "slurmd")
    command = ["sinfo", "-hNo", "%N %T %G"]

    def idle() -> str:
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        return told if " idle " in told else ""

    return until(idle)


def units() -> Any:
    """Our services: their states, and the limits of their control groups."""
    subprocess.run(["systemctl", "start", *UNITS], check=False)
    found = {}
    for name in UNITS:
        shown = run("systemctl", "show", name, "-p", "ActiveState,Result,ControlGroup")
        unit = found[name] = dict(line.split("=", 1) for line in shown.splitlines())
        if unit["ControlGroup"]:
            group = GROUPS / unit["ControlGroup"].lstrip("/")
            unit.update({file: text(group / file) for file in ("memory.max", "memory.high", "cpu.max", "pids.max")})
    return found


def targets() -> Any:
    """The node's target file on shared storage."""
    return json.loads((SHARED / f"prometheus-targets/{os.uname().nodename}.json").read_text(encoding="utf-8"))


def running() -> Any:
    """Two jobs at once: what they say of themselves, and what their control groups say."""
    found = {}
    for name, gpus in (("oom", 1), ("gpu", 2)):
        ask = ["srun", f"--job-name={name}", f"--mem={LIMITS[name]}M", f"--gres=gpu:{gpus}"]
        command = [
            "runuser",
            "-u",
            USER,
            "--",
            *ask,
            sys.executable,
            "-I",
            str(PLACE / "job.py"),
            name,
            str(LIMITS[name]),
        ]
        jobs[name] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        until(lambda name=name: (MEETING / name).exists() or jobs[name].poll() is not None)  # type: ignore[misc]
        if jobs[name].poll() is not None:
            raise RuntimeError(f"the job {name} ended with {jobs[name].returncode}: {jobs[name].communicate()[0]}")
        seen = json.loads((MEETING / name).read_text(encoding="utf-8"))
        task = GROUPS / seen["cgroup"].lstrip("/")
        job = next(parent for parent in task.parents if parent.name == f"job_{seen['job']}")
        seen.update({file: text(job / file) for file in ("memory.max", "memory.events")})
        seen["controllers"] = [text(group / "cgroup.controllers").split() for group in (job, task)]
        found[name] = seen
    return found


def scraped() -> Any:
    """The exporters' answers while the jobs run: status, and of cgroup_exporter the text too."""
    answers = {name: scrape(port) for name, port in PORTS.items()}
    return {"status": {name: status for name, (status, _) in answers.items()}, "text": answers["cgroup_exporter"][1]}


def ended() -> Any:
    """How srun ended, and the answer of cgroup_exporter once the jobs' control groups are gone."""
    (MEETING / "end").open("w", encoding="utf-8").close()
    found: dict[str, Any] = {}
    for name, job in jobs.items():
        output, _ = job.communicate(timeout=PATIENCE)
        found[name] = {"status": job.returncode, "output": output}
    until(lambda: not list(GROUPS.glob("system.slice/*slurmstepd.scope/job_*")))
    found["scraped"] = scrape(PORTS["cgroup_exporter"])
    return found


def scrape(port: int) -> tuple[int, str]:
    """Status and text of the answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def run(*command: str) -> str:
    """What the program printed; an error with all of it when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {done.stdout}")
    return done.stdout


def text(file: Path) -> str:
    """The text of a small file."""
    return file.read_text(encoding="utf-8").strip()


def until(reached: Callable[[], Any]) -> Any:
    """Wait for something that other processes do."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = reached()
        if result:
            return result
        time.sleep(0.05)
    raise TimeoutError(f"not within {PATIENCE:g} s")


if __name__ == "__main__":
    with RESULTS.open("w", encoding="utf-8") as port:
        for observe in (machine, slurm, units, targets, running, scraped, ended):
            try:
                record = {"name": observe.__name__, "value": observe()}
            except Exception:
                record = {"name": observe.__name__, "error": traceback.format_exc()}
                subprocess.run("journalctl -b --no-pager | tail -n 60 >/dev/ttyS0", shell=True, check=False)
            port.write(json.dumps(record) + "\n")
            port.flush()
    subprocess.run(["systemctl", "poweroff", "-ff"], check=False)
