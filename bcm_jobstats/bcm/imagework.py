"""The port for work on software images: clone, grab, imageupdate, and which image a node uses (bcm-facts §6).

Apart from the port of `apply`: all of this goes through cmsh, whatever `--bcm` says; no public text has the calls of
pythoncm or JSON for it (bcm-facts §13 #10).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Optional, Protocol

FULL, SYNC, UPDATE, GRAB, GRABNEW = EXCLUDE_LISTS = ("full", "sync", "update", "grab", "grabnew")
"""The exclude lists of a category by the words of `excludelist get` (bcm-facts §6)."""


@dataclass(frozen=True)
class NodeStatus:
    """What `device status` says of a node: its state, such as UP, and the remarks behind it (bcm-facts §1.7)."""

    state: str
    remarks: tuple[str, ...] = ()

    @property
    def up(self) -> bool:
        """Whether CMDaemon sees the node up."""
        return self.state == "UP"

    @property
    def restart_required(self) -> bool:
        """Whether BCM wants the node to boot anew, as after a change of its software image."""
        return "restart-required" in self.remarks


class ImageWork(Protocol):
    """Work on images and on the nodes that use them. The number of calls does not depend on the number of nodes.

    Every method raises Unreachable or Unreadable; those that write are read back and raise Refused.
    """

    def clone(self, source: str, target: str) -> None:
        """Clone an image with its data, and wait until the copy has ended (`commit -w`); whether it is whole is the
        caller's to check. Refused when BCM does not know it afterwards."""

    def remove(self, image: str) -> None:
        """Remove an image with its data."""

    def use(self, nodes: Collection[str], image: str) -> None:
        """Give nodes a software image of their own; "": none, so that they have their category's."""

    def use_in_category(self, category: str, image: str) -> None:
        """Give a category a software image."""

    def update_provisioners(self) -> None:
        """Tell the provisioning nodes that images changed (bcm-facts §6: needed when BCM did not change them)."""

    def sync(self, nodes: Collection[str], *, write: bool) -> str:
        """`updateprovisioners`, then `imageupdate` of nodes, waited for; a dry run without `write`. Returns what cmsh
        said. What became of each node is found out by looking at it: no public text says how one that failed is told.
        BCM itself syncs no more nodes at a time than it has provisioning slots; the others wait (bcm-facts §1.7)."""

    def synclog(self, node: str) -> str:
        """What the node's last sync or grab, dry or not, would change or changed."""

    def grab(self, node: str, image: str, *, write: bool) -> str:
        """`grabimage -i`: a node's files into an image, which loses everything else that is not excluded; waited for.
        A dry run without `write`. Returns what cmsh said."""

    def restart(self, nodes: Collection[str], services: Collection[str]) -> None:
        """Restart services on nodes; a node that lacks one of them says so and the rest goes on."""

    def reboot(self, nodes: Collection[str]) -> None:
        """Have nodes boot anew; not waited for."""

    def status(self, nodes: Collection[str]) -> Mapping[str, NodeStatus]:
        """node -> its status; one that BCM does not know is left out."""

    def slots(self) -> Optional[int]:
        """How many nodes BCM provisions at a time, all provisioning nodes together; None when it does not tell."""

    def exclude_lists(self, category: str) -> Mapping[str, str]:
        """The exclude lists of a category as they are set, by the words of EXCLUDE_LISTS. Unreadable when what is told
        would not be the same if it were set again: other encodings and ends of lines, lines that look like events."""

    def effective_exclude_list(self, node: str, name: str) -> str:
        """The list that BCM would use for a node: the node's own or its category's, and the snippets of its roles."""

    def save_exclude_list(self, category: str, name: str, text: str) -> None:
        """Set an exclude list of a category."""
