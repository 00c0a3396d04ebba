"""The command line: its exit contract, its options, what goes to stdout and what to stderr, saved plans."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from bcm_jobstats.cli.main import COMMANDS, main
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.simulator import Simulator
from tests.harness import Outcome, Snapshot, cluster, cmsh, run, snapshot

SITE = "roles: {jobstats: {attach: {categories: [dgx-h100]}, priority: 510}}\n"
UNIT = "cm/images/dgx-image/etc/systemd/system/node_exporter.service"
QUIET = ("--yes", "-q")


class Head:
    """A simulated head node with a site file."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.root = simulator.directory
        self.site(SITE)
        self.before = snapshot(self.root)

    def site(self, text: str) -> Path:
        file = self.root / "etc/bcm-jobstats/site.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run(self, *words: str) -> Outcome:
        return run(self.root, *words)

    def ok(self, *words: str) -> Outcome:
        outcome = self.run(*words)
        assert outcome.status == 0, outcome.err
        return outcome

    def cmsh(self, script: str) -> None:
        cmsh(self.simulator, script)

    @property
    def changed(self) -> bool:
        return snapshot(self.root) != self.before


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    with cluster(tmp_path / "head") as simulator:
        yield Head(simulator)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "bcm_jobstats", *words]


TYPOS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "command": ("aply",),
    "option": ("plan", "--nosuch"),
    "option before the command": ("--nosuch", "plan"),
    "argument too many": ("drift", "more"),
    "argument missing": ("show",),
    "choice": ("plan", "--format", "xml"),
    "action": ("targets", "drop"),
    "action missing": ("prometheus",),
    "number": ("rollback", "last"),
    "way to BCM": ("--bcm", "telepathy", "plan"),
    "value missing": ("plan", "--site"),
}


@pytest.mark.parametrize("words", TYPOS.values(), ids=TYPOS)
def test_a_typo_is_a_usage_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    outcome = run(tmp_path, *words)
    assert outcome.status == 64
    assert outcome.out == ""
    assert outcome.err.startswith("usage: bcm-jobstats")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("words", [("--help",), ("-h",)])
def test_every_command_has_help(tmp_path: Path, name: str, words: tuple[str, ...]) -> None:
    outcome = run(tmp_path, name, *words)
    assert (outcome.status, outcome.err) == (0, "")
    assert f"usage: bcm-jobstats {name}" in outcome.out
    assert len(outcome.out.splitlines()) > 5


def test_the_help_of_the_whole_names_every_command(tmp_path: Path) -> None:
    outcome = run(tmp_path, "--help")
    assert outcome.status == 0
    assert [name for name in COMMANDS if not re.search(rf"^  {name} +\w", outcome.out, re.MULTILINE)] == []


@pytest.mark.parametrize("text", ["clutser: slurm\n", "roles: [\n", "exporters: {node_exporter: {port: 70000}}\n"])
@pytest.mark.parametrize("name", ["validate", "plan", "apply", "drift", "status"])
def test_a_bad_site_file_is_told_with_file_and_line(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "site.yaml").write_text(text)
    outcome = run(tmp_path, name, "--site", str(tmp_path / "site.yaml"))
    assert (outcome.status, outcome.out) == (65, "")
    assert re.search(r"site\.yaml:\d+", outcome.err)


def test_a_site_file_that_is_missing_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    outcome = run(tmp_path, "plan")
    assert outcome.status == 65
    assert "site.yaml" in outcome.err and "init" in outcome.err


def test_a_root_that_is_no_directory_is_an_error(tmp_path: Path) -> None:
    outcome = run(tmp_path / "nosuch", "plan")
    assert outcome.status != 0
    assert "nosuch" in outcome.err and outcome.out == ""


def test_an_error_is_json_on_stderr_when_json_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("")
    outcome = run(tmp_path, "plan", "--json", "--site", str(tmp_path / "site.yaml"))
    assert (outcome.status, outcome.out) == (69, "")
    error = json.loads(outcome.err)["error"]
    assert (error["status"], error["subject"]) == (69, "cmsh")
    assert error["cause"] and error["remedy"]


