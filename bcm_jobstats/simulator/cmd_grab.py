"""`grabimage`: a node's files into a software image (bcm-facts §6)."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.cmd_device import DRY_RUN
from bcm_jobstats.simulator.options import options
from bcm_jobstats.simulator.session import Session, command

Words = tuple[str, ...]

GRAB_NEW_EXCLUDES = (
    *("/run/*", "/tmp/*", "/proc", "/sys", "/dev", "/cm/images", "/cm/shared", "/cm/node-installer", "/storage"),  # noqa: S108
    *("/var/spool/cmd/*", "/etc/resolv.conf", "/etc/hostname", "/etc/sysconfig/network-scripts/ifcfg-*"),
    *("/cm/local/apps/cmd/etc/cert.*",),
)
"""The default of excludelistgrabnew, as far as it is public (bcm-facts §6)."""
GRAB_EXCLUDES = (*GRAB_NEW_EXCLUDES, "/var/log/*")
"""The default of excludelistgrab."""


@command("grabimage")
def grab_image(session: Session, words: Words) -> None:
    """Take a node's files into its image, or with -i into another one, which is wiped; -w writes (bcm-facts §6)."""
    found, rest = options(words, {"write": "w", "image=": "i", "wait": ""})
    here, daemon = session.places.here, session.daemon
    node = rest[0] if rest else here.chosen
    if here.mode != "device" or node is None:
        raise messages.usage("grabimage [-w] [-i <image>] <node>")
    if daemon.state.table("device").get(node) is None:
        raise messages.no_such("device", node)
    name = found.get("image") or daemon.nodes.image_of(node)
    image = daemon.state.table("softwareimage").get(name)
    if image is None:
        raise messages.no_such("image", name)
    dry_run = "write" not in found
    if dry_run:
        session.write(DRY_RUN)
    excludes = GRAB_NEW_EXCLUDES if "image" in found else GRAB_EXCLUDES
    target = daemon.on_disk(str(image.values.get("path", "")))

    def work() -> None:
        daemon.events.add([f"{daemon.head}: Provisioning started on node {node}"])
        _sync(daemon.tree(node), target, excludes, dry_run=dry_run)
        daemon.events.add([f"{daemon.head}: Provisioning completed on node {node}"])

    done = daemon.start(work)
    if "wait" in found:
        done.result()
        session.write("grabimage [ COMPLETED ]\n")


def _sync(tree: Optional[Path], target: Path, excludes: tuple[str, ...], *, dry_run: bool) -> None:
    from bcm_jobstats.simulator.imagetree import sync  # paper nodes need none of it

    if tree is not None:
        sync(tree, target, dry_run=dry_run, excludes=excludes, no_new_files=())
