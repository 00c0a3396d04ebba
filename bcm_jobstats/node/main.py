"""The agent as a program: its parts put together, run as a service or once."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import Callable, Optional

from bcm_jobstats.errors import ExitStatus, printable
from bcm_jobstats.node.agent import Agent
from bcm_jobstats.node.asking import BcmRoles
from bcm_jobstats.node.config import RUN, BadConfig, Config, load
from bcm_jobstats.node.loop import Loop
from bcm_jobstats.node.messages import Messages
from bcm_jobstats.node.notify import Notify, watchdog
from bcm_jobstats.node.options import Options, parsed
from bcm_jobstats.node.report import data, exit_status, text
from bcm_jobstats.node.signals import Signals, Stop, release
from bcm_jobstats.node.storage import Storage
from bcm_jobstats.node.systemd import Systemd, is_root
from bcm_jobstats.node.targetfiles import TargetFiles

STORAGE_SECONDS = 10.0
"""What shared storage may take for one file: NFS over a busy network, and no more than a stop may take."""
FEEDING = 30.0
"""How often the watchdog is fed where systemd does not say; seconds."""
Say = Callable[[int, str], None]


def program() -> None:
    """Run, and end also while a thread hangs on shared storage."""
    try:
        status = main(sys.argv[1:])
    except SystemExit as ended:  # of argparse
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except (KeyboardInterrupt, Stop):
        status = int(ExitStatus.INTERRUPTED)
    try:
        sys.stdout.flush()
    except OSError:
        status = status or int(ExitStatus.FAILED)
    os._exit(status)


def main(arguments: list[str]) -> int:
    """Run as the command line asks; returns the exit status."""
    return run(parsed(arguments))


def run(options: Options) -> int:
    """Run until told to stop, or one round with `once`."""
    if options.once:
        release()
        return _once(options)
    signals, say = Signals(), speaker()
    storage = Storage(STORAGE_SECONDS)  # one for all agents: what hangs for one of them hangs for the next one too
    Loop(
        lambda: _load(options),
        lambda config, former: agent(config, say, storage, former, options.dry_run),
        signals,
        notify=Notify(os.environ.pop("NOTIFY_SOCKET", None)),
        say=say,
        feeding=watchdog(FEEDING),
    ).run()
    return int(ExitStatus.OK)


def _load(options: Options) -> Config:
    return load(options.file, targets=options.prometheus_targets_dir, root=options.root)


def _once(options: Options) -> int:
    if is_root():
        os.umask(0o022)  # the service, which is not root, goes on with what is written here
    try:
        config = _load(options)
    except BadConfig as error:
        if options.json:
            fields = {"subject": error.subject, "cause": error.cause, "remedy": error.remedy}
            print(json.dumps({"error": {**fields, "status": int(error.status), "text": str(error)}}), file=sys.stderr)
        else:
            print(f"role-monitor: {error}", file=sys.stderr)
        return int(error.status)
    config = config._replace(textfile=None)  # those metrics are the service's
    # What was found is in what is printed, so nothing is said meanwhile.
    storage = Storage(STORAGE_SECONDS)
    outcome = agent(config, lambda priority, line: None, storage, dry_run=options.dry_run).cycle()
    for line in [json.dumps(data(outcome), indent=2)] if options.json else text(outcome):
        print(line)
    return exit_status(outcome)


def agent(config: Config, say: Say, storage: Storage, former: Optional[Agent] = None, dry_run: bool = False) -> Agent:
    """An agent of the real world, which goes on with what `former` knew."""
    run_folder = config.root / RUN.relative_to("/")
    return Agent(
        config,
        BcmRoles(config, storage.run, say=say),
        Systemd(run_folder, is_root()),
        lambda directory: TargetFiles(directory, storage),
        Messages(say, dry_run),
        former=former,
        dry_run=dry_run,
    )


def speaker() -> Say:
    """Writes a line of the log to stderr, with the priority in front where that is the journal (sd-daemon(3))."""
    journal = _is_journal()

    def say(priority: int, line: str) -> None:
        with suppress(OSError):  # whoever read it is gone, or the disk is full: no reason to end
            print(f"<{priority}>{printable(line)}" if journal else f"role-monitor: {printable(line)}", file=sys.stderr)
            sys.stderr.flush()

    return say


def _is_journal() -> bool:
    """Whether stderr is what systemd connected to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        there = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"
