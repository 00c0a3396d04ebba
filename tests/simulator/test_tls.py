"""Certificates, profiles, sessions, redirects and faults of the HTTPS side (bcm-facts §8.1, §10; AM11 §6.4)."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import stat
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.simulator import Simulator, pki, pki_reading, tokens
from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.layout import Layout
from tests.simulator.web import Web, WebClient

GET = {"service": "cmdevice", "call": "getDevices"}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Web]:
    cluster = InProcess(tmp_path, Layout("bcm11", head="bcm-head-1", passive="bcm-head-2"))
    made = Web(cluster)
    yield made
    made.close()
    cluster.close()


def passive_client(web: Web) -> WebClient:
    other = web.cluster.daemon.ha.other()
    return WebClient(web.listeners[other].address, web.root, (web.root / pki.ADMIN, web.root / pki.ADMIN_KEY))


def test_certificates_lie_where_bcm_has_them(web11: Web) -> None:
    """bcm-facts §1.1, §8.1: root's; §9: BCM's authority."""
    for name in (pki.ADMIN_KEY, pki.SERVER_KEY, "cm/local/apps/cmd/etc/cacert.key", "cmd/users.json"):
        assert stat.S_IMODE((web11.root / name).stat().st_mode) == 0o600
    authority = (web11.root / "cm/local/apps/cmd/etc/cacert.pem").read_bytes()
    for name in ("cm/local/apps/cmd/etc/cluster.pem", "cm/local/apps/cmd/pythoncm/etc/cacert.pem"):
        assert (web11.root / name).read_bytes() == authority
    words = ["openssl", "x509", "-noout", "-text", "-in", str(web11.root / "root/.cm/admin.pem")]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "1.3.6.1.4.4324.1" in text and "1.3.6.1.4.4324.2" in text
    assert (web11.root / "cmd/https").read_text() == web11.address


@pytest.mark.parametrize("text", ["prometheus", "a/b+c", 'quo"te\\', "$HOME #x", "ünï", "two\nlines"])
def test_a_certificate_tells_whatever_it_was_made_for(web11: Web, text: str) -> None:
    key, certificate = web11.root / "k", web11.root / "c"
    pki.issue(web11.root, text.replace("\n", " "), text, "root", 10, key, certificate)
    found = pki_reading.read_file(web11.root, certificate)
    assert (found.name, found.profile, found.login) == (text.replace("\n", " "), text, "root")
    assert {stat.S_IMODE(file.stat().st_mode) for file in (key, certificate)} == {0o600}
    assert [one["serial"] for one in pki.certificates(web11.root)] == [1, 2]


def test_a_certificate_needs_a_name_and_a_short_profile(web11: Web) -> None:
    for name, profile in (("", "x"), ("x", "x" * 200)):
        with pytest.raises(pki.CertificateError):
            pki.issue(web11.root, name, profile, "", 10, web11.root / "k", web11.root / "c")


def test_a_certificate_of_another_cluster_ends_the_handshake(web11: Web, tmp_path: Path) -> None:
    pki.prepare(tmp_path / "other", [])
    files = (tmp_path / "other" / pki.ADMIN, tmp_path / "other" / pki.ADMIN_KEY)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        web11.client(files).post(GET)
    with pytest.raises(pki.CertificateError):
        pki_reading.read_file(web11.root, files[0])
    with pytest.raises(ssl.SSLCertVerificationError):
        WebClient(web11.address, tmp_path / "other").post(GET)


def test_the_server_is_valid_for_its_names(web11: Web) -> None:
    context = ssl.create_default_context(cafile=str(web11.root / pki.CA))
    host, port = web11.address.split(":")
    for name in ("bcm-head", "master", "localhost", "127.0.0.1"):
        with socket.create_connection((host, int(port))) as link, context.wrap_socket(link, server_hostname=name):
            pass
    with socket.create_connection((host, int(port))) as link, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(link, server_hostname="elsewhere")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection((host, int(port))) as link, context.wrap_socket(link, server_hostname=host) as tls:
        assert tls.version() == "TLSv1.2"


def test_plain_http_gets_nothing(web11: Web) -> None:
    link = http.client.HTTPConnection(web11.address, timeout=30)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        link.request("GET", "/rest")
        link.getresponse()
    link.close()


def test_a_session_replaces_the_certificate(web11: Web) -> None:
    """bcm-facts §8.1."""
    users = json.loads((web11.root / "cmd/users.json").read_text())
    login = {"service": "login", "username": "root", "password": users["root"]["password"]}
    status, body, headers = web11.nobody.send("POST", "/json", login)
    cookie = headers["Set-Cookie"]
    assert (status, json.loads(body)) == (200, True)
    assert cookie.startswith("cm-login-token=") and cookie.endswith(";path=/;Secure;httponly")
    token = cookie.partition(";")[0]
    assert len(web11.nobody.post(GET, Cookie=token)[1]) == 6
    assert web11.nobody.post({"service": "logout"}, Cookie=token)[1] is True
    assert "errormessage" in web11.nobody.post(GET, Cookie=token)[1]
    assert web11.nobody.post({**login, "password": "wrong"})[1] is False
    assert web11.nobody.post({**login, "username": "nobody"})[1] is False


def test_a_password_will_do(web11: Web) -> None:
    users = json.loads((web11.root / "cmd/users.json").read_text())
    header = "Basic " + base64.b64encode(f"alice:{users['alice']['password']}".encode()).decode()
    assert len(web11.nobody.get("/rest/v1/device", Authorization=header)[1]) == 6
    for bad in ("Basic !", "Basic " + base64.b64encode(b"alice:x").decode(), "Bearer x", "Basic /w=="):
        assert web11.nobody.get("/rest/v1/device", Authorization=bad)[0] == 401


def test_a_profile_that_does_not_allow_a_call_refuses_it(web11: Web) -> None:
    """bcm-facts §8.1."""
    reader = web11.with_profile("readonly")
    assert len(reader.call("cmdevice", "getDevices")) == 6
    told = reader.call("cmdevice", "getConfigurationOverlay", "slurm-client")
    refused = "Your certificate (profile:readonly) does not allow access to CMDevice::updateConfigurationOverlay\n"
    answer = reader.call("cmdevice", "updateConfigurationOverlay", {**told, "priority": 1, "modified": True})
    assert answer == {"errormessage": refused}
    assert web11.cluster.run("configurationoverlay get slurm-client priority") == "500\n"
    new = {"baseType": "ConfigurationOverlay", "uuid": str(uuid.uuid4()), "name": "x"}
    assert "errormessage" in reader.call("cmdevice", "addConfigurationOverlay", new)


def test_a_custom_profile_has_its_tokens_only(web11: Web) -> None:
    daemon = web11.cluster.daemon
    tables = daemon.state.copy()
    values: dict[str, Any] = {"name": "jobstats", "tokens": ("get_device_token",), "nonuser": "yes"}
    tables.setdefault("profile", {})["jobstats"] = Entity("Profile", values)
    daemon.store.replace(tables)
    mine = web11.with_profile("jobstats")
    assert len(mine.call("cmdevice", "getDevices")) == 6
    assert "errormessage" in mine.call("cmdevice", "getCategories")
    assert mine.get("/rest/v1/device")[0] == 200 and mine.get("/rest/v1/status")[0] == 403
    assert tokens.allowed(daemon, "jobstats", "GET_DEVICE_TOKEN")
    assert not tokens.allowed(daemon, "nosuch", "GET_DEVICE_TOKEN") and tokens.allowed(daemon, "admin", tokens.ALL[0])
    assert "errormessage" in web11.with_profile("unheard-of").call("cmdevice", "getDevices")


def test_a_passive_head_redirects(pair: Web) -> None:
    other = passive_client(pair)
    status, body, headers = other.send("POST", "/json", GET)
    assert (status, body, headers["Location"]) == (307, b"", f"https://{pair.address}/json")
    assert other.send("GET", "/rest/v1/device?indent=1")[2]["Location"].endswith("/rest/v1/device?indent=1")
    assert {"redirect": "/json"} in pair.cluster.daemon.log
    assert (pair.root / "heads/bcm-head-2/cmd/https").read_text() == pair.listeners["bcm-head-2"].address
    assert (pair.root / "heads/bcm-head-2" / pki.ADMIN_KEY).exists()
    pair.cluster.control(op="failover")
    assert len(other.call("cmdevice", "getDevices")) == 7
    assert pair.admin.send("POST", "/json", GET)[0] == 307


def test_a_head_that_is_down_answers_nothing(pair: Web) -> None:
    other = passive_client(pair)
    pair.cluster.control(op="head", name="bcm-head-1", state="down")
    for client in (pair.admin, other):
        with pytest.raises((http.client.HTTPException, OSError)):
            client.post(GET)


def test_a_failover_cuts_what_is_under_way(pair: Web) -> None:
    pair.cluster.control(op="fault", kind="failover_at_commit", when="before")
    told = pair.admin.call("cmdevice", "getConfigurationOverlay", "slurm-client")
    with pytest.raises((http.client.HTTPException, OSError)):
        pair.admin.call("cmdevice", "updateConfigurationOverlay", {**told, "priority": 1, "modified": True})
    assert pair.admin.send("POST", "/json", GET)[0] == 307
    assert pair.cluster.daemon.head == "bcm-head-2"
    assert pair.cluster.daemon.state.table("configurationoverlay")["slurm-client"].values.get("priority") is None


def test_faults_strike_the_nth_request(web11: Web) -> None:
    control = web11.cluster.control
    control(op="fault", kind="http_status", nth=2, status=503)
    assert [web11.admin.post(GET)[0] for _ in range(3)] == [200, 503, 200]
    control(op="fault", kind="http_error", message="The database is locked")
    assert web11.admin.post(GET) == (200, {"errormessage": "The database is locked\n"})
    control(op="fault", kind="http_garbage")
    with pytest.raises(ValueError, match="Expecting value"):
        web11.admin.get("/rest/v1/device")
    control(op="fault", kind="http_cut")
    with pytest.raises(http.client.IncompleteRead):
        web11.admin.post(GET)
    assert web11.admin.post(GET)[0] == 200


def test_a_hanging_request_goes_on_when_released(web11: Web) -> None:
    web11.cluster.control(op="fault", kind="http_hang")
    answers: list[int] = []
    beside = threading.Thread(target=lambda: answers.append(web11.admin.post(GET)[0]))
    beside.start()
    while web11.cluster.control(op="faults"):  # until it struck
        beside.join(0.01)
    assert web11.admin.post(GET)[0] == 200
    while beside.is_alive():
        web11.cluster.control(op="release")
        beside.join(0.01)
    assert answers == [200]


@pytest.mark.parametrize(("kind", "committed"), [("drop_before_commit", False), ("drop_after_commit", True)])
def test_a_connection_breaks_around_a_commit(web11: Web, kind: str, committed: bool) -> None:
    told = web11.admin.call("cmdevice", "getConfigurationOverlay", "slurm-client")
    web11.cluster.control(op="fault", kind=kind)
    with pytest.raises((http.client.HTTPException, OSError)):
        web11.admin.call("cmdevice", "updateConfigurationOverlay", {**told, "priority": 510, "modified": True})
    now = web11.admin.call("cmdevice", "getConfigurationOverlay", "slurm-client")
    assert now["priority"] == (510 if committed else 500)


def test_one_connection_carries_many_requests(web11: Web) -> None:
    context = ssl.create_default_context(cafile=str(web11.root / pki.CA))
    context.load_cert_chain(web11.root / pki.ADMIN, web11.root / pki.ADMIN_KEY)
    link = http.client.HTTPSConnection(web11.address, context=context, timeout=30)
    link.connect()
    first = link.sock
    for _ in range(3):
        link.request("POST", "/json", json.dumps(GET))
        assert link.getresponse().read()
    assert link.sock is first
    link.request("POST", "/json", b"", {"Content-Length": "1000000000"})
    assert link.getresponse().status == 413
    link.close()


@pytest.mark.parametrize(("path", "size"), [("/json", "²"), ("/json", "-1"), ("/json", "9" * 99)])
def test_a_malformed_request_is_refused(web11: Web, path: str, size: str) -> None:
    assert web11.admin.send("POST", path, b"", Content_Length=size)[0] == 400


def test_a_started_simulator_serves(tmp_path: Path) -> None:
    simulator = Simulator.start(tmp_path / "head", node_kind="paper")
    try:
        root = simulator.directory
        client = WebClient(simulator.https, root, (root / pki.ADMIN, root / pki.ADMIN_KEY))
        assert len(client.call("cmdevice", "getDevices")) == 6
        assert {"json": "CMDevice::getDevices"} in simulator.control({"op": "log"})["result"]
        authority = (root / pki.CA).read_bytes()
    finally:
        simulator.stop()
    with pytest.raises(OSError, match="https"):
        assert simulator.https
    again = Simulator.start(root)
    again.stop()
    assert (root / pki.CA).read_bytes() == authority
