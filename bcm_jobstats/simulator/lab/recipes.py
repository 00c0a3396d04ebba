"""How a base tree of the lab is made: one shell script per release, its packages and the files that it writes.

The script leaves two directories in the one that it is given: ``node``, a whole tree (the software image of every
compute and login node), and ``head``, an overlay layer that turns it into a head node. The cache tells recipes apart
by a digest of this text (:mod:`.bases`), so that whatever is changed here makes new trees.
"""

from __future__ import annotations

import shlex

from bcm_jobstats.simulator.lab import slurmfiles

STEP = "lab-step: "
"""Begins the lines of the script's output that tell what is done."""

NODE_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "tzdata", "passwd", "iproute2", "procps", "iputils-ping", "python3", "slurmd",
    "slurm-client", "munge", "prometheus-node-exporter", "rsync", "curl", "ca-certificates", "less", "openssl",
)  # fmt: skip
HEAD_PACKAGES = (
    "slurmctld", "slurmdbd", "mariadb-server", "prometheus", "prometheus-alertmanager",
    "python3-jinja2", "python3-yaml", "python3-requests", "python3-tenacity",
)  # fmt: skip
LEFT_OUT = (
    "/usr/share/doc", "/usr/share/man", "/usr/share/info", "/usr/share/locale", "/usr/share/lintian",
    "/usr/share/javascript/moment-timezone",  # 200 MB of time zones for Prometheus' pages
)  # fmt: skip
"""What dpkg leaves out: nobody reads it on a virtual node, and it is half of the bytes."""

MASKED = (
    "getty.target",  # no console, whatever nspawn's --console is: one enters a node through its namespaces
    "systemd-logind.service",  # no sessions of users; 1.3 MiB per node, most of it written at its start
)
"""Units that something static would start. What only an enabled unit would start is merely disabled (`_PRESET`)."""

_PRESET = "disable *\n"
"""The policy by which all units are disabled while the trees are made: CMDaemon's roles start what a node needs."""
_JOURNAL = "[Journal]\nStorage=volatile\nRuntimeMaxUse=8M\nRateLimitIntervalSec=0\n"
_NO_START = "#!/bin/sh\n# No daemon starts while the tree is made.\nexit 101\n"
_MARIADB = "[Service]\nExecStart=\nExecStart=/usr/sbin/mariadbd\nExecStartPost=\n"
"""Debian's unit looks for a Galera cluster before the start, and after each one checks and upgrades the tables."""
_NO_TLS = "[mysqld]\nskip-ssl\n[client]\nskip-ssl\n"
"""MariaDB 11 would make an RSA key at each start, which takes up to a second; it listens on loopback only."""

PREPARED = {
    "etc/dpkg/dpkg.cfg.d/lab": "".join(f"path-exclude={path}/*\n" for path in LEFT_OUT),
    "etc/systemd/system-preset/00-lab.preset": _PRESET,
}
"""Files that are there before the first package is configured."""
NODE_FILES = {"etc/systemd/journald.conf.d/lab.conf": _JOURNAL}
HEAD_FILES = {
    "usr/sbin/policy-rc.d": _NO_START,  # mmdebstrap sees to that itself for the node
    "etc/mysql/mariadb.conf.d/99-lab.cnf": slurmfiles.my_cnf(),
    "etc/systemd/system/mariadb.service.d/lab.conf": _MARIADB,
    "etc/mysql/mariadb.conf.d/99-lab-start.cnf": _NO_TLS,
    "tmp/accounting.sql": slurmfiles.accounting_sql(),
}

_SCRIPT = r"""
# Arguments: the directory that receives node/ and head/. Runs in mount and process namespaces of its own.
set -eu
umask 022
cd "$1"
step() { echo "@STEP@$*"; }
put() { mkdir -p "${1%/*}"; printf %s "$2" >"$1"; }

# Debian's archive for the release is mmdebstrap's own default. Documentation is left out only from the second stage on:
# with dpkg's own options mmdebstrap filters the first stage in Python, which takes longer than to unpack it.
step "node: download and install"
@PREPARED@
mmdebstrap --quiet --variant=apt --dpkgopt=force-unsafe-io --skip=cleanup/apt \
    --aptopt='Acquire::Languages "none"' --essential-hook='cp -a node.prepared/. "$1"' \
    --include=@NODE_PACKAGES@ @RELEASE@ node

step "node: settings"
@NODE_FILES@
chroot node systemctl --quiet preset-all
chroot node systemctl --quiet mask @MASKED@
chroot node useradd --uid 2001 --user-group --create-home --shell /bin/bash alice
rm -rf node/etc/slurm node/etc/hostname
for path in @LEFT_OUT@; do rm -rf "node$path"; done
: >node/etc/machine-id
: >node/etc/resolv.conf
mkdir -p node/cm/shared node/cm/local node/cm/images node/var/spool/slurmd

step "head: download and install"
mkdir head work root
mount -t overlay overlay -o lowerdir=node,upperdir=head,workdir=work root
mount --rbind /dev root/dev
mount -t proc proc root/proc
mount --bind /etc/resolv.conf root/etc/resolv.conf
@HEAD_FILES@
chmod 755 root/usr/sbin/policy-rc.d
chroot root apt-get --quiet --quiet --yes --no-install-recommends install @HEAD_PACKAGES@
chroot root systemctl --quiet preset-all

step "head: database"
chroot root mariadbd --user=mysql --bootstrap <root/tmp/accounting.sql
umount --recursive root

step "clean up"
rm -rf head/tmp head/run head/etc/slurm head/etc/machine-id head/var/lib/dbus/machine-id node/var/lib/dbus/machine-id
for tree in node head; do
    rm -rf $tree/var/cache/apt $tree/var/cache/debconf/*-old $tree/var/lib/apt/lists
    find $tree/var/log -type f -delete
done
mkdir -p node/var/cache/apt/archives/partial node/var/lib/apt/lists/partial
rm head/usr/sbin/policy-rc.d node/etc/systemd/system-preset/00-lab.preset
touch node/etc/.updated node/var/.updated  # newer than usr/: no ldconfig and no catalogue at each boot
rm -r node.prepared work root
sync --file-system .
"""


def script(release: str) -> str:
    """The recipe of a release: a text for ``sh``, which gets the directory for the result as its argument."""
    blanks = {
        "STEP": STEP,
        "RELEASE": release,
        "NODE_PACKAGES": ",".join(NODE_PACKAGES),
        "HEAD_PACKAGES": " ".join(HEAD_PACKAGES),
        "LEFT_OUT": " ".join(LEFT_OUT),
        "MASKED": " ".join(MASKED),
        "PREPARED": _puts("node.prepared", PREPARED),
        "NODE_FILES": _puts("node", NODE_FILES),
        "HEAD_FILES": _puts("root", HEAD_FILES),
    }
    text = _SCRIPT
    for name, value in blanks.items():
        text = text.replace(f"@{name}@", value)
    return text


def _puts(tree: str, files: dict[str, str]) -> str:
    return "\n".join(f"put {tree}/{path} {shlex.quote(text)}" for path, text in files.items())
