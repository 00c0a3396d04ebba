"""The package as an administrator installs it: from a wheel, into an empty environment, used from any directory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel and what it requires."""
    work = tmp_path_factory.mktemp("package")
    source = work / "source"
    shutil.copytree(TOP, source, ignore=shutil.ignore_patterns(".git", ".*_cache", "build", "*.egg-info", ".venv*"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(work), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(work.glob("*.whl"))
    subprocess.run([_oldest_python(), "-m", "venv", str(work / "venv")], check=True)
    pip = [str(work / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    return work / "venv/bin"


def _oldest_python() -> str:
    """Python 3.9, what BCM 10 has, where this machine has it."""
    python = shutil.which("python3.9")
    works = python and subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0
    return str(python) if works else sys.executable


def test_it_works_from_any_directory_and_needs_nothing_but_the_wheel(scripts: Path, tmp_path: Path) -> None:
    def call(*words: str, status: int = 0) -> str:
        done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done.stdout

    command, head = str(scripts / "bcm-jobstats"), str(tmp_path / "head")
    assert call(command, "--version") == call(str(scripts / "python"), "-m", "bcm_jobstats", "--version")
    call(command, "simulator", "start", head)
    try:
        call(command, "--root", head, "init")
        assert "role jobstats" in call(command, "--root", head, "validate")
        call(command, "--root", head, "apply", "--yes")
        assert "No changes." in call(command, "--root", head, "drift")
        call(command, "--root", head, "destroy", "--yes")
    finally:
        call(command, "simulator", "stop", head)
