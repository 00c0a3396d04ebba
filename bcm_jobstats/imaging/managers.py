"""The package managers of software images: dpkg with apt, and rpm with dnf or zypper."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import elf
from bcm_jobstats.imaging.chroot import Chroot, ChrootFailed

_INSTALL = 1800.0
"""Seconds that an installation may take: a repository may be slow."""
_ASK = 120.0


class NoManager(JobstatsError):
    """A software image in which no package can be installed."""


class Manager(Protocol):
    """How packages are asked for, installed and removed in one image."""

    suffix: str
    """Of its packages' files."""

    def versions(self, packages: Collection[str]) -> Mapping[str, str]:
        """Name -> version of those that are installed whole."""

    def tell(self, file: str) -> tuple[str, str]:
        """Name and version of a package's file, by its path in the image."""

    def mend(self) -> None:
        """Bring what a killed installation left half done to its end."""

    def installing(self, package: str, version: str) -> list[str]:
        """The command that installs that version from the image's repositories."""

    def installing_file(self, file: str) -> list[str]:
        """The command that installs a package's file, without a network."""

    def removing(self, package: str) -> list[str]:
        """The command that removes a package; it fails where another one needs it."""

    def install(self, package: str, version: str) -> None:
        """Install that version from the image's repositories."""

    def install_file(self, file: str) -> None:
        """Install a package's file."""

    def remove(self, package: str) -> None:
        """Remove a package."""


def of_tree(chroot: Chroot, shown: str) -> Manager:
    """The manager of an image, by which program it has; NoManager when it has none."""
    for manager in (Apt(chroot), Rpm(chroot, "dnf"), Rpm(chroot, "zypper"), Rpm(chroot, "yum")):
        if all(elf.inside(chroot.tree, f"/usr/bin/{program}") for program in manager.programs):
            return manager
    raise NoManager(shown, "has neither apt-get, dnf, zypper nor yum", "Supply the program as `archive` or `file`.")


class Apt:
    """Debian and Ubuntu. What is installed is read from dpkg's own file: no command, no root."""

    suffix = ".deb"
    programs = ("dpkg", "apt-get")

    def __init__(self, chroot: Chroot) -> None:
        self.chroot = chroot

    def versions(self, packages: Collection[str]) -> Mapping[str, str]:
        """See Manager."""
        status = self.chroot.tree / "var/lib/dpkg/status"
        found = {}
        for stanza in status.read_text(encoding="utf-8", errors="replace").split("\n\n") if status.is_file() else ():
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
            if fields.get("Package") in packages and fields.get("Status", "").endswith(" ok installed"):
                found[fields["Package"]] = fields.get("Version", "")
        return found

    def tell(self, file: str) -> tuple[str, str]:
        """See Manager."""
        told = self.chroot.run(["dpkg-deb", "--show", "--showformat", "${Package}\n${Version}\n", file], _ASK)
        name, version = told.split()
        return name, version

    def mend(self) -> None:
        """See Manager."""
        journal = self.chroot.tree / "var/lib/dpkg/updates"
        if journal.is_dir() and any(journal.iterdir()):  # until then apt-get refuses to do anything
            self.chroot.run(["dpkg", "--configure", "--pending", "--force-confold"], _INSTALL)

    def installing(self, package: str, version: str) -> list[str]:
        """See Manager."""
        return [*_APT, "install", f"{package}={version}"]

    def installing_file(self, file: str) -> list[str]:
        """See Manager."""
        return [*_APT, *_WITHOUT_REPOSITORIES, "install", file]

    def removing(self, package: str) -> list[str]:
        """See Manager."""
        return ["dpkg", "--purge", package]

    def install(self, package: str, version: str) -> None:
        """See Manager. The lists of packages are fetched anew only when they do not know the version."""
        try:
            self.chroot.run(["apt-cache", "show", f"{package}={version}"], _ASK)
        except ChrootFailed:
            self.chroot.run(["apt-get", "--quiet", "update"], _INSTALL)
        self.chroot.run(self.installing(package, version), _INSTALL)

    def install_file(self, file: str) -> None:
        """See Manager."""
        self.chroot.run(self.installing_file(file), _INSTALL)

    def remove(self, package: str) -> None:
        """See Manager."""
        self.chroot.run(self.removing(package), _INSTALL)


_APT = [
    "apt-get",
    "--quiet",
    "--yes",
    "--allow-downgrades",
    "--no-install-recommends",
    "--option=APT::Keep-Downloaded-Packages=false",
    "--option=Dpkg::Use-Pty=0",
    "--option=Dpkg::Options::=--force-confold",
]

_WITHOUT_REPOSITORIES = [
    "--option=Dir::Etc::SourceList=/dev/null",
    "--option=Dir::Etc::SourceParts=/dev/null",
    "--option=Dir::Cache::pkgcache=",
    "--option=Dir::Cache::srcpkgcache=",
]
"""What a file needs must be there already. (--no-download cannot cope with files.)"""


class Rpm:
    """RHEL and its kin with dnf or yum, SLES with zypper. Versions are `VERSION-RELEASE`, with `EPOCH:` if there is
    one."""

    suffix = ".rpm"

    def __init__(self, chroot: Chroot, tool: str) -> None:
        self.chroot, self.tool = chroot, tool
        self.programs = ("rpm", tool)

    def versions(self, packages: Collection[str]) -> Mapping[str, str]:
        """See Manager."""
        told = self.chroot.run(["rpm", "--query", "--all", "--queryformat", f"%{{NAME}} {_EVR}\\n"], _ASK)
        pairs = (line.split() for line in told.splitlines())
        return {pair[0]: _plain(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] in packages}

    def tell(self, file: str) -> tuple[str, str]:
        """See Manager."""
        told = self.chroot.run(["rpm", "--query", "--queryformat", f"%{{NAME}} {_EVR}\\n", "--package", file], _ASK)
        name, version = told.split()
        return name, _plain(version)

    def mend(self) -> None:
        """See Manager. rpm notes a package as installed only when it is."""

    def installing(self, package: str, version: str) -> list[str]:
        """See Manager."""
        if self.tool == "zypper":
            return ["zypper", "--non-interactive", "install", "--oldpackage", f"{package}={version}"]
        return [self.tool, "--assumeyes", "install", f"{package}-{version}"]

    def installing_file(self, file: str) -> list[str]:
        """See Manager."""
        return ["rpm", "--upgrade", "--oldpackage", "--replacepkgs", file]

    def removing(self, package: str) -> list[str]:
        """See Manager."""
        return ["rpm", "--erase", package]

    def install(self, package: str, version: str) -> None:
        """See Manager."""
        self.chroot.run(self.installing(package, version), _INSTALL)

    def install_file(self, file: str) -> None:
        """See Manager. Its signature is not asked for: its sha256 was checked."""
        self.chroot.run(self.installing_file(file), _INSTALL)

    def remove(self, package: str) -> None:
        """See Manager."""
        self.chroot.run(self.removing(package), _INSTALL)


_EVR = "%{EPOCH}:%{VERSION}-%{RELEASE}"


def _plain(version: str) -> str:
    """Without an epoch that is not there, as rpm's own file names and repositories' lists show it."""
    epoch, _, rest = version.partition(":")
    return rest if epoch in {"(none)", "0"} else version
