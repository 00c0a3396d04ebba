"""`image fetch` against a web server on loopback: what is fetched, kept, refused and told."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bcm_jobstats.imaging.bundle import Bundle
from bcm_jobstats.imaging.fetch import CannotFetch, Fetcher, wanted
from tests.harness import Outcome, run
from tests.imaging.artifacts import MEMBER, archive, artifact, elf, sum_of


class Server(http.server.ThreadingHTTPServer):
    """Files by path; `asked` are the paths that were fetched."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut = 0
        self.headers: dict[str, str] = {}

    def url(self, name: str, content: bytes) -> str:
        self.files[f"/{name}"] = content
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) - self.server.cut])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    one = Server()
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield one
    one.shutdown()
    thread.join()
    one.server_close()


PROGRAM = elf()


def packed(tmp_path: Path) -> bytes:
    archive(tmp_path / "packed.tgz", PROGRAM)
    return (tmp_path / "packed.tgz").read_bytes()


def site(tmp_path: Path, **artifacts: Any) -> None:
    """A site file; node_exporter's version is always the same."""
    file = tmp_path / "etc/bcm-jobstats/site.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    named = {name: {"version": "1.9.1", **told} for name, told in artifacts.items()}
    file.write_text(yaml.safe_dump({"artifacts": named}))


def fetch(tmp_path: Path, *words: str) -> Outcome:
    return run(tmp_path, "image", "fetch", "--out", str(tmp_path / "bundle.tar"), *words)


def there(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.iterdir() if path.name.startswith((".bundle", "bundle")))


def test_all_artifacts_come_into_one_file_with_their_sums(tmp_path: Path, server: Server) -> None:
    tgz, arm = packed(tmp_path), elf("aarch64")
    package = b"!<arch>\nof a package"
    (tmp_path / "root").mkdir()
    (tmp_path / "root/x").write_bytes(PROGRAM)
    site(
        tmp_path,
        node_exporter={
            "x86_64": {
                "archive": "/root/n.tgz", "member": MEMBER, "sha256": sum_of(tgz), "url": server.url("n.tgz", tgz)
            },
            "aarch64": {"file": "/root/arm", "sha256": sum_of(arm), "url": server.url("arm", arm)},
        },
        cgroup_exporter={"x86_64": {"file": "/root/x", "sha256": sum_of(PROGRAM)}},
        **{
            "dcgm-exporter": {
                "version": "4.5.0-1",
                "x86_64": {
                    "package": "dcgm", "from": "/root/d.deb", "sha256": sum_of(package),
                    "url": server.url("d.deb", package),
                },
                "aarch64": {"package": "dcgm"},
            }
        },
    )  # fmt: skip
    done = fetch(tmp_path)
    assert done.status == 0, done.err
    told = {
        (one.name, one.architecture): (one.sha256, one.size) for one in Bundle.open(tmp_path / "bundle.tar").entries
    }
    assert told == {
        ("cgroup_exporter", "x86_64"): (sum_of(PROGRAM), len(PROGRAM)),
        ("dcgm-exporter", "x86_64"): (sum_of(package), len(package)),
        ("node_exporter", "x86_64"): (sum_of(tgz), len(tgz)),
        ("node_exporter", "aarch64"): (sum_of(elf("aarch64")), len(elf("aarch64"))),
    }
    assert sorted(server.asked) == ["/arm", "/d.deb", "/n.tgz"]
    assert "package dcgm of the image's own repositories" in done.out
    assert f"node_exporter 1.9.1 (aarch64): {len(elf('aarch64'))} bytes" in done.err
    assert there(tmp_path) == ["bundle.tar"]


def node(server: Server, content: bytes, **more: Any) -> dict[str, Any]:
    told = {"file": "/root/x", "sha256": sum_of(content), "url": server.url("x", content), **more}
    return {"x86_64": {key: value for key, value in told.items() if value is not None}}


def test_a_second_run_fetches_only_what_the_bundle_lacks(tmp_path: Path, server: Server) -> None:
    site(tmp_path, node_exporter=node(server, PROGRAM))
    assert fetch(tmp_path).status == 0
    first = (tmp_path / "bundle.tar").read_bytes()
    assert fetch(tmp_path).status == 0
    assert (tmp_path / "bundle.tar").read_bytes() == first
    assert server.asked == ["/x"]
    site(tmp_path, node_exporter=node(server, PROGRAM), cgroup_exporter={
        "x86_64": {"file": "/root/y", "sha256": sum_of(elf(rest=b"y")), "url": server.url("y", elf(rest=b"y"))}
    })  # fmt: skip
    assert fetch(tmp_path).status == 0
    assert server.asked == ["/x", "/y"]
    assert len(Bundle.open(tmp_path / "bundle.tar").entries) == 2


