"""The software image a site has before anything of ours is in it: Ubuntu as on DGX nodes, cut down to what matters.

The exporters are what a site supplies itself. Where there is no real one, a stand-in takes its place: a script that
says so in its second line, see `stand_ins`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from bcm_jobstats.simulator import standin_exporters
from bcm_jobstats.simulator.standin_exporters.dcgm_fields import DCGM_FIELDS
from bcm_jobstats.simulator.standin_exporters.server import KINDS

STAND_IN_MARK = "# SIMULATED stand-in"
NODE_EXPORTER = "usr/bin/prometheus-node-exporter"  # Debian's name; the only exporter of the four in Debian
PYTHON = "usr/bin/python3"
STAND_INS = "usr/local/lib/bcm-simulator/standin_exporters"

_USERS = """\
root:0:/root:/bin/bash daemon:1:/usr/sbin:- bin:2:/bin:- sys:3:/dev:- mail:8:/var/mail:- www-data:33:/var/www:-
backup:34:/var/backups:- nobody:65534:/nonexistent:- systemd-network:998:/:- systemd-timesync:997:/:-
systemd-resolve:992:/:- messagebus:101:/nonexistent:- sshd:102:/run/sshd:- munge:103:/var/lib/munge:-
nvidia-persistenced:104:/nonexistent:- nvidia-dcgm:999:/:- _rpc:105:/run/rpcbind:- statd:106:/var/lib/nfs:-
cmsupport:1000:/home/cmsupport:/bin/bash slurm:450:/cm/local/apps/slurm:-"""
_GROUPS = "adm:4 tty:5 disk:6 sudo:27 shadow:42 video:44 systemd-journal:995 render:993 docker:996"
_DIRECTORIES = (
    *("cm/conf", "cm/shared", "cm/local/apps/cmd/etc", "cm/local/apps/cmd/scripts"),
    *("cm/local/apps/slurm/var/prologs", "cm/local/apps/slurm/var/epilogs", "dev", "etc/dcgm-exporter", "etc/default"),
    *("etc/systemd/system/multi-user.target.wants", "etc/sysusers.d", "etc/tmpfiles.d", "home", "proc", "root", "run"),
    *("sys", "tmp", "usr/bin", "usr/lib/systemd/system", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d", "usr/local/bin"),
    *("usr/local/lib", "usr/local/sbin", "usr/sbin", "var/cache", "var/lib", "var/log", "var/spool", "var/tmp"),
)
_LINKS = {
    "bin": "usr/bin",
    "sbin": "usr/sbin",
    "lib": "usr/lib",
    "etc/os-release": "../usr/lib/os-release",
    "etc/systemd/system/multi-user.target.wants/nvidia-dcgm.service": "/usr/lib/systemd/system/nvidia-dcgm.service",
}
_OS_RELEASE = """\
PRETTY_NAME="Ubuntu 22.04.5 LTS"
NAME="Ubuntu"
VERSION_ID="22.04"
VERSION="22.04.5 LTS (Jammy Jellyfish)"
VERSION_CODENAME=jammy
ID=ubuntu
ID_LIKE=debian
"""
_DCGM_UNIT = """\
[Unit]
Description=NVIDIA DCGM service

[Service]
User=root
PrivateTmp=false
Environment="DCGM_HOME_DIR=/var/log/nvidia-dcgm"
ExecStart=/usr/bin/nv-hostengine -n --service-account nvidia-dcgm
Restart=on-abort

