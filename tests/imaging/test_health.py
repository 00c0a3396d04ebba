"""The health gate: what is asked of nodes, and what their answers mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.imaging import nodecheck
from bcm_jobstats.imaging.health import SILENT, SLICE, Gate, Verdict
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.nodecheck import Answer, understood
from bcm_jobstats.site import load_site
from bcm_jobstats.stack import Stack, load_definitions
from bcm_jobstats.stack.files import UNITS

OURS = ("node_exporter", "cgroup_exporter", "nvidia_gpu_exporter", "jobstats-target")


@pytest.fixture
def checks(tmp_path: Path) -> nodecheck.Checks:
    site = tmp_path / "site.yaml"
    site.write_text("roles: {dcgm-exporter: }\n")
    definitions = load_definitions()
    manifest = Manifest(tmp_path, "/manifest.json")
    manifest.entries = {f"{UNITS}/jobstats-target.service": {}}
    return nodecheck.checks(Stack(load_site(site, definitions), definitions), manifest, "10.0")


class Clock:
    """Time that passes only when it is slept or asked away."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


class Cluster:
    """Answers in turn: each is node -> what it prints; the last stays. A question takes `seconds`."""

    def __init__(
        self, clock: Clock, answers: Sequence[Mapping[str, str]], states: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.clock, self.answers, self.states = clock, list(answers), states
        self.asked: list[tuple[list[str], str]] = []
        self.seconds = SLICE

    def execute(self, nodes: Collection[str], command: str) -> Mapping[str, str]:
        self.asked.append((list(nodes), command))
        self.clock.now += self.seconds
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return {node: text for node, text in answer.items() if node in nodes}

    def service_states(self, nodes: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        return {node: self.states[node] for node in nodes if node in self.states}


def gate(
    checks: nodecheck.Checks,
    answers: Sequence[Mapping[str, str]],
    states: Mapping[str, Mapping[str, str]],
    timeout: float = 60,
) -> tuple[Gate, Cluster]:
    clock = Clock()
    cluster = Cluster(clock, answers, states)
    made: Any = cluster
    return Gate(made, checks, 20, timeout, clock, clock.pause), cluster


UP = dict.fromkeys(OURS, "UP")
FINE = "ok node_exporter\nend\n"


def test_only_roles_whose_files_the_image_has_are_checked(checks: nodecheck.Checks) -> None:
    assert checks.services == OURS
    assert set(checks.files) == set(OURS)
    assert "/usr/local/bin/node_exporter" in checks.files["node_exporter"]
    assert all(path.startswith("/cm/local/apps/slurm/var/") or "slurmd" in path for path in checks.links)


def test_the_question_says_it_all(checks: nodecheck.Checks) -> None:
    command = checks.check(["node_exporter", "jobstats-target"], 20, 8, last=True)
    words = command.partition("node-check check ")[2].split()
    assert words[:3] == ["20", "8", "last"]
    assert "service=node_exporter:9100" in words and "service=jobstats-target:-" in words
    assert "trial=cgroup_exporter:9306" in words
    assert "program=usr/local/bin/node_exporter,--version" in words
    assert not {'"', "\\", "`", "\n"} & set(command), "it goes through cmsh"


def test_a_node_is_never_registered_for_a_trial(checks: nodecheck.Checks) -> None:
    assert "jobstats-target" not in checks.check([], 20, 8, last=False)


def test_one_question_for_all_nodes(checks: nodecheck.Checks) -> None:
    nodes = [f"n{number}" for number in range(300)]
    one, cluster = gate(checks, [dict.fromkeys(nodes, FINE)], dict.fromkeys(nodes, UP))
    assert one.verdicts(nodes) == dict.fromkeys(nodes, Verdict())
    assert len(cluster.asked) == 1


def test_nodes_without_the_role_are_asked_apart(checks: nodecheck.Checks) -> None:
    one, cluster = gate(checks, [{"a": FINE, "b": FINE}], {"a": UP, "b": {"slurmd": "UP"}})
    assert one.verdicts(["a", "b"]) == {"a": Verdict(), "b": Verdict()}
    assert [(nodes, "trial=" in command) for nodes, command in cluster.asked] == [(["a"], False), (["b"], True)]


def test_who_waits_is_asked_again_and_no_other(checks: nodecheck.Checks) -> None:
    waits = {"a": FINE, "b": "wait node_exporter: it is young\nend\n"}
    one, cluster = gate(checks, [waits, {"b": FINE}], {"a": UP, "b": UP})
    assert one.verdicts(["a", "b"]) == {"a": Verdict(), "b": Verdict()}
    assert [nodes for nodes, _ in cluster.asked] == [["a", "b"], ["b"]]


def test_the_last_question_says_so(checks: nodecheck.Checks) -> None:
    waits = {"a": "wait node_exporter: it is young\nend\n"}
    one, cluster = gate(checks, [waits, waits, {"a": "fail node_exporter: it is young\nend\n"}], {"a": UP}, timeout=20)
    assert one.verdicts(["a"])["a"].failed == "node_exporter: it is young"
    assert [" last " in command for _, command in cluster.asked] == [False, False, True]


def test_the_journal_is_in_the_message(checks: nodecheck.Checks) -> None:
    told = "fail node_exporter: it failed\nlog node_exporter: bind: address in use\nlog node_exporter: bye\nend\n"
    one, _ = gate(checks, [{"a": told}], {"a": UP})
    assert one.verdicts(["a"])["a"].failed == "node_exporter: it failed\n    bind: address in use\n    bye"


def test_a_silent_node_fails_after_some_questions(checks: nodecheck.Checks) -> None:
    one, cluster = gate(checks, [{"a": "sh: no such file\n"}], {"a": UP}, timeout=900)
    assert one.verdicts(["a"])["a"].failed == "it does not answer (sh: no such file)"
    assert len(cluster.asked) == SILENT


def test_answers_that_come_at_once_are_not_asked_for_in_a_hurry(checks: nodecheck.Checks) -> None:
    one, cluster = gate(checks, [{"a": "wait node_exporter: x\nend\n"}], {"a": UP}, timeout=20)
    cluster.seconds = 0.0
    cluster.answers = [*[{"a": "wait node_exporter: x\nend\n"}] * 13, {"a": "fail node_exporter: x\nend\n"}]
    assert one.verdicts(["a"])["a"].failed
    assert len(cluster.asked) <= 21


WITHOUT_SYSTEMD = "\n".join(f"unchecked {name}: no systemd" for name in OURS) + "\nend\n"


def test_what_cannot_be_checked_is_never_silently_fine(checks: nodecheck.Checks) -> None:
    one, _ = gate(checks, [{"a": WITHOUT_SYSTEMD}], {"a": {**UP, "node_exporter": "STOPPED"}})
    assert one.verdicts(["a"])["a"] == Verdict(
        "", {**dict.fromkeys(OURS, "no systemd"), "node_exporter": "an administrator stopped it"}
    )


def test_without_systemd_the_word_of_cmdaemon_counts(checks: nodecheck.Checks) -> None:
    for state, asked in (("FAILING", 1), ("DOWN", 2)):
        one, cluster = gate(checks, [{"a": WITHOUT_SYSTEMD}], {"a": {**UP, "node_exporter": state}}, timeout=10)
        assert one.verdicts(["a"])["a"].failed == f"node_exporter: CMDaemon says {state}"
        assert len(cluster.asked) == asked


def test_an_image_with_nothing_of_ours_asks_nothing(tmp_path: Path) -> None:
    none = nodecheck.Checks((), (), (), {})
    one, cluster = gate(none, [{}], {})
    assert one.verdicts(["a"]) == {"a": Verdict()}
    assert one.stale(["a"]) == {}
    assert cluster.asked == []


def test_stale_services(checks: nodecheck.Checks) -> None:
    """What a node cannot tell is taken for stale: all of ours that run there."""
    told = {
        "a": "stale node_exporter\nend\n",
        "b": "unchecked reload: no systemd\nend\n",
        "c": "sh: what?\n",
        "d": "end\n",
    }
    states = {"b": {**UP, "node_exporter": "DOWN", "slurmd": "UP"}, "c": UP}
    one, _ = gate(checks, [told], states)
    assert {node: sorted(names) for node, names in one.stale(["a", "b", "c", "d"]).items()} == {
        "a": ["node_exporter"],
        "b": sorted(set(OURS) - {"node_exporter"}),
        "c": sorted(OURS),
        "d": [],
    }


CUT = ["", "ok node_exporter\n", "fail node_exporter: x\nen", "end of the world\n"]


@pytest.mark.parametrize("text", CUT)
def test_an_answer_without_its_end_is_none(text: str) -> None:
    assert understood(text) is None


def test_an_answer() -> None:
    text = "ok a\nwait b: why: so\nunchecked c: x\nstale d\nlog nobody: y\nnoise\nfail e\nend\n"
    assert understood(text) == Answer({"e": ""}, {"b": "why: so"}, {"c": "x"}, frozenset({"d"}))