IN_THE_WAY: dict[str, tuple[str, ...]] = {
    "var/lib/bcm-jobstats": ("apply", *QUIET),
    "cm/shared/apps/jobstats": ("apply", *QUIET),
    "cm/images/dgx-image/usr/lib/bcm-jobstats": ("apply", *QUIET),
    "nosuch": ("plan", "--out", "{root}/nosuch/plan.json"),
}


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_what_the_system_refuses_is_a_clear_error(head: Head, name: str) -> None:
    """A file stands where a directory should be; a full disk or a read-only image is told the same way."""
    (head.root / name).parent.mkdir(parents=True, exist_ok=True)
    (head.root / name).write_text("theirs")
    outcome = head.run(*(word.format(root=head.root) for word in IN_THE_WAY[name]))
    assert outcome.status == 1
    assert outcome.err.startswith("bcm-jobstats: ")
    assert Path(name).name in outcome.err
    assert (head.root / name).read_text() == "theirs"
    (head.root / name).unlink()
    head.ok("apply", *QUIET)


HOLD = """
import sys
from pathlib import Path
from bcm_jobstats.plan.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(lock: Path) -> Iterator[int]:
    """Another process holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder.pid


def test_one_run_at_a_time(head: Head) -> None:
    with held(head.root / "var/lib/bcm-jobstats/lock") as holder:
        for words in (("apply", *QUIET), ("destroy", *QUIET), ("rollback", *QUIET), ("targets", "sync")):
            outcome = head.run(*words)
            assert (outcome.status, outcome.out) == (75, "")
            assert f"process {holder}" in outcome.err
        assert head.run("plan", "--detailed-exitcode").status == 2
        assert head.run("drift").status == 2
    assert not head.changed
    head.ok("apply", *QUIET)


