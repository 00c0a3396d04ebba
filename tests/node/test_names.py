"""The node's name for BCM, files and labels."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.node import names

SCRIPT = Path(__file__).parents[2] / "scripts" / "jobstats-target"

GOOD = {
    "node001": "node001",
    "dgx-01.cm.cluster": "dgx-01",
    "DGX-01": "dgx-01",
    "a": "a",
    "1": "1",
    "n" * 63: "n" * 63,
    "localhost1": "localhost1",
}
BAD = [
    "",
    ".",
    "localhost",
    "LOCALHOST.localdomain",
    "-a",
    "a-",
    "a_b",
    "a b",
    "a/b",
    "../x",
    "n" * 64,
    "nöde",
    "a\n",
]


@pytest.mark.parametrize(("host", "name"), GOOD.items())
def test_a_name(host: str, name: str) -> None:
    assert names.current(lambda: host) == name


@pytest.mark.parametrize("host", BAD)
def test_no_name(host: str) -> None:
    with pytest.raises(JobstatsError, match="is not the name of a node"):
        names.current(lambda: host)


def test_a_machine_that_does_not_tell() -> None:
    def fails() -> str:
        raise OSError("no memory")

    with pytest.raises(JobstatsError, match="host name: no memory"):
        names.current(fails)


@pytest.mark.parametrize("host", [*GOOD, *(host for host in BAD if host != "LOCALHOST.localdomain")])
def test_the_script_of_the_other_mode_takes_the_same_names(tmp_path: Path, host: str) -> None:
    """LOCALHOST apart, which no machine is called."""
    told = subprocess.run(["bash", str(SCRIPT), "withdraw", "x", str(tmp_path), host], capture_output=True, check=False)
    assert (told.returncode == 0) == (host in GOOD)
