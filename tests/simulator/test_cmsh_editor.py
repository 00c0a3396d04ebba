"""A bare `set` of a long text opens an editor: cmsh hangs until its client goes away (bcm-facts §1.5, §11.12)."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from threading import Thread

import pytest

from bcm_jobstats.simulator import Simulator
from bcm_jobstats.simulator.faults import DroppedError
from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.server import Connection

EDIT = "device get dgx-01 category; category; use login; set excludelistgrab; set notes x; commit"


def test_a_session_at_an_editor_ends_with_its_client(cluster: InProcess) -> None:
    cluster.control(op="switch", name="uncommitted", value="keep")
    before = cluster.daemon.state.to_json()
    ours, theirs = socket.socketpair()
    ended: list[str] = []

    def serve() -> None:
        with theirs:
            try:
                Connection(theirs, cluster.daemon).serve()
            except DroppedError:
                ended.append("dropped")

    session = Thread(target=serve)
    session.start()
    with ours:
        first = {"argv": ["-n", "-c", EDIT], "cwd": str(cluster.daemon.directory), "tty": False}
        ours.sendall(json.dumps(first).encode() + b"\n")
        assert json.loads(ours.makefile("r").readline()) == {"out": "dgx-h100\n"}
        ours.shutdown(socket.SHUT_RDWR)
    session.join(30)
    assert (session.is_alive(), ended) == (False, ["dropped"])
    assert cluster.daemon.state.to_json() == before


@pytest.mark.slow
def test_a_client_that_waits_for_a_bounded_time_notices(tmp_path: Path) -> None:
    """bcm-facts §1.5, §11 #12."""
    simulator = Simulator.start(tmp_path, node_kind="paper")
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(
                [simulator.cmsh, "-n", "-c", EDIT],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=1,
                check=False,
            )
        done = subprocess.run(
            [simulator.cmsh, "-n", "-c", "category; get login notes; modified"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "\nNo modified objects of type category\n"
    finally:
        simulator.stop()
    assert not simulator.running
