"""Asking the head nodes over real TLS: what is believed, which head is asked, and what each fault is called."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any, Callable, TypeVar

import pytest

from bcm_jobstats.node import heads as heads_module
from bcm_jobstats.node import https
from bcm_jobstats.node.config import Config
from bcm_jobstats.node.heads import PATH, Heads
from bcm_jobstats.node.lookup import Lookup
from bcm_jobstats.node.messages import NOTICE, WARNING
from bcm_jobstats.node.ports import StorageLost, Unknown
from bcm_jobstats.node.tls import Tls
from bcm_jobstats.simulator import pki
from tests.bcm.https import Answer, Handler, Server, hangs, serving, text, trickles
from tests.harness import cluster
from tests.node import tlshead
from tests.node.tlshead import KEY, PEM, config, directly, heads, listed, marked, port, says, two_heads

T = TypeVar("T")
LIST = listed(node_1=["slurmclient"], node_2=[])
FOUND = {"bcm-head": False, "node-1": True, "node-2": False}
WHOLE = json.dumps(LIST).encode()


@pytest.fixture
def server(listening: Server) -> Server:
    listening.says(says(LIST))
    return listening


class Said:
    """The agent's log."""

    def __init__(self) -> None:
        self.priorities: list[int] = []
        self.lines: list[str] = []

    def __call__(self, priority: int, line: str) -> None:
        self.priorities.append(priority)
        self.lines.append(line)


def unknown(asked: Heads) -> Unknown:
    with pytest.raises(Unknown) as raised:
        asked.ask()
    assert raised.value.remedy
    return raised.value


def test_the_devices_are_got(server: Server, files: Path) -> None:
    """bcm-facts §8.2."""
    assert heads(config(files, port(server))).ask().roles == FOUND
    assert server.asked == [("GET", PATH, None)]


def only_packed(handler: Handler) -> None:
    assert handler.headers["Accept-Encoding"] == "gzip"
    text(gzip.compress(WHOLE), Content_Encoding="gzip")(handler)


def chunked(handler: Handler, *, whole: bool = True) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"5\r\n" + WHOLE[:5] + b"\r\n%x\r\n" % (len(WHOLE) - 5) + WHOLE[5:])
    handler.wfile.write(b"\r\n0\r\n\r\n" if whole else b"")
    handler.wfile.flush()
    handler.close_connection = True


def without_length(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + WHOLE)
    handler.close_connection = True


@pytest.mark.parametrize("answer", [only_packed, chunked, without_length])
def test_every_way_of_sending_is_understood(server: Server, files: Path, answer: Answer) -> None:
    server.says(answer)
    assert heads(config(files, port(server))).ask().roles == FOUND


