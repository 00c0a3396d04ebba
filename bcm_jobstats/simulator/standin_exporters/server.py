"""The HTTP server of every stand-in exporter: one page, /metrics."""

from __future__ import annotations

import _socket  # `socket` is the same with 13 ms of imports, as long as all the rest of the start
import _thread
import os
import sys
import time

from .page import Page

KINDS = {"node_exporter": 9100, "cgroup_exporter": 9306, "nvidia_gpu_exporter": 9445, "dcgm_exporter": 9400}
VERSIONS = {
    "node_exporter": "1.5.0",
    "cgroup_exporter": "0.3.3",
    "nvidia_gpu_exporter": "0.2.2",
    "dcgm_exporter": "4.8.2",
}
"""The releases that the stand-ins follow."""
LISTEN_FLAGS = ("web.listen-address", "a", "address")
CGROUP_FLAGS = {
    *("web.listen-address", "web.disable-exporter-metrics", "path.cgroup.root", "path.slurmstepd.scope"),
    *("collect.fullslurm", "collect.username", "log.level", "log.format", "simulated-root"),
}
"""What cgroup_exporter takes from 0.3.1 to 0.3.4; builds before that needed --config.paths on cgroup v1."""
MAX_REQUEST = 16384  # bytes
PATIENCE = 5.0  # seconds that a client may be silent

Options = dict[str, str]


def main(arguments: list[str]) -> int:
    """Serve until killed; 1 when the address is not to be had, 64 for an unknown kind."""
    if not arguments or arguments[0] not in KINDS:
        sys.stderr.write(f"usage: standin_exporters {'|'.join(KINDS)} [flags]\n")
        return 64
    kind, options = arguments[0], read_options(arguments[1:])
    if options.keys() & {"version", "h"}:  # nvidia_gpu_exporter knows no --version
        sys.stdout.write(version(kind))
        return 0
    unknown = sorted(set(options) - CGROUP_FLAGS) if kind == "cgroup_exporter" else []
    if unknown:  # as the real one, which changed its flags once
        sys.stderr.write(f"{kind}: error: unknown long flag '--{unknown[0]}', try --help\n")
        return 1
    host, port = listen_address(kind, options)
    server = _socket.socket(_socket.AF_INET6 if ":" in host else _socket.AF_INET, _socket.SOCK_STREAM)
    server.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
        server.listen(64)
    except OSError as error:
        sys.stderr.write(f"{kind}: listen tcp {host}:{port}: {error.strerror}\n")
        return 1
    sys.stderr.write(f"{kind}: SIMULATED exporter listening on {host}:{port}\n")
    while True:
        try:
            descriptor, _ = server._accept()  # type: ignore[attr-defined]  # what socket.accept calls
        except ConnectionError:
            continue  # the client gave up before its turn
        _thread.start_new_thread(answer, (_socket.socket(fileno=descriptor), kind, options))


def version(kind: str) -> str:
    """What --version prints, in the layouts of Prometheus' exporters and of dcgm-exporter."""
    told = "dcgm-exporter version {}\n" if kind == "dcgm_exporter" else f"{kind}, version {{}} (SIMULATED stand-in)\n"
    return told.format(VERSIONS[kind])


def read_options(arguments: list[str]) -> Options:
    """The flags by their names without dashes: ``--x=1``, ``-x=1`` or ``--x 1``; the last of a name counts."""
    options: Options = {}
    for position, argument in enumerate(arguments):
        if argument.startswith("-"):
            name, equals, value = argument.lstrip("-").partition("=")
            following = arguments[position + 1] if position + 1 < len(arguments) else ""
            options[name] = value if equals or following.startswith("-") else following
    return options


def listen_address(kind: str, options: Options) -> tuple[str, int]:
    """Host and port from the flags, else from dcgm-exporter's variable, else the kind's usual port.

    An address without a host is the node's own where the simulated cluster names it, else all addresses.
    """
    text = next((options[flag] for flag in LISTEN_FLAGS if options.get(flag)), "")
    if not text and kind == "dcgm_exporter":
        text = os.environ.get("DCGM_EXPORTER_LISTEN", "")
    host, _, port = text.rpartition(":")
    default = os.environ.get("BCM_SIMULATED_ADDRESS") or "0.0.0.0"  # noqa: S104 - what the real ones do
    return host.strip("[]") or default, int(port) if port.isdigit() else KINDS[kind]


def answer(client: _socket.socket, kind: str, options: Options) -> None:
    """Answer one request and close."""
    try:
        client.settimeout(PATIENCE)
        request = b""
        while b"\r\n\r\n" not in request and b"\n\n" not in request and len(request) < MAX_REQUEST:
            part = client.recv(4096)
            if not part:
                break
            request += part
        client.sendall(response(request, kind, options))
    except OSError:
        return  # a client that is gone or silent
    finally:
        client.close()


def response(request: bytes, kind: str, options: Options) -> bytes:
    """The whole HTTP response to the raw `request`."""
    words = request.split(b"\n", 1)[0].split()
    status, text = "404 Not Found", f"SIMULATED {kind}: see /metrics\n"
    if len(words) != 3 or not words[2].startswith(b"HTTP/"):
        status, text = "400 Bad Request", "not an HTTP request\n"
    elif words[0] not in (b"GET", b"HEAD"):
        status, text = "405 Method Not Allowed", "only GET\n"
    elif words[1].split(b"?")[0] == b"/metrics":
        try:
            status, text = "200 OK", metrics(kind, options, time.time())
        except OSError as error:  # a mapping file gone between listing and reading fails the whole scrape, as real
            status, text = "500 Internal Server Error", f"{error}\n"
    body = text.encode()
    kind_of_text = "text/plain; version=0.0.4; charset=utf-8"
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind_of_text}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + (b"" if words[:1] == [b"HEAD"] else body)


def metrics(kind: str, options: Options, now: float) -> str:
    """The page of one scrape at `now` (seconds since the epoch)."""
    page = Page()
    text = "This exporter is a stand-in of the simulated cluster: its readings of GPUs and of the machine are made up."
    page.family("bcm_jobstats_simulated_exporter", "gauge", text, ({"kind": kind}, 1))
    # A process is one kind of exporter: it loads the one page that it serves.
    if kind == "cgroup_exporter":
        from .cgroup import cgroup

        cgroup(page, options)
    elif kind == "nvidia_gpu_exporter":
        from .nvidia import nvidia

        nvidia(page, options, now)
    elif kind == "dcgm_exporter":
        from .dcgm import dcgm

        dcgm(page, options, now)
    else:
        from .node import node

        node(page, now)
    return "\n".join(page.lines) + "\n"
