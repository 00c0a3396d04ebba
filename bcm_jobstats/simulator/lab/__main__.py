"""`scripts/lab`: a virtual SuperPOD on this machine: a simulated BCM, real systemd, real Slurm, real Prometheus."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from bcm_jobstats.simulator.cluster import MARK, RELEASES, SimulatorError
from bcm_jobstats.simulator.lab import bases
from bcm_jobstats.simulator.lab.pod import USER, Pod, PodError
from bcm_jobstats.simulator.lab.up import DEFAULT, Wanted, down, up
from bcm_jobstats.simulator.layout import HEAD

EPILOG = """\
Try, once it is up:
  lab run 'srun --gpus=2 -N1 sleep 60'     a job of the user alice, from the login node
  lab ssh                                  a shell on the head node: cmsh, bcm-jobstats, sinfo
  lab ssh dgx-01 systemctl status          a command on a node
  lab status

BCM is SIMULATED, and so are the cgroup, NVIDIA and DCGM exporters (their readings of GPUs are made up; the jobs are
real). GPUs are device nodes without a driver. systemd, Slurm, MariaDB, Prometheus, Alertmanager and node_exporter are
Debian's.
"""


def main(arguments: list[str]) -> int:
    """The exit status."""
    args = _parser().parse_args(arguments)
    pod = Pod(args.directory.absolute())
    try:
        if os.geteuid() != 0:
            raise PodError("lab: containers, mounts and control groups need root. Run it with sudo.")
        status: int = args.act(pod, args)
    except (PodError, SimulatorError, bases.BaseError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--directory", type=Path, default=DEFAULT, help="where the lab lies (default: %(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    make = commands.add_parser("up", help="start the lab; nothing happens when it runs")
    make.add_argument("--nodes", type=int, default=4, metavar="N", help="DGX nodes (default: 4)")
    make.add_argument("--logins", type=int, default=1, metavar="N", help="login nodes (default: 1)")
    make.add_argument("--release", choices=RELEASES, default=RELEASES[0], help="Debian of the images")
    make.add_argument("--profile", choices=("bcm10", "bcm11"), default="bcm10", help="the version of BCM")
    make.add_argument("--bare", action="store_true", help="without bcm-jobstats: a cluster to start from")
    make.set_defaults(act=_up)
    run = commands.add_parser("run", help=f"run a shell command as the user {USER} on the login node")
    run.add_argument("command", help="such as 'srun --gpus=2 sleep 60'")
    run.set_defaults(act=_run)
    ssh = commands.add_parser("ssh", help="a shell, or a command, as root on a node")
    ssh.add_argument("node", nargs="?", default=HEAD, help=f"default: {HEAD}")
    ssh.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    ssh.set_defaults(act=_ssh)
    status = commands.add_parser("status", help="what runs")
    status.add_argument("--json", action="store_true")
    status.set_defaults(act=_status)
    commands.add_parser("down", help="end the lab and remove all it has on this machine").set_defaults(act=_down)
    return parser


def _up(pod: Pod, args: argparse.Namespace) -> int:
    with _alone(pod):
        if pod.running:
            print(f"The lab in {pod.directory} is up already.", file=sys.stderr)
            return _status(pod, argparse.Namespace(json=False))
        os.environ[MARK] = str(pod.directory)  # what works for the lab can be found by it
        signal.signal(signal.SIGTERM, _interrupt)
        began = time.monotonic()
        wanted = Wanted(args.nodes, args.logins, args.release, args.profile, args.bare)
        known = pod.directory.exists()
        try:
            up(
                pod,
                wanted,
                lambda text: print(f"{time.monotonic() - began:6.1f}s  {text}", file=sys.stderr, flush=True),
            )
        except BaseException:
            print("lab: taking it down again", file=sys.stderr)
            pod.simulator.stop() if known else down(pod)
            raise
    print(f"The lab is up after {time.monotonic() - began:.1f} s.\n", file=sys.stderr)
    _status(pod, argparse.Namespace(json=False))
    print("\n" + EPILOG)
    return 0


def _run(pod: Pod, args: argparse.Namespace) -> NoReturn:
    pod.become(pod.entrance(), ["sh", "-c", args.command], USER)


def _ssh(pod: Pod, args: argparse.Namespace) -> NoReturn:
    pod.become(args.node, args.words or ["bash", "--login"])


def _status(pod: Pod, args: argparse.Namespace) -> int:
    told: dict[str, Any] = {"directory": str(pod.directory), "running": pod.running, "nodes": {}}
    if pod.running:
        off = set(pod.simulator.status()["down"])
        told["nodes"] = {node: {"address": ip, "up": node not in off} for node, ip in pod.nodes().items()}
        told["slurm_idle"] = pod.idle()
        told["targets_up"], told["targets"] = pod.targets()
    if args.json:
        print(json.dumps(told, indent=1))
    else:
        print("\n".join(_lines(told)))
    return 0


def _lines(told: dict[str, Any]) -> list[str]:
    if not told["running"]:
        return [f"No lab runs in {told['directory']}."]
    lines = [
        f"{node:<10} {entry['address']:<15} {'up' if entry['up'] else 'down'}" for node, entry in told["nodes"].items()
    ]
    targets = f"{told['targets_up']} of {told['targets']} targets up"
    lines.append(f"Slurm: {len(told['slurm_idle'])} nodes idle. Prometheus: {targets}.")
    return [*lines, f"The head node's root: {told['directory']}"]


def _down(pod: Pod, args: argparse.Namespace) -> int:
    del args
    with _alone(pod):
        down(pod)
    print("The lab is down.", file=sys.stderr)
    return 0


def _alone(pod: Pod) -> socket.socket:
    """Held while the lab changes. A name that only the kernel keeps: nothing is left when its holder is killed."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0bcm-simulator-lab:{pod.directory}")
    except OSError:
        lock.close()
        raise PodError(f"lab: another up or down works on {pod.directory}. Wait for it, or kill it.") from None
    return lock


def _interrupt(number: int, frame: object) -> None:
    del frame
    with suppress(ValueError):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
