"""sd_notify before real sockets."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bcm_jobstats.node.notify import Notify, watchdog


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, abstract: bool) -> None:
    address = f"@bcm-role-monitor-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if abstract else address)
        systemd.settimeout(10)
        notify = Notify(address)
        notify.ready("up\nand running")
        notify.alive()
        notify.alive("role x: yes")
        notify.stopping()
        told = [systemd.recv(1000).decode() for _ in range(4)]
    expected = ["READY=1\nSTATUS=up and running", "WATCHDOG=1", "WATCHDOG=1\nSTATUS=role x: yes"]
    assert told == [*expected, "STOPPING=1\nSTATUS=stopping"]


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "/nowhere/at/all", "@nobody-listens-here"])
def test_nobody_to_tell_is_no_matter(address: str | None) -> None:
    Notify(address).ready("x")


@pytest.mark.parametrize(("value", "seconds"), [("300000000", 150.0), ("x", 7.0), (None, 7.0)])
def test_the_watchdog_is_fed_twice_as_often_as_it_must(
    monkeypatch: pytest.MonkeyPatch, value: str | None, seconds: float
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if value is not None:
        monkeypatch.setenv("WATCHDOG_USEC", value)
    assert watchdog(7.0) == seconds
