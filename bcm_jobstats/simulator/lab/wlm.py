"""What CMDaemon does for Slurm: it keeps the configuration files, and tells the daemons (bcm-facts §5.2)."""

from __future__ import annotations

import os
from enum import IntEnum
from pathlib import Path, PurePosixPath

from bcm_jobstats.simulator.lab import slurmfiles
from bcm_jobstats.simulator.state import State

SHARED = PurePosixPath("/cm/shared")
SLURM_UID = 64030
"""The user `slurm` of Debian's packages: a number that Debian fixed, the same in every image."""

SERVICES = {
    "slurmclient": ("munge", "slurmd"),
    "slurmserver": ("munge", "slurmctld"),
    "slurmaccounting": ("mariadb", "munge", "slurmdbd"),
    "slurmsubmit": ("munge",),
}
"""The services that CMDaemon looks after on nodes with a role, in the order to start them.

An assumption: no public text lists the services of the WLM roles, these are the units of Debian's packages.
"""

RESTARTING = ("SelectType", "GresTypes", "StateSaveLocation", "Scheduler", "SlurmctldParameters", "NodeName")
"""How the lines of slurm.conf begin whose change needs a restart of the daemons (bcm-facts §5.2)."""


class Action(IntEnum):
    """What Slurm's daemons have to do about changed files; the greater one includes the lesser."""

    NOTHING = 0
    RECONFIGURE = 1
    """``scontrol reconfigure`` on a node with slurmserver."""
    RESTART = 2
    """Restart slurmctld, and slurmd on every node with slurmclient."""


class Wlm:
    """Slurm's files on the shared storage, whose directory on this machine is `shared`."""

    def __init__(self, shared: Path) -> None:
        self._shared = shared

    def follow(self, state: State) -> Action:
        """Write the files that differ, and tell what the daemons have to do about it.

        Whatever changed in slurmdbd.conf, CMDaemon does nothing here: the facts name that file nowhere.
        """
        return max((self._cluster(state, name) for name in state.table("wlm")), default=Action.NOTHING)

    def _cluster(self, state: State, name: str) -> Action:
        wlm = state.table("wlm")[name]
        etc = PurePosixPath(str(wlm.values.get("etc", "")))
        if wlm.kind != "SlurmWlmCluster" or SHARED not in etc.parents:
            return Action.NOTHING  # another workload manager's, or nowhere that we keep
        directory = self._path(etc)
        directory.mkdir(parents=True, exist_ok=True)
        self._state_save()
        conf = directory / "slurm.conf"
        old = _read(conf)
        new = slurmfiles.slurm_conf(state, name, old)
        action = _action(slurmfiles.section_of(old), slurmfiles.section_of(new))
        _write(conf, new)
        _write(directory / "slurmdbd.conf", slurmfiles.slurmdbd_conf(state, name), secret=True)
        if _write(directory / "cgroup.conf", slurmfiles.cgroup_conf(state, name)):
            action = max(action, Action.RECONFIGURE)
        if _write(directory / "gres.conf", slurmfiles.gres_conf(state, name)):
            action = Action.RESTART
        return action

    def _path(self, path: PurePosixPath) -> Path:
        return self._shared / path.relative_to(SHARED)

    def _state_save(self) -> None:
        directory = self._path(PurePosixPath(slurmfiles.STATE_SAVE))
        if not directory.is_dir():
            directory.mkdir(parents=True)
            directory.chmod(0o700)
            _give_to_slurm(directory)


def _action(old: str, new: str) -> Action:
    changed = set(old.splitlines()) ^ set(new.splitlines())
    if any(line.startswith(RESTARTING) for line in changed):
        return Action.RESTART
    return Action.RECONFIGURE if changed else Action.NOTHING


def _read(file: Path) -> str:
    """The text of a file, whatever bytes an administrator left in it; none when there is no such file."""
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _write(file: Path, text: str, *, secret: bool = False) -> bool:
    """Put a text in place of a file, at once, if it differs. A secret one is never anybody's but Slurm's user's."""
    if _read(file) == text:
        return False
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600, exist_ok=False)
    with fresh.open("wb") as stream:
        stream.write(text.encode("utf-8", "surrogateescape"))
        stream.flush()
        os.fsync(stream.fileno())
    if secret:
        _give_to_slurm(fresh)
    else:
        fresh.chmod(0o644)
    fresh.replace(file)
    return True


def _give_to_slurm(path: Path) -> None:
    if os.geteuid() == 0:  # without root there is no slurmctld either
        os.chown(path, SLURM_UID, SLURM_UID)


def slurmd_dropin(etc: str) -> str:
    """``/etc/systemd/system/slurmd.service.d/99-cmd.conf``, which CMDaemon regenerates on nodes (bcm-facts §5.2).

    What BCM writes into it is not known; this is what keeps slurmd running here whatever is up first.
    """
    return (
        f"{slurmfiles.WHOLE}[Unit]\n"
        f"RequiresMountsFor={SHARED}\n"
        "After=munge.service\n"
        "StartLimitIntervalSec=0\n"
        "[Service]\n"
        f"Environment=SLURM_CONF={etc}/slurm.conf\n"
        "Restart=on-failure\n"
        "RestartSec=1\n"
        "TimeoutStopSec=10\n"  # with jobs that end and no controller it would take 90 s
    )


def _head_dropin(port: int, unit: str = "") -> str:
    """A drop-in by which a daemon counts as started when it listens, not before, and is started again when it ends."""
    until = f"until : < /dev/tcp/localhost/{port}; do sleep 0.02; done 2> /dev/null"
    return (
        f"[Unit]\nStartLimitIntervalSec=0\n{unit}"
        f"[Service]\nExecStartPost=-/usr/bin/timeout 5 /bin/bash -c '{until}'\n"
        "Restart=on-failure\nRestartSec=1\nTimeoutStopSec=10\n"
    )


HEAD_DROPINS = {
    "slurmdbd.service": _head_dropin(6819),
    "slurmctld.service": _head_dropin(6817, "After=slurmdbd.service\n"),
}
"""Drop-ins of the lab's own for the head; no fact of BCM.

By Debian 12's units both count as started at once. A slurmctld started before slurmdbd listens ends, and a slurmd that
finds no slurmctld yet tries again only seconds later. A slurmctld 22.05 told to stop while it starts hangs.
"""
