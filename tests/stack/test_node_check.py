"""scripts/node-check, run for real in a directory that stands for a node, with stand-ins for systemd's programs."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats import data

SCRIPT = data.path("scripts") / "node-check"
# What a stand-in of systemctl knows of a unit is a file with its properties; `start` takes over NAME.started.
SYSTEMCTL = """\
#!/bin/bash
echo "$*" >>"$STAND_IN/calls"
unit=$STAND_IN/${2%.service}
case $1 in
    show) cat "$unit" 2>/dev/null || printf 'LoadState=not-found\\nActiveState=inactive\\n' ;;
    start) [[ ! -e $unit.started ]] || cp "$unit.started" "$unit" ;;
    stop) printf 'LoadState=loaded\\nActiveState=inactive\\n' >"$unit" ;;
    is-active) grep -qs '^ActiveState=active$' "$STAND_IN/${3%.service}" ;;
esac
"""
JOURNALCTL = "#!/bin/sh\nprintf 'first of %s\\nbind: address already in use\\n' \"$2\"\n"


class Node:
    """A node's root directory."""

    def __init__(self, tmp: Path) -> None:
        self.root, self.stand_in = tmp / "root", tmp / "stand-in"
        (self.root / "run/systemd/system").mkdir(parents=True)
        self.stand_in.mkdir()
        for name, text in (("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL), ("systemd-run", "#!/bin/sh\n")):
            self.program(self.stand_in / name, text)

    @staticmethod
    def program(path: Path, text: str, mode: int = 0o755) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def unit(self, name: str, active: str = "active", seconds: float = 60, restarts: int = 0, sub: str = "x") -> str:
        """A unit that has been in its state for so long."""
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        since = int((uptime - seconds) * 1_000_000)
        text = f"LoadState=loaded\nActiveState={active}\nSubState={sub}\nResult=exit-code\nNRestarts={restarts}\n"
        (self.stand_in / name).write_text(text + f"ActiveEnterTimestampMonotonic={since}\n")
        return name

    def run(self, *words: str) -> list[str]:
        """What the script prints."""
        environment = {"PATH": f"{self.stand_in}:{os.environ['PATH']}", "STAND_IN": str(self.stand_in)}
        done = subprocess.run(
            ["/bin/bash", str(SCRIPT), *words],
            cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert lines[-1] == "end"
        return lines[:-1]

    def calls(self, word: str) -> list[str]:
        """What systemctl was told with this word."""
        file = self.stand_in / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if line.split()[0] == word]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(b"up 1\n" * 10_000)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def closed_port() -> int:
    """A port on which nothing listens."""
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        return server.server_port


def test_a_service_that_settled_and_answers(node: Node, port: int) -> None:
    node.unit("exporter")
    node.unit("target")
    assert node.run("check", "20", "5", f"service=exporter:{port}", "service=target:-") == ["ok exporter", "ok target"]


def test_an_exporter_that_does_not_answer(node: Node) -> None:
    node.unit("exporter")
    port = closed_port()
    told = node.run("check", "20", "5", f"service=exporter:{port}")
    assert told[0] == f"fail exporter: it runs, but port {port} does not answer"
    assert told[1:] == ["log exporter: first of exporter.service", "log exporter: bind: address already in use"]


FAILING = {
    "failed": ({"active": "failed"}, "it failed (exit-code)"),
    "again and again": (
        {"active": "activating", "restarts": 2, "seconds": 1},
        "it ends again and again (2 restarts)",
    ),
}


@pytest.mark.parametrize(("state", "why"), FAILING.values(), ids=FAILING)
def test_a_service_that_fails_is_told_at_once_with_its_journal(node: Node, state: dict[str, object], why: str) -> None:
    node.unit("exporter", **state)  # type: ignore[arg-type]
    assert node.run("check", "20", "100", "service=exporter:1")[:2] == [
        f"fail exporter: {why}",
        "log exporter: first of exporter.service",
    ]


WAITING = {
    "young": ({"seconds": 3}, "it has been active for less than 20 s"),
    "starting": ({"active": "activating", "sub": "auto-restart", "restarts": 1}, "it is activating (auto-restart)"),
    "not started": ({"active": "inactive", "sub": "dead"}, "it is inactive (dead)"),
}


@pytest.mark.parametrize(("state", "why"), WAITING.values(), ids=WAITING)
def test_what_is_not_settled_is_waited_for_and_then_a_failure(node: Node, state: dict[str, object], why: str) -> None:
    node.unit("exporter", **state)  # type: ignore[arg-type]
    assert node.run("check", "20", "0", "service=exporter:1") == [f"wait exporter: {why}"]
    assert node.run("check", "20", "0", "last", "service=exporter:1")[0] == f"fail exporter: {why}"


def test_it_waits_on_the_node_itself(node: Node, port: int) -> None:
    node.unit("exporter", seconds=0)
    assert node.run("check", "1", "10", f"service=exporter:{port}") == ["ok exporter"]


def test_a_unit_that_is_not_there(node: Node) -> None:
    assert node.run("check", "1", "10", "service=exporter:1")[0] == "fail exporter: there is no unit exporter.service"


def test_a_failure_ends_the_wait_for_others(node: Node) -> None:
    node.unit("young", seconds=1)
    told = node.run("check", "20", "100", "program=usr/bin/none", "service=young:1")
    assert told == [
        "fail /usr/bin/none: there is no such program, or it may not be run",
        "unchecked young: it has been active for less than 20 s",
    ]


def test_a_node_without_systemd_says_so(node: Node) -> None:
    (node.root / "run/systemd/system").rmdir()
    assert node.run("check", "1", "1", "service=exporter:1") == ["unchecked exporter: this node runs no systemd"]
    assert node.run("reload", "exporter:etc/x") == ["unchecked reload: this node runs no systemd"]


PROGRAMS = {
    "runs": ("#!/bin/sh\n[ $1 = --version ]\n", 0o755, "ok /usr/bin/x"),
    "no mode": ("#!/bin/sh\n", 0o644, "fail /usr/bin/x: there is no such program, or it may not be run"),
    "fails": ("#!/bin/sh\necho no; exit 3\n", 0o755, "fail /usr/bin/x: --version ends with status 3: no"),
}


@pytest.mark.parametrize(("text", "mode", "told"), PROGRAMS.values(), ids=PROGRAMS)
def test_programs(node: Node, text: str, mode: int, told: str) -> None:
    node.program(node.root / "usr/bin/x", text, mode)
    assert node.run("check", "1", "1", "program=usr/bin/x,--version") == [told]


def test_a_program_of_another_architecture_is_called_that(node: Node) -> None:
    file = node.root / "usr/bin/x"
    node.program(file, "")
    machine = 0x3E if os.uname().machine != "x86_64" else 0xB7
    file.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + bytes([machine, 0]) + bytes(44))
    (told,) = node.run("check", "1", "1", "program=usr/bin/x,--version")
    assert told.startswith("fail /usr/bin/x: --version ends with status 126: it is for another architecture (")
    assert "Exec format error" in told


def test_help_may_end_with_2(node: Node) -> None:
    node.program(node.root / "usr/bin/x", "#!/bin/sh\nexit 2\n")
    assert node.run("check", "1", "1", "program=usr/bin/x,-h") == ["ok /usr/bin/x"]


def test_a_program_that_cannot_be_asked(node: Node) -> None:
    node.program(node.root / "usr/bin/x", "#!/bin/sh\nexit 9\n")
    assert node.run("check", "1", "1", "program=usr/bin/x") == ["ok /usr/bin/x"]


def test_links(node: Node) -> None:
    """Absolute targets are the node's, wherever its root is."""
    node.program(node.root / "cm/shared/prolog.sh", "")
    node.program(node.root / "cm/shared/plain.sh", "", 0o644)
    folder = node.root / "prologs"
    folder.mkdir()
    for name, target in {
        "absolute": "/cm/shared/prolog.sh",
        "relative": "../cm/shared/prolog.sh",
        "twice": "absolute",
        "plain": "/cm/shared/plain.sh",
        "nowhere": "/cm/shared/none.sh",
        "circle": "circle",
    }.items():
        (folder / name).symlink_to(target)
    (folder / "no-link").touch()
    names = ("absolute", "relative", "twice", "plain", "nowhere", "circle", "no-link", "none")
    told = node.run("check", "1", "1", *(f"link=prologs/{name}" for name in names))
    assert [line.split(":")[0] for line in told] == [
        *(f"ok /prologs/{name}" for name in names[:3]),
        *(f"fail /prologs/{name}" for name in names[3:]),
    ]


def test_a_trial_starts_watches_and_stops(node: Node, port: int) -> None:
    node.unit("exporter")
    (node.stand_in / "exporter").rename(node.stand_in / "exporter.started")
    assert node.run("check", "20", "5", f"trial=exporter:{port}") == ["ok exporter"]
    assert [line for word in ("start", "stop") for line in node.calls(word)] == [
        "start exporter.service",
        "stop exporter.service",
        "stop bcm-jobstats-trial-exporter.timer",
    ]
    assert not (node.root / "run/bcm-jobstats-trial").exists()


def test_a_trial_goes_on_over_several_calls(node: Node, port: int) -> None:
    node.unit("exporter", seconds=0)
    (node.stand_in / "exporter").rename(node.stand_in / "exporter.started")
    words = (f"trial=exporter:{port}",)
    assert node.run("check", "20", "0", *words) == ["wait exporter: it has been active for less than 20 s"]
    assert node.calls("stop") == []
    node.unit("exporter", seconds=30)
    assert node.run("check", "20", "0", *words) == ["ok exporter"]
    assert len(node.calls("start")) == 1 and node.calls("stop")


def test_a_trial_that_fails_is_stopped_too(node: Node) -> None:
    node.unit("exporter", "failed")
    (node.stand_in / "exporter").rename(node.stand_in / "exporter.started")
    assert node.run("check", "20", "5", "trial=exporter:1")[0] == "fail exporter: it failed (exit-code)"
    assert "stop exporter.service" in node.calls("stop")
    assert not (node.root / "run/bcm-jobstats-trial").exists()


def test_a_trial_never_stops_what_ran_before(node: Node, port: int) -> None:
    node.unit("exporter")
    assert node.run("check", "20", "5", f"trial=exporter:{port}") == ["ok exporter"]
    assert node.calls("start") == node.calls("stop") == []


AGENT = "bcm-role-monitor"


def test_what_the_role_monitor_runs_is_looked_at_and_what_it_does_not_is_no_failure(node: Node, port: int) -> None:
    """Neither is started: the agent alone says what runs."""
    node.unit(AGENT)
    node.unit("runs"), node.unit("rests", "inactive")
    told = node.run("check", "20", "5", f"kept=runs:{port}:{AGENT}", f"kept=rests:1:{AGENT}")
    assert told == ["ok runs", f"unchecked rests: {AGENT} does not run it here"]
    assert node.calls("start") == []
    node.unit("fails", "failed")
    assert node.run("check", "20", "5", f"kept=fails:1:{AGENT}")[0] == "fail fails: it failed (exit-code)"
    assert node.run("check", "20", "5", f"kept=none:1:{AGENT}")[0] == "fail none: there is no unit none.service"


def test_nothing_is_said_of_exporters_before_their_role_monitor_has_settled(node: Node) -> None:
    """It may be about to start what is not running yet."""
    node.unit(AGENT, seconds=3)
    node.unit("rests", "inactive")
    words = (f"kept=rests:1:{AGENT}",)
    assert node.run("check", "20", "0", *words) == [f"wait rests: {AGENT} has been active for less than 20 s"]
    assert node.run("check", "20", "0", "last", *words)[0].startswith("fail rests: ")


def test_services_with_newer_files_are_stale(node: Node) -> None:
    """Files came now; one service started a minute ago, one is not active, one has no such file."""
    node.program(node.root / "etc/unit", "")
    node.unit("old")
    node.unit("dead", "inactive")
    node.unit("failed", "failed")
    node.unit("others")
    node.unit("new", seconds=-30)
    words = [f"{name}:none:etc/unit" for name in ("old", "dead", "failed", "new")]
    assert node.run("reload", *words, "others:none") == ["stale old", "stale failed"]
    assert node.calls("daemon-reload") == ["daemon-reload"]


def test_a_service_that_kept_on_ending_gets_another_chance(node: Node) -> None:
    """systemd may have started it with the new files before anybody looked; its restarts are of the old ones."""
    node.unit("looping", restarts=4, seconds=5)
    node.unit("recovered", restarts=4, seconds=600)
    node.unit("once", restarts=1, seconds=5)
    assert node.run("reload", "looping:none", "recovered:none", "once:none") == ["stale looping"]


def test_older_files_are_not_stale(node: Node) -> None:
    node.program(node.root / "etc/unit", "")
    node.unit("exporter", seconds=-30)
    assert node.run("reload", "exporter:etc/unit") == []


def test_nonsense_is_told(node: Node) -> None:
    assert node.run("dance")[0].startswith("fail node-check: usage")
