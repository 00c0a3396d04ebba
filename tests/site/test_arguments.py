"""What becomes of a definition's arguments when a site gives some of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bcm_jobstats.site import SiteError, load_site
from bcm_jobstats.site.arguments import merged, values
from bcm_jobstats.stack import Definitions, load_definitions

CASES = {
    "nothing of its own": (["--a=1", "-b"], [], ["--a=1", "-b"]),
    "another": (["--a=1"], ["--b=2"], ["--a=1", "--b=2"]),
    "the same": (["--a=1", "--b=1"], ["--a=2"], ["--b=1", "--a=2"]),
    "the same as two words": (["--a=1", "--b=1"], ["--a", "2"], ["--b=1", "--a", "2"]),
    "the same twice": (["--a=1"], ["--a=2", "--a=3"], ["--a=2", "--a=3"]),
    "all of one name": (["--a=1", "--a=2"], ["--a=3"], ["--a=3"]),
    "a longer name": (["--a.b=1"], ["--a=2"], ["--a.b=1", "--a=2"]),
    "a shorter name": (["--a=1"], ["--a.b=2"], ["--a=1", "--a.b=2"]),
    "a value with a sign of equality": (["--a=x=1"], ["--a=y=2"], ["--a=y=2"]),
    "a switch turned on": (["--no-a", "--no-b"], ["--a"], ["--no-b", "--a"]),
    "a switch turned off once more": (["--no-a"], ["--no-a"], ["--no-a"]),
    "a definition of two words": (["--a", "1"], ["--a=2"], ["--a", "1", "--a=2"]),
    "no options": (["x=1", "sub"], ["x=2", "sub"], ["x=1", "sub", "x=2", "sub"]),
    "one dash": (["-a=1"], ["-a=2"], ["-a=2"]),
}


@pytest.mark.parametrize(("definition", "own", "expected"), CASES.values(), ids=CASES)
def test_the_sites_arguments_take_the_place_of_the_definitions(
    definition: list[str], own: list[str], expected: list[str]
) -> None:
    assert list(merged(definition, own)) == expected


def test_the_values_of_an_option() -> None:
    arguments = ["--a=1", "--b", "--a", "2", "--a.b=3", "a=4", "--a="]
    assert list(values(arguments, "--a")) == ["1", "2", ""]
    assert list(values(["--a"], "--a")) == []


def test_a_definition_that_reads_no_text_files_cannot_serve_the_metric(tmp_path: Path) -> None:
    """A site's own node_exporter.yaml stands in for ours."""
    shipped = dict(load_definitions().exporters)
    known = Definitions({**shipped, "node_exporter": dataclasses.replace(shipped["node_exporter"], arguments=())})
    file = tmp_path / "site.yaml"
    file.write_text("roles: {jobstats: , dcgm-exporter: }\njob_map: {mode: info}\n")
    load_site(file, Definitions(shipped))
    with pytest.raises(SiteError, match=r"2: job_map\.mode: slurm_job_gpu_info lies in .* does not read"):
        load_site(file, known)
