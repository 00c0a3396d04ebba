"""`pexec`: a shell command on nodes (AM11 §14.1.2).

Nodes and heads are directory trees of this machine, and the shell is this machine's: absolute paths in the command
that begin with one of PLACES are taken into the node's tree, all others mean this machine's own files. That is a
simplification: a path that the command puts together at run time, or reads from a file, is not seen.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

from bcm_jobstats.simulator import messages, shellish
from bcm_jobstats.simulator.cmd_device import GROUPINGS, chosen_nodes
from bcm_jobstats.simulator.options import options
from bcm_jobstats.simulator.session import Session, command

Words = tuple[str, ...]
PLACES = ("root", "etc", "var", "cm", "usr/local", "tmp")
_PATH = re.compile(rf"(?<![\w./])/(?=(?:{'|'.join(PLACES)})(?![\w.-]))")
SECONDS = 10.0
AT_ONCE = 8


@command("pexec")
def pexec(session: Session, words: Words) -> None:
    """Run a shell command as root on nodes: ``pexec -n node001,node002 "cd ; ls"``."""
    if not session.places.levels or session.places.here.mode != "device":
        raise messages.wrong_mode("pexec")
    cut = next((at for at, word in enumerate(words) if at and not words[at - 1].startswith("-") and word[:1] != "-"), 0)
    cut = cut if words[:1] and words[0].startswith("-") else 0
    found, _ = options(words[:cut], GROUPINGS)
    names = chosen_nodes(session, found, [])
    if not names or cut >= len(words):
        raise messages.usage('pexec -n <nodes> | -c <category> | -l <role> "<command>"')
    line = " ".join(words[cut:])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, output in zip(names, pool.map(lambda name: _on(session, name, line), names)):
            session.write(f"\n[{name}] :\n{output}")


def _on(session: Session, node: str, line: str) -> str:
    if node in session.daemon.nodes.down:
        return messages.node_down(node) + "\n"
    text = session.daemon.nodes.runner.shell(node, line, SECONDS)
    if text is not None:
        return text if text.endswith("\n") or not text else text + "\n"
    tree = session.daemon.tree(node)
    if tree is None:
        return messages.no_files(node) + "\n"
    home = tree / "root"
    home.mkdir(exist_ok=True)
    told = _PATH.sub(lambda found: f"{tree}/", line)
    text = shellish.run(told, home, seconds=SECONDS, environment={"HOME": str(home), "HOSTNAME": node})
    return text if text.endswith("\n") or not text else text + "\n"
