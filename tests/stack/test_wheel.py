"""Installed from a wheel the package finds its data and makes the same files as in a checkout (design §4)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
CODE = """
import sys
from pathlib import Path
from bcm_jobstats import data
from bcm_jobstats.site import Site
from bcm_jobstats.stack import Stack, load_definitions
print(Path(data.__file__).parent)
stack = Stack(Site(), load_definitions())
for file in stack.image_files(["jobstats"], stack.recipes["login"]):
    print(file.path, oct(file.mode), hash(file.content))
"""


def told(where: Path) -> list[str]:
    """What the package in `where` makes of the defaults; the first line says where it lies."""
    env = {**os.environ, "PYTHONPATH": str(where), "PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, cwd="/", env=env)
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("setuptools") is None or importlib.util.find_spec("wheel") is None,
    reason="setuptools and wheel are not installed",
)
def test_a_wheel_holds_what_a_checkout_holds(tmp_path: Path) -> None:
    source, installed = tmp_path / "source", tmp_path / "installed"
    shutil.copytree(
        TOP, source, ignore=shutil.ignore_patterns(".git", ".*_cache", "build", "*.egg-info", ".venv*", "tests")
    )
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    command = [*pip, "install", "--no-deps", "--no-build-isolation", f"--target={installed}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    from_wheel, from_checkout = told(installed), told(TOP)
    assert from_wheel[0] == str(installed / "bcm_jobstats/data")
    assert from_checkout[0] == str(TOP / "bcm_jobstats/data")
    assert from_wheel[1:] == from_checkout[1:]
    assert len(from_wheel) == 16
