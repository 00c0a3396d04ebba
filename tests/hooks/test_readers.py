"""A file that an exporter has open while a hook changes the map: it reads what was there, or what was added to it."""

from __future__ import annotations

import os

import pytest

from tests.hooks.node import Node

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="hooks run as root: their directories are root's")


@pytest.mark.parametrize("reads", [0, 2])
def test_a_file_that_is_open_is_never_written_anew(reads: int, node: Node) -> None:
    """A running job is never missed: files are appended to, replaced, or emptied when nobody holds the GPU."""
    node.prolog(11, "3")
    node.prolog(12, "3")
    with (node.run / "dcgm-job-map/3").open() as dcgm, (node.run / "gpustat/3").open() as gpustat:
        first = dcgm.read(reads), gpustat.read(reads)
        node.prolog(13, "3")
        assert (first[0] + dcgm.read(), first[1] + gpustat.read()) == ("11\n12\n13\n", "12 1000\n")
    with (node.run / "dcgm-job-map/3").open() as dcgm, (node.run / "gpustat/3").open() as gpustat:
        first = dcgm.read(reads), gpustat.read(reads)
        node.epilog(12)
        node.epilog(13)
        assert (first[0] + dcgm.read(), first[1] + gpustat.read()) == ("11\n12\n13\n", "13 1000\n")
    assert (node.shows("dcgm-job-map"), node.shows("gpustat")) == ({"3": ["11"]}, {"3": ["11 1000"]})


@pytest.mark.parametrize("release", ["empty", "unlink"])
def test_no_file_vanishes_unless_asked_for(release: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """dcgm-exporter answers 500 when a file goes between its listing and its reading (peers C7)."""
    node = Node(tmp_path_factory.mktemp("hooks") / "node", release=release)
    node.prolog(11, "3")
    file = (node.run / "dcgm-job-map/3").stat().st_ino
    node.epilog(11)
    assert (node.run / "dcgm-job-map/3").exists() == (release == "empty")
    node.prolog(12, "3")
    if release == "empty":
        assert (node.run / "dcgm-job-map/3").stat().st_ino == file
