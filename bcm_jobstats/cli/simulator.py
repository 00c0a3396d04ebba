"""A simulated BCM to try bcm-jobstats on: a head node, nodes, and a cmsh that behaves as BCM's manuals say."""

from __future__ import annotations

import argparse
from pathlib import Path

from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus, JobstatsError


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("action", choices=("start", "stop", "status"))
    parser.add_argument(
        "directory", type=Path, metavar="DIR", help="the simulated head node's root; made when it is not there"
    )
    parser.add_argument("--nodes", type=int, default=4, metavar="N", help="DGX nodes (default: 4)")
    parser.add_argument("--logins", type=int, default=1, metavar="N", help="login nodes (default: 1)")
    parser.add_argument(
        "--profile", choices=("bcm10", "bcm11"), default="bcm10", help="the version of BCM (default: bcm10)"
    )
    kinds = "process: services really run; paper: nodes are entries only, for large numbers"
    parser.add_argument("--node-kind", choices=("process", "paper"), default="process", help=kinds)


def run(args: argparse.Namespace) -> ExitStatus:
    """Start, stop or ask."""
    from bcm_jobstats.simulator import SimulatorError

    try:
        return _act(args)
    except (OSError, SimulatorError) as error:
        raise JobstatsError(
            f"simulator in {args.directory}", str(error), "See: bcm-jobstats simulator --help"
        ) from error


def _act(args: argparse.Namespace) -> ExitStatus:
    from bcm_jobstats.simulator import Simulator

    if args.action == "start":
        simulator = Simulator.start(
            args.directory, profile=args.profile, nodes=args.nodes, logins=args.logins, node_kind=args.node_kind
        )
        text = f"A simulated BCM runs.\n  cmsh: {simulator.cmsh}\n  bcm-jobstats --root {args.directory} COMMAND"
        common.put(args, simulator.status(), text)
        return ExitStatus.OK
    simulator = Simulator.attach(args.directory)
    if args.action == "stop":
        simulator.stop()
        common.say(args, "The simulated BCM was stopped.")
        return ExitStatus.OK
    status = simulator.status()
    common.put(args, status, "\n".join(f"{key}: {value}" for key, value in status.items()))
    return ExitStatus.OK
