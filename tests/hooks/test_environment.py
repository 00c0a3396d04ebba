"""Whatever the environment says: a hook ends well and soon, runs nothing of it, and touches only maps."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

import pytest

from tests.hooks.node import HOOKS, Node, environment
from tests.hooks.test_faults import busy, in_time

__all__ = ["busy"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="hooks run as root: their directories are root's")

UUID = "GPU-00000000-aaaa-4000-8000-000000000000"
HOSTILE = {
    "command": "$(touch {out}/x)",
    "backticks": "`touch {out}/x`",
    "arithmetic": "a[$(touch {out}/x)]",
    "arithmetic with digits": "0[$(touch {out}/x)]",
    "end of quotes": "';touch {out}/x;'",
    "end of double quotes": '";touch {out}/x;"',
    "redirection": ">{out}/x",
    "newline": "0\ntouch {out}/x\n",
    "path": "../../outside/x",
    "path behind a UUID": "GPU-../../outside/x",
    "path behind a number": "0/../../outside/x",
    "absolute path": "{out}/x",
    "dot": ".",
    "dots": "..",
    "slash": "/",
    "hidden": ".new",
    "star": "*",
    "star behind a UUID": "GPU-*",
    "star behind a number": "0*",
    "question mark": "?",
    "class": "[0-9]",
    "extended pattern": "+([0-9])",
    "brace": "{{0..9}}",
    "range": "0-3",
    "option": "-rf",
    "double dash": "--",
    "option of mv": "--target-directory={out}",
    "tilde": "~root",
    "variable": "$HOME",
    "indirection": "!BASH",
    "blank": " ",
    "blanks around": " 0 ",
    "tab": "0\t1",
    "commas": ",,,",
    "comma at the end": "0,",
    "comma at the start": ",0",
    "negative": "-1",
    "plus": "+1",
    "decimal": "0.5",
    "hexadecimal": "0x1f",
    "octal": "08",
    "base": "36#zz",
    "huge number": "9" * 400,
    "wraps": "18446744073709551616",
    "long": "0," * 5_000,
    "ten thousand words": ",".join(map(str, range(10_000))),
    "ten thousand bytes of a UUID": "GPU-" + "a" * 10_000,
    "many UUIDs": ",".join(f"GPU-{number:08x}-aaaa-4000-8000-000000000000" for number in range(2_000)),
    "a hundred thousand bytes": "a," * 50_000,
    "stars": "*," * 5_000,
    "old MIG": "MIG-GPU-00000000-aaaa-4000-8000-000000000000/7/0",
    "capital UUID": "GPU-ABCDEF00-AAAA-4000-8000-000000000000",
    "AMD": "GPU-xyz",
    "NoDevFiles": "NoDevFiles",
    "NoDevFiles and more": "NoDevFiles,0",
    "all": "all",
    "none": "none",
    "UTF-8": "\uff10,é,\u202e",
    "not UTF-8": "\udcff\udcfe",
    "escape": "\x1b]0;title\x07",
    "carriage return": "0\r",
    "format": "%s%n%d",
    "backslash": "\\",
    "backslash and newline": "0\\\n1",
    "quote": "'",
    "empty": "",
}
GPU_VARIABLES = ("SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES")
JOB_VARIABLES = ("SLURM_JOB_ID", "SLURM_JOB_UID")


def lies_in(node: Node) -> set[str]:
    """Every name in the node's directory but run/, and every directory and odd file in it."""
    plain = {str(path) for path in node.directory.rglob("*") if node.run not in path.parents}
    odd = {str(path) for path in node.run.rglob("*") if not stat.S_ISREG(path.lstat().st_mode)}
    return plain | {name for name in odd if not name.endswith("/.new")}


def unharmed(node: Node) -> None:
    """Jobs 7 and 8 are in the maps, and all that is there can be read by exporters."""
    for name, lines in node.shows("gpustat").items():
        (line,) = lines
        assert all(word.isdigit() for word in line.split(" ")), (name, line)
        assert len(line.split(" ")) == 2
    for name, lines in node.shows("dcgm-job-map").items():
        assert name.replace(".", "", 1).isdigit()
        assert all(line.isdigit() for line in lines), (name, lines)
    assert node.shows("dcgm-job-map")["0"][0] == "7"
    assert node.shows("dcgm-job-map")["3"][0] == "8"
    assert (node.home / "gpustat/3").read_text().startswith("8 ")


@pytest.mark.parametrize("variables", [GPU_VARIABLES[:1], GPU_VARIABLES[1:], GPU_VARIABLES, JOB_VARIABLES[:1],
                                       JOB_VARIABLES[1:]], ids="+".join)  # fmt: skip
