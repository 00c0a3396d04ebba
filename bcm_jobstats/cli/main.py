"""Finds the sub-command, runs it, turns errors into a message and an exit status. Imports only what is asked for."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Optional

from bcm_jobstats import __version__
from bcm_jobstats.errors import ExitStatus, JobstatsError

COMMANDS = {
    "init": "look at the cluster and write a commented site file",
    "validate": "check the site file and the definitions, without a cluster",
    "plan": "show what would change",
    "show": "show a saved plan",
    "apply": "make the changes",
    "destroy": "take everything back",
    "rollback": "go back to before a generation",
    "generations": "list the runs that changed something",
    "drift": "plan for cron and monitoring: exit status 2 when something differs",
    "status": "what runs where: node, role, services, target, scraped",
    "doctor": "look for what is wrong: private keys, Slurm's settings; --contract: BCM's behaviour after an upgrade",
    "probe": "answer, read-only, what only a head node can tell about BCM; save the transcript",
    "certificate": "a certificate for bcm-jobstats with no more rights than it needs",
    "image": "software images: list, plan, build, recipe, fetch, diff, grab, rollout, rollback",
    "hooks": "Slurm's prologs and epilogs: list, show",
    "targets": "Prometheus targets: list, check, sync, serve",
    "prometheus": "Prometheus configuration: render, rules",
    "role-monitor": "the agent of enable.mode role-monitor, run here and now; deploy: what deploying it means",
    "simulator": "a simulated BCM to try it on: start, stop, status",
}
REMEDIES = {
    errno.EACCES: "Run it as root on the head node.",
    errno.EPERM: "Run it as root on the head node.",
    errno.EROFS: "Mount the file system read-write.",
    errno.ENOSPC: "Make room on the file system.",
}
DEFAULT_SITE = "etc/bcm-jobstats/site.yaml"


class BadUsage(JobstatsError):
    """An option whose value makes no sense."""

    status = ExitStatus.USAGE


class Parser(argparse.ArgumentParser):
    """argparse exits 2 on a typo, which here means pending changes (anchors §2.3)."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end with status 64."""
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        sys.exit(ExitStatus.USAGE)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        args = parse(arguments)
        module = importlib.import_module(_module(args.command))
        status = int(module.run(args))
        sys.stdout.flush()
        return status
    except JobstatsError as error:
        _report(error, as_json="--json" in arguments)
        return int(error.status)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitStatus.FAILED)
    except OSError as error:
        if error.filename is None:
            raise
        remedy = REMEDIES.get(error.errno or 0, "Check the path.")
        _report(JobstatsError(str(error.filename), str(error.strerror), remedy), as_json="--json" in arguments)
        return int(ExitStatus.FAILED)
    except KeyboardInterrupt:
        print("bcm-jobstats: interrupted; run the same command again to complete it", file=sys.stderr)
        return int(ExitStatus.INTERRUPTED)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The namespace of a command line: global options anywhere, the rest by the sub-command's own module."""
    options = general()
    about = sys.modules["bcm_jobstats"].__doc__
    raw = argparse.RawDescriptionHelpFormatter
    top = Parser(prog="bcm-jobstats", description=about, parents=[options], epilog=_list(), formatter_class=raw)
    top.add_argument("--version", action="version", version=f"bcm-jobstats {__version__}")
    top.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="what to do; COMMAND --help says more")
    top.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = top.parse_args(arguments)
    module = importlib.import_module(_module(args.command))
    parser = Parser(prog=f"bcm-jobstats {args.command}", description=module.__doc__, parents=[options])
    module.configure(parser)
    parser.parse_args(args.rest, args)
    return _defaults(args)


def _module(command: str) -> str:
    return f"bcm_jobstats.cli.{command.replace('-', '_')}"


def general() -> Parser:
    """The parser of the global options, for a sub-command to be made with."""
    # SUPPRESS: given before the command or after it, and neither overwrites the other.
    parser = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    group = parser.add_argument_group("global options")
    group.add_argument("--site", type=Path, metavar="FILE", help=f"the site file (default: /{DEFAULT_SITE})")
    group.add_argument("--root", type=Path, metavar="DIR", help="prefix for every path on the head node (default: /)")
    ways = "how to speak to BCM; auto: cmsh, with pythoncm for what cmsh cannot do (default: auto)"
    group.add_argument("--bcm", choices=("auto", "cmsh", "pythoncm", "rest"), help=ways)
    group.add_argument("--json", action="store_true", help="print data as JSON")
    group.add_argument("--no-color", action="store_true", help="no colours (also: NO_COLOR)")
    group.add_argument("-v", "--verbose", action="count", help="print every cmsh call")
    group.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return parser


def _defaults(args: argparse.Namespace) -> argparse.Namespace:
    root = getattr(args, "root", None) or Path(os.environ.get("BCM_JOBSTATS_ROOT", "/"))
    if not root.is_dir():
        raise BadUsage(f"--root {root}", "is not a directory", "Give the directory that holds the head node's files.")
    args.root = root.absolute()
    args.site = getattr(args, "site", None) or args.root / DEFAULT_SITE
    for name, value in (("bcm", "auto"), ("json", False), ("no_color", False), ("verbose", 0), ("quiet", False)):
        setattr(args, name, getattr(args, name, value))
    if args.verbose:
        import logging

        logging.getLogger("bcm_jobstats").setLevel(logging.DEBUG)
        logging.getLogger("bcm_jobstats").addHandler(logging.StreamHandler())
    args.colour = not args.no_color and "NO_COLOR" not in os.environ and sys.stdout.isatty()
    return args


def _list() -> str:
    return "commands:\n" + "\n".join(f"  {name:12} {what}" for name, what in COMMANDS.items())


def _report(error: JobstatsError, *, as_json: bool) -> None:
    if as_json:
        import json

        fields = {"subject": error.subject, "cause": error.cause, "remedy": error.remedy, "status": int(error.status)}
        print(json.dumps({"error": {**fields, "text": str(error)}}), file=sys.stderr)
    else:
        print(f"bcm-jobstats: {error}", file=sys.stderr)
