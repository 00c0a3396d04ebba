"""Distribution packages of images as resources: exactly one version, from a file or the image's own repositories."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import elf
from bcm_jobstats.imaging.chroot import WRAPPER, Chroot
from bcm_jobstats.imaging.managers import Manager, of_tree
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.programs import PACKAGE
from bcm_jobstats.imaging.sources import package_key
from bcm_jobstats.imaging.store import FOLDER, Store, read
from bcm_jobstats.imaging.trees import MANAGED, Tree
from bcm_jobstats.imaging.unfollowed import cleared, created
from bcm_jobstats.plan.resource import Found, State

_FOLDER = "/var/tmp/bcm-jobstats-packages"  # noqa: S108 - of an image, which nobody else works in
"""Where a package's file lies while it is installed."""


class WrongPackage(JobstatsError):
    """A package's file that is not the package the site file names, or an installation that ended with another."""


class PackageProvider:
    """Resources named `tree:NAME`, with `version` and `managed`. Commands run in the image (see chroot.py)."""

    kind = PACKAGE

    def __init__(self, rank: int, rank_down: int, trees: Collection[Tree], store: Store, head: Path) -> None:
        """`head` is the prefix of the head node's own paths."""
        self.rank, self.rank_down = rank, rank_down
        self.trees = {tree.name: tree for tree in trees}
        self.store, self.head = store, head

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """See Provider. Nothing is run in an image that has none of ours and is to get none."""
        found: dict[str, Found] = {}
        for tree in self.trees.values():
            recorded = Manifest(tree.root, tree.manifest).packages
            wanted = {name.partition(":")[2] for name in names if name.startswith(f"{tree.name}:")}
            asked = sorted(wanted | set(recorded))
            versions = self._manager(tree).versions(asked) if asked else {}
            for package in asked:
                ours = package in recorded
                if package in versions:
                    found[f"{tree.name}:{package}"] = Found({"version": versions[package], MANAGED: ours}, ours=ours)
                elif ours and package not in wanted:
                    # Recorded and gone: still to be struck off the manifest.
                    found[f"{tree.name}:{package}"] = Found({"version": "", MANAGED: True}, ours=True)
        return found

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider. WrongPackage unless that very version is installed afterwards; ChrootFailed."""
        tree, package = self._split(name)
        version = after["version"]
        manager = self._manager(tree)
        manifest = Manifest(tree.root, tree.manifest)
        if after[MANAGED]:
            manifest.packages[package] = version
            manifest.save()
        manager.mend()
        if manager.versions([package]).get(package) != version:
            self._install(tree, manager, package, version)
        _clear(tree)  # also after a run that was killed
        if not after[MANAGED]:
            self._strike_off(manifest, package)

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider. What the package brought in from a repository beside itself stays: others may need it."""
        tree, package = self._split(name)
        manager = self._manager(tree)
        manager.mend()
        if package in manager.versions([package]):
            manager.remove(package)
        self._strike_off(Manifest(tree.root, tree.manifest), package)
        return None

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider. The lines open a shell in the image: the second is typed there."""
        tree, package = self._split(name)
        manager = self._manager(tree)
        enter = f"{WRAPPER} {shlex.quote(tree.shown)}"
        if after is None:
            return [enter, f"{shlex.join(manager.removing(package))}; exit"]
        file = self._file(tree, package, after["version"])
        if file is None:
            return [enter, f"{shlex.join(manager.installing(package, after['version']))}; exit"]
        inside = f"{_FOLDER}/{package}{manager.suffix}"
        copy = f"install -D -m 0644 /{FOLDER}/{file.name} {shlex.quote(tree.shown + inside)}"
        return [copy, enter, f"{shlex.join(manager.installing_file(inside))}; rm -r {_FOLDER}; exit"]

    def _install(self, tree: Tree, manager: Manager, package: str, version: str) -> None:
        file = self._file(tree, package, version)
        subject = f"package {package} {version} for software image {tree.name}"
        if file is None:
            manager.install(package, version)
        else:
            self._install_file(tree, manager, file, (package, version), subject)
        there = manager.versions([package]).get(package)
        if there != version:
            cause = f"{there or 'nothing'} is installed afterwards"
            raise WrongPackage(subject, cause, "Set `version` to the whole version, as the package manager writes it.")

    def _install_file(self, tree: Tree, manager: Manager, file: Path, wanted: tuple[str, str], subject: str) -> None:
        folder = tree.locate(_FOLDER)
        place = folder / f"{wanted[0]}{manager.suffix}"
        inside = f"{_FOLDER}/{place.name}"
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _clear(tree)
            folder.mkdir()
            folder.chmod(0o755)  # the package manager may read it as another user
            with created(place, 0o644) as copy:
                copy.writelines(read(file))
                os.fchmod(copy.fileno(), 0o644)
            told = manager.tell(inside)
            if told != wanted:
                cause = f"its file is {' '.join(told)}"
                raise WrongPackage(subject, cause, "Set `package` and `version` to what the file holds.")
            manager.install_file(inside)
        finally:
            _clear(tree)

    def _file(self, tree: Tree, package: str, version: str) -> Optional[Path]:
        """The package's file, where the site supplied one."""
        architecture = elf.of_tree(tree.root)
        sha256 = architecture and self.store.made(package_key(package, version, architecture))
        return self.store.folder / sha256 if sha256 else None

    def _manager(self, tree: Tree) -> Manager:
        return of_tree(Chroot(tree.root, self.head), tree.shown)

    def _strike_off(self, manifest: Manifest, package: str) -> None:
        manifest.packages.pop(package, None)
        manifest.drop_parents()
        manifest.save()

    def _split(self, name: str) -> tuple[Tree, str]:
        tree, _, package = name.partition(":")
        return self.trees[tree], package


def _clear(tree: Tree) -> None:
    cleared(tree.locate(_FOLDER))
