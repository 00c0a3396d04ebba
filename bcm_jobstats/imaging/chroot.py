"""Commands inside a software image's tree, with nothing left mounted, also after a kill.

Through BCM's own `cm-chroot-sw-img` where the head node has it (bcm-facts §6), otherwise in namespaces of our own.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from bcm_jobstats.errors import JobstatsError

WRAPPER = "cm-chroot-sw-img"
_PLACES = ("usr/sbin", "usr/bin", "cm/local/apps/cluster-tools/bin")
"""Where the wrapper may lie below the root; no public text says (an assumption). On a head node it is on PATH."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BEGIN, _END = "bcm-jobstats-begins", "bcm-jobstats-ends"
_LINES_SHOWN = 12
_NOBODY = "65534:65534"
_PR_SET_PDEATHSIG = 1

# In namespaces of its own: mounts end with the last process, and the kernel kills all processes with the first. That
# one stays outside the tree, by which systemctl knows that it is in a chroot. /dev has what any program may count on;
# /run is empty, as on a node before it boots. Debian's invoke-rc.d starts services unless it is told otherwise.
_SCRIPT = r"""
set -e
root=$1 user=$2 names=$3
shift 3
for place in proc sys dev run; do
    test -d "$root/$place" || { echo "there is no /$place in it: not a software image" >&2; exit 1; }
done
mount -t proc proc "$root/proc"
mount --bind /sys "$root/sys"
mount -o remount,bind,ro "$root/sys"
mount -t tmpfs -o mode=0755 bcm-jobstats "$root/dev"
for device in null zero full random urandom tty; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir -m 1777 "$root/dev/shm"
mount -t tmpfs -o mode=0755 bcm-jobstats "$root/run"
if test -e "$root/usr/sbin/invoke-rc.d"; then
    printf '#!/bin/sh\nexit 0\n' > "$root/run/.starts-nothing"
    chmod 0755 "$root/run/.starts-nothing"
    mount --bind "$root/run/.starts-nothing" "$root/usr/sbin/invoke-rc.d"
fi
if test "$names" = yes && test -e /etc/resolv.conf; then
    target=$(chroot "$root" readlink -m /etc/resolv.conf)
    case $target in
        /run/*) mkdir -p "$root${target%/*}"; cat /etc/resolv.conf > "$root$target" ;;
        *) test ! -f "$root$target" || mount --bind /etc/resolv.conf "$root$target" ;;
    esac
fi
set +e
if test -n "$user"; then set -- --userspec="$user" --groups="${user%:*}" "$root" "$@"; else set -- "$root" "$@"; fi
chroot "$@"
exit $?
"""


class ChrootFailed(JobstatsError):
    """A command inside an image failed, or could not be started there."""


@dataclass(frozen=True)
class Chroot:
    """An image's tree, by its path on this machine; `head` is the prefix of the head node's own paths."""

    tree: Path
    head: Path = Path("/")

    def run(self, words: Sequence[str], timeout: Optional[float] = None) -> str:
        """What a command prints, run by root with the head's network; ChrootFailed when it fails or takes longer than
        `timeout` seconds."""
        wrapper = self.wrapper()
        answer = self._through(wrapper, words, timeout) if wrapper else None
        return self._own(words, timeout).stdout if answer is None else answer

    def try_out(self, words: Sequence[str], timeout: float) -> str:
        """What a program prints anywhere, run by nobody and without a network: one that is not known to work."""
        done = self._own(words, timeout, user=_NOBODY, network=False)
        return f"{done.stdout}\n{done.stderr}"

    def wrapper(self) -> Optional[Path]:
        """BCM's own way into an image, if it is there."""
        for place in _PLACES:
            if os.access(self.head / place / WRAPPER, os.X_OK):
                return self.head / place / WRAPPER
        found = shutil.which(WRAPPER) if self.head == Path("/") else None
        return Path(found) if found else None

    def _through(self, wrapper: Path, words: Sequence[str], timeout: Optional[float]) -> Optional[str]:
        """None when the wrapper does not run what is on its standard input (capability chroot-commands)."""
        _need_root(self.tree)
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in _environment().items())
        command = f"( cd / && env {settings} {shlex.join(words)} ) </dev/null"
        script = f"echo {_BEGIN}\n{command}\nstatus=$?; echo; echo {_END} $status\nexit 0\n"
        done = _run([str(wrapper), str(self.tree)], timeout, words, script)
        _, begun, rest = done.stdout.partition(f"{_BEGIN}\n")
        if not begun:
            return None
        output, ended, status = rest.rpartition(f"\n{_END} ")
        if not ended or status.split()[:1] != ["0"]:
            raise _failed(self.tree, words, f"{output}\n{done.stderr}")
        return output

    def _own(
        self, words: Sequence[str], timeout: Optional[float], *, user: str = "", network: bool = True
    ) -> subprocess.CompletedProcess[str]:
        _need_root(self.tree)
        start = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        start += [] if network else ["--net"]
        names = "yes" if network else "no"
        argv = [*start, "/bin/sh", "-c", _SCRIPT, "bcm-jobstats-chroot", str(self.tree), user, names, *words]
        done = _run(argv, timeout, words)
        if done.returncode:
            raise _failed(self.tree, words, f"{done.stdout}\n{done.stderr}")
        return done


def _run(
    argv: Sequence[str], timeout: Optional[float], words: Sequence[str], script: str = ""
) -> subprocess.CompletedProcess[str]:
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**_environment(), "PATH": f"{os.environ.get('PATH', '')}:{_PATH}"},
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - no threads are running here
        )
    except FileNotFoundError as error:
        raise ChrootFailed(argv[0], "is not there", "Install the package util-linux on the head node.") from error
    try:
        output, errors = process.communicate(script, timeout=timeout)
    except BaseException as error:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            cause = f"did not end within {timeout:g} seconds"
            raise ChrootFailed(shlex.join(words), cause, "Run it by hand in the image to see why.") from error
        raise
    return subprocess.CompletedProcess(argv, process.returncode, output, errors)


def _failed(tree: Path, words: Sequence[str], output: str) -> ChrootFailed:
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    last = "".join(f"\n    {line}" for line in lines[-_LINES_SHOWN:]) or " (it printed nothing)"
    return ChrootFailed(f"{shlex.join(words)} in {tree}", f"failed{last}", "")


def _environment() -> Mapping[str, str]:
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    own = {"HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "SYSTEMD_OFFLINE": "1"}
    return {"PATH": _PATH, **own, **proxies}


def _need_root(tree: Path) -> None:
    if os.geteuid() != 0:
        raise ChrootFailed(str(tree), "only root can run a command in a software image", "Run it as root.")


def _end_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends: namespaces and mounts go with it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
