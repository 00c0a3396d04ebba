"""`scripts/lab`: a virtual SuperPOD on this machine: a simulated BCM, real systemd, real Slurm, real Prometheus."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import time
from argparse import SUPPRESS
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from bcm_jobstats.simulator.cluster import MARK, RELEASES, SimulatorError
from bcm_jobstats.simulator.lab import bases, ground, report
from bcm_jobstats.simulator.lab.alone import alone, as_before, interruptible
from bcm_jobstats.simulator.lab.disks import MountError
from bcm_jobstats.simulator.lab.pod import USER, Pod, PodError
from bcm_jobstats.simulator.lab.up import DEFAULT, Wanted, down, end, is_up, up, wanted
from bcm_jobstats.simulator.layout import HEAD

MOST_NODES, MOST_LOGINS = 200, 20

EPILOG = """\
Try, once it is up (`lab` is `sudo scripts/lab`):
  lab run 'srun --gpus=2 -N1 sleep 60'     a job of the user alice, from the login node
  lab ssh                                  a shell on the head node: cmsh, sinfo, bcm-jobstats (unless --bare)
  lab ssh dgx-01 systemctl status          a command on a node
  lab status

BCM is SIMULATED, and so are nvidia-smi and the cgroup, NVIDIA and DCGM exporters (their readings of GPUs are made up;
the jobs are real). GPUs are device nodes without a driver. systemd, Slurm, MariaDB, Prometheus, Alertmanager and
node_exporter are Debian's. It was tried on a machine with cgroup v1; on one with cgroup v2 alone it was not.
"""


def main(arguments: list[str]) -> int:
    """The exit status."""
    args = _parser().parse_args(arguments)
    pod = Pod(args.directory.resolve())  # as the kernel tells of its mounts
    try:
        if os.geteuid() != 0:
            raise PodError("containers, mounts and control groups need root. Run it with sudo.")
        ground.check_path(pod.directory)
        status: int = args.act(pod, args)
    except (PodError, SimulatorError, bases.BaseError, MountError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print("lab: interrupted", file=sys.stderr)
        return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--directory", type=Path, default=DEFAULT, help="where the lab lies (default: %(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    make = commands.add_parser("up", help="start the lab; nothing happens when it is up", argument_default=SUPPRESS)
    nodes = f"DGX nodes, 1 to {MOST_NODES} (default: 4)"
    make.add_argument("--nodes", type=_number(1, MOST_NODES), metavar="N", help=nodes)
    logins = f"login nodes, up to {MOST_LOGINS} (default: 1)"
    make.add_argument("--logins", type=_number(0, MOST_LOGINS), metavar="N", help=logins)
    make.add_argument("--release", choices=RELEASES, help=f"Debian of the images (default: {RELEASES[0]})")
    make.add_argument("--profile", choices=("bcm10", "bcm11"), help="the version of BCM (default: bcm10)")
    make.add_argument("--bare", action="store_true", help="without bcm-jobstats: a cluster to start from")
    make.set_defaults(act=_up)
    run = commands.add_parser("run", help=f"run a shell command as the user {USER} on the login node")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="such as 'srun --gpus=2 sleep 60'")
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


def _number(lowest: int, highest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(
                f"{text}: give {lowest} to {highest}. A lab has 253 addresses, and a node takes about 40 MiB."
            )
        return int(text)

    return number


def _up(pod: Pod, args: argparse.Namespace) -> int:
    os.umask(0o022)  # what it makes is read by the nodes' users
    given = {field.name: getattr(args, field.name) for field in fields(Wanted) if hasattr(args, field.name)}
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f}s  {text}", file=sys.stderr, flush=True)

    with alone(pod.directory), as_before():
        if is_up(pod):
            print(f"The lab in {pod.directory} is up already.", file=sys.stderr)
            _say_ignored(wanted(pod, given)[1])
            print(report.text(report.look(pod)))
            return 0
        os.environ[MARK] = str(pod.directory)  # what works for the lab can be found by it
        known = ground.kept(pod.directory) is not None
        try:
            with interruptible():
                end(pod)
                lab, ignored = wanted(pod, given)
                _say_ignored(ignored)
                up(pod, lab, tell)
        except BaseException:
            print("lab: taking it down again", file=sys.stderr)
            end(pod) if known else down(pod)
            raise
    tell("the lab is up")
    print(f"{report.text(report.look(pod))}\n\n{EPILOG}")
    return 0


def _say_ignored(kept: list[str]) -> None:
    if kept:
        print(f"It keeps what it was made of: {', '.join(kept)}. For another one: lab down first.", file=sys.stderr)


def _run(pod: Pod, args: argparse.Namespace) -> NoReturn:
    if not args.words:
        raise PodError("run: give a command, such as 'srun --gpus=2 sleep 60'")
    line = args.words[0] if len(args.words) == 1 else shlex.join(args.words)
    pod.become(pod.entrance(), ["bash", "-c", line], USER)


def _ssh(pod: Pod, args: argparse.Namespace) -> NoReturn:
    pod.become(args.node, args.words or ["bash", "--login"])


def _status(pod: Pod, args: argparse.Namespace) -> int:
    told = report.look(pod)
    print(json.dumps(told, indent=1) if args.json else report.text(told))
    return 0


def _down(pod: Pod, args: argparse.Namespace) -> int:
    del args
    with alone(pod.directory):
        there = pod.directory.exists()
        down(pod)
    print("The lab is down." if there else f"There is no lab in {pod.directory}.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
