"""What is sent to cmsh: pure text, the same for `apply` and for `plan --format cmsh`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from bcm_jobstats.bcm.entities import CATEGORY, NODE, OVERLAY, GenericRole, Overlay, Place, Service
from bcm_jobstats.bcm.errors import UnsafeName
from bcm_jobstats.site.noderange import fold

MODES = {OVERLAY: "configurationoverlay", CATEGORY: "category", NODE: "device"}
# Nothing that cmsh gives a meaning to: ; quotes backquote ! | > < ( ) $ \ * newline (bcm-facts §1.2).
# A minus sign at the beginning makes an option of it: `remove -d` (bcm-facts §1.5).
SAFE = re.compile(r"(?!-)[A-Za-z0-9_.:@+/=,%\[\]-]+( [A-Za-z0-9_.:@+/=,%\[\]-]+)*")
SEVERAL = re.compile(r"[ ,\[\]]|\.\.")
"""What makes several values of one where cmsh takes a list (bcm-facts §1.2, §1.5)."""
SHELL = re.compile(r"(?!-)[^\"\\`\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")


def can_be_sent(value: str) -> bool:
    """Whether a value means only itself to cmsh."""
    return bool(SAFE.fullmatch(value))


def quoted(value: str) -> str:
    """`value` as one cmsh argument; UnsafeName when it could end the argument, start a command or be an option."""
    if not can_be_sent(value):
        remedy = "Use letters, digits and . _ - : @ + / = , only, and no - at the beginning."
        raise UnsafeName(repr(value), "has characters that have a meaning to cmsh", remedy)
    return f'"{value}"'


def one(value: str) -> str:
    """`value` as one cmsh argument where cmsh takes a list; UnsafeName when it would be several, or a range."""
    if SEVERAL.search(value):
        raise UnsafeName(repr(value), "means several values to cmsh", "Rename it: no blank, comma, [ ] or .. in it.")
    return quoted(value)


def node_list(names: Iterable[str]) -> str:
    """Nodes as BCM writes them: `dgx-01..dgx-04,dgx-07` (bcm-facts §1.2; its brackets hold one range, never a list).

    UnsafeName when a name among them would be read as something else.
    """
    parts = []
    plain_names = [one(name)[1:-1] for name in names]
    for prefix, ranges, plain in re.findall(r"([^,\[\]]*)\[([^\]]*)\]|([^,]+)", fold(plain_names)):
        ends = [item.split("-") for item in ranges.split(",")] if ranges else [[plain]]
        parts += ["..".join(f"{prefix}{end}" for end in item) for item in ends]
    return ",".join(parts)


def command(word: str, *arguments: str) -> str:
    """One cmsh command; `word` is ours, every argument is quoted."""
    return " ".join([word, *map(quoted, arguments)])


def at(where: Place, submode: str = "") -> list[str]:
    """Commands that go to a place, or to its `roles` or `services`."""
    path = [MODES[where.kind], command("use", where.name)]
    return [*path, submode] if submode else path


def save_overlay(before: Optional[Overlay], after: Overlay) -> list[str]:
    """Commands that create or change an overlay and commit; only the fields that differ are set."""
    old = before or Overlay(after.name, priority=-2)
    script = ["configurationoverlay", command("use" if before else "add", after.name)]
    if after.priority != old.priority:
        script.append(f'set priority "{after.priority:d}"')
    if after.all_head_nodes != old.all_head_nodes:
        script.append(command("set allheadnodes", _yes(after.all_head_nodes)))
    if after.nodes != old.nodes:
        script.append(command("set nodes", node_list(after.nodes)) if after.nodes else "clear nodes")
    if after.categories != old.categories:
        script.append(_set_list("categories", after.categories))
    if after.revision != old.revision:
        script.append(_set_text("revision", after.revision))
    return [*script, "commit"]


def remove_overlay(name: str) -> list[str]:
    """Commands that remove an overlay and commit."""
    return ["configurationoverlay", command("remove", name), "commit"]


@dataclass(frozen=True)
class AssignForm:
    """One way to write `assign` for a new generic role: with its full name, or with a type word and the bare name."""

    type: str = ""

    def command(self, role: str) -> str:
        """The command for `generic::NAME`."""
        return f"assign {self.type} {quoted(role.partition('::')[2])}" if self.type else command("assign", role)


FULL_NAME = AssignForm()
"""`assign generic::NAME`: what the names of NVIDIA's own generic roles suggest, confirmed nowhere (bcm-facts §3.2)."""
TYPE_WORD = re.compile(r"\bgeneric\w*\b(?!::)", re.IGNORECASE)


