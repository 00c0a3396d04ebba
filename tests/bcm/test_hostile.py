"""Objects whose names were chosen to do harm, put into the cluster over JSON, which takes any: the rest still works and
the plan says what is not seen, or there is a clear error and the cluster is as before. Never a traceback."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Optional

import pytest

from bcm_jobstats.simulator import Simulator, pki
from tests.harness import Outcome, Snapshot, cluster, run, snapshot
from tests.simulator.web import WebClient

pytestmark = pytest.mark.slow
SITE = "roles: {{jobstats: {{attach: {{with_role: slurmclient}}}}}}\nbcm: {{address: '{}'}}\n"
NAMES = {
    "quotes": "a\"b'c`d",
    "a command": 'x"; !touch marker; use "y',
    "semicolon": "a;b",
    "newline": "a\nb",
    "event": "a\nFri Apr 14 14:03:40 2017 [notice] node001: gone",
    "unicode": "ünïcode \u2028 名前 \U0001f600",
    "terminal": "\x1b[2J\x07",
    "option": "-d",
    "long option": "--data",
    "several": "dgx-h100,login",
    "range": "dgx-0[1-3]",
    "dots": "dgx-01..dgx-03",
    "path": "../../etc",
    "cut": "slurm-cli...",
    "brackets": "[]",
    "version": "Version Information",
    "blanks": "  a  b ",
    "long": "x" * 500,
}


@dataclass
class Lab:
    """A cluster with CMDaemon's JSON interface."""

    simulator: Simulator
    web: WebClient

    def call(self, service: str, call: str, *args: Any) -> Any:
        return self.web.call(service, call, *args)

    def run(self, way: str, *words: str) -> Outcome:
        return run(self.simulator.directory, *words, "--bcm", way)

    def snapshot(self) -> Snapshot:
        return snapshot(self.simulator.directory)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with cluster(tmp_path_factory.mktemp("hostile") / "head", profile="bcm11") as simulator:
        root = simulator.directory
        site = root / "etc/bcm-jobstats/site.yaml"
        site.parent.mkdir(parents=True)
        site.write_text(SITE.format(simulator.https))
        yield Lab(simulator, WebClient(simulator.https, root, (root / pki.ADMIN, root / pki.ADMIN_KEY)))


Put = Callable[[Lab, str], Optional[Callable[[], Any]]]


def overlay(lab: Lab, name: str) -> Optional[Callable[[], Any]]:
    """An overlay with members and a generic role of its own."""
    own = str(uuid.uuid4())
    category = lab.call("cmdevice", "getCategory", "login")["uuid"]
    role = {"baseType": "Role", "childType": "GenericRole", "uuid": str(uuid.uuid4()), "name": "generic::x",
            "services": ["s"]}  # fmt: skip
    new = {"baseType": "ConfigurationOverlay", "uuid": own, "name": name, "categories": [category], "roles": [role]}
    if not lab.call("cmdevice", "addConfigurationOverlay", new)["success"]:
        return None
    return lambda: lab.call("cmdevice", "removeConfigurationOverlay", own)


def role(lab: Lab, name: str) -> Optional[Callable[[], Any]]:
    """A generic role on an overlay that stays."""
    return changed(lab, "ConfigurationOverlay", "slurm-submit", roles=lambda roles: [
        *roles, {"baseType": "Role", "childType": "GenericRole", "uuid": str(uuid.uuid4()),
                 "name": f"generic::{name}", "services": [name], "revision": name}])  # fmt: skip


def revision(lab: Lab, name: str) -> Optional[Callable[[], Any]]:
    """What an administrator noted on an overlay that gets our role."""
    return changed(lab, "ConfigurationOverlay", "slurm-client", revision=lambda old: name)


def category(lab: Lab, name: str) -> Optional[Callable[[], Any]]:
    """A category that an overlay names."""
    return changed(lab, "Category", "login", name=lambda old: name)


