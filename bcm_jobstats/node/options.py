"""The command line of role-monitor: that of seed 4's document, and what a script and a careful hand need besides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Optional

from bcm_jobstats.node.config import CONFIG, Config

if TYPE_CHECKING:
    import argparse

ABOUT = """\
Follows a role of BCM on this node: while the node has it, the exporters run and Prometheus finds them; without it they
are stopped and the node's target files are gone. While BCM does not answer nothing changes."""

PRECEDENCE = """\
A setting of the command line goes before one of the configuration file, and that before its default. Signals: SIGHUP
reads the configuration again and asks BCM at once, SIGTERM takes this node's target files away and ends.

exit status with --once: 0 everything is as the role says, 1 something is wrong, 65 the configuration cannot be used,
69 BCM does not tell whether the node has the role; 64 for a command line that makes no sense;
78 for a Python older than 3.9.

examples:
  role-monitor --once --dry-run
  role-monitor --prometheus-targets-dir /srv/prometheus/targets
"""
USAGE = 64


class Options(NamedTuple):
    """What was asked for."""

    config: Optional[Path] = None
    prometheus_targets_dir: Optional[Path] = None
    once: bool = False
    dry_run: bool = False
    json: bool = False
    root: Path = Path("/")

    @property
    def file(self) -> Path:
        """The configuration file."""
        return self.config or self.root / CONFIG.relative_to("/")


def add(parser: argparse.ArgumentParser) -> None:
    """The options that `bcm-jobstats role-monitor` has too."""
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"the configuration file (default: {CONFIG})")
    parser.add_argument(
        "--prometheus-targets-dir",
        type=_absolute,
        metavar="DIR",
        help="the folder of Prometheus' targets on shared storage (default: prometheus_targets_dir of the "
        f"configuration file, or {Config().targets})",
    )
    parser.add_argument("--once", action="store_true", help="one round: ask BCM, put things right, say what there is")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and do none of it")


def parsed(arguments: list[str]) -> Options:
    """The options of the program; ends it with status 64 where they make no sense."""
    if not arguments:  # the service has none, and goes without half a megabyte
        return Options()
    import argparse

    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("role-monitor", description=ABOUT, epilog=PRECEDENCE, formatter_class=raw)
    add(parser)
    parser.add_argument("--json", action="store_true", help="with --once: print what there is as JSON")
    parser.add_argument("--root", type=_absolute, default="/", metavar="DIR", help="prefix of /etc, /var/lib and /run")
    try:
        options = Options(**vars(parser.parse_args(arguments)))
        if options.json and not options.once:
            parser.error("--json goes with --once")
    except SystemExit as ended:
        # argparse ends with 2 on a typo, which elsewhere means pending changes.
        raise SystemExit(USAGE if ended.code else 0) from None
    return options


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        import argparse

        raise argparse.ArgumentTypeError(f"{text!r} is not an absolute path")
    return path
