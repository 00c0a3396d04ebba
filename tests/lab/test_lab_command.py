"""`scripts/lab` as a user meets it: statuses, quoting, pipes and terminals, and errors that say what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.simulator.lab import bases, ground, limits
from bcm_jobstats.simulator.lab.__main__ import main
from bcm_jobstats.simulator.lab.alone import ENDING, alone
from bcm_jobstats.simulator.lab.pod import Pod
from bcm_jobstats.simulator.layout import HEAD
from tests.harness import until
from tests.lab import command, labs

needs_lab = [pytest.mark.lab, pytest.mark.skipif(labs.missing() is not None, reason=str(labs.missing()))]
SCRIPT = Path(__file__).parents[2] / "scripts/lab"


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """A small lab without the product, of a user whose files nobody else may read."""
    directory = tmp_path_factory.mktemp("command") / "lab"
    before = os.umask(0o077)
    try:
        with command.up(directory, "--nodes", "1", "--bare") as made:
            os.umask(before)
            yield made
    finally:
        os.umask(before)


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("up", "--nodes", "0"), "give 1 to 200"),
        (("up", "--nodes", "1000"), "253 addresses"),
        (("up", "--nodes", "four"), "four: give 1 to 200"),
        (("up", "--logins", "21"), "give 0 to 20"),
        (("up", "--release", "etch"), "bookworm"),
        ((), "COMMAND"),
    ],
)
def test_what_cannot_be_asked(words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 2 and told in capsys.readouterr().err


def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["up"]) == 1 and "sudo" in capsys.readouterr().err


def test_missing_programs_are_named(
    root: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bases, "missing_programs", lambda: ["systemd-nspawn (package systemd-container)"])
    before = [signal.getsignal(number) for number in ENDING]
    assert main(["--directory", str(tmp_path / "lab"), "up"]) == 1
    assert "systemd-nspawn (package systemd-container)" in capsys.readouterr().err
    assert not (tmp_path / "lab").exists()
    assert [signal.getsignal(number) for number in ENDING] == before


@pytest.mark.parametrize("verb", ["up", "down"])
@pytest.mark.parametrize("content", ["notes.txt", "cmd/notes.txt", "process"])
def test_a_directory_of_the_user_is_left_alone(
    root: None, tmp_path: Path, verb: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also that of a simulator with nodes of another kind."""
    file = tmp_path / ("cmd/cluster.json" if content == "process" else content)
    file.parent.mkdir(exist_ok=True)
    file.write_text('{"node_kind": "process"}', encoding="utf-8")
    assert main(["--directory", str(tmp_path), verb]) == 1
    assert "holds something else than a lab" in capsys.readouterr().err and file.exists()


def test_settings_that_were_half_written_do_not_count(tmp_path: Path) -> None:
    """A lab that was killed at its very first write."""
    (tmp_path / "cmd").mkdir()
    (tmp_path / "cmd/cluster.json").write_text('{"profile": ', encoding="utf-8")
    ground.check(tmp_path)
    ground.mend(tmp_path)
    assert not (tmp_path / "cmd/cluster.json").exists()


def test_without_a_lab(root: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--directory", str(tmp_path / "lab")]
    assert main([*where, "down"]) == 0 and "There is no lab" in capsys.readouterr().err
    assert main([*where, "status"]) == 0 and "No lab runs" in capsys.readouterr().out
    assert main([*where, "status", "--json"]) == 0 and json.loads(capsys.readouterr().out)["running"] is False
    for words in (["ssh"], ["run", "true"], ["run"]):
        assert main([*where, *words]) == 1
    assert capsys.readouterr().err.count("the lab is down. Start it with: lab up") == 2


@pytest.mark.parametrize(("granted", "then"), [("128", "2048\n"), ("4096", "4096")])
def test_a_low_limit_of_the_machine_is_lifted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, granted: str, then: str
) -> None:
    setting, told = tmp_path / "max_user_instances", list[str]()
    setting.write_text(granted, encoding="ascii")
    monkeypatch.setattr(limits, "_SETTING", setting)
    limits.lift(told.append)
    assert setting.read_text(encoding="ascii") == then
    assert len(told) == (granted != then) and all(granted in text for text in told)