[Install]
WantedBy=multi-user.target
"""
# -B: a node's tree stays as its image is.
_RUN_STAND_IN = """\
#!/bin/sh
{mark} of {kind}: it comes with the simulated cluster, not with a site.
root=${{0%{place}/*}}
for python in {pythons}; do
    if [ -x "$python" ]; then
        exec "$python" -I -S -B "$root/{directory}" {kind} --simulated-root="$root" "$@"
    fi
done
echo "{kind}: no python3 for this stand-in" >&2
exit 127
"""
# Without a flag the real exporter listens on every address of the machine, so on every node at once.
_RUN_REAL = """\
#!/bin/sh
case "$*" in
*web.listen-address*) exec {program} "$@" ;;
*) exec {program} --web.listen-address="${{BCM_SIMULATED_ADDRESS:-}}:9100" "$@" ;;
esac
"""
_HOST_ENGINE = f"#!/bin/sh\n{STAND_IN_MARK} of nv-hostengine: it only stays alive.\nexec sleep infinity\n"


def seed_image(root: Path) -> None:
    """Make a software image of a site under `root`: accounts, units of others, exporters, BCM's directories."""
    for directory in _DIRECTORIES:
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "root").chmod(0o700)
    for link, target in _LINKS.items():
        (root / link).symlink_to(target)
    _accounts(root / "etc")
    _write(root / "usr/lib/os-release", _OS_RELEASE)
    _write(root / "usr/lib/systemd/system/nvidia-dcgm.service", _DCGM_UNIT)
    rows = (f"{name}, {kind}, {text}\n" for name, kind, text, _ in DCGM_FIELDS)
    _write(
        root / "etc/dcgm-exporter/default-counters.csv", "# DCGM FIELD, Prometheus metric type, help\n" + "".join(rows)
    )
    programs(root)


def stand_ins(root: Path) -> list[str]:
    """The relative paths of the programs in the image `root` that are stand-ins, sorted."""
    found = []
    for directory in ("usr/local/bin", "usr/local/sbin", "usr/bin", "usr/sbin"):
        for path in (root / directory).glob("*"):
            if path.is_file() and STAND_IN_MARK.encode() in path.read_bytes()[:200]:
                found.append(path.relative_to(root).as_posix())
    return sorted(found)


def programs(root: Path) -> None:
    """Put the four exporters and a host engine into the image `root`: stand-ins, but for a node_exporter that is there.

    An image that has a Python is a whole system, whose nodes run its own programs. Nodes of another run this machine's.
    """
    whole = os.path.lexists(root / PYTHON)
    pythons = f"/{PYTHON}" if whole else f"{shlex.quote(sys.executable)} /{PYTHON}"
    directory = root / STAND_INS
    shutil.rmtree(directory, ignore_errors=True)
    source = Path(standin_exporters.__file__).parent
    shutil.copytree(source, directory, ignore=shutil.ignore_patterns("__pycache__"))
    for kind in KINDS:
        place = "/usr/bin" if kind == "dcgm_exporter" else "/usr/local/bin"
        name = "dcgm-exporter" if kind == "dcgm_exporter" else kind
        text = _RUN_STAND_IN.format(mark=STAND_IN_MARK, kind=kind, place=place, pythons=pythons, directory=STAND_INS)
        if kind == "node_exporter" and (root if whole else Path("/")).joinpath(NODE_EXPORTER).exists():
            text = _RUN_REAL.format(program=f"/{NODE_EXPORTER}")
        _write(root / f"{place}/{name}".lstrip("/"), text, 0o755)
    _write(root / "usr/bin/nv-hostengine", _HOST_ENGINE, 0o755)


def _accounts(etc: Path) -> None:
    passwd, group, shadow, gshadow = [], [], [], []
    for entry in _USERS.split():
        name, number, home, shell = entry.split(":")
        passwd.append(f"{name}:x:{number}:{number}:{name}:{home}:{'/usr/sbin/nologin' if shell == '-' else shell}\n")
        group.append(f"{name if name != 'nobody' else 'nogroup'}:x:{number}:\n")
        shadow.append(f"{name}:{'*' if shell == '-' else '!'}:19905:0:99999:7:::\n")
    for entry in _GROUPS.split():
        name, number = entry.split(":")
        group.append(f"{name}:x:{number}:\n")
    gshadow = [f"{line.split(':')[0]}:*::\n" for line in group]
    _write(etc / "passwd", "".join(passwd))
    _write(etc / "group", "".join(group))
    _write(etc / "shadow", "".join(shadow), 0o640)
    _write(etc / "gshadow", "".join(gshadow), 0o640)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.unlink(missing_ok=True)  # a link of the image, which is absolute, leads out of it here
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
