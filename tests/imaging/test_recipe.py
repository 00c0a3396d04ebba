"""`image recipe`: what it prints, run by hand, makes the files that `image build` makes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.imaging import payload, recipe_text
from bcm_jobstats.imaging.record import Records
from bcm_jobstats.simulator import Simulator
from tests.harness import Snapshot, cluster, cmsh, run, snapshot

CLONE = "cm/images/dgx-image-jobstats"
PROGRAM = b"#!/bin/sh\necho 1.9.1\n"


ODD = {
    "no newline": "last line\nwithout an end",
    "many newlines": "x\n\n\n",
    "empty": "",
    "the mark": "a\nEND-OF-FILE\ntouch /nonexistent/pwned\n",
    "odd characters": "caf\u00e9 $HOME `id` \\n 'q' \"d\" \x1b[1m\nx\n",
}


def with_odd_files(root: Path) -> None:
    """A recipe of the site's with a private file of each kind."""
    recipes = root / "etc/bcm-jobstats/images.d"
    (recipes / "templates").mkdir(parents=True)
    files = ""
    for number, content in enumerate(ODD.values()):
        (recipes / f"templates/odd{number}.j2").write_bytes(content.encode())
        files += f"  - {{path: /etc/odd/{number}, template: odd{number}.j2, mode: 0600}}\n"
    (recipes / "odd.yaml").write_text(f"name: odd\ndoc: x\nroles: [jobstats]\nfiles:\n{files}")
    with (root / "etc/bcm-jobstats/site.yaml").open("a") as site:
        site.write("recipes: {dgx-h100: odd}\n")


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with cluster(tmp_path / "head", nodes=3) as simulator:
        root = simulator.directory
        (root / "etc/bcm-jobstats").mkdir(parents=True)
        (root / "root").mkdir(exist_ok=True)
        (root / "root/node_exporter").write_bytes(PROGRAM)
        told = f"file: /root/node_exporter, sha256: {hashlib.sha256(PROGRAM).hexdigest()}"
        site = f"artifacts: {{node_exporter: {{version: '1.9.1', x86_64: {{{told}}}}}}}\n"
        (root / "etc/bcm-jobstats/site.yaml").write_text(site)
        yield simulator


def written(simulator: Simulator, out: Path, *words: str) -> tuple[Path, Path]:
    outcome = run(simulator.directory, "image", "recipe", "dgx-h100", "--out", str(out), *words)
    assert outcome.status == 0, outcome.err
    return out / "recipe.cmsh", out / "recipe.sh"


def below(root: Path, script: str) -> str:
    """The script for the head node whose files are below `root`; contents and targets of links are meant for nodes."""
    lines, inside = [], False
    for line in script.splitlines(keepends=True):
        if line.startswith("ln "):
            words, _, last = line.rpartition(" ")
            line = f"{words} {root}{last}"  # noqa: PLW2901 - the line as it is run here
        elif not inside:
            for top in ("/cm/", "/var/lib/bcm-jobstats/"):
                line = line.replace(f" {top}", f" {root}{top}")  # noqa: PLW2901 - likewise
        inside = line.endswith("<<'END-OF-FILE'\n") or (inside and line != "END-OF-FILE\n")
        lines.append(line)
    return "".join(lines)