def test_hostile_values(variables: tuple[str, ...], busy: Node) -> None:
    before = lies_in(busy)
    for text in HOSTILE.values():
        value = text.format(out=busy.directory / "outside") if "{" in text else text
        for hook in HOOKS:
            env = environment(hook, 9, "1")
            if variables == GPU_VARIABLES[1:]:
                del env["SLURM_JOB_GPUS"]
            env.update(dict.fromkeys(variables, value))
            in_time(lambda hook=hook, env=env: busy.hook(hook, env=env))  # type: ignore[misc]
        assert lies_in(busy) == before, value[:80]
        unharmed(busy)
        busy.epilog(9)
        assert {key: lines for key, lines in busy.shows("dcgm-job-map").items() if "9" in lines} == {}
    assert (busy.directory / "outside/file").read_text() == "precious\n"


def test_every_variable_is_hostile_at_once(busy: Node) -> None:
    before = lies_in(busy)
    for text in HOSTILE.values():
        value = text.format(out=busy.directory / "outside") if "{" in text else text
        for hook in HOOKS:
            env = dict.fromkeys([*environment(hook, 9, "1"), "SLURM_JOB_COMMENT"], value[:20_000])
            in_time(lambda hook=hook, env=env: busy.hook(hook, env=env))  # type: ignore[misc]
    assert lies_in(busy) == before
    unharmed(busy)


def test_no_environment_at_all(busy: Node) -> None:
    before = busy.public("gpustat"), busy.public("dcgm-job-map")
    for hook in HOOKS:
        in_time(lambda hook=hook: busy.hook(hook, env={}))  # type: ignore[misc]
    assert (busy.public("gpustat"), busy.public("dcgm-job-map")) == before
    assert busy.failures() == dict.fromkeys(HOOKS, 1)


# Variables that change what bash does, or what the script could have forgotten to set.
def traps(out: Path) -> dict[str, str]:
    (out / "rc").write_text(f"touch {out}/x; exit 7\n")
    (out / "flock").write_text(f"#!/bin/sh\ntouch {out}/x\nexit 0\n")
    (out / "flock").chmod(0o755)
    (out / "mv").symlink_to("flock")
    touch = f"() {{ touch {out}/x; builtin exit 7; }}"
    functions = (
        "printf",
        "read",
        "exec",
        "mapfile",
        "flock",
        "mv",
        "finish",
        "take",
        "use",
        "exit",
        "local",
        "shopt",
        "umask",
    )
    return {
        "BASH_ENV": f"{out}/rc",
        "ENV": f"{out}/rc",
        "SHELLOPTS": "errexit:nounset:noclobber:noglob:posix:xtrace",
        "BASHOPTS": "failglob:nocasematch",
        "POSIXLY_CORRECT": "y",
        "BASH_COMPAT": "3.1",
        "PS4": f"$(touch {out}/x)",
        "PROMPT_COMMAND": f"touch {out}/x",
        "IFS": "0123456789",
        "PATH": f"{out}",
        "CDPATH": f"{out}",
        "GLOBIGNORE": "*",
        "EXECIGNORE": "*",
        "FUNCNEST": "1",
        "TMOUT": "1",
        "TIMEFORMAT": f"$(touch {out}/x)",
        "HOME": f"{out}",
        "TMPDIR": f"{out}",
        "LC_ALL": "C.UTF-8",
        "OPTIND": "9",
        **{f"BASH_FUNC_{name}%%": touch for name in functions},
        **dict.fromkeys(("map", "state", "public", "home", "run", "lock", "said", "key", "keys", "staged", "gone",
                         "holders", "logged", "mode", "release", "numbers", "job", "uid", "hook", "failures", "labels",
                         "informs", "unlinks", "started", "text", "file", "there", "words"), f"{out}/x"),
    }  # fmt: skip


ALONE = ("BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "POSIXLY_CORRECT", "BASH_COMPAT", "PS4", "IFS", "PATH",
         "GLOBIGNORE", "EXECIGNORE", "FUNCNEST", "TMOUT", "LC_ALL", "holders", "keys", "lock", "started")  # fmt: skip


@pytest.mark.parametrize("which", ["all", *ALONE])
def test_variables_that_mean_something_to_bash(which: str, busy: Node) -> None:
    """They change neither the status nor what is written where."""
    settings = traps(busy.directory / "outside")
    settings = settings if which == "all" else {which: settings[which]}
    before = lies_in(busy)
    for hook in HOOKS:
        in_time(lambda hook=hook: busy.hook(hook, env={**settings, **environment(hook, 9, "1")}))  # type: ignore[misc]
        expected = {"0": ["7"], "3": ["8"]}
        if hook in {"prolog-dcgm", "epilog-jobstats"}:
            expected["1"] = ["9"]
        assert busy.shows("dcgm-job-map") == expected
        assert ("1" in busy.shows("gpustat")) == hook.startswith("prolog")
    in_time(lambda: busy.hook("gpu-sweep", env=settings))
    assert lies_in(busy) - before <= {str(busy.home / name) for name in ("textfile", "swept")}
    assert busy.failures() == {}