def test_a_stopped_run_keeps_what_it_had(tmp_path: Path, server: Server) -> None:
    """The second file is not there at first: the other one is not fetched again."""
    artifacts = {
        "cgroup_exporter": node(server, PROGRAM),
        "node_exporter": {"x86_64": {"file": "/root/y", "sha256": sum_of(b"y"), "url": server.url("y", b"y")}},
    }
    site(tmp_path, **artifacts)
    late = server.files.pop("/y")
    outcome = fetch(tmp_path)
    assert outcome.status == 1
    assert "answers 404" in outcome.err
    assert there(tmp_path) == [".bundle.tar.parts"]
    server.files["/y"] = late
    assert fetch(tmp_path).status == 0
    assert server.asked == ["/x", "/y", "/y"]
    assert there(tmp_path) == ["bundle.tar"]


def test_another_file_than_the_sum_tells_is_refused(tmp_path: Path, server: Server) -> None:
    site(tmp_path, node_exporter=node(server, PROGRAM, sha256="0" * 64))
    outcome = fetch(tmp_path)
    assert outcome.status == 1
    assert f"has sha256 {sum_of(PROGRAM)}, and {'0' * 64} is wanted" in outcome.err
    assert "bundle.tar" not in there(tmp_path)


def test_an_unchecked_one_tells_its_sum_to_paste(tmp_path: Path, server: Server) -> None:
    site(tmp_path, node_exporter=node(server, PROGRAM, sha256=None, unchecked=True))
    outcome = fetch(tmp_path)
    assert outcome.status == 0
    assert "artifacts.node_exporter.x86_64 is unchecked" in outcome.err
    assert f"set sha256: {sum_of(PROGRAM)}" in outcome.err


def test_without_a_sum_and_without_unchecked_nothing_is_fetched(tmp_path: Path, server: Server) -> None:
    site(tmp_path, node_exporter=node(server, PROGRAM, sha256=None))
    outcome = fetch(tmp_path)
    assert outcome.status == 65
    assert "sha256 is missing" in outcome.err
    assert server.asked == []


def test_a_program_for_another_processor_is_refused(tmp_path: Path, server: Server) -> None:
    site(tmp_path, node_exporter=node(server, elf("aarch64")))
    outcome = fetch(tmp_path)
    assert outcome.status == 1
    assert "is a program for aarch64, and the image is for x86_64" in outcome.err


def test_a_connection_that_breaks_is_told(tmp_path: Path, server: Server) -> None:
    server.cut = 10
    site(tmp_path, node_exporter=node(server, PROGRAM, sha256=None, unchecked=True))
    outcome = fetch(tmp_path)
    assert outcome.status == 1
    assert "node_exporter 1.9.1 (x86_64): " in outcome.err
    assert "bundle.tar" not in there(tmp_path)


def test_fewer_bytes_than_were_told_are_refused(tmp_path: Path) -> None:
    """Libraries before urllib3 2 do not look."""
    (one,) = wanted({"node_exporter": artifact(file="/root/x", unchecked=True)})
    with pytest.raises(CannotFetch, match=r"node_exporter 1.0 \(x86_64\): ended after 3 of 4 bytes"):
        list(Fetcher(tmp_path / "bundle.tar", tmp_path)._told(one, iter([b"abc"]), 4))


def test_no_server_is_told_with_the_address(tmp_path: Path, server: Server) -> None:
    site(tmp_path, node_exporter=node(server, PROGRAM, url="http://127.0.0.1:1/x"))
    outcome = fetch(tmp_path)
    assert outcome.status == 1
    assert "http://127.0.0.1:1/x cannot be read" in outcome.err


def test_an_archive_comes_as_it_lies_there(tmp_path: Path, server: Server) -> None:
    """Some servers call a .tar.gz an encoding of a .tar."""
    server.headers["Content-Encoding"] = "x-gzip"
    content = gzip.compress(b"an archive")
    site(tmp_path, node_exporter={
        "x86_64": {"archive": "/root/x", "member": "x", "sha256": sum_of(content), "url": server.url("x.gz", content)}
    })  # fmt: skip
    assert fetch(tmp_path).status == 0


