"""`grabimage`: a node's files into a software image (bcm-facts §6).

Both forms are syncs that delete what the node does not have; they differ in the exclude list and in the image. That
the gentle one deletes too is an assumption: its list is the longer one.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.cmd_device import DRY_RUN
from bcm_jobstats.simulator.excludelists import Rules
from bcm_jobstats.simulator.options import options
from bcm_jobstats.simulator.session import Session, command
from bcm_jobstats.simulator.treesync import sync_tree

Words = tuple[str, ...]


@command("grabimage")
def grab_image(session: Session, words: Words) -> None:
    """Take a node's files into the image that it has, or with -i into another one, which is wiped; -w writes."""
    found, rest = options(words, {"write": "w", "image=": "i", "wait": ""})
    here, daemon = session.places.here, session.daemon
    node = rest[0] if rest else here.chosen
    if here.mode != "device" or node is None:
        raise messages.usage("grabimage [-w] [-i <image>] <node>")
    if daemon.state.table("device").get(node) is None:
        raise messages.no_such("device", node)
    provisioning = daemon.nodes.provisioning
    name = found.get("image") or provisioning.image_on.get(node) or daemon.nodes.image_of(node)
    image = daemon.state.table("softwareimage").get(name)
    if image is None:
        raise messages.no_such("image", name)
    dry_run = "write" not in found
    if dry_run:
        session.write(DRY_RUN)
    tree, target = daemon.tree(node), daemon.on_disk(str(image.values.get("path", "")))
    sync = partial(_sync, tree, target, dry_run=dry_run)
    word = "grabnew" if "image" in found else "grab"

    def work() -> None:
        provisioning.grab(daemon.head, node, word, sync, down=node in daemon.nodes.down)

    done = daemon.start(work)
    if "wait" in found:
        done.result()
        session.write("grabimage [ COMPLETED ]\n")


def _sync(tree: Path | None, target: Path, rules: Rules, *, dry_run: bool) -> list[str]:
    """A node on paper has no files, and changes nothing."""
    return sync_tree(tree, target, rules, dry_run=dry_run) if tree is not None else []
