"""Exclude lists: what a sync between a software image and a node leaves alone (bcm-facts §6).

A list is text in rsync's filter syntax, ``- /pattern`` a line. The defaults are those of the category `default` of a
BCM 11 (source TF of bcm-facts, `category_full_schema`: path names only, order and layout are ours). That BCM 10 has the
same, and that a rule without ``- `` or ``+ `` in a role's snippet excludes, are assumptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

NO_NEW_FILES = "no-new-files:"
"""Begins a line of the second sublist: what matches and is missing is not copied either."""

FIELDS = {
    "full": "excludelistfullinstall",
    "sync": "excludelistsyncinstall",
    "update": "excludelistupdate",
    "grab": "excludelistgrab",
    "grabnew": "excludelistgrabnew",
}
"""The words of `excludelist get`, and the property of a category or node that holds the list."""
STATIC_MOUNTS = ("/cm/shared",)
"""What a node has mounted for good: NFS that is excluded automatically (bcm-facts §6)."""
FILLING = ("sync", "update")
"""The lists in which a plain rule does not keep what is missing from being copied (bcm-facts §6, source TF)."""


@dataclass(frozen=True)
class Rules:
    """A list as rsync gets it: all its rules in order, and those of them that forbid new files too.

    What matches is neither changed nor deleted. Where it is missing it is copied if the list `fills` and no rule of
    `no_new` matches.
    """

    all: tuple[str, ...] = ()
    no_new: tuple[str, ...] = ()
    fills: bool = False

    def sparing(self, *patterns: str) -> Rules:
        """The same, and nothing at all is done to these patterns."""
        more = tuple(f"- {pattern}" for pattern in patterns)
        return replace(self, all=more + self.all, no_new=more + self.no_new)


@lru_cache(maxsize=256)
def rules(word: str, text: str) -> Rules:
    """The rules of a list; `word` is one of FIELDS."""
    told = list(_lines(text))
    everything, forbidding = tuple(rule for _, rule in told), tuple(rule for fresh, rule in told if not fresh)
    return Rules(everything, forbidding, fills=word in FILLING)


def _lines(text: str) -> Iterator[tuple[bool, str]]:
    """Whether a rule lets new files be copied, and the rule."""
    for line in map(str.strip, text.splitlines()):
        forbids = line.startswith(NO_NEW_FILES)
        rule = line[len(NO_NEW_FILES) :].strip() if forbids else line
        if rule and not rule.startswith("#"):
            yield not forbids, rule if rule.startswith(("- ", "+ ")) else f"- {rule}"


def _list(note: str, paths: Iterable[str], no_new: Iterable[str] = ()) -> str:
    lines = [f"# {note} See FILTER RULES in rsync(1)."]
    lines += [f"- {path}" for path in paths]
    lines += [f"{NO_NEW_FILES} - {path}" for path in no_new]
    return "\n".join(lines) + "\n"


def _each(prefix: str, names: str, suffix: str = "") -> tuple[str, ...]:
    return tuple(f"{prefix}{name}{suffix}" for name in names.split())


_LDAP_KEYS = _each("/cm/local/apps/openldap/etc/certs/ldap.", "key pem")
_CLUSTER = ("/cm/images/*", *_each("/cm/node-installer", "/* -ebs/*"), "/cm/shared/*")
_CERTIFICATES = ("/cm/local/apps/cmd/etc/cert.*", *_LDAP_KEYS)
_INTERFACES = _each("/etc/sysconfig/network-scripts/ifcfg-", "eth* em* eno* enp* ens* enx* ib* br* bond* p*")
_NETWORK = (*_INTERFACES, "/etc/network/interfaces.d/*", "/etc/udev/rules.d/*-persistent-*")
_LVM = _each("/etc/lvm/", "archive/* backup/*")
_PACKAGE_CACHES = _each("/var/cache/", "yum/* dnf/*")
_DHCP = _each("/var/lib/", "dhclient/* dhcpcd/*")
_GRUB_FILES = _each("/boot/grub", "/device.map /grub.conf /menu.lst */device.map */grub.cfg */grubenv")
_NVIDIA = _each("", "/lib /usr/lib", "/modules/*/kernel/drivers/video/nvidia*.ko")
_PLACES = _each("/", "data home local scratch tmp", "/*")

_RC_SCRIPTS = "dhcpd maui moab munge nfs opensmd opensm pbs_mom pbs portmap rpcbind sgemaster.sge1 sgeexecd"
_WANTED = _each("/etc/systemd/system/*.wants/", f"{_RC_SCRIPTS} slurmctld slurmd slurmdbd", ".service")
_OFED = (
    *_each("/usr/", "sbin/ibpd bin/ibdev2netdev"),
    *_each("/etc/", "infiniband modprobe.d/mlx4_en.conf modprobe.d/ib*.conf rc.d/*/*openibd"),
    *_each("/etc/udev/rules.d/*-", "ibpd ib persistent-net persistent-cd", ".rules"),
    *_each("/sbin/", "connectx_port_config sysctl_perf_tuning"),
    "/var/cache/sysctl_perf_tuning",
)

_FULL = ("lost+found/", "/proc/*", "/sys/*", "/boot/efi")
_SYNC = (
    *("/.autofsck", "/boot/grub*/grub.cfg", *_LDAP_KEYS, *_PLACES),
    *_each("/var/", "log/* tmp/* spool/mail/* spool/postfix/*"),
    *_NVIDIA,
)
_SYNC_NO_NEW = (
    *("/boot/efi", "/cm/images", "/cm/shared/*", "lost+found/", "/proc/*", "/sys/*", "/tftpboot/*", "/.autorelabel"),
    *_each("/var/", "lib/logrotate.status lib/sss/* lib/systemd/random-seed spool/anacron/*"),
)
_UPDATE = (
    *("/.autofsck", "/.autorelabel", "/boot/boot", *_GRUB_FILES, "/boot/grub2", "/boot/initrd-*.orig"),
    *_each("/boot/grub*/", "fonts i386-pc locale"),
    *("/cm/local/apps/cmd/etc/*", *_LDAP_KEYS, *_PLACES, "/fhgfs/*", "/mnt/*"),
    *_each("/etc/", "aliases.db blkid/* cm/burnrc dhcpd.* exports fstab hosts HOSTNAME hostname lvm/cache/.cache"),
    *(*_LVM, *_each("/etc/", "mtab ntp.conf ntp/step-tickers openvpn pam.d/sshd postfix/main.cf reader.conf")),
    *_each("/etc/", "resolv.conf security/pam_bright.d/cm-check-alloc.conf sensors3.conf sysconfig/network"),
    *_each("/etc/", "sysconfig/network-scripts/ifcfg-* sysconfig/openib network/interfaces.d/*"),
    *(*_each("/etc/rc.d/rc*.d/*", f"{_RC_SCRIPTS} slurm slurmdbd"), *_WANTED),
    *_each("/root/", ".bash_history .modulesbeginenv .ssh/known_hosts"),
    *_each("/var/", "cache/man/* empty/* log/* net-snmp* spool/* tmp/*"),
    *(*_DHCP, *_each("/var/lib/", "dhcp/* gssproxy/default.sock logrotate.status misc/postfix.aliasesdb-stamp")),
    *_each("/var/lib/", "mlocate/* nfs/* ntp/drift ntp/proc plymouth/boot-duration postfix/master.lock random-seed"),
    *(*_OFED, *_NVIDIA),
)
_UPDATE_NO_NEW = (
    *("/boot/efi", "/cgroup/*", "/cm/images", "/cm/node-installer-ebs", "/cm/shared/*", "lost+found/", "/.autorelabel"),
    *_each("/", "dev media proc run sys tftpboot", "/*"),
    *_each("/var/", "lock/* lib/ldap/* lib/rpm/__db.* lib/sss/* lib/systemd/random-seed run/* spool/anacron/*"),
)
_GRAB_BOTH = (
    *("/.autofsck", "/boot/efi", "/cgroup/*", *_CLUSTER, *_CERTIFICATES, "lost+found/"),
    *(*_each("/etc/", "HOSTNAME hostname lvm/cache/* openvpn/* resolv.conf"), *_LVM, *_NETWORK),
    *(*_each("/", "media proc run sys tftpboot tmp", "/*"), *_PACKAGE_CACHES, *_DHCP),
    *_each("/var/lib/", "logrotate.status mlocate/* ntp/proc/* sss/* systemd/random-seed"),
    *_each("/var/", "spool/anacron/* spool/cmd/* tmp/*"),
)
_GRAB = (
    *(*_GRAB_BOTH, *_GRUB_FILES, *_each("/", "data dev fhgfs local scratch", "/*")),
    *_each("/etc/", "aliases.db blkid/* exports fstab hosts mtab ntp.conf ntp/* postfix/main.cf sysconfig/network"),
    *_each("/var/lib/", "ldap/* nfs/* ntp/drift rpm/__db.*"),
    *_each("/var/", "lock/subsys/* log/* run/*.pid run/*/*.pid spool/mail/* spool/postfix/*"),
)
_GRAB_NEW = (
    *_GRAB_BOTH,
    *_each("/dev/", ".udev/* bus/* cpu/* disk/by-id/* disk/by-path/* disk/by-uuid/* infiniband/* shm/* usbdev*"),
    "/var/log/node-installer",
)

_LEAVES = "Left alone on the node; copied where missing, but for the last."
DEFAULTS = {
    "excludelistfullinstall": _list("Not installed on the node.", _FULL),
    "excludelistsyncinstall": _list(_LEAVES, _SYNC, _SYNC_NO_NEW),
    "excludelistupdate": _list(_LEAVES, _UPDATE, _UPDATE_NO_NEW),
    "excludelistgrab": _list("Left alone in the image.", _GRAB),
    "excludelistgrabnew": _list("Left alone in the image.", _GRAB_NEW),
}
"""What a fresh category has."""