def test_control_c_at_the_question_is_an_interruption_that_changes_nothing(head: Head) -> None:
    with subprocess.Popen(
        command("--root", str(head.root), "apply"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        seen = b""
        while b"Only 'yes' will be accepted: " not in seen:
            piece = os.read(process.stderr.fileno(), 4096)
            assert piece, seen
            seen += piece
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().decode()
    assert process.returncode == 130
    assert "interrupted" in rest and "Traceback" not in rest
    assert not head.changed


@pytest.mark.parametrize("words", [("generations",), ("plan",), ("plan", "--json"), ("plan", "--format", "cmsh")])
def test_a_reader_that_goes_away_is_no_crash(head: Head, words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    words = ("--root", str(head.root), *words)
    try:
        done = subprocess.run(command(*words), stdout=write, stderr=subprocess.PIPE, text=True, check=False, env=usual)
    finally:
        os.close(write)
    assert done.stderr == ""
    assert done.returncode == 1


GLOBALS: dict[str, tuple[str, ...]] = {
    "before": ("--json", "-q", "generations"),
    "after": ("generations", "--json", "-q"),
    "around": ("--json", "generations", "-q"),
    "twice": ("--json", "generations", "--json"),
    "verbose": ("-v", "generations", "-vv", "--json", "--no-color"),
}


@pytest.mark.parametrize("words", GLOBALS.values(), ids=GLOBALS)
def test_global_options_stand_before_or_after_the_command(tmp_path: Path, words: tuple[str, ...]) -> None:
    outcome = run(tmp_path, *words)
    assert (outcome.status, json.loads(outcome.out), outcome.err) == (0, [], "")


@pytest.mark.parametrize("order", [0, 1])
def test_site_and_root_are_taken_wherever_they_stand(
    tmp_path: Path, order: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.yaml").write_text("cluster: mine\n")
    words = ["--site", str(tmp_path / "my.yaml"), "--root", str(tmp_path)]
    assert main([*words, "validate"] if order else ["validate", *words]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'my.yaml'} is valid.")


def test_the_root_comes_from_the_environment_unless_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        file = tmp_path / name / "etc/bcm-jobstats/site.yaml"
        file.parent.mkdir(parents=True)
        file.write_text("")
    monkeypatch.setenv("BCM_JOBSTATS_ROOT", str(tmp_path / "one"))
    assert main(["validate"]) == 0
    assert f"{tmp_path}/one/etc" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "--root", "two"]) == 0
    assert f"{tmp_path}/two/etc" in capsys.readouterr().out


def test_every_command_prints_one_json_document(head: Head, tmp_path: Path) -> None:
    saved = str(tmp_path / "saved.json")
    asked: list[tuple[str, ...]] = [
        ("init", "--site", str(tmp_path / "new.yaml")),
        ("validate",),
        ("plan", "--out", saved),
        ("plan", "--format", "cmsh"),
        ("show", saved),
        ("apply", saved),
        ("apply", "--yes"),
        ("drift",),
        ("status", "--no-prometheus"),
        ("generations",),
        ("probe", "-q"),
        ("doctor",),
        ("doctor", "--contract", "-q"),
        ("certificate", "--print"),
        ("targets", "list"),
        ("targets", "sync"),
        ("image", "plan", "dgx-h100"),
        ("hooks",),
        ("hooks", "show", "prolog-dcgm"),
        ("prometheus", "render"),
        ("prometheus", "rules"),
        ("role-monitor", "deploy"),
        ("rollback", "--yes"),
        ("destroy", "--yes"),
        ("simulator", "status", str(head.root)),
    ]
    assert {words[0] for words in asked} == set(COMMANDS)
    wrong = []
    for words in asked:
        outcome = head.run(*words, "--json")
        assert outcome.status == 0 or words[0] == "status", outcome.err
        try:
            json.loads(outcome.out)
        except ValueError:
            wrong.append(words)
    assert wrong == []


def test_validate_tells_problems_as_json(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("clutser: slurm\nuser: {uid: 5000}\n")
    outcome = run(tmp_path, "validate", "--json", "--site", str(tmp_path / "site.yaml"))
    assert outcome.status == 65
    document = json.loads(outcome.out)
    assert document["valid"] is False
    assert [problem["where"].rpartition(":")[2] for problem in document["problems"]] == ["1", "2"]


@pytest.mark.parametrize("answer", ["", "\n", "y\n", "YES\n", "no\n", "yes please\n"])
def test_anything_but_yes_changes_nothing(head: Head, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    outcome = head.run("apply")
    assert outcome.status == 1
    assert "Nothing was changed." in outcome.err
    assert not head.changed
    assert json.loads(head.ok("generations", "--json").out) == []


def test_yes_is_enough(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("apply", "rollback", "apply", "destroy"):
        monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
        head.ok(name)
        assert head.changed == (name == "apply")


def test_what_changes_while_the_question_stands_is_noticed(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(io.StringIO):  # its reader takes so long to answer
        def readline(self, *_: Any) -> str:  # type: ignore[override]
            head.cmsh("configurationoverlay; add jobstats; commit")
            return "yes\n"

    monkeypatch.setattr(sys, "stdin", Slow())
    outcome = head.run("apply")
    assert outcome.status == 1
    assert "is stale" in outcome.err
    assert json.loads(head.ok("generations", "--json").out) == []


def test_a_saved_plan_is_shown_and_applied_as_it_was_made(head: Head, tmp_path: Path) -> None:
    saved = tmp_path / "plan.json"
    planned = head.ok("plan", "--out", str(saved))
    assert saved.stat().st_mode & 0o777 == 0o600
    assert head.ok("show", str(saved)).out == planned.out
    assert not head.changed
    head.ok("apply", str(saved))
    assert head.ok("plan", "--detailed-exitcode").out.startswith("No changes.")
    outcome = head.run("apply", str(saved))
    assert outcome.status == 1 and "is stale" in outcome.err


MEANWHILE: dict[str, str] = {
    "our overlay is edited": "configurationoverlay; use jobstats; set priority 300; commit",
    "our overlay is removed": "configurationoverlay; remove jobstats; commit; !true",
    "our role is edited": "configurationoverlay; use jobstats; roles; use generic::jobstats; set services a; commit",
}


@pytest.mark.parametrize("script", MEANWHILE.values(), ids=MEANWHILE)
def test_a_saved_plan_is_refused_when_bcm_changed_meanwhile(head: Head, tmp_path: Path, script: str) -> None:
    head.ok("apply", *QUIET)
    head.site(SITE + "exporters: {node_exporter: {port: 9111}}\n")
    head.ok("plan", "--out", str(tmp_path / "plan.json"))
    process = subprocess.run([head.simulator.cmsh, "-n", "-c", script], capture_output=True, check=True)
    assert b"No such" not in process.stdout
    after = snapshot(head.root)
    refused(head, tmp_path / "plan.json", after)


def refused(head: Head, saved: Path, after: Snapshot) -> None:
    outcome = head.run("apply", str(saved))
    assert outcome.status == 1
    assert "is stale" in outcome.err and "plan --out" in outcome.err
    assert snapshot(head.root) == after


@pytest.mark.parametrize("what", ["content", "mode", "removed"])
def test_a_saved_plan_is_refused_when_a_file_in_the_image_changed_meanwhile(
    head: Head, tmp_path: Path, what: str
) -> None:
    head.ok("apply", *QUIET)
    head.site(SITE + "exporters: {cgroup_exporter: {port: 9307}}\n")
    head.ok("plan", "--out", str(tmp_path / "plan.json"))
    file = head.root / UNIT
    if what == "content":
        file.write_text("[Service]\n")
    elif what == "mode":
        file.chmod(0o600)
    else:
        file.unlink()
    refused(head, tmp_path / "plan.json", snapshot(head.root))


WIDER: dict[str, str] = {
    "another overlay carries the role that ours follows":
        "configurationoverlay; add more; set categories login; roles; assign slurmclient; set wlmcluster slurm; commit",
    "a category has another image": "category; use dgx-h100; set softwareimage login-image; commit",
    "the overlay that carries it takes in a category":
        "configurationoverlay; use slurm-client; append categories login; commit",
}  # fmt: skip


@pytest.mark.parametrize("script", WIDER.values(), ids=WIDER)
def test_a_saved_plan_is_refused_when_another_would_be_made_now(head: Head, tmp_path: Path, script: str) -> None:
    """What is there for us is the same, what should be there is not."""
    head.site("")
    head.ok("plan", "--out", str(tmp_path / "plan.json"))
    head.cmsh(script)
    refused(head, tmp_path / "plan.json", snapshot(head.root))


def test_a_saved_plan_outlives_changes_that_do_not_matter(head: Head, tmp_path: Path) -> None:
    head.ok("plan", "--out", str(tmp_path / "plan.json"))
    head.cmsh("configurationoverlay; add other; set nodes login-01; commit")
    (head.root / "cm/images/dgx-image/etc/motd").write_text("hello\n")
    head.ok("apply", str(tmp_path / "plan.json"))


def test_a_saved_plan_with_a_conflict_is_refused(head: Head, tmp_path: Path) -> None:
    head.cmsh("configurationoverlay; add jobstats; set priority 300; commit")
    assert head.run("plan", "--out", str(tmp_path / "plan.json")).status == 1
    after = snapshot(head.root)
    outcome = head.run("apply", str(tmp_path / "plan.json"))
    assert outcome.status == 1
    assert "overlay.jobstats" in outcome.err and "--adopt" in outcome.err
    assert snapshot(head.root) == after


def test_a_plan_made_with_adopt_is_applied_with_it(head: Head, tmp_path: Path) -> None:
    head.cmsh("configurationoverlay; add jobstats; set priority 300; commit")
    head.ok("plan", "--adopt", "--out", str(tmp_path / "plan.json"))
    head.ok("apply", str(tmp_path / "plan.json"))
    assert head.run("drift").status == 0


PLAN = {
    "format_version": "1.0",
    "tool_version": "0",
    "changes": [{"action": "create", "address": "a.b", "before": None, "after": {"x": 1}, "reason": ""}],
    "conflicts": [],
    "fingerprint": "",
    "notes": [],
    "problems": [],
    "purpose": "apply",
    "about": {},
}
BAD_PLANS: dict[str, tuple[str, str]] = {
    "unknown major": (json.dumps({**PLAN, "format_version": "2.0"}), "format 2.0 is not known"),
    "not JSON": ("Plan: 3 to add\n", "is not a plan file"),
    "a list": ("[]", "is not a plan file"),
    "null": ("null", "is not a plan file"),
    "a generation's half": (json.dumps(PLAN)[:-20], "is not a plan file"),
    "no changes in it": (json.dumps({"format_version": "1.0"}), "is not a plan file"),
    "not text": ("\udcff\udcfe", "is not a plan file"),
}


@pytest.mark.parametrize("name", ["show", "apply"])
@pytest.mark.parametrize(("text", "cause"), BAD_PLANS.values(), ids=BAD_PLANS)
def test_what_is_no_plan_is_refused(tmp_path: Path, name: str, text: str, cause: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(text, errors="surrogateescape")
    outcome = run(tmp_path, name, str(file))
    assert (outcome.status, outcome.out) == (1, "")
    assert str(file) in outcome.err and cause in outcome.err


@pytest.mark.parametrize("file", ["nosuch.json", "."])
def test_a_plan_that_cannot_be_opened_is_an_error(tmp_path: Path, file: str) -> None:
    outcome = run(tmp_path, "show", str(tmp_path / file))
    assert outcome.status == 1
    assert "Check the file's name." in outcome.err


@pytest.mark.parametrize("inside", [False, True])
def test_what_a_later_minor_adds_is_ignored(tmp_path: Path, inside: bool) -> None:
    changes: Any = PLAN["changes"]
    added = {"changes": [{**changes[0], "cost": 5}]} if inside else {"approvals": ["me"]}
    (tmp_path / "plan.json").write_text(json.dumps({**PLAN, "format_version": "1.7", **added}))
    outcome = run(tmp_path, "show", str(tmp_path / "plan.json"))
    assert outcome.status == 0, outcome.err
    assert "+ a.b" in outcome.out


def under(root: Path, script: str) -> str:
    """The script for a head node under `root`: paths of its commands, not of the files that they write."""
    lines, inside = [], False
    for line in script.splitlines():
        lines.append(line if inside else re.sub(r"(?<![\w/])/(cm|root)/", rf"{root}/\1/", line))
        inside = line.endswith("<<'END-OF-FILE'") or (inside and line != "END-OF-FILE")
    return "\n".join(lines) + "\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="the commands set owners, which takes root")
@pytest.mark.parametrize("site", [SITE, "", "enable: {mode: services}\n"], ids=["own overlay", "with role", "services"])
def test_the_printed_commands_do_the_same(head: Head, site: str) -> None:
    """As one-liners of bcm-facts §1.1."""
    head.site(site)
    script = head.ok("plan", "--format", "cmsh").out
    head.ok("apply", *QUIET)
    wanted = meaning(snapshot(head.root), head.root)
    head.ok("destroy", *QUIET)
    assert not head.changed
    path = f"{head.root / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e"], input=under(head.root, script), env={**os.environ, "PATH": path}, text=True, check=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert [line for line in done.stdout.splitlines() if "No such" in line or "Unknown" in line] == []
    assert meaning(snapshot(head.root), head.root) == wanted


def meaning(found: Snapshot, root: Path) -> Snapshot:
    """Without what only says whose things are; links with the target that they have on a real head node."""
    mine = {name: entry for name, entry in found.items() if not name.endswith("manifest.json")}
    links = {name: ("link", str(entry[1]).replace(str(root), "")) for name, entry in mine.items() if entry[0] == "link"}
    return {**mine, **links}


def test_rollback_goes_back_over_several_generations(head: Head) -> None:
    states = [snapshot(head.root)]
    for site in (
        SITE,
        SITE + "exporters: {node_exporter: {port: 9111}}\n",
        "roles: {jobstats: {attach: {categories: [dgx-h100]}, priority: 520}, "
        "dcgm-exporter: {attach: {nodes: [dgx-03]}}}\n",
    ):
        head.site(site)
        head.ok("apply", *QUIET)
        states.append(snapshot(head.root))
    assert len({repr(sorted(state.items())) for state in states}) == 4
    head.ok("rollback", "2", *QUIET)
    assert snapshot(head.root) == states[1]
    head.ok("rollback", *QUIET)
    assert snapshot(head.root) == states[3]
    head.ok("rollback", "3", *QUIET)
    assert snapshot(head.root) == states[2]
    head.ok("rollback", "1", *QUIET)
    assert snapshot(head.root) == states[0]
    purposes = [generation["purpose"] for generation in json.loads(head.ok("generations", "--json").out)]
    assert purposes == ["apply"] * 3 + ["rollback"] * 4


def test_generations_are_listed(head: Head) -> None:
    assert head.ok("generations").out == "No run has changed anything yet.\n"
    head.ok("apply", *QUIET)
    head.ok("destroy", *QUIET)
    first, second = json.loads(head.ok("generations", "--json").out)
    assert (first["number"], first["purpose"], first["finished"], first["destroyed"]) == (1, "apply", True, 0)
    assert (second["number"], second["purpose"], second["added"]) == (2, "destroy", 0)
    assert first["added"] == second["destroyed"] > 5
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", first["began"])
    lines = head.ok("generations").out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["1", "2"]


@pytest.mark.parametrize("number", ["0", "7", "-1"])
def test_a_generation_that_is_not_there_is_an_error(head: Head, number: str) -> None:
    head.ok("apply", *QUIET)
    after = snapshot(head.root)
    outcome = head.run("rollback", "--yes", "--", number)
    assert outcome.status == 1
    assert f"generation {number}" in outcome.err and "1 to 1" in outcome.err
    assert snapshot(head.root) == after


def test_without_a_generation_there_is_nothing_to_roll_back(head: Head) -> None:
    outcome = head.run("rollback", "--yes")
    assert outcome.status == 1
    assert "not in the journal" in outcome.err
    assert not head.changed


class Registered:
    """Target files as nodes would have written them."""

    def __init__(self, head: Head) -> None:
        head.ok("apply", *QUIET)
        self.head = head
        self.stack = Deployment(head.root, head.root / "etc/bcm-jobstats/site.yaml").stack
        self.directory = head.root / "cm/shared/apps/jobstats/prometheus-targets"

    def add(self, node: str) -> Path:
        name, content = self.stack.target_file(node, "jobstats")
        (self.directory / name).write_bytes(content)
        return self.directory / name

    def states(self, action: str = "list") -> dict[str, str]:
        told = json.loads(self.head.ok("targets", action, "--json").out)
        return {registration["node"]: registration["state"] for registration in told}


def test_targets_are_listed_and_reconciled(head: Head) -> None:
    nodes = Registered(head)
    assert nodes.states() == {}
    good, damaged, stale = nodes.add("dgx-01"), nodes.add("dgx-02"), nodes.add("login-01")
    wanted = damaged.read_bytes()
    damaged.write_text("[{]")
    gone = nodes.add("removed-node")
    written = good.stat().st_mtime_ns
    assert nodes.states() == {"dgx-01": "ok", "dgx-02": "damaged", "login-01": "stale", "removed-node": "stale"}
    assert stale.exists(), "list must not change anything"
    assert nodes.states("sync") == {"dgx-02": "damaged", "login-01": "stale", "removed-node": "stale"}
    assert (stale.exists(), gone.exists(), damaged.read_bytes() == wanted) == (False, False, True)
    assert good.stat().st_mtime_ns == written, "what is right is not written again"
    assert nodes.states("sync") == {}
    assert sorted(path.name for path in nodes.directory.iterdir()) == ["dgx-01.json", "dgx-02.json"]
    assert head.ok("targets", "sync").out == "All registrations are as BCM says.\n"


def test_targets_of_an_overlay_that_bcm_ignores_are_stale(head: Head) -> None:
    nodes = Registered(head)
    nodes.add("dgx-01")
    head.cmsh("configurationoverlay; use jobstats; set priority -1; commit")
    assert nodes.states() == {"dgx-01": "stale"}


def test_destroy_takes_registrations_of_nodes_that_are_down(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Registered(head)
    nodes.add("dgx-01")
    monkeypatch.setattr("bcm_jobstats.monitoring.providers.WITHDRAWAL", 0.0)
    head.ok("destroy", *QUIET)
    assert not head.changed


def rendered(tmp_path: Path, site: str) -> Path:
    (tmp_path / "site.yaml").write_text(site)
    outcome = run(tmp_path, "prometheus", "render", "--site", str(tmp_path / "site.yaml"))
    assert outcome.status == 0, outcome.err
    file = tmp_path / "prometheus.yml"
    file.write_text(outcome.out)
    return file


SITES = ["", "prometheus: {scrape_interval: 1s}\n", "targets: {directory: /cm/shared/x/y}\n"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (package prometheus)")
@pytest.mark.parametrize("site", SITES)
def test_promtool_takes_the_rendered_configuration(tmp_path: Path, site: str) -> None:
    done = subprocess.run(
        ["promtool", "check", "config", rendered(tmp_path, site)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rendered_configuration_reads_the_targets_as_they_were_registered(tmp_path: Path) -> None:
    document = yaml.safe_load(rendered(tmp_path, "targets: {directory: /cm/shared/x/y}\n").read_text())
    (job,) = document["scrape_configs"]
    assert job["file_sd_configs"][0]["files"] == ["/cm/shared/x/y/*.json"]
    assert set(document["global"].values()) == {"30s"}


def test_init_writes_a_site_file_that_is_valid_and_never_over_one(head: Head) -> None:
    site = head.root / "etc/bcm-jobstats/site.yaml"
    site.write_text("# mine\n")
    outcome = head.run("init")
    assert outcome.status == 1
    assert str(site) in outcome.err and "--force" in outcome.err
    assert site.read_text() == "# mine\n"
    head.ok("init", "--force")
    assert site.read_text() != "# mine\n"
    head.ok("validate")
    assert not head.changed


HEAVY = ("yaml", "requests", "jinja2", "tenacity", "json", "subprocess", "bcm_jobstats.deployment")


@pytest.mark.parametrize("words", [["--version"], ["--help"]])
def test_version_and_help_import_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys\nfrom bcm_jobstats.cli.main import main\n"
        f"try:\n    main({words})\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert done.stdout
