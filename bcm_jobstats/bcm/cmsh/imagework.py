"""Work on software images through cmsh."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Optional

from bcm_jobstats.bcm.cmsh import answers, imagescripts, provisioning, reading
from bcm_jobstats.bcm.cmsh.provisioning import LONG
from bcm_jobstats.bcm.cmsh.scripts import node_list
from bcm_jobstats.bcm.cmsh.talk import Said, Talk
from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.bcm.errors import Refused, Unreachable, Unreadable
from bcm_jobstats.bcm.imagework import EXCLUDE_LISTS, ImageWork, NodeStatus

SLOW = 3600.0
"""Seconds that orders for many nodes may take at least."""
AGAIN = "Cure the cause and run the command again: it goes on here."


class CmshImageWork(Talk, ImageWork):
    """See ImageWork. A fixed number of cmsh processes for each method, whatever the number of nodes."""

    def clone(self, source: str, target: str) -> None:
        """See ImageWork. Three processes. Raises Unreachable when the connection is lost while BCM copies: the image is
        there, and the copy may go on. BCM gives the clone a directory of its own (capability clone-path)."""
        subject = f"software image {target}"
        script = imagescripts.clone(source, target)
        if target in self._objects().images:
            raise Refused(subject, "is there already", "Remove it, or name another one.")
        said = self.attempt(script, LONG)
        images = self._objects().images
        self._check(subject, said, took=target in images)
        if source in images and images[target].path == images[source].path:
            cause = f"BCM gave it the directory of {source}, {images[target].path}"
            raise Refused(subject, cause, "Remove it in cmsh, WITHOUT -d, and clone it by hand with a path of its own.")
        if not said.complete:
            cause = f"nobody knows whether its copy has ended: {said.words}"
            raise Unreachable(subject, cause, "Wait until BCM has copied it, then run the command again.")

    def remove(self, image: str) -> None:
        """See ImageWork. Two processes; one that BCM does not know is as good as removed."""
        said = self.attempt(imagescripts.remove(image), LONG)
        self._check(f"software image {image}", said, took=image not in self._objects().images)

    def use(self, nodes: Collection[str], image: str) -> None:
        """See ImageWork. Two processes."""
        if not nodes:
            return
        said = self.attempt(imagescripts.use(nodes, image), SLOW)
        cluster = self._objects()
        wrong = [name for name in nodes if not _uses(cluster, name, image, said)]
        what = f"software image of {node_list(wrong or nodes)}"
        self._check(what, said, took=not wrong)

    def use_in_category(self, category: str, image: str) -> None:
        """See ImageWork. Two processes."""
        said = self.attempt(imagescripts.use_in_category(category, image))
        found = self._objects().categories.get(category)
        self._check(f"software image of category {category}", said, took=found is not None and found.image == image)

    def update_provisioners(self) -> None:
        """See ImageWork. One process; nothing tells of it afterwards but that cmsh went on."""
        self._finished("updateprovisioners", self.order(imagescripts.UPDATE_PROVISIONERS))

    def sync(self, nodes: Collection[str], *, write: bool) -> str:
        """See ImageWork. One process; where cmsh did not tell the end of the work on every node, BCM is asked until it
        is idle with them. That they are as the image is for the caller to see."""
        if not nodes:
            return ""
        said = self.order(imagescripts.sync(nodes, write=write), LONG)
        if not said.complete or not _is_over(said.text, nodes):
            provisioning.wait(self, nodes, "imageupdate")
        return said.text

    def synclog(self, node: str) -> str:
        """See ImageWork. One process."""
        return self.told(f"synclog of {node}", imagescripts.synclog(node))

    def grab(self, node: str, image: str, *, write: bool) -> str:
        """See ImageWork. BCM is asked until it is idle (capability grab-wait); the number of questions depends on time
        alone."""
        said = self.order(imagescripts.grab(node, image, write=write), LONG)
        self._finished(f"grabimage of {node}", said)
        provisioning.wait(self, [node], "grabimage")
        return said.text

    def restart(self, nodes: Collection[str], services: Collection[str]) -> None:
        """See ImageWork. One process."""
        if nodes and services:
            said = self.order(imagescripts.restart(nodes, services), LONG, stop=False)
            self._finished("restart of services", said)

    def reboot(self, nodes: Collection[str]) -> None:
        """See ImageWork. One process."""
        if nodes:
            self._finished("reboot", self.order(imagescripts.reboot(nodes)))

    def status(self, nodes: Collection[str]) -> Mapping[str, NodeStatus]:
        """See ImageWork. One process."""
        told = provisioning.status(self.lines(imagescripts.STATUS))
        return {name: told[name] for name in nodes if name in told}

    def slots(self) -> Optional[int]:
        """See ImageWork. One process."""
        return provisioning.ask(self).slots

    def exclude_lists(self, category: str) -> Mapping[str, str]:
        """See ImageWork. One process."""
        subject = f"exclude lists of category {category}"
        lines = self.told(subject, imagescripts.exclude_lists(category), verbatim=True).split("\n")
        marks = [number for number, line in enumerate(lines) if line.strip() == category]
        if len(marks) != len(EXCLUDE_LISTS) + 1 or any(line.strip() for line in lines[: marks[0]]):
            told = " / ".join(line.strip() for line in lines if line.strip())
            cause = f"cmsh printed something else than its exclude lists: {told:.200}"
            raise Unreadable(f"category {category}", cause, answers.AGAIN)
        texts = [_text(lines[start + 1 : end]) for start, end in zip(marks, marks[1:])]
        return dict(zip(imagescripts.PROPERTIES, texts))

    def effective_exclude_list(self, node: str, name: str) -> str:
        """See ImageWork. One process."""
        subject = f"exclude list {name} of {node}"
        return _text(self.told(subject, imagescripts.effective_exclude_list(node, name)).split("\n"))

    def save_exclude_list(self, category: str, name: str, text: str) -> None:
        """See ImageWork. Two processes. The text goes through a file that only we can read, and that is gone then."""
        with NamedTemporaryFile("w", prefix="bcm-jobstats-", suffix=".txt", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            said = self.attempt(imagescripts.save_exclude_list(category, name, str(Path(file.name).resolve())))
        told = self.exclude_lists(category)[name]
        self._check(f"exclude list {name} of category {category}", said, took=told == _text(text.split("\n")))

    def _objects(self) -> Cluster:
        return reading.objects(self.ask(reading.OBJECTS))

    @staticmethod
    def _check(subject: str, said: Said, *, took: bool) -> None:
        if not took:
            raise Refused(subject, f"BCM did not take the change: {said.words}", AGAIN)

    @staticmethod
    def _finished(subject: str, said: Said) -> None:
        if not said.complete:
            raise Refused(subject, f"cmsh did not come to its end: {said.words}", AGAIN)


def _is_over(text: str, nodes: Collection[str]) -> bool:
    """Whether `imageupdate --wait` told that it ended on all nodes: with the line of newer versions at its end, or one
    for each node (bcm-facts §6, both forms)."""
    lines = [line.strip() for line in text.lower().splitlines() if line.strip()]
    ended = {line.rpartition(" ")[2] for line in lines if "completed on node " in line}
    newer = bool(lines) and "imageupdate" in lines[-1] and "completed" in lines[-1]
    return newer or ended.issuperset(name.lower() for name in nodes)


def _uses(cluster: Cluster, name: str, image: str, said: Said) -> bool:
    """Whether a node has an image of its own, or for "" none. One that it has from its category may be listed as if it
    were its own (capability inherited-image): without an error that is none."""
    node = cluster.nodes.get(name)
    if node is None or node.image == image:
        return node is not None
    category = cluster.categories.get(node.category)
    return not image and said.complete and category is not None and node.image == category.image


def _text(lines: list[str]) -> str:
    """A long text as `get` printed it, without the empty lines around it; "" when there is none."""
    text = "\n".join(lines).strip("\n")
    return f"{text}\n" if text else ""
