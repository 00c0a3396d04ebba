"""What is sent to cmsh for work on images (bcm-facts §1.5, §1.6, §6): pure text."""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType

from bcm_jobstats.bcm.cmsh.scripts import at, command, node_list, quoted
from bcm_jobstats.bcm.entities import CATEGORY, Place
from bcm_jobstats.bcm.imagework import FULL, GRAB, GRABNEW, SYNC, UPDATE

PROPERTIES = MappingProxyType(
    {
        FULL: "excludelistfullinstall",
        SYNC: "excludelistsyncinstall",
        UPDATE: "excludelistupdate",
        GRAB: "excludelistgrab",
        GRABNEW: "excludelistgrabnew",
    }
)
"""The properties of a category that hold the exclude lists (bcm-facts §6)."""
UPDATE_PROVISIONERS = ("softwareimage", "updateprovisioners")
PROVISIONING = ("softwareimage", "provisioningstatus")
STATUS = ("device status",)
"""Of every device: a name that BCM does not know would be an error."""


def clone(source: str, target: str) -> list[str]:
    """Commands that clone an image; `-w` waits for the copy, which is made in the background (bcm-facts §1.5)."""
    return ["softwareimage", command("clone", source, target), "commit -w"]


def remove(image: str) -> list[str]:
    """Commands that remove an image, and with `-d` its directory (bcm-facts §1.5)."""
    return ["softwareimage", f"remove -d {quoted(image)}", "commit -w"]


def use(nodes: Collection[str], image: str) -> list[str]:
    """Commands that give nodes an image of their own, or none (bcm-facts §1.6: `commit` comes after foreach)."""
    inner = command("set softwareimage", image) if image else "clear softwareimage"
    return ["device", f"foreach -n {_range(nodes)} ({inner})", "commit"]


def use_in_category(category: str, image: str) -> list[str]:
    """Commands that give a category an image."""
    return [*at(Place(CATEGORY, category)), command("set softwareimage", image), "commit"]


def sync(nodes: Collection[str], *, write: bool) -> list[str]:
    """Commands that sync nodes with their images: `-w` writes, a dry run is made without; `--wait` waits."""
    return [*UPDATE_PROVISIONERS, "device", f"imageupdate{' -w' if write else ''} --wait -n {_range(nodes)}"]


def synclog(node: str) -> list[str]:
    """Commands that print what a node's last sync did: of `synclog` only the name is public (bcm-facts §6)."""
    return ["device", command("synclog", node)]


def grab(node: str, image: str, *, write: bool) -> list[str]:
    """Commands that take a node's files into an image; `-w` writes, it does not wait (bcm-facts §6)."""
    return ["device", f"grabimage{' -w' if write else ''} -i {quoted(image)} {quoted(node)}"]


def restart(nodes: Collection[str], services: Collection[str]) -> list[str]:
    """Commands that restart services on nodes (bcm-facts §1.1, §1.6)."""
    inner = "; ".join(command("restart", name) for name in services)
    return ["device", f"foreach -n {_range(nodes)} (services; {inner})"]


def reboot(nodes: Collection[str]) -> list[str]:
    """Commands that have nodes boot anew (AM11 §4.2.3)."""
    return ["device", f"reboot -n {_range(nodes)}"]


def exclude_lists(category: str) -> list[str]:
    """Commands that print the exclude lists of a category, each between two lines with the category's name."""
    gets = (text for name in PROPERTIES.values() for text in (f"get {name}", "get name"))
    return [*at(Place(CATEGORY, category)), "get name", *gets]


def effective_exclude_list(node: str, name: str) -> list[str]:
    """Commands that print an exclude list as a node has it (bcm-facts §6: `excludelist get full /`)."""
    return ["device", command("use", node), f"excludelist get {name} /"]


def save_exclude_list(category: str, name: str, file: str) -> list[str]:
    """Commands that set an exclude list to the content of a file: long texts are taken from one (bcm-facts §1.5)."""
    return [*at(Place(CATEGORY, category)), command(f"set {PROPERTIES[name]}", file), "commit"]


def _range(nodes: Collection[str]) -> str:
    return quoted(node_list(nodes))
