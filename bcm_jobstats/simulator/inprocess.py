"""A simulated CMDaemon within this process, on paper nodes unless told: no daemon, no socket. For fast tests."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bcm_jobstats.simulator.admin import control
from bcm_jobstats.simulator.cmdaemon import CMDaemon
from bcm_jobstats.simulator.cmds import Session
from bcm_jobstats.simulator.cmha import cmha
from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.faults import DroppedError
from bcm_jobstats.simulator.ha import Heads
from bcm_jobstats.simulator.headtree import make_head, roots, seed_paper_image
from bcm_jobstats.simulator.invocation import invoke
from bcm_jobstats.simulator.layout import Layout, fresh
from bcm_jobstats.simulator.noderunner import NodeRunner, SimulatedNode
from bcm_jobstats.simulator.papernodes import PaperNodes
from bcm_jobstats.simulator.session import QuitError
from bcm_jobstats.simulator.switches import Switches


@dataclass
class Answer:
    """What one run of cmsh printed, and its exit status; None when the connection broke."""

    out: str = ""
    err: str = ""
    status: int | None = None


@dataclass
class Terminal:
    """The client's end of a run of cmsh: what it types, what it gets to see."""

    answer: Answer
    text: str = ""
    typed: list[str] = field(default_factory=list)
    tty: bool = False
    head: str = ""

    def lost(self) -> None:
        """The connection is cut; the session notices by itself."""

    def hang(self) -> None:
        """Nobody waits in a test: whoever would hang is cut off."""
        raise DroppedError

    def write(self, text: str) -> None:
        """Standard output."""
        self.answer.out += text

    def error(self, text: str) -> None:
        """Standard error."""
        self.answer.err += text

    def is_tty(self) -> bool:
        """Whether it is a terminal."""
        return self.tty

    def read_all(self) -> str:
        """Standard input."""
        return self.text

    def ask(self, prompt: str) -> str | None:
        """The next typed line; the prompt is seen with it."""
        self.answer.out += prompt
        if not self.typed:
            return None
        line = self.typed.pop(0)
        self.answer.out += line + "\n"
        return line


def _process_nodes(directory: Path, devices: Mapping[str, Entity]) -> NodeRunner:
    from bcm_jobstats.simulator.processnodes import ProcessNodes

    nodes = [
        SimulatedNode(name, str(device.values["ip"]), directory / "nodes" / name)
        for name, device in devices.items()
        if device.kind == "PhysicalNode"
    ]
    for node in nodes:
        if node.root:
            node.root.mkdir(parents=True)
    return ProcessNodes(nodes, shared=directory / "cm/shared", repair_interval=1000.0)


class InProcess:
    """A cluster on paper in a directory, with one session that stays open."""

    def __init__(
        self,
        directory: Path,
        layout: Layout | None = None,
        switches: Mapping[str, str] | None = None,
        *,
        trees: bool = False,
    ) -> None:
        """With `trees` the nodes are process nodes, with file trees, and booted; their images are small."""
        layout = layout or Layout()
        heads = roots(directory, layout.heads)
        make_head(directory, layout.profile, seed_paper_image, heads)
        state = fresh(layout)
        devices = state.table("device")
        ha = Heads(heads, directory / "cmd" / "ha.json")
        runner: NodeRunner = PaperNodes(
            [SimulatedNode(name, str(device.values["ip"])) for name, device in devices.items()]
        )
        if trees:
            runner = _process_nodes(directory, devices)
        self.daemon = CMDaemon(directory, layout.profile, state, runner, Switches(switches), ha=ha)
        if trees:
            self.daemon.nodes.boot(devices)
        self._printed: list[str] = []
        self.session = self.new_session()

    def new_session(self, *, events: bool = False) -> Session:
        """Another session; what it prints goes to `printed` too."""
        return Session(self.daemon, self._printed.append, self._printed.append, events=events)

    def printed(self) -> str:
        """What was printed since the last time."""
        text = "".join(self._printed)
        self._printed.clear()
        return text

    def run(self, line: str, session: Session | None = None) -> str:
        """What a line prints in the session that stays open, or in another."""
        with suppress(QuitError):
            (session or self.session).run_line(line)
        return self.printed()

    def settled(self) -> None:
        """Return when the nodes have followed all commits."""
        self.daemon.wait_idle()

    def cmsh(self, *argv: str, text: str = "", typed: tuple[str, ...] = (), head: str = "") -> Answer:
        """A run of cmsh (on the active head unless named) with its own session.

        `text` is its standard input, or `typed` are the lines of a terminal.
        """
        answer = Answer()
        terminal = Terminal(answer, text, list(typed), bool(typed), head)
        self.daemon.record({"argv": list(argv)})
        try:
            answer.status = invoke(self.daemon, argv, self.daemon.ha.root(head), terminal)
        except DroppedError:
            answer.status = None
        return answer

    def cmha(self, *argv: str, head: str = "") -> Answer:
        """A run of cmha, on the active head unless named."""
        answer = Answer()
        answer.status = cmha(self.daemon, argv, head or self.daemon.head, Terminal(answer))
        return answer

    def control(self, **order: object) -> object:
        """An order of the admin plane; an error in it is a ValueError."""
        told = control(self.daemon, order)
        if "error" in told:
            raise ValueError(told["error"])
        return told["result"]

    def close(self) -> None:
        """End its background work."""
        self.daemon.close()