def test_the_definition_knows_where_releases_lie(tmp_path: Path, server: Server) -> None:
    """Without a network of ours: the address is told in the error."""
    site(tmp_path, node_exporter={"x86_64": {"archive": "/root/x.tgz", "sha256": "0" * 64}})
    from bcm_jobstats.cli.image.fetch import _artifacts
    from bcm_jobstats.stack import Stack, load

    stack = Stack(*load(tmp_path / "etc/bcm-jobstats/site.yaml", tmp_path))
    supply = _artifacts(stack)["node_exporter"].x86_64
    assert supply
    assert str(supply.url).endswith("node_exporter-1.9.1.linux-amd64.tar.gz")
    assert supply.member == "node_exporter-1.9.1.linux-amd64/node_exporter"


def test_a_file_in_a_folder_that_somebody_prepared_is_not_used(tmp_path: Path, server: Server) -> None:
    """It has the right sum, and another one when it is read again."""
    site(tmp_path, node_exporter=node(server, PROGRAM))
    parts = tmp_path / ".bundle.tar.parts"
    parts.mkdir()
    parts.chmod(0o777)
    (parts / sum_of(PROGRAM)).write_bytes(PROGRAM)
    assert fetch(tmp_path).status == 1
    assert there(tmp_path) == [".bundle.tar.parts"]


def test_a_folder_that_somebody_prepared_is_not_used(tmp_path: Path) -> None:
    """Next to a bundle in /tmp: its index could tell of another program as what the source was built to."""
    (tmp_path / "root/src").mkdir(parents=True)
    (tmp_path / "root/src/x").write_bytes(PROGRAM)
    site(tmp_path, node_exporter={"x86_64": {"source": "/root/src", "build": "cp x y", "result": "y"}})
    parts = tmp_path / ".bundle.tar.parts"
    parts.mkdir()
    parts.chmod(0o777)
    outcome = fetch(tmp_path)
    assert (outcome.status, "others can write to it" in outcome.err) == (1, True)
    assert list(parts.iterdir()) == []
    parts.rmdir()
    parts.symlink_to(tmp_path / "root")
    assert fetch(tmp_path).status == 1
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == ["src"]
    parts.unlink()
    assert fetch(tmp_path).status == 0


def test_an_empty_program_is_refused(tmp_path: Path, server: Server) -> None:
    site(tmp_path, node_exporter=node(server, b"", sha256=None, unchecked=True))
    outcome = fetch(tmp_path)
    assert (outcome.status, "supplies is empty" in outcome.err) == (1, True)


def test_a_file_that_nobody_knows_where_to_get(tmp_path: Path) -> None:
    site(tmp_path, node_exporter={"x86_64": {"file": "/root/x", "sha256": "0" * 64}})
    outcome = fetch(tmp_path)
    assert outcome.status == 1
    assert "no address that it can be had from is known" in outcome.err


def test_one_architecture_only_and_json(tmp_path: Path, server: Server) -> None:
    both = {**node(server, PROGRAM), "aarch64": {"file": "/root/z", "sha256": "0" * 64}}
    site(tmp_path, node_exporter=both)
    done = fetch(tmp_path, "--arch", "x86_64", "--json")
    assert done.status == 0, done.err
    document = json.loads(done.out)
    assert [one["architecture"] for one in document["artifacts"]] == ["x86_64"]
    assert document["bundle"] == str(tmp_path / "bundle.tar")


def test_a_source_is_built_again_when_it_changed_and_only_then(tmp_path: Path) -> None:
    source = tmp_path / "root/src"
    source.mkdir(parents=True)
    (source / "x").write_bytes(PROGRAM)
    command = "echo >> ../../../log; cp x exporter; head -c 8 /dev/urandom >> exporter"
    site(tmp_path, node_exporter={"x86_64": {"source": "/root/src", "build": command, "result": "exporter"}})
    for edits, builds in ((b"", 1), (b"", 1), (b"more", 2)):
        (source / "x").write_bytes(PROGRAM + edits)
        assert fetch(tmp_path).status == 0
        assert len((tmp_path / "log").read_text().splitlines()) == builds


def test_no_artifacts_at_all(tmp_path: Path) -> None:
    site(tmp_path)
    done = fetch(tmp_path)
    assert (done.status, done.out.strip()) == (0, "The site file names no artifacts.")
    assert there(tmp_path) == []