def node(lab: Lab, name: str) -> Optional[Callable[[], Any]]:
    """A node that no role reaches, or that one does."""
    return changed(lab, "Device", "dgx-04", hostname=lambda old: name)


def changed(lab: Lab, kind: str, key: str, **fields: Callable[[Any], Any]) -> Optional[Callable[[], Any]]:
    before = lab.call("cmdevice", f"get{kind}", key)
    after = {**before, "modified": True, **{field: change(before[field]) for field, change in fields.items()}}
    if not lab.call("cmdevice", f"update{kind}", after)["success"]:
        return None
    return lambda: lab.call("cmdevice", f"update{kind}", {**before, "modified": True})


PUTS: dict[str, Put] = {"overlay": overlay, "role": role, "revision": revision, "category": category, "node": node}


@contextmanager
def put(lab: Lab, kind: str, name: str) -> Iterator[None]:
    """The object for the length of the block; then all is as before."""
    before = json.dumps(lab.simulator.state())
    remove = PUTS[kind](lab, name)
    if remove is None:
        pytest.skip("CMDaemon does not take it")
    try:
        yield
    finally:
        remove()
        lab.simulator.control({"op": "wait_idle"})
        assert json.dumps(lab.simulator.state()) == before


def clear(outcome: Outcome) -> bool:
    """Whether it worked; otherwise the error names object, cause and remedy."""
    assert "Traceback" not in outcome.err
    if outcome.status in {0, 2}:
        return True
    first, *rest = [line for line in outcome.err.splitlines() if line.strip()]
    assert outcome.status in {1, 65, 69} and first.startswith("bcm-jobstats: "), outcome
    assert [line for line in rest if line.startswith("  ")], outcome
    return False


EVERYWHERE = ("a command", "newline", "unicode", "terminal", "option", "several", "range", "cut", "brackets", "long")
PLANS = [(kind, name) for kind in PUTS for name in NAMES if kind == "overlay" or name in EVERYWHERE]


@pytest.mark.parametrize(("kind", "name"), PLANS)
def test_plan(lab: Lab, kind: str, name: str) -> None:
    with put(lab, kind, NAMES[name]):
        before = lab.snapshot()
        outcomes = {way: lab.run(way, "plan") for way in ("cmsh", "pythoncm", "rest")}
        worked = {way: clear(outcome) for way, outcome in outcomes.items()}
        assert lab.snapshot() == before
        for way, outcome in outcomes.items():
            outcome.out.encode()
            assert "\x1b" not in outcome.out + outcome.err, f"{way}: the terminal is at its mercy"
        plans = {summary(outcome.out) for way, outcome in outcomes.items() if worked[way]}
        assert len(plans) <= 1, outcomes
        if kind == "overlay" and worked["cmsh"] and "cannot be sent" not in outcomes["cmsh"].out:
            assert worked["rest"], "cmsh saw all of it and JSON did not"


def summary(plan: str) -> str:
    return "\n".join(line for line in plan.splitlines() if not line.startswith("Note: "))


LIFE = [(kind, name) for kind in PUTS for name in ("a command", "newline", "several")]


@pytest.mark.parametrize("way", ["cmsh", "pythoncm"])
@pytest.mark.parametrize(("kind", "name"), LIFE)
def test_apply_and_destroy(lab: Lab, way: str, kind: str, name: str) -> None:
    with put(lab, kind, NAMES[name]):
        before = lab.snapshot()
        try:
            if not clear(lab.run(way, "apply", "--yes", "-q")):
                assert lab.snapshot() == before
                return
            again = lab.run(way, "plan", "--detailed-exitcode")
            assert again.status == 0, again
        finally:
            gone = lab.run(way, "destroy", "--yes", "-q")
        assert gone.status == 0, gone
        assert lab.snapshot() == before
    assert not list(lab.simulator.directory.rglob("marker"))