def assign_forms(help_text: str) -> list[AssignForm]:
    """The other forms that `help assign` suggests: each word in it that begins with `generic` may be a type."""
    return [AssignForm(word) for word in dict.fromkeys(TYPE_WORD.findall(help_text))]


def save_role(
    where: Place, before: Optional[GenericRole], after: GenericRole, form: AssignForm = FULL_NAME
) -> list[str]:
    """Commands that assign or change a generic role and commit.

    Whether `assign` enters the role is not documented, so the script goes to it from the top.
    """
    script = []
    if before is None:
        script = [*at(where, "roles"), form.command(after.name), "home"]
    script += [*at(where, "roles"), command("use", after.name)]
    if before is None or before.services != after.services:
        script.append(_set_list("services", after.services))
    if before is None or before.revision != after.revision:
        script.append(_set_text("revision", after.revision))
    return [*script, "commit"]


def remove_role(where: Place, name: str) -> list[str]:
    """Commands that unassign a role and commit."""
    return [*at(where, "roles"), command("unassign", name), "commit"]


def save_service(where: Place, before: Optional[Service], after: Service) -> list[str]:
    """Commands that add or change a service and commit."""
    script = [*at(where, "services"), command("use" if before else "add", after.name)]
    script.append(command("set monitored", _yes(after.monitored)))
    script.append(command("set autostart", _yes(after.autostart)))
    script.append(_set_text("revision", after.revision))
    return [*script, "commit"]


def remove_service(where: Place, name: str) -> list[str]:
    """Commands that remove a service and commit; with autostart on, CMDaemon stops it first (bcm-facts §3.3)."""
    return [*at(where, "services"), command("remove", name), "commit"]


def update_nodes(category: str) -> list[str]:
    """Commands that sync a category's nodes with their image; `-w` writes, `--wait` waits (bcm-facts §6).

    `updateprovisioners` first: an image changed a moment ago may be skipped otherwise (bcm-facts §6).
    """
    return ["softwareimage", "updateprovisioners", "device", f"imageupdate -w --wait -c {one(category)}"]


def restart_services(category: str, services: Iterable[str]) -> list[str]:
    """Commands that restart services on every node of a category (bcm-facts §1.1, §1.6)."""
    inner = "; ".join(command("restart", name) for name in services)
    return ["device", f"foreach -c {one(category)} (services; {inner})"]


def execute(nodes: Iterable[str], command: str) -> list[str]:
    """Commands that have CMDaemon run a shell command on nodes (AM11 §14.1.2); UnsafeName when it cannot be quoted."""
    if not SHELL.fullmatch(command):
        raise UnsafeName(repr(command), "cannot stand between cmsh's double quotes", "This is a bug: report it.")
    return ["device", f'pexec -n {quoted(node_list(nodes))} "{command}"']


def _set_list(name: str, values: Iterable[str]) -> str:
    # A bare `set` may open an editor (bcm-facts §1.5): an empty list is cleared.
    items = list(values)
    return " ".join([f"set {name}", *map(one, items)]) if items else f"clear {name}"


def _set_text(name: str, value: str) -> str:
    return command(f"set {name}", value) if value else f"clear {name}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