def test_a_table_of_garbage(busy: Node) -> None:
    """What it says is taken for a GPU only if it looks like one."""
    before = lies_in(busy)
    row = random.Random(5)
    tables = [
        f"{UUID} ../../outside/x 0\n",
        f"{UUID} $(touch {busy.directory}/outside/x) 0\n",
        f"{UUID} * *\n",
        f"{UUID}\n",
        UUID,
        f"{UUID} {'9' * 5000} 1\n",
        f"\n\n# {UUID} 4 4\n",
        "\x00" * 5000,
        f"\x00{UUID} 5 5\n",
        "".join(chr(row.randrange(1, 256)) for _ in range(20_000)),
        f"{'x' * 1_000_000} 1 1\n",
    ]
    for table in tables:
        busy.write("bcm-jobstats/gpus", table)
        for hook in HOOKS:
            env = environment(hook, 9, "1", cuda=UUID)
            in_time(lambda hook=hook, env=env: busy.hook(hook, env=env))  # type: ignore[misc]
            assert not {"*", "x"} & set(busy.shows("dcgm-job-map"))
        assert lies_in(busy) == before, table[:80]
        unharmed(busy)
        assert {key for key, lines in busy.shows("dcgm-job-map").items() if "9" in lines} == set()


GARBAGE = ("", "\n", "\n\n\n", "x\n", "9\n", "9 1000", "-9\n", "--9\n", "9 1000 1\n", "9999999999999999999999 1\n",
           "\x00\x00\x00", "9 1000\x00\n", "9 1000\n\x00", "12 10", "12 1000\r\n", " 12 1000\n", "$(touch x) 1\n",
           "* *\n", "12 1000\n" * 3_000, "x" * 100_000, "12 1000\n-12\n" * 2_000)  # fmt: skip


@pytest.mark.parametrize("map_", ["gpustat", "dcgm-job-map"])
@pytest.mark.parametrize("where", ["log", "public", "both"])
def test_garbage_in_the_maps(where: str, map_: str, busy: Node) -> None:
    """A job that comes to a GPU with a damaged file is on it, stays on it while others come, and leaves it."""
    busy.epilog(7)
    mine = ["500 1000"] if map_ == "gpustat" else ["500"]
    (hook,) = [name.partition("-")[2] for name in HOOKS[:2] if (map_ == "gpustat") == name.endswith("jobstats")]
    problems = []
    for text in GARBAGE:
        for place in ["log"] * (where != "public") + ["public"] * (where != "log"):
            busy.write(f"{'bcm-jobstats/' * (place == 'log')}{map_}/1", text)
        in_time(lambda: busy.hook(f"prolog-{hook}", 500, "1"))
        shown = [busy.shows(map_).get("1", [])]
        in_time(lambda: busy.hook(f"prolog-{hook}", 501, "2"))
        busy.starts(500)
        busy.starts(501)
        busy.sweep()
        shown.append(busy.shows(map_).get("1", []))
        in_time(lambda: busy.hook(f"epilog-{hook}", 501))
        shown.append(busy.shows(map_).get("1", []))
        if any(lines[-1:] != mine for lines in shown):
            problems.append(f"{text[:40]!r}: {[lines[-3:] for lines in shown]}")
        in_time(lambda: busy.hook(f"epilog-{hook}", 500))
        if mine[0] in busy.shows(map_).get("1", []):
            problems.append(f"{text[:40]!r}: stays")
        # All that is there is a job's line, whole.
        shape = 2 if map_ == "gpustat" else 1
        left = busy.public(map_)["1"]
        if any(len(line.split(" ")) != shape or not line.replace(" ", "").isdigit() for line in left.splitlines()):
            problems.append(f"{text[:40]!r}: leaves {left[:80]!r}")
        for job in (9, 12):
            busy.hook(f"epilog-{hook}", job)
    assert not problems, "\n".join(problems)


def test_garbage_in_what_hooks_note(busy: Node) -> None:
    """Counters start anew; no number of a file is calculated with unchecked."""
    for text in (
        *GARBAGE,
        "08 09 08 08\n",
        "a[$(touch x)] 1 1 1\n",
        "9223372036854775807 9223372036854775807 1 1\n",
        "5\n",
    ):
        for hook in HOOKS:
            busy.write(f"bcm-jobstats/runs/{hook}", text)
        busy.write("bcm-jobstats/runs/sweep", text)
        busy.write("bcm-jobstats/missed", text)
        busy.write("bcm-jobstats/swept/9", text)
        busy.prolog(9, "1")
        assert busy.shows("dcgm-job-map")["1"] == ["9"], text[:40]
        busy.starts(9)
        busy.sweep()
        assert busy.shows("dcgm-job-map")["1"] == ["9"], text[:40]
        busy.epilog(9)
        rows = (busy.home / "textfile/hooks.prom").read_text().splitlines()
        samples = [line for line in rows if not line.startswith("#")]
        assert all(len(line.split(" ")) == 2 for line in samples), text[:40]
        assert [float(line.split(" ")[1]) for line in samples]
        for hook in HOOKS:
            row = (busy.home / "runs" / hook).read_text().split()
            assert len(row) == 4, text[:40]
            assert [str(int(word)) for word in row[:2]] == row[:2], text[:40]
