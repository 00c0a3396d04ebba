"""What is looked at in an image after its build, before any node gets it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bcm_jobstats.imaging import capture, elf, installed, lookout, rules, unitcheck
from bcm_jobstats.imaging.chroot import ChrootFailed
from bcm_jobstats.imaging.contents import Content
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.site.versions import below
from bcm_jobstats.stack import Exporter, Stack
from bcm_jobstats.stack.files import UNITS

OK, FAILED, WARNING, NOT_RUN = "ok", "failed", "warning", "not run"
SYSTEM = 1000
"""BCM's check for rogue processes takes users with this number or a higher one for people (design §5)."""
VOLATILE = ("/run/", "/tmp/", "/var/run/", "/proc/", "/sys/", "/dev/")  # noqa: S108 - nothing is made there
KEY_TEXT = re.compile(rules.KEY.encode(), re.MULTILINE)
REMEDIES = {
    "/etc/bcm-role-monitor/": "a role monitor's key: remove it, and revoke its certificate in cmsh (cert)",
    "/var/lib/bcm-role-monitor": "what the role monitor of one node knows: remove it",
}
"""Where what is found begins -> what to do about the remains of a role monitor (peers A4 4.3 and 4.8)."""
KEY_NAMES = ("*.key", "admin.pem", "id_rsa", "id_ed25519")


@dataclass(frozen=True)
class Check:
    """One check: what it looked at, how it ended, and why; `not run` always has a reason."""

    name: str
    state: str
    detail: str = ""


def run(tree: Tree, head: Path, stack: Stack, content: Content) -> list[Check]:
    """All checks of an image. `head` is the prefix of the head node's own paths."""
    manifest = Manifest(tree.root, tree.manifest)
    exporters = {one.name: one for role in stack.roles() if role.name in content.roles for one in role.exporters}
    return [
        *_units(tree, head, manifest),
        *(_program(tree, exporter) for exporter in exporters.values()),
        _user(tree, stack, manifest),
        *_unwanted(tree, manifest),
    ]


def _units(tree: Tree, head: Path, manifest: Manifest) -> Iterator[Check]:
    units = [path for path in manifest.entries if PurePosixPath(path).parent == PurePosixPath(UNITS)]
    said, reason = unitcheck.verify(tree, head, units)
    if reason:
        yield Check("units", NOT_RUN, reason)
        return
    for unit in units:
        name = PurePosixPath(unit).name
        yield Check(f"unit {name}", FAILED if said.get(unit) else OK, "; ".join(said.get(unit, ())))


def _program(tree: Tree, exporter: Exporter) -> Check:
    """Whether a program runs in the image and is new enough."""
    name = f"program {exporter.binary}"
    program = elf.inside(tree.root, exporter.binary)
    if program is None:
        return Check(name, FAILED, "is not there")
    built, image = elf.machine(program), elf.of_tree(tree.root)
    if built and image and built != image:
        return Check(name, FAILED, f"is for {built}, and the image is for {image}")
    if image is None:
        return Check(name, NOT_RUN, "the image has no programs of its own: nothing can be run in it")
    if not exporter.version_arguments:
        return Check(name, NOT_RUN, "it cannot be asked for its version")
    try:
        version = installed.tell(tree.root, exporter)
    except ChrootFailed as error:
        return Check(name, FAILED, error.cause)
    least = exporter.minimum_version
    if version is None:
        return Check(name, NOT_RUN, f"it told no version here: no root, or the image is for {image}")
    if least and below(version, least):
        return Check(name, FAILED, f"version {version}, and at least {least} is needed")
    return Check(name, OK, f"version {version}")


def _user(tree: Tree, stack: Stack, manifest: Manifest) -> Check:
    """That the exporters' user is a system user; whoever made it."""
    name = stack.site.user.name
    file = tree.root / "etc/passwd"
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    line = next((one.split(":") for one in text.splitlines() if one.startswith(f"{name}:")), None)
    if line is None:
        wanted = "/etc/passwd" in manifest.lines
        return Check(f"user {name}", FAILED if wanted else NOT_RUN, "the image has no such user")
    number = line[2] if len(line) > 3 else ""
    system = number.isdigit() and 0 < int(number) < SYSTEM
    detail = f"number {number}" + ("" if system else f", which must be 1 to {SYSTEM - 1}")
    return Check(f"user {name}", OK if system else FAILED, detail)


def _unwanted(tree: Tree, manifest: Manifest) -> Iterator[Check]:
    """Secrets and state, by the rules of a grab."""
    there = capture.judged(lookout.of_tree(tree.root))
    secrets = {path for path, entry in manifest.entries.items() if entry["type"] == "file" and _secret(tree, path)}
    volatile = {path for path in manifest.entries if path.startswith(VOLATILE)}
    for kind, name, ours in (
        (rules.SECRET, "private keys", secrets),
        (rules.STATE, "state of a running system", volatile),
    ):
        yield from _findings(name, ours, sorted(one.path for one in there if one.kind == kind), manifest)


def _secret(tree: Tree, path: str) -> bool:
    if any(PurePosixPath(path).match(name) for name in KEY_NAMES):
        return True
    file = tree.locate(path)
    return file.is_file() and not file.is_symlink() and bool(KEY_TEXT.search(file.read_bytes()))


def _findings(name: str, ours: Iterable[str], found: Sequence[str], manifest: Manifest) -> Iterator[Check]:
    """What we wrote is our failure; what the image had before is told to whoever looks after it."""
    bad = sorted({*ours, *(path for path in found if path in manifest.entries)})
    yield Check(f"no {name}", FAILED if bad else OK, ", ".join(bad))
    before = [path for path in found if path not in bad]
    if before:
        remedies = [f"; {text}" for start, text in REMEDIES.items() if any(path.startswith(start) for path in before)]
        yield Check(f"no {name}", WARNING, f"in the image before: {', '.join(before)}{''.join(remedies)}")
