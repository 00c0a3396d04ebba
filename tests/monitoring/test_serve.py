"""`targets serve` as a process; and Prometheus finds the same over HTTP, in the one file and in all files."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml

from bcm_jobstats.monitoring import registry, serve
from bcm_jobstats.monitoring.live import Live
from bcm_jobstats.monitoring.registry import NoDirectory, TargetFile
from tests.harness import run, until
from tests.monitoring.directory import Registered, cluster_of, content

SITE = "targets: {directory: /shared/targets, read: %s, listen: '127.0.0.1:%s'}\n"
PROMETHEUS = shutil.which("prometheus")


@pytest.fixture
def shared(tmp_path: Path) -> Registered:
    made = Registered(tmp_path, cluster_of(3), SITE % ("compact", 1))
    made.register("n1", "n2")
    return made


class Served:
    """A running `targets serve`."""

    def __init__(self, root: Path, *words: str) -> None:
        command = [sys.executable, "-m", "bcm_jobstats", "--root", str(root), "--site", str(root / "site.yaml")]
        self.process = subprocess.Popen([*command, "targets", "serve", *words], stderr=subprocess.PIPE, text=True)
        first = self.line()
        assert first.startswith("listening on "), first
        self.address = first.split()[2].rstrip(",")

    def line(self) -> str:
        """The next line of its log."""
        assert self.process.stderr
        return self.process.stderr.readline().rstrip("\n")

    def ask(self, path: str = "/targets", method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
        host, _, port = self.address.rpartition(":")
        with closing(HTTPConnection(host, int(port), timeout=30)) as connection:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response, response.read()

    def groups(self) -> Any:
        response, body = self.ask()
        assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
        return json.loads(body)


@contextmanager
def served(root: Path, listen: str = "127.0.0.1:0") -> Iterator[Served]:
    server = Served(root, "--listen", listen)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def hosts(groups: list[dict[str, Any]]) -> set[str]:
    return {group["labels"]["hostname"] for group in groups}


def test_it_answers_with_what_stands_there_now_and_ends_when_told(shared: Registered, tmp_path: Path) -> None:
    with served(tmp_path) as server:
        assert server.line() == "6 targets in 2 files"
        assert hosts(server.groups()) == {"n1", "n2"}
        shared.register("n3")
        assert hosts(server.groups()) == {"n1", "n2", "n3"}
        assert server.line() == "9 targets in 3 files"
        (shared.path / "n1.json").unlink()
        assert hosts(server.groups()) == {"n2", "n3"}
        assert server.line() == "6 targets in 2 files"
        shared.path.rename(shared.path.with_name("away"))
        assert server.ask()[0].status == server.ask("/-/healthy")[0].status == 503
        assert "no such directory" in server.line()
        shared.path.with_name("away").rename(shared.path)
        assert server.ask("/-/healthy")[1] == b"ok\n"
        assert server.line() == "6 targets in 2 files"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert server.process.stderr and server.process.stderr.read() == ""


REFUSED = {
    "another path": ("/", "GET", 404),
    "a path below": ("/targets/x", "GET", 404),
    "a file": ("/../../etc/passwd", "GET", 404),
    "another method": ("/targets", "POST", 501),
    "a long path": (f"/{'x' * 5000}", "GET", 414),
    "a very long path": (f"/{'x' * 70_000}", "GET", 414),
}


def test_it_answers_nothing_else(shared: Registered, tmp_path: Path) -> None:
    with served(tmp_path) as server:
        for name, (path, method, status) in REFUSED.items():
            assert server.ask(path, method)[0].status == status, name
        response, body = server.ask()
        again, nothing = server.ask(If_None_Match=response.headers["ETag"])
        assert (again.status, nothing) == (304, b"")
        assert server.ask(If_None_Match='"x"')[1] == body
        host, _, port = server.address.rpartition(":")
        with socket.create_connection((host, int(port))) as silent:  # asks for nothing, and keeps nobody from it
            silent.sendall(b"GET /tar")
            assert server.ask()[1] == body


def test_whoever_holds_connections_keeps_nobody_else_from_it(shared: Registered, tmp_path: Path) -> None:
    with served(tmp_path) as server, ExitStack() as held:
        host, _, port = server.address.rpartition(":")
        dripping = [
            held.enter_context(socket.create_connection((host, int(port)), source_address=("127.0.0.9", 0)))
            for _ in range(serve.AT_ONCE + 1)
        ]
        for one in dripping[: serve.OF_ONE]:
            one.sendall(b"G")
        for _ in range(2):
            assert server.ask()[0].status == 200
        assert all(one.recv(1) == b"" for one in dripping[serve.OF_ONE :]), "turned away at once"


@contextmanager
def in_a_thread(directory: Path) -> Iterator[tuple[str, int]]:
    """The server in this process, where its words may be changed."""
    server = serve.server_at(("127.0.0.1", 0), directory)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    host, port = server.shown.rsplit(":", 1)
    try:
        yield host, int(port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_request_has_an_end_however_it_drips(shared: Registered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "TO_ASK", 0.0)
    monkeypatch.setattr(serve._Handler, "timeout", None)
    with in_a_thread(shared.path) as address, socket.create_connection(address, timeout=10) as slow:
        slow.sendall(b"GET /targets HTTP/1.1\r\nHost: ")
        assert b"200" not in slow.recv(1000), "without its last line; nothing more is sent"


def test_whatever_goes_wrong_is_a_503(
    shared: Registered, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise UnicodeEncodeError("utf-8", "x", 0, 1, "no such thing")

    monkeypatch.setattr("bcm_jobstats.monitoring.compact.text", broken)
    with in_a_thread(shared.path) as (host, port), closing(HTTPConnection(host, port, timeout=30)) as connection:
        connection.request("GET", "/targets")
        assert connection.getresponse().status == 503
    assert "no such thing; answering 503" in capsys.readouterr().err


def test_an_address_that_is_taken_is_an_error(shared: Registered, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        outcome = run(tmp_path, "--site", str(tmp_path / "site.yaml"), "targets", "serve", "--listen", taken)
    assert outcome.status == 1
    assert f"address {taken}" in outcome.err and "--listen" in outcome.err


def test_only_what_changed_is_read_again(shared: Registered, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noted(path: Path) -> TargetFile:
        read.append(path.name)
        return registry.read(path)

    monkeypatch.setattr("bcm_jobstats.monitoring.live.read", noted)
    looking = Live(shared.path)
    first = looking.look()
    assert looking.look() is first
    assert sorted(read) == ["n1.json", "n2.json"]
    (shared.staging / "n2.json").write_bytes(content("n2", "other"))
    (shared.staging / "n2.json").replace(shared.path / "n2.json")
    assert looking.look().etag != first.etag
    assert read[2:] == ["n2.json"]


def test_a_file_that_breaks_counts_as_it_was_like_with_prometheus(shared: Registered) -> None:
    looking = Live(shared.path)
    before = looking.look()
    shared.write("n1.json", b"[")
    broken = looking.look()
    assert broken.text == before.text and "n1.json" in broken.faults[0]
    shared.write("new.json", b"[")
    assert looking.look().text == before.text
    (shared.path / "n1.json").unlink()
    assert looking.look().targets == 3


def test_without_a_directory_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NoDirectory, match="mounted"):
        Live(tmp_path / "gone").look()


def found_by(prometheus: int) -> Optional[dict[str, set[str]]]:
    """Pool -> the targets with all labels, as Prometheus on that port tells; None before it does."""
    with closing(HTTPConnection("127.0.0.1", prometheus, timeout=10)) as connection:
        try:
            connection.request("GET", "/api/v1/targets?state=active")
            told = json.loads(connection.getresponse().read())
        except (OSError, ValueError):
            return None
    pools: dict[str, set[str]] = {}
    for target in told["data"]["activeTargets"]:
        pools.setdefault(target["scrapePool"], set()).add(json.dumps(target["labels"], sort_keys=True))
    return pools


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as one:
        port: int = one.getsockname()[1]
        return port


@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed")
def test_prometheus_finds_the_same_over_http_in_one_file_and_in_all(shared: Registered, tmp_path: Path) -> None:
    shared.write("x9.json", content("x9", "other"))
    assert shared.targets.compacted()
    with served(tmp_path) as server:
        scrapes = []
        for read in ("files", "compact", "http"):
            (tmp_path / "site.yaml").write_text(SITE % (read, server.address.rpartition(":")[2]))
            outcome = run(tmp_path, "--site", str(tmp_path / "site.yaml"), "prometheus", "render")
            (scrape,) = yaml.safe_load(outcome.out)["scrape_configs"]
            scrapes.append({**scrape, "job_name": read})
        text = json.dumps({"scrape_configs": scrapes}).replace("/shared/targets", f"{tmp_path}/shared/targets")
        (tmp_path / "prometheus.yml").write_text(text)
        port = free_port()
        command = [str(PROMETHEUS), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        try:
            pools = until(
                lambda: (found := found_by(port)) and len(found) == len(scrapes) and found, 40.0, "all three found some"
            )
        finally:
            process.kill()
            process.wait()
    assert pools["files"] == pools["compact"] == pools["http"]
    assert len(pools["files"]) == 9