def endless(handler: Handler) -> None:
    """50 MB."""
    device = json.dumps({"hostname": "x" * 5000}).encode() + b","
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n[")
    for _ in range(1000):
        handler.wfile.write(device * 10)


def cut_at_once(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def header_drip(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-")
    while not handler.told.released.wait(0.02):
        handler.wfile.write(b"x")
        handler.wfile.flush()
    handler.close_connection = True


def no_http(handler: Handler) -> None:
    handler.wfile.write(b"SSH-2.0-x\r\n\r\n")
    cut_at_once(handler)


def to(location: str, status: int = 307) -> Answer:
    return text(b"", status, Location=location)


BOMB = gzip.compress(b"[" + b" " * (40 << 20))
ENDS, OFF, NO_HTTPS = "not HTTP, or breaks off", "its answer breaks off", "redirects to what is no https address"
FAULTS: dict[str, tuple[Answer, str, str]] = {
    "an error at 200": (says({"errormessage": "No such service: '(cm)fake'\n"}), "says: No such service", "cmd"),
    "no right": (says({"errormessage": "Your certificate (profile:) does not allow access"}), "not allow", "for role"),
    "truncated": (text(WHOLE[:-9]), "breaks off or is not JSON", "cmd"),
    "cut": (text(WHOLE, length=len(WHOLE) + 9), OFF, "cmd"),
    "a chunk that is cut": (lambda handler: chunked(handler, whole=False), OFF, "cmd"),
    "cut at once": (cut_at_once, "", "cmd"),
    "packed and cut": (text(gzip.compress(WHOLE)[:-4], Content_Encoding="gzip"), OFF, "cmd"),
    "packed and damaged": (text(b"\x1f\x8b" + WHOLE, Content_Encoding="gzip"), "damaged", "cmd"),
    "not packed": (text(WHOLE, Content_Encoding="gzip"), "damaged", "cmd"),
    "packed twice": (text(gzip.compress(WHOLE) * 2, Content_Encoding="gzip"), "goes on after its end", "cmd"),
    "packed otherwise": (text(WHOLE, Content_Encoding="br"), "unknown way", "cmd"),
    "50 MB": (endless, "larger than 16 MiB", "cmd"),
    "a bomb": (text(BOMB, Content_Encoding="gzip"), "larger than 16 MiB", "cmd"),
    "a byte now and then": (trickles, "does not answer in time", "bcm_headnodes"),
    "a header's byte now and then": (header_drip, "does not answer in time", "bcm_headnodes"),
    "no answer": (hangs, "does not answer in time", "bcm_headnodes"),
    "no HTTP": (no_http, ENDS, "cmd"),
    "401": (text(b"", 401), "refuses this node's certificate (HTTP status 401)", "GET_DEVICE_TOKEN"),
    "403": (text(b"", 403), "refuses this node's certificate (HTTP status 403)", "GET_DEVICE_TOKEN"),
    "404": (text(b"", 404), "knows no /rest/v1/device", "bcm_port"),
    "500": (text(b"", 500), "cannot answer with its devices (HTTP status 500)", "cmd"),
    "204": (text(b"", 204), "does not answer with its devices (HTTP status 204)", "cmd"),
    "304 to nothing": (text(b"", 304), "does not answer with its devices (HTTP status 304)", "cmd"),
    "206": (text(WHOLE, 206), "does not answer with its devices (HTTP status 206)", "cmd"),
    "a loop": (to(PATH), "redirects more than 3 times", "bcm_headnodes"),
    "to http": (to("http://127.0.0.1:1/rest/v1/device"), NO_HTTPS, "bcm_headnodes"),
    "to a file": (to("file:///etc/passwd"), NO_HTTPS, "bcm_headnodes"),
    "to nowhere": (text(b"", 307), NO_HTTPS, "bcm_headnodes"),
    "to a broken address": (to("https://[::1/"), NO_HTTPS, "bcm_headnodes"),
    "to a broken port": (to("https://x:port/"), NO_HTTPS, "bcm_headnodes"),
    "to no port": (to("https://x:99999/"), NO_HTTPS, "bcm_headnodes"),
    "to another host without a word": (to("//x/"), NO_HTTPS, "bcm_headnodes"),
    "to two lines": (to("https://127.0.0.1/a\x01b"), NO_HTTPS, "bcm_headnodes"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_unknown_in_the_same_words_each_time(
    server: Server, files: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """bcm-facts §8.1 has the error with HTTP status 200. Nobody is told of a port or a time, which would differ."""
    answer, cause, remedy = FAULTS[name]
    if answer in {trickles, header_drip, hangs}:
        monkeypatch.setattr(heads_module, "TOTAL", 0.5)
    server.says(answer)
    asked = heads(config(files, port(server)))
    error = unknown(asked)
    assert cause in error.cause and remedy in error.remedy
    assert error.subject == "head node 127.0.0.1"
    if answer not in {trickles, header_drip, hangs, endless}:
        assert str(unknown(asked)) == str(error)
    server.says(says(LIST))
    monkeypatch.undo()
    assert asked.ask().roles == FOUND


def nobody(host: bytes, *args: object, **kwargs: object) -> list[Any]:
    """A name service that is there and knows no name."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_nobody_listens_and_nobody_has_the_name(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        number = gone.getsockname()[1]
    assert unknown(heads(config(files, number))).cause == "no connection: Connection refused"
    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    for name in ("no-such-head", "x" * 70, "a..b"):
        assert unknown(heads(config(files, number, name))).cause == "its name cannot be resolved"


def test_a_name_server_that_says_nothing_holds_nothing_up(
    files: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the end of the agent nor other head nodes, and none is asked again meanwhile."""
    released, real, asked = threading.Event(), socket.getaddrinfo, list[bytes]()

    def silent(host: bytes, *args: Any, **kwargs: Any) -> Any:
        if host == b"silent" and "flags" not in kwargs:
            asked.append(host)
            released.wait(10)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    monkeypatch.setattr(heads_module, "Lookup", lambda: Lookup(0.1))
    try:
        lone = heads(config(files, port(server), "silent"))
        for _ in range(2):
            assert unknown(lone).cause == "its name cannot be resolved"
        assert asked == [b"silent"]
        assert heads(config(files, port(server), "silent", "localhost")).ask().roles == FOUND
    finally:
        released.set()


@pytest.mark.parametrize("addresses", [(b"127.0.0.1", b"127.0.0.2"), (b"127.0.0.2", b"127.0.0.1")])
def test_the_address_of_a_name_that_answers_is_taken(
    files: Path, server: Server, monkeypatch: pytest.MonkeyPatch, addresses: tuple[bytes, ...]
) -> None:
    """The certificate has to carry the name, whatever its addresses."""
    real = socket.getaddrinfo

    def two(host: bytes, number: int, *args: Any, **kwargs: Any) -> Any:
        if host == b"localhost":
            return [place for address in addresses for place in real(address, number, *args, **kwargs)]
        return real(host, number, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", two)
    assert heads(config(files, port(server), "localhost")).ask().roles == FOUND
    assert "another name" in unknown(heads(config(files, port(server), "localhost", server_name="other"))).cause


def test_what_listens_does_not_speak_tls(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads_module, "TOTAL", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert unknown(heads(config(files, silent.getsockname()[1]))).cause == "does not answer in time"


CERTIFICATES: dict[str, tuple[str, int, str, str]] = {
    "expired": ("IP:127.0.0.1", -1, "its certificate has expired", "clocks"),
    "another name": ("DNS:bcm-head", 30, "its certificate is for another", "server_name"),
    "another address": ("IP:127.0.0.9", 30, "its certificate is for another", "server_name"),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_head_node_that_is_not_to_be_trusted(tmp_path: Path, files: Path, name: str) -> None:
    names, days, cause, remedy = CERTIFICATES[name]
    with serving(tlshead.with_server(files, names, days)) as server:
        server.says(says(LIST))
        error = unknown(heads(config(files, port(server))))
        assert cause in error.cause and remedy in error.remedy
        assert server.asked == [], "nothing was sent to it"


def test_a_certificate_with_a_name_of_its_own_is_taken_when_it_is_named(files: Path) -> None:
    with serving(tlshead.with_server(files, "DNS:some-head", 30)) as server:
        server.says(says(LIST))
        assert heads(config(files, port(server), server_name="some-head")).ask().roles == FOUND
        assert "another name" in unknown(heads(config(files, port(server), server_name="other"))).cause


def test_an_authority_of_another_cluster(tmp_path: Path, files: Path, server: Server) -> None:
    tlshead.prepare(tmp_path)
    theirs = config(files, port(server), ca=tmp_path / pki.CA)
    error = unknown(heads(theirs))
    assert error.cause == "its certificate is not of BCM's authority" and "ca_path" in error.remedy
    assert server.asked == []
    ours = config(tmp_path, port(server), ca=files / pki.CA)
    assert unknown(heads(ours)).cause == "says that this node's certificate is of another cluster"


def test_the_agents_certificate_has_expired(files: Path, server: Server) -> None:
    old = {"certificate": files / tlshead.EXPIRED_PEM, "key": files / tlshead.EXPIRED_KEY}
    error = unknown(heads(config(files, port(server), **old)))
    assert error.cause == "says that this node's certificate has expired"
    assert "certificate --for role-monitor" in error.remedy


@pytest.fixture
def own(files: Path, tmp_path: Path) -> Path:
    """A copy of the agent's files that a test may spoil."""
    for name in (PEM, KEY, pki.CA):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((files / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    return tmp_path


def encrypted(own: Path, files: Path) -> None:
    words = ["openssl", "ec", "-in", str(files / KEY), "-aes128", "-passout", "pass:secret", "-out", str(own / KEY)]
    subprocess.run(words, check=True, capture_output=True)


def folder(own: Path, files: Path) -> None:
    (own / pki.CA).unlink()
    (own / pki.CA).mkdir()


SPOILT: dict[str, tuple[Callable[[Path, Path], object], str, str]] = {
    "open key": (lambda own, files: (own / KEY).chmod(0o640), "private key", "others than its owner"),
    "key of another": (lambda own, files: (own / KEY).write_bytes((files / pki.ADMIN_KEY).read_bytes()),
                       "private key", "does not belong to"),
    "no key": (lambda own, files: (own / KEY).unlink(), "file", "cannot be read: No such file"),
    "key is none": (lambda own, files: (own / KEY).write_text("x"), "private key", "is not a private key"),
    "key with a password": (encrypted, "private key", "without a password"),
    "no certificate": (lambda own, files: (own / PEM).unlink(), "file", "cannot be read: No such file"),
    "half a certificate": (lambda own, files: os.truncate(own / PEM, 200), "certificate", "is not a certificate"),
    "empty certificate": (lambda own, files: os.truncate(own / PEM, 0), "certificate", "is not a certificate"),
    "no authority": (lambda own, files: (own / pki.CA).write_text("x"), "authority", "holds no certificate"),
    "authority is a folder": (folder, "file", "cannot be read: Is a directory"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_files_that_cannot_be_used_are_named_and_sound_ones_kept(
    own: Path, files: Path, server: Server, name: str
) -> None:
    spoil, subject, cause = SPOILT[name]
    settings, said = config(own, port(server)), Said()
    running = Heads(settings, Tls(settings, directly, said))
    running.ask()
    spoil(own, files)
    error = unknown(heads(settings))
    assert error.subject.startswith(f"{subject} {own}") and cause in error.cause
    for _ in range(2):
        assert running.ask().roles == FOUND, "what was read before goes on being used"
    assert said.priorities == [WARNING] and cause in said.lines[0]
    for file in (PEM, KEY, pki.CA):
        (own / "new").write_bytes((files / file).read_bytes())
        (own / "new").chmod(0o600)
        if (own / file).is_dir():
            (own / file).rmdir()
        (own / "new").replace(own / file)
    for _ in range(2):
        running.ask()
    assert said.priorities == [WARNING, NOTICE]


def test_a_key_that_goes_away_while_the_files_are_read(
    own: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, key = Path.stat, own / KEY

    def stat(file: Path, **more: Any) -> os.stat_result:
        found = real(file, **more)
        if file == key:
            key.unlink()
        return found

    monkeypatch.setattr(Path, "stat", stat)
    error = unknown(heads(config(own, port(server))))
    assert error.subject == f"file {key}" and "No such file" in error.cause


def test_a_comment_in_the_authority_may_be_of_any_kind(own: Path, server: Server) -> None:
    (own / pki.CA).write_bytes("# Autorität\n".encode() + (own / pki.CA).read_bytes())
    assert heads(config(own, port(server))).ask().roles == FOUND


def test_a_renewed_certificate_is_used_from_the_next_question_on(own: Path, files: Path, server: Server) -> None:
    for name, expired in ((PEM, tlshead.EXPIRED_PEM), (KEY, tlshead.EXPIRED_KEY)):
        (own / name).write_bytes((files / expired).read_bytes())
    asked = heads(config(own, port(server)))
    assert "has expired" in unknown(asked).cause
    for name in (PEM, KEY):
        (own / name).write_bytes((files / name).read_bytes())
    assert asked.ask().roles == FOUND


def test_while_shared_storage_hangs_the_certificate_read_before_is_used(files: Path, server: Server) -> None:
    hanging = [False]

    def run(what: str, function: Callable[[], T]) -> T:
        if hanging[0]:
            raise StorageLost(what, "does not answer", "Does its server?")
        return function()

    settings, said = config(files, port(server)), Said()
    asked = Heads(settings, Tls(settings, run, said))
    asked.ask()
    hanging[0] = True
    assert asked.ask().roles == FOUND and said.lines == []
    error = unknown(Heads(settings, Tls(settings, run, Said())))
    assert error.subject == f"certificate {files / PEM}" and "does not answer" in error.cause
    assert error.remedy == "Does its server?"


def test_a_certificate_of_the_administrator_is_warned_about_once(files: Path, server: Server) -> None:
    admin = {"certificate": files / pki.ADMIN, "key": files / pki.ADMIN_KEY}
    for settings, warnings in ((config(files, port(server), **admin), 1), (config(files, port(server)), 0)):
        said = Said()
        asked = Heads(settings, Tls(settings, directly, said))
        asked.ask()
        asked.ask()
        assert said.priorities == [WARNING] * warnings
        assert all("its profile is admin" in line for line in said.lines)


def gone(head: str = "127.0.0.2") -> str:
    """A head node whose port nobody listens on."""
    return head


def test_the_next_head_is_asked_when_one_is_down_and_stays_the_first_one(files: Path, server: Server) -> None:
    asked = heads(config(files, port(server), gone(), "127.0.0.1"))
    tried: list[str] = []
    real = https.asked

    def watched(address: https.Address, path: str, terms: https.Terms) -> Any:
        tried.append(address[0])
        return real(address, path, terms)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(https, "asked", watched)
        for _ in range(2):
            assert asked.ask().roles == FOUND
    assert tried == ["127.0.0.2", "127.0.0.1", "127.0.0.1"]


def test_a_head_that_talks_nonsense_is_like_one_that_is_down(files: Path, server: Server) -> None:
    server.says(says([]), says(LIST))
    assert heads(config(files, port(server), "127.0.0.1", "localhost")).ask().roles == FOUND


def test_all_heads_are_named_in_the_order_of_the_configuration(files: Path, server: Server) -> None:
    settings = config(files, port(server), gone(), "127.0.0.1", gone("127.0.0.3"))
    asked = heads(settings)
    asked.ask()
    server.says(text(b"", 503))
    error = unknown(asked)
    assert error.subject == "BCM"
    assert error.cause == (
        "no head node tells: head node 127.0.0.2: no connection: Connection refused; head node 127.0.0.1: "
        "cannot answer with its devices (HTTP status 503); head node 127.0.0.3: no connection: Connection refused"
    )
    assert str(unknown(heads(settings))) == str(error), "whichever was asked first"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_passive_head_sends_to_the_active_one(files: Path, status: int) -> None:
    """bcm-facts §10."""
    with two_heads(files) as (passive, active):
        passive.says(to(f"https://{active.address}{PATH}?indent=1", status))
        active.says(says(LIST))
        assert heads(config(files, port(passive))).ask().roles == FOUND
        assert active.asked == [("GET", f"{PATH}?indent=1", None)]


def test_a_redirect_leads_to_a_head_of_this_cluster_only(files: Path, tmp_path: Path) -> None:
    tlshead.prepare(tmp_path)
    with serving(files) as passive, serving(tmp_path) as stranger:
        passive.says(to(f"https://{stranger.address}{PATH}"))
        stranger.says(says(LIST))
        assert unknown(heads(config(files, port(passive)))).cause == "its certificate is not of BCM's authority"
        assert stranger.asked == []


def test_a_marked_answer_is_asked_for_only_when_it_changed(files: Path, server: Server) -> None:
    server.says(marked(LIST, '"1"'))
    asked = heads(config(files, port(server)))
    for same in (False, True, True):
        assert asked.ask().roles == FOUND
        assert asked.same is same
    server.says(marked(listed(node_1=[]), '"2"'))
    assert asked.ask().roles == {"bcm-head": False, "node-1": False} and not asked.same
    server.says(says(LIST))
    assert asked.ask().roles == FOUND and asked.tag == ""


def test_a_mark_is_of_one_head_only(files: Path) -> None:
    """What two heads mark alike need not be the same."""
    with two_heads(files) as (first, second):
        first.says(marked(LIST, '"1"'))
        second.says(marked(listed(node_1=[]), '"1"'))
        asked = heads(config(files, port(first)))
        assert asked.ask().roles == FOUND
        first.says(to(f"https://{second.address}{PATH}"))
        assert asked.ask().roles == {"bcm-head": False, "node-1": False}


@pytest.mark.parametrize("tag", ["x" * 2000, '"\xe9"', '"a\tb"'])
def test_a_mark_that_cannot_be_sent_back_is_none(files: Path, server: Server, tag: str) -> None:
    server.says(text(WHOLE, ETag=tag))
    asked = heads(config(files, port(server)))
    asked.ask()
    assert asked.ask().roles == FOUND and asked.tag == ""


@pytest.mark.slow
def test_the_simulated_head(tmp_path: Path) -> None:
    """bcm-facts §8.2; §13 #9: whether roles of overlays are told; capability rest-etag."""
    with cluster(tmp_path / "head", profile="bcm11", nodes=2) as simulator:
        number = int(simulator.https.rpartition(":")[2])
        pki.issue(simulator.directory, "monitor", "portal", "", 9, tmp_path / KEY, tmp_path / PEM)
        settings = Config(
            ("127.0.0.1",), number, tmp_path / PEM, tmp_path / KEY, simulator.directory / pki.CA, share=False
        )
        asked = heads(settings)
        for told, has in (("effective", True), ("own", False)):
            simulator.control({"op": "switch", "name": "rest_roles", "value": told})
            for same in (False, False):
                assert asked.ask().has("dgx-01") is has
                assert asked.same is same
        simulator.control({"op": "switch", "name": "rest_etag", "value": "present"})
        for same in (False, True):
            assert asked.ask().has("dgx-01") is False
            assert asked.same is same
        simulator.control({"op": "switch", "name": "rest_roles", "value": "effective"})
        assert asked.ask().has("dgx-01") is True and not asked.same
        pki.issue(simulator.directory, "monitor", "bootstrap", "", 9, tmp_path / KEY, tmp_path / PEM)
        assert "HTTP status 403" in unknown(heads(settings)).cause
