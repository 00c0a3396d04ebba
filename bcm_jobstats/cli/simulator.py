"""A simulated BCM to try bcm-jobstats on: head nodes, nodes, and a cmsh that behaves as BCM's manuals say."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus, JobstatsError

EPILOG = """\
start makes DIR the root of a head node: DIR/bin/cmsh is its cmsh, DIR/cm/shared and DIR/cm/images are BCM's. Give DIR
as --root to every other command. A DIR that holds a cluster already goes on from its last state; of the options only
--switch counts then. stop ends the daemon and every process of the nodes; the files stay.

--heads 2: DIR is the root of bcm-head-1, DIR/heads/bcm-head-2 that of bcm-head-2, with files of its own and the same
  /cm/shared. `bin/cmha status` of either tells which is active, `bin/cmha makeactive` makes that one active. cmsh on
  the passive head speaks to the active one.
--profile FILE: a transcript that `bcm-jobstats probe` saved on a real head node. Its version and answers choose how
  this BCM behaves, and what the real cmsh said to a script word for word is said again. `status` lists the answers
  that nothing here can follow as unknown_answers.
--node-kind container: the head node and all others boot a real systemd in containers over a Debian tree (--release),
  which is made first where it is missing, in some minutes; Slurm is Debian's. Needs root and systemd-container. stop
  also removes the containers' mounts. `scripts/lab` puts bcm-jobstats and Prometheus on top.
--switch NAME=VALUE: how to behave where BCM's manuals are silent or a cluster can be set up in two ways, such as
  shared_storage=das or exit_status=honest. `status` lists all switches.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("action", choices=("start", "stop", "status"))
    root = "the root of the simulated (first) head node; made when it is not there"
    parser.add_argument("directory", type=Path, metavar="DIR", help=root)
    parser.add_argument("--heads", type=int, choices=(1, 2), default=1, help="head nodes (default: 1)")
    parser.add_argument("--nodes", type=int, default=4, metavar="N", help="DGX nodes (default: 4)")
    parser.add_argument("--logins", type=int, default=1, metavar="N", help="login nodes (default: 1)")
    profiles = "the version of BCM: bcm10, bcm11, or that of a real one whose probe wrote FILE (default: bcm10)"
    parser.add_argument("--profile", metavar="bcm10|bcm11|FILE", default="bcm10", help=profiles)
    kinds = "process: services really run; paper: entries only, for large numbers; container: a real systemd (root)"
    parser.add_argument("--node-kind", choices=("process", "paper", "container"), default="process", help=kinds)
    releases = "Debian of containers (default: bookworm)"
    parser.add_argument("--release", choices=("bookworm", "trixie"), default="bookworm", help=releases)
    switches = "turn a switch of the simulator; may be given again"
    parser.add_argument("--switch", action="append", metavar="NAME=VALUE", help=switches)


def run(args: argparse.Namespace) -> ExitStatus:
    """Start, stop or ask."""
    from bcm_jobstats.simulator import SimulatorError

    try:
        return _act(args)
    except (OSError, ValueError, SimulatorError) as error:
        raise JobstatsError(
            f"simulator in {args.directory}", str(error), "See: bcm-jobstats simulator --help"
        ) from error


def _act(args: argparse.Namespace) -> ExitStatus:
    from bcm_jobstats.simulator import Simulator

    if args.action == "start":
        if args.node_kind == "container":
            _build(args)
        simulator = Simulator.start(
            args.directory.resolve(),
            profile=args.profile,
            nodes=args.nodes,
            logins=args.logins,
            heads=args.heads,
            node_kind=args.node_kind,
            release=args.release,
            switches=_switches(args.switch),
        )
        common.put(args, simulator.status(), _started(simulator.heads()))
        return ExitStatus.OK
    simulator = Simulator.attach(args.directory.resolve())
    if args.action == "stop":
        simulator.stop()
        common.say(args, "The simulated BCM was stopped.")
        return ExitStatus.OK
    status = simulator.status()
    common.put(args, status, "\n".join(f"{key}: {value}" for key, value in status.items()))
    return ExitStatus.OK


def _build(args: argparse.Namespace) -> None:
    """Make the trees that containers stand on, if they are missing."""
    from bcm_jobstats.simulator.lab import bases

    try:
        missing = bases.missing_programs()
        if missing:
            raise bases.BaseError(f"not installed: {', '.join(missing)}. Install the packages with apt-get.")
        bases.build(args.release, lambda text: common.say(args, text))
    except bases.BaseError as error:
        raise JobstatsError("simulator with containers", str(error), "Or use: --node-kind process") from error


def _switches(given: Optional[Sequence[str]]) -> Optional[dict[str, str]]:
    """The switches of --switch; ValueError when one has no value."""
    for one in given or ():
        if "=" not in one:
            raise ValueError(f"--switch {one}: give NAME=VALUE")
    return dict(one.split("=", 1) for one in given) if given else None


def _started(heads: Mapping[str, Path]) -> str:
    text = "A simulated BCM runs."
    for name, root in heads.items():
        text += f"\n  {name}\n    cmsh: {root / 'bin/cmsh'}\n    bcm-jobstats --root {root} COMMAND"
    return text
