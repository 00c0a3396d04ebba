"""What head nodes run: units on every head, started by CMDaemon through a role or as services (bcm-facts §3.3, §10)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.enable import headfiles, headunits
from bcm_jobstats.simulator import Simulator
from bcm_jobstats.stack import Stack, load_definitions, load_site
from tests.harness import cluster, run, until

SITE = "etc/bcm-jobstats/site.yaml"
UNITS = "etc/systemd/system"
WANTED = "targets: {every: 5m, listen: '127.0.0.1:9089'}\n"
MODES = {"role": "enable: {mode: generic-role}\n", "services": "enable: {mode: services}\n"}
REGISTRY = ["jobstats-registry-sync.service", "jobstats-registry.service", "jobstats-registry.timer"]
HTTP = ["jobstats-targets-http.service"]


def write_site(simulator: Simulator, text: str) -> None:
    for root in simulator.heads().values():
        (root / SITE).parent.mkdir(parents=True, exist_ok=True)
        (root / SITE).write_text(text)


def ok(simulator: Simulator, *words: str) -> str:
    outcome = run(simulator.heads()[simulator.active], *words)
    assert outcome.status == 0, outcome.err
    return outcome.out


def units(simulator: Simulator) -> list[list[str]]:
    """Our units on each head."""
    return [sorted(path.name for path in (root / UNITS).glob("*")) for root in simulator.heads().values()]


def services(simulator: Simulator, head: str) -> dict[str, str]:
    """The services of a head and their states, as cmsh tells."""
    simulator.control({"op": "wait_idle"})
    text = process.run(simulator.cmsh, [f"device; use {head}; services; status"], 30.0).text
    return dict(re.findall(r"(?m)^(jobstats-\S+) +\[ *(\w+) *\]", text))


def on_heads(simulator: Simulator) -> list[list[str]]:
    return [sorted(services(simulator, head)) for head in simulator.heads()]


@pytest.mark.parametrize("mode", MODES)
def test_both_heads_get_units_and_services_and_lose_them_again(tmp_path: Path, mode: str) -> None:
    """bcm-facts §3.3 and §10."""
    with cluster(tmp_path / "head", heads=2, nodes=1) as simulator:
        before = simulator.state()
        write_site(simulator, MODES[mode] + WANTED)
        ok(simulator, "apply", "--yes", "-q")
        assert units(simulator) == [sorted(REGISTRY + HTTP)] * 2
        assert on_heads(simulator) == [["jobstats-registry", "jobstats-targets-http"]] * 2
        ok(simulator, "drift", "-q")
        other, passive = next((name, root) for name, root in simulator.heads().items() if name != simulator.active)
        simulator.control({"op": "head", "name": other, "state": "down"})
        ok(simulator, "drift", "-q")  # a head that is down keeps what it has
        simulator.control({"op": "head", "name": other, "state": "up"})
        timer = passive / UNITS / REGISTRY[2]
        timer.write_text(timer.read_text() + "# by hand\n")
        (passive / UNITS / REGISTRY[1]).unlink()
        assert run(simulator.heads()[simulator.active], "drift", "-q").status != 0
        ok(simulator, "apply", "--yes", "-q")
        assert "by hand" not in timer.read_text()
        write_site(simulator, MODES[mode] + "targets: {listen: '127.0.0.1:9089'}\n")
        ok(simulator, "apply", "--yes", "-q")
        assert units(simulator) == [HTTP] * 2 and on_heads(simulator) == [["jobstats-targets-http"]] * 2
        ok(simulator, "destroy", "--yes", "-q")
        assert simulator.state() == before and units(simulator) == [[], []]


def test_without_the_settings_there_is_nothing_on_heads(tmp_path: Path) -> None:
    with cluster(tmp_path / "head", nodes=1) as simulator:
        write_site(simulator, "")
        assert "jobstats-head" not in ok(simulator, "plan") and "headunit" not in ok(simulator, "plan")


def test_a_change_of_mode_moves_the_services(tmp_path: Path) -> None:
    with cluster(tmp_path / "head", nodes=1) as simulator:
        for mode in ("role", "services", "role"):
            write_site(simulator, MODES[mode] + WANTED)
            ok(simulator, "apply", "--yes", "-q")
            ok(simulator, "drift", "-q")
            assert on_heads(simulator) == [["jobstats-registry", "jobstats-targets-http"]]
            assert ("jobstats-head" in simulator.state()["configurationoverlay"]) == (mode == "role")


def test_files_come_before_the_role_and_go_after_it(tmp_path: Path) -> None:
    def order(*words: str) -> list[str]:
        changes = json.loads(ok(simulator, *words))["changes"]
        kinds = [
            change["address"].partition(".")[0]
            for change in changes
            if "jobstats-registry" in change["address"] or "jobstats-head" in change["address"]
        ]
        return [kind for at, kind in enumerate(kinds) if kind not in kinds[:at]]

    with cluster(tmp_path / "head", nodes=1) as simulator:
        write_site(simulator, MODES["role"] + WANTED)
        assert order("plan", "--json") == ["headunit", "overlay", "role"]
        ok(simulator, "apply", "--yes", "-q")
        write_site(simulator, MODES["role"])
        assert order("plan", "--json") == ["role", "overlay", "headunit"]


def test_a_unit_of_the_administrators_is_not_overwritten(tmp_path: Path) -> None:
    with cluster(tmp_path / "head", nodes=1) as simulator:
        write_site(simulator, WANTED)
        theirs = simulator.directory / UNITS / HTTP[0]
        theirs.write_text("[Service]\nExecStart=/bin/true\n")
        plan = json.loads(run(simulator.directory, "plan", "--json").out)
        assert [conflict["address"] for conflict in plan["conflicts"]] == [f"headunit.bcm-head/{HTTP[0]}"]
        (simulator.directory / UNITS / "jobstats-own.timer").write_text("[Timer]\n")
        theirs.unlink()
        ok(simulator, "apply", "--yes", "-q")
        ok(simulator, "destroy", "--yes", "-q")
        assert units(simulator) == [["jobstats-own.timer"]]


@pytest.mark.parametrize("path", ["etc/bcm-jobstats/site.yaml", "srv/our site.yaml"])
def test_a_site_file_that_lies_elsewhere_is_named_to_them(tmp_path: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(WANTED)
    definitions = load_definitions()
    stack = Stack(load_site(tmp_path / path, definitions), definitions)
    texts = {one.name: one.values["content"] for one in headfiles.desired(stack, ["h"], tmp_path)}
    option = "" if path == SITE else f'--site "/{path}" '
    assert f"ExecStart=/usr/bin/env bcm-jobstats {option}targets serve " in texts[f"h/{HTTP[0]}"]
    assert f"ExecStart=/usr/bin/env bcm-jobstats {option}targets sync " in texts[f"h/{REGISTRY[0]}"]


def rendered(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "site.yaml"
    file.write_text(WANTED)
    definitions = load_definitions()
    return dict(headunits.files(Stack(load_site(file, definitions), definitions)))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name, text in rendered(tmp_path).items():
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in rendered(tmp_path)]
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    assert not [line for line in done.stderr.splitlines() if "jobstats" in line], done.stderr


def test_the_timer_goes_by_the_setting(tmp_path: Path) -> None:
    found = rendered(tmp_path)
    assert "OnUnitActiveSec=300s\n" in found["jobstats-registry.timer"]
    assert "serve --listen 127.0.0.1:9089\n" in found[HTTP[0]]
    assert "SuccessExitStatus=75\n" in found["jobstats-registry-sync.service"]


WRAPPER = '#!/bin/sh\nexec {python} -m bcm_jobstats --root {root} "$@"\n'


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Simulator]:
    """A head node whose services are processes, with bcm-jobstats on it."""
    with cluster(tmp_path / "head", nodes=1, node_kind="process") as simulator:
        program = simulator.directory / "usr/local/bin/bcm-jobstats"
        program.write_text(WRAPPER.format(python=sys.executable, root=simulator.directory))
        program.chmod(0o755)
        yield simulator


@pytest.mark.slow
def test_cmdaemon_serves_the_targets_and_stops_with_the_role(real: Simulator) -> None:
    network = real.addresses()["dgx-01"]
    address = f"{network.rpartition('.')[0]}.250:9089"
    write_site(real, f"targets: {{every: 5m, listen: '{address}'}}\n")
    ok(real, "apply", "--yes", "-q")

    def groups() -> Any:
        try:
            with urlopen(f"http://{address}/targets", timeout=5) as answer:
                return json.loads(answer.read())
        except OSError:
            return None

    until(lambda: len(groups() or ()) == 3)
    assert services(real, "bcm-head") == {"jobstats-registry": "UP", "jobstats-targets-http": "UP"}
    ok(real, "destroy", "--yes", "-q")
    until(lambda: groups() is None)
    assert list((real.directory / UNITS).iterdir()) == []