def of_clone(found: Snapshot) -> Snapshot:
    """What a build leaves in the clone and on shared storage, but for what only bcm-jobstats itself writes down."""
    ours = ("etc/bcm-jobstats/manifest.json", "cm/shared/apps/jobstats")
    return {
        name: entry
        for name, entry in found.items()
        if name.startswith((CLONE, "cm/shared")) and not any(one in name for one in ours)
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="install -o needs root")
def test_run_by_hand_it_makes_what_a_build_makes(simulator: Simulator, tmp_path: Path) -> None:
    root = simulator.directory
    with_odd_files(root)
    batch, script = written(simulator, tmp_path / "recipe")
    before = snapshot(root)
    subprocess.run([simulator.cmsh, "-n", "-f", batch], check=True, capture_output=True)
    subprocess.run(["bash", "-c", below(root, script.read_text())], check=True, capture_output=True)
    by_hand = of_clone(snapshot(root))
    made = {name: entry for name, entry in by_hand.items() if "/etc/odd/" in name}
    assert [(entry[1], entry[-1]) for _, entry in sorted(made.items())] == [(0o600, x.encode()) for x in ODD.values()]
    assert {name for name in snapshot(root) if name.startswith("nodes")} == {
        name for name in before if name.startswith("nodes")
    }
    cmsh(simulator, "softwareimage; remove -d dgx-image-jobstats; commit")
    shutil.rmtree(root / "cm/shared/apps/slurm/var/cm", ignore_errors=True)
    outcome = run(root, "image", "build", "dgx-h100", "--yes")
    assert outcome.status == 0, outcome.err
    assert by_hand == of_clone(snapshot(root))


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_against_the_script(simulator: Simulator, tmp_path: Path) -> None:
    _, script = written(simulator, tmp_path)
    done = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_the_sum_of_a_program_is_checked_before_it_is_installed(simulator: Simulator, tmp_path: Path) -> None:
    lines = written(simulator, tmp_path)[1].read_text().splitlines()
    check = next(number for number, line in enumerate(lines) if "sha256sum -c" in line)
    assert hashlib.sha256(PROGRAM).hexdigest() in lines[check]
    assert lines[check + 1].startswith("install -D") and lines[check + 1].endswith("/usr/local/bin/node_exporter")


def test_the_batch_touches_no_node_and_tells_the_rest_of_the_way(simulator: Simulator, tmp_path: Path) -> None:
    lines = written(simulator, tmp_path)[0].read_text().splitlines()
    assert [line for line in lines if not line.startswith("!: '")] == [
        "softwareimage", 'clone "dgx-image" "dgx-image-jobstats"', "commit -w"]  # fmt: skip
    remarks = [line[4:-1] for line in lines]
    assert 'imageupdate --wait -n "dgx-01"' in remarks
    assert 'imageupdate -w --wait -n "dgx-01"' in remarks
    assert 'imageupdate -w --wait -n "dgx-02..dgx-03"' in remarks
    assert 'set softwareimage "dgx-image-jobstats"' in remarks


def test_the_remarks_do_nothing_and_say_nothing(simulator: Simulator, tmp_path: Path) -> None:
    """Neither where `;` ends a command before quotes are looked at, nor in the shell that `!` starts."""
    (tmp_path / "recipe.sh").write_text("of an earlier run")
    files = written(simulator, tmp_path)
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600], "for nobody else to read"
    batch = files[0]
    remarks = [line for line in batch.read_text().splitlines() if line.startswith("!")]
    assert not [line for line in remarks if ";" in line]
    batch.write_text("".join(f"{line}\n" for line in remarks))
    done = subprocess.run([simulator.cmsh, "-n", "-f", batch], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
    shell = subprocess.run(["sh", "-c", "\n".join(line[1:] for line in remarks)], capture_output=True, check=True)
    assert (shell.stdout, shell.stderr) == (b"", b"")


@pytest.mark.parametrize("text", ["it's", "'; touch pwned; '", "$(touch pwned) `touch pwned` (x)", "a \\"])
def test_a_remark_is_one_word_whatever_it_says(tmp_path: Path, text: str) -> None:
    script = f"printf '%s' {recipe_text._in_quotes(text)}"
    done = subprocess.run(["sh", "-euc", script], cwd=tmp_path, check=True, capture_output=True)
    assert (done.stdout.decode(), list(tmp_path.iterdir())) == (text, [])


def test_in_place_there_is_no_clone(simulator: Simulator, tmp_path: Path) -> None:
    batch, script = written(simulator, tmp_path, "--in-place", "--adopt")
    assert "clone" not in batch.read_text().replace("the clone of", "")
    assert "/cm/images/dgx-image/etc/" in script.read_text()


def test_printed_it_is_the_same_and_nothing_is_changed(simulator: Simulator, tmp_path: Path) -> None:
    texts = {path.name: path.read_text() for path in written(simulator, tmp_path)}
    before = snapshot(simulator.directory)
    assert json.loads(run(simulator.directory, "image", "recipe", "dgx-h100", "--json").out) == texts
    assert all(text in run(simulator.directory, "image", "recipe", "dgx-h100").out for text in texts.values())
    assert snapshot(simulator.directory) == before
    assert Records(payload.shared_tree(simulator.directory)).all() == {}