@pytest.mark.parametrize(
    ("name", "told"), [("a:b", "colon"), ("a,b", "comma"), ("a\\b", "backslash"), ("x" * 90, "long")]
)
def test_a_path_that_can_be_no_lab(root: None, name: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("up", "down"):
        assert main(["--directory", f"/nowhere/{name}", word]) == 1
        assert told in capsys.readouterr().err


def test_one_at_a_time(root: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with alone(tmp_path / "lab"):
        assert main(["--directory", str(tmp_path / "lab"), "down"]) == 1
    assert "another up or down" in capsys.readouterr().err
    assert main(["--directory", str(tmp_path / "lab"), "down"]) == 0


class TestInside:
    """What goes into a lab and comes out of it."""

    pytestmark = needs_lab

    def test_it_runs_as_the_user_at_home(self, pod: Pod) -> None:
        done = command.lab(pod.directory, "run", 'id -un; pwd; echo "a  b" $((1 + 1)) {c,d}')
        assert done.stdout == "alice\n/home/alice\na  b 2 c d\n" and done.returncode == 0

    def test_many_words_are_taken_as_they_are(self, pod: Pod) -> None:
        done = command.lab(pod.directory, "run", "printf", "%s\n", "it's  one", "$HOME", "-N1")
        assert done.stdout == "it's  one\n$HOME\n-N1\n"

    @pytest.mark.parametrize(("line", "status"), [("exit 7", 7), ("kill -KILL $$", -9), ("nosuch", 127)])
    def test_the_status_is_the_commands(self, pod: Pod, line: str, status: int) -> None:
        assert command.lab(pod.directory, "run", line).returncode == status

    def test_input_output_and_errors_go_their_ways(self, pod: Pod) -> None:
        done = command.lab(pod.directory, "run", "cat; echo no >&2", given="a\nb\n")
        assert (done.stdout, done.stderr) == ("a\nb\n", "no\n")

    def test_at_a_terminal(self, pod: Pod) -> None:
        words = command.words(pod.directory, "ssh", "dgx-01", "sh", "-c", "test -t 0 && test -t 1 && stty size")
        terminal = ["script", "--quiet", "--return", "--command", subprocess.list2cmdline(words), os.devnull]
        done = subprocess.run(terminal, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0 and len(done.stdout.split()) == 2, done.stdout

    def test_ssh_to_every_node(self, pod: Pod) -> None:
        for node in ("bcm-head", "dgx-01", "login-01"):
            assert command.lab(pod.directory, "ssh", node, "hostname").stdout == f"{node}\n"
        assert command.lab(pod.directory, "ssh", given="cd; pwd; hostname\n").stdout == "/root\nbcm-head\n"
        done = command.lab(pod.directory, "ssh", "dgx-09")
        assert done.returncode == 1 and "There are bcm-head, dgx-01, login-01." in done.stderr

    def test_a_node_that_is_off_is_told_from_one_that_is_not_there(self, pod: Pod) -> None:
        pod.run(HEAD, "cmsh", "-c", "device; power -n login-01 off")
        done = command.lab(pod.directory, "ssh", "login-01", "true")
        assert done.returncode == 1 and "login-01: is off" in done.stderr
        told = json.loads(command.lab(pod.directory, "status", "--json").stdout)
        assert [name for name, node in told["nodes"].items() if not node["up"]] == ["login-01"]
        pod.run(HEAD, "cmsh", "-c", "device; power -n login-01 on")
        assert command.lab(pod.directory, "ssh", "login-01", "true").returncode == 0

    def test_the_head_node_has_json_and_rest_at_localhost(self, pod: Pod) -> None:
        where = ("--cacert", "/cm/local/apps/cmd/etc/cacert.pem", "https://localhost:8081/rest/v1/device")
        own = ("--cert", "/root/.cm/admin.pem", "--key", "/root/.cm/admin.key")
        told = json.loads(pod.run(HEAD, "curl", "--silent", "--show-error", *own, *where))
        assert {device["hostname"] for device in told} == {HEAD, "dgx-01", "login-01"}

    def test_a_killed_ssh_leaves_no_process(self, pod: Pod) -> None:
        process = subprocess.Popen(command.words(pod.directory, "ssh", "dgx-01", "sleep", "98765"))
        try:
            until(lambda: sleepers(pod), what="it runs")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        until(lambda: not sleepers(pod), what="it has ended")

    def test_a_second_up_says_what_it_does_not_do(self, pod: Pod) -> None:
        done = command.lab(pod.directory, "up", "--nodes", "3", "--release", "trixie")
        assert done.returncode == 0 and "is up already" in done.stderr
        assert "keeps what it was made of: nodes: 1, release: bookworm" in done.stderr

    def test_status(self, pod: Pod) -> None:
        told = json.loads(command.lab(pod.directory, "status", "--json").stdout)
        assert (told["running"], told["slurm_ready"]) == (True, ["dgx-01"])
        assert all(node["up"] and node["memory_bytes"] > 0 for node in told["nodes"].values())
        text = command.lab(pod.directory, "status").stdout
        assert "dgx-01     10.141.0.1      up" in text and "MiB" in text and "\033" not in text

    def test_what_a_node_takes(self, pod: Pod) -> None:
        """Memory of its programs and tmpfs counts, the cache of files does not."""
        size = 60 * 2**20

        def grown(file: str) -> int:
            before = pod.memory("dgx-01")
            pod.run(
                "dgx-01", "systemd-run", "--quiet", "--wait", "sh", "-c", f"head -c {size} /dev/zero > {file}; sync"
            )
            after = pod.memory("dgx-01")
            pod.run("dgx-01", "rm", file)
            assert before is not None and after is not None
            return after - before

        assert size <= grown("/run/ballast") < 1.3 * size
        assert grown("/root/ballast") < 0.3 * size

    def test_the_script_works_from_anywhere(self, pod: Pod, tmp_path: Path) -> None:
        """By a link too; a relative directory is the caller's, a module that lies there is not ours."""
        (tmp_path / "json.py").write_text("raise SystemExit('not this one')", encoding="utf-8")
        (tmp_path / "lab").symlink_to(SCRIPT)
        words = [str(tmp_path / "lab"), "--directory", os.path.relpath(pod.directory, tmp_path), "run", "hostname"]
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
        assert done.stdout == "login-01\n", done.stderr


def sleepers(pod: Pod) -> str:
    return pod.call("dgx-01", "pgrep", "--full", "^sleep 98765").stdout
