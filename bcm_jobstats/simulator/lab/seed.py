"""What the lab's software images and its head node have besides Debian's packages, before anything of ours is there."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from bcm_jobstats.simulator import imageseed
from bcm_jobstats.simulator.headtree import TOOLS
from bcm_jobstats.simulator.lab.container import INIT, INIT_TEXT
from bcm_jobstats.simulator.lab.wlm import HEAD_DROPINS, slurmd_dropin

SLURM_ETC = "etc/slurm"
_DISPATCHER = Path(__file__).with_name("dispatcher")
_SCRIPTS = "cm/local/apps/cmd/scripts"
_HOOKS = ("cm/local/apps/slurm/var/prologs", "cm/local/apps/slurm/var/epilogs")
_CLIENT = "usr/lib/bcm-simulator/client.py"
_SMI = """\
#!/bin/sh
# SIMULATED stand-in of nvidia-smi: it comes with the simulated cluster, not with a site.
unset HOSTNAME  # a job has that of the node it was sent from
exec /usr/bin/python3 -I -S -B /{stand_ins} nvidia-smi "" "$@"
"""
_TOOL = """\
#!/bin/sh
# SIMULATED {tool}: the same file serves in the head node and, by its path there, on the machine that runs the lab.
here=$(readlink -f "$0")
root=${{here%/usr/bin/{tool}}}
for python in /usr/bin/python3 {python}; do
    [ -x "$python" ] && exec "$python" -I -S -E "$root/{client}" "${{root:-/}}" {head} {tool} "$@"
done
echo "{tool}: no python3 for the simulated {tool}" >&2
exit 127
"""
CHROOT = "usr/sbin/cm-chroot-sw-img"
"""Its place is an assumption; that it mounts proc and others in an image and leads into it is not (bcm-facts §6)."""
_CHROOT = """\
#!/bin/sh
# SIMULATED cm-chroot-sw-img: a shell in a software image; what it mounts there is gone with it.
test -d "$1/proc" || { echo "cm-chroot-sw-img: no software image: $1" >&2; exit 1; }
exec unshare --mount --propagation private sh -c '
    set -e
    mount -t proc proc "$1/proc"
    for place in sys dev; do mount --rbind "/$place" "$1/$place"; done
    mount -t tmpfs tmpfs "$1/run"
    exec chroot "$1" /bin/sh
' sh "$1"
"""


def seed_image(root: Path, slurm_etc: str) -> None:
    """Furnish the tree of a software image; `slurm_etc` is where BCM keeps Slurm's configuration (bcm-facts §5.2)."""
    imageseed.programs(root)
    _common(root, slurm_etc)
    _place(root / "usr/bin/nvidia-smi", _SMI.format(stand_ins=imageseed.STAND_INS), 0o755)
    for name in ("prolog", "epilog"):
        _place(root / _SCRIPTS / name, (_DISPATCHER / name).read_text(encoding="utf-8"), 0o755)
    _place(root / "etc/systemd/system/slurmd.service.d/99-cmd.conf", slurmd_dropin(slurm_etc))
    for name in _HOOKS:
        (root / name).mkdir(parents=True, exist_ok=True)


def seed_head(root: Path, head: str, slurm_etc: str) -> None:
    """Furnish the head node's tree; what `headtree` makes in every simulator is there."""
    _common(root, slurm_etc)
    client = Path(__file__).parents[1] / "client.py"
    _place(root / _CLIENT, client.read_text(encoding="utf-8"))
    python = shlex.quote(sys.executable)
    for tool in TOOLS:
        _place(root / "usr/bin" / tool, _TOOL.format(tool=tool, python=python, client=_CLIENT, head=head), 0o755)
    _place(root / CHROOT, _CHROOT, 0o755)
    for unit, text in HEAD_DROPINS.items():
        _place(root / f"etc/systemd/system/{unit}.d/99-lab.conf", text)


def _common(root: Path, slurm_etc: str) -> None:
    _place(root / INIT.lstrip("/"), INIT_TEXT, 0o755)
    link = root / SLURM_ETC
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    if not link.is_symlink():
        link.symlink_to(slurm_etc)


def _place(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
