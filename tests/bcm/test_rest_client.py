"""The JSON and REST client (bcm-facts §8): what it sends, and that no answer whatever is taken for another one."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.bcm.errors import Refused, TimedOut, Unreachable, Unreadable
from bcm_jobstats.bcm.keys import ExposedKey
from bcm_jobstats.bcm.rest import client as client_module
from bcm_jobstats.bcm.rest import transport
from bcm_jobstats.bcm.rest.client import Client
from bcm_jobstats.bcm.rest.errors import Forbidden, Truncated, UnknownCall
from bcm_jobstats.errors import ExitStatus, JobstatsError
from bcm_jobstats.simulator import pki
from tests.bcm.https import Answer, Handler, Server, hangs, said, serving, text, trickles

TIMEOUT = 20.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    pki.prepare(directory, ["bcm-head"])
    return directory


@pytest.fixture(scope="module")
def listening(certificates: Path) -> Iterator[Server]:
    with serving(certificates) as server:
        yield server


@pytest.fixture
def server(listening: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server; nothing waits between two attempts."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    listening.says(said([]))
    return listening


def made(directory: Path, address: str, timeout: float = TIMEOUT) -> Client:
    return Client(address, directory / pki.ADMIN, directory / pki.ADMIN_KEY, directory / pki.CA, timeout)


@pytest.fixture
def client(server: Server, certificates: Path) -> Client:
    return made(certificates, server.address)


def test_a_call_is_sent_as_the_developer_manual_says(client: Client, server: Server) -> None:
    """bcm-facts §8.1: `{"service":"cmdevice","call":"getDevices","args":[…]}`."""
    server.says(said([{"hostname": "node001"}]))
    assert client.call("cmdevice", "getDevices", "a", 1) == [{"hostname": "node001"}]
    body = {"service": "cmdevice", "call": "getDevices", "args": ["a", 1], "minify": True}
    assert server.asked == [("POST", "/json", body)]


def test_a_document_is_got(client: Client, server: Server) -> None:
    server.says(said({"cm_version": "11.0"}))
    assert client.get("/rest/v1/version") == {"cm_version": "11.0"}
    assert server.asked == [("GET", "/rest/v1/version", None)]


@pytest.mark.parametrize("value", [None, True, [], {}, "text", 5])
def test_any_json_is_an_answer(client: Client, server: Server, value: object) -> None:
    """`null` is how CMDaemon says that it found nothing (bcm-facts §8.1)."""
    server.says(said(value))
    assert client.call("cmdevice", "getDevice", "nosuch") == value


def test_gzip_is_understood(client: Client, server: Server) -> None:
    """bcm-facts §8.1."""
    server.says(text(gzip.compress(b'["packed"]'), Content_Encoding="gzip"))
    assert client.get("/rest/v1/device") == ["packed"]


SAID: dict[str, tuple[str, type[JobstatsError], str]] = {
    "no right": (
        "Your certificate (profile:) does not allow access to CMDevice::getDevices\n", Forbidden,
        "Your certificate (profile:) does not allow access to CMDevice::getDevices"),
    "no service": ("No such service: '(cm)fake'\n", UnknownCall, "No such service: '(cm)fake'"),
    "anything else": ("The database\n is locked\n", Refused, "The database is locked"),
    "nothing": ("", Refused, "without a word"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "error", "cause"), SAID.values(), ids=SAID)
def test_an_error_at_status_200_is_an_error(
    client: Client, server: Server, words: str, error: type[JobstatsError], cause: str
) -> None:
    """Both literal texts: bcm-facts §8.1 [T]."""
    server.says(said({"errormessage": words}))
    with pytest.raises(error) as raised:
        client.call("cmdevice", "getDevices")
    assert cause in raised.value.cause
    assert raised.value.subject == "cmdevice getDevices"
    assert len(server.asked) == 1


STATUSES: dict[int, tuple[type[JobstatsError], int]] = {
    400: (UnknownCall, 1),  # an unknown method (bcm-facts §8.1)
    404: (UnknownCall, 1),
    401: (Forbidden, 1),
    403: (Forbidden, 1),
    500: (Unreachable, client_module.ATTEMPTS),
    503: (Unreachable, client_module.ATTEMPTS),
    202: (Unreadable, 1),
    418: (Unreadable, 1),
}


@pytest.mark.parametrize("status", STATUSES)
def test_every_other_status_is_an_error(client: Client, server: Server, status: int) -> None:
    """bcm-facts §8.1: 400 for an unknown method."""
    error, attempts = STATUSES[status]
    server.says(said([], status))
    with pytest.raises(error, match=str(status)):
        client.call("cmdevice", "getDevices")
    assert len(server.asked) == attempts


def test_a_read_is_repeated_until_it_is_answered(client: Client, server: Server) -> None:
    server.says(said([], 503), text(b"[1, 2", length=100), said([7]))
    assert client.call("cmdevice", "getDevices") == [7]
    assert len(server.asked) == 3


def test_what_is_no_read_is_never_repeated(client: Client, server: Server) -> None:
    server.says(said([], 503), said([7]))
    with pytest.raises(Unreachable):
        client.call("cmdevice", "updateDevice", {})
    assert len(server.asked) == 1


def chunked_and_cut(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"5\r\n[1, 2\r\n")
    handler.wfile.flush()
    handler.close_connection = True


def cut_in_the_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    handler.wfile.flush()
    handler.close_connection = True


def cut_at_once(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


WRONG: dict[str, tuple[Answer, type[JobstatsError]]] = {
    "empty": (text(b""), Unreadable),
    "not JSON": (text(b"<html>It works!</html>"), Unreadable),
    "half of it": (text(b'[{"hostname": "node0'), Unreadable),
    "two documents": (text(b"[] []"), Unreadable),
    "no UTF-8": (text(b'["\xff\xfe\xfa"]'), Unreadable),
    "as deep as memory": (text(b"[" * 200_000), Unreadable),
    "a number without end": (text(b"9" * 10_000), Unreadable),
    "shorter than told": (text(b"[1, 2]", length=7), Truncated),
    "a chunk that breaks off": (chunked_and_cut, Truncated),
    "gzip that is none": (text(b"[]", Content_Encoding="gzip"), Truncated),
    "gzip that breaks off": (text(gzip.compress(b"[1" + b", 1" * 9999)[:-20], Content_Encoding="gzip"), Unreadable),
    "broken headers": (cut_in_the_headers, JobstatsError),
    "nothing at all": (cut_at_once, Unreachable),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "error"), WRONG.values(), ids=WRONG)
def test_what_is_no_whole_answer_is_an_error(
    client: Client, server: Server, answer: Answer, error: type[JobstatsError]
) -> None:
    server.says(answer)
    with pytest.raises(error) as raised:
        client.call("cmdevice", "getDevices")
    assert raised.value.remedy


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_the_size_of_an_answer_is_bounded(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(transport, "LARGEST", 1 << 20)
    body = json.dumps(["x" * (3 << 20)]).encode()
    server.says(text(gzip.compress(body), Content_Encoding="gzip") if packed else text(body))
    with pytest.raises(Unreadable, match="larger than 1 MiB"):
        client.get("/rest/v1/device")
    assert len(server.asked) == 1


@pytest.mark.parametrize("answer", [hangs, trickles], ids=["hangs", "trickles"])
def test_an_answer_that_does_not_come_is_given_up(server: Server, certificates: Path, answer: Answer) -> None:
    """Once: asking again would only double the wait. The next question is not held up."""
    server.says(answer, said([1]))
    client = made(certificates, server.address, timeout=0.5)
    with pytest.raises(TimedOut) as raised:
        client.call("cmdevice", "getDevices")
    assert raised.value.status == ExitStatus.UNREACHABLE
    assert "bcm.timeout" in raised.value.remedy
    assert len(server.asked) == 1
    client.timeout = TIMEOUT
    assert client.call("cmdevice", "getDevices") == [1]


def test_a_port_where_nobody_listens(certificates: Path, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = "{}:{}".format(*gone.getsockname())
    with pytest.raises(Unreachable) as raised:
        made(certificates, address).call("cmdevice", "getDevices")
    assert raised.value.status == ExitStatus.UNREACHABLE
    assert "bcm.address" in raised.value.remedy


def redirect(to: str, status: int = 307) -> Answer:
    return text(b"", status, Location=to)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_passive_head_sends_to_the_active_one(certificates: Path, server: Server, status: int) -> None:
    """bcm-facts §10: a plain HTTP client has to follow by itself; the question stays the same."""
    with serving(certificates) as passive:
        passive.says(redirect(f"https://{server.address}/json", status))
        server.says(said([3]))
        assert made(certificates, passive.address).call("cmdevice", "getDevices") == [3]
        assert server.asked == passive.asked
        assert server.asked[0][0] == "POST"


def test_a_redirect_within_the_head_is_followed(client: Client, server: Server) -> None:
    server.says(redirect("/json/"), said([3]))
    assert client.call("cmdevice", "getDevices") == [3]
    assert [path for _, path, _ in server.asked] == ["/json", "/json/"]


def test_heads_that_send_each_other_around(client: Client, server: Server) -> None:
    server.says(redirect(f"https://{server.address}/json"))
    with pytest.raises(Unreachable, match="redirects more than 3 times"):
        client.call("cmdevice", "updateDevice")
    assert len(server.asked) == client_module.REDIRECTS + 1


@pytest.mark.parametrize("to", ["http://{}/json", "ftp://{}/", "file:///etc/passwd"])
def test_nothing_is_asked_without_tls(client: Client, server: Server, to: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        plain.setblocking(False)
        server.says(redirect(to.format("{}:{}".format(*plain.getsockname()))))
        with pytest.raises(Unreachable, match="not https"):
            client.call("cmdevice", "getDevices")
        with pytest.raises(BlockingIOError):
            plain.accept()


def test_a_redirect_without_an_address(client: Client, server: Server) -> None:
    server.says(text(b"", 307))
    with pytest.raises(Unreachable, match="redirects more than"):
        client.call("cmdevice", "updateDevice")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("strangers")
    pki.prepare(directory, ["bcm-head"])
    return directory


def test_a_server_of_another_authority_is_not_trusted(
    certificates: Path, strangers: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment says: BCM's authority is the only one. bcm-facts §9: where its certificate lies."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(strangers / pki.CA))
    with serving(strangers) as stranger:
        stranger.says(said([]))
        with pytest.raises(Unreachable, match="no trusted connection") as raised:
            made(certificates, stranger.address).call("cmdevice", "getDevices")
        assert "bcm.ca" in raised.value.remedy
        server.says(redirect(f"https://{stranger.address}/json"))
        with pytest.raises(Unreachable, match="no trusted connection"):
            made(certificates, server.address).call("cmdevice", "getDevices")
        assert stranger.asked == []


def test_a_certificate_for_another_host_is_not_trusted(certificates: Path) -> None:
    """Every node of the cluster has a certificate of that authority."""
    with serving(certificates, "127.0.0.2") as elsewhere:
        elsewhere.says(said([]))
        with pytest.raises(Unreachable, match=r"127\.0\.0\.2"):
            made(certificates, elsewhere.address).call("cmdevice", "getDevices")
        assert elsewhere.asked == []


def test_a_client_that_the_server_does_not_trust(certificates: Path, strangers: Path, server: Server) -> None:
    client = Client(server.address, strangers / pki.ADMIN, strangers / pki.ADMIN_KEY, certificates / pki.CA, TIMEOUT)
    with pytest.raises(Unreachable):
        client.call("cmdevice", "getDevices")
    assert server.asked == []


def test_no_proxy_is_used(client: Client, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert client.call("cmdevice", "getDevices") == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_key_that_others_can_read_is_not_used(certificates: Path, server: Server, tmp_path: Path, mode: int) -> None:
    key = tmp_path / "admin.key"
    key.write_bytes((certificates / pki.ADMIN_KEY).read_bytes())
    key.chmod(mode)
    client = Client(server.address, certificates / pki.ADMIN, key, certificates / pki.CA, TIMEOUT)
    with pytest.raises(ExposedKey) as raised:
        client.call("cmdevice", "getDevices")
    assert f"chmod 600 {key}" in raised.value.remedy
    assert server.asked == []
    key.chmod(0o600)
    assert client.call("cmdevice", "getDevices") == []


@pytest.mark.parametrize("missing", [pki.ADMIN, pki.ADMIN_KEY, pki.CA])
def test_a_file_that_is_missing_is_named(strangers: Path, server: Server, missing: str) -> None:
    kept = (strangers / missing).read_bytes()
    (strangers / missing).unlink()
    try:
        with pytest.raises(Unreachable, match=Path(missing).name):
            made(strangers, server.address).call("cmdevice", "getDevices")
    finally:
        (strangers / missing).write_bytes(kept)
        (strangers / missing).chmod(0o600)


@pytest.mark.parametrize("broken", [pki.ADMIN, pki.ADMIN_KEY, pki.CA])
def test_a_file_that_is_no_certificate_is_an_error(strangers: Path, server: Server, broken: str) -> None:
    kept = (strangers / broken).read_bytes()
    (strangers / broken).write_text("not a certificate\n")
    try:
        with pytest.raises(Unreachable):
            made(strangers, server.address).call("cmdevice", "getDevices")
    finally:
        (strangers / broken).write_bytes(kept)


@pytest.mark.parametrize("address", ["", ":", "nohost:", "no host:1", "[::1:5", "a:b:c"])
def test_an_address_that_makes_no_sense_is_an_error(certificates: Path, address: str) -> None:
    with pytest.raises(Unreachable):
        made(certificates, address).call("cmdevice", "updateDevice")


def test_nothing_secret_is_logged(client: Client, certificates: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    client.call("cmdevice", "updateDevice", "a secret value")
    assert "cmdevice updateDevice" in caplog.text
    key = (certificates / pki.ADMIN_KEY).read_text().splitlines()[1]
    assert "secret" not in caplog.text and key not in caplog.text


LAZY = (
    "bcm_jobstats.cli.main",
    "bcm_jobstats.bcm.choice",
    "bcm_jobstats.bcm.rest.adapter",
    "bcm_jobstats.bcm.pythoncm.adapter",
)


@pytest.mark.parametrize("module", LAZY)
def test_nothing_heavy_is_imported_before_it_is_needed(module: str) -> None:
    script = f"import sys, {module}; sys.exit(bool({{'requests', 'tenacity', 'pythoncm', 'ssl'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
