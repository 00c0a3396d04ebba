"""Site files as data: every file of assets/site/good loads to what its header says, every one of bad is refused so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.site import SiteError, load_site
from bcm_jobstats.stack import Definitions, load_definitions

ASSETS = Path(__file__).parents[1] / "assets" / "site"


def cases(kind: str) -> list[Path]:
    found = sorted((ASSETS / kind).glob("*.yaml"))
    assert len(found) > 5
    return found


@cache
def shipped() -> Definitions:
    return load_definitions()


@pytest.mark.parametrize("path", cases("bad"), ids=lambda path: path.stem)
def test_every_problem_is_told_with_its_line(path: Path) -> None:
    expected = [
        (int(line), words.split(" | "))
        for line, words in re.findall(r"^# expect (\d+): (.+)$", path.read_text(), re.MULTILINE)
    ]
    assert expected, "the case expects nothing"
    with pytest.raises(SiteError) as caught:
        load_site(path, shipped())
    assert caught.value.status == ExitStatus.BAD_SITE
    problems = caught.value.problems
    told = "\n".join(map(str, problems))
    assert [problem.line for problem in problems] == [line for line, _ in expected], told
    for problem, (_, words) in zip(problems, expected):
        assert [word for word in words if word not in str(problem)] == [], told
    assert told == str(caught.value)
    assert str(path) in told


@pytest.mark.parametrize("path", cases("good"), ids=lambda path: path.stem)
def test_a_good_file_loads_to_what_its_header_says(path: Path) -> None:
    site = load_site(path, shipped())
    expected = re.findall(r"^# expect (\S+) = (.+)$", path.read_text(), re.MULTILINE)
    assert expected, "the case expects nothing"
    for place, value in expected:
        assert str(value_at(site, place)) == value, place


def value_at(site: Any, place: str) -> Any:
    for name in place.split("."):
        site = site[name] if isinstance(site, Mapping) else getattr(site, name)
    return site


def test_without_definitions_names_are_not_checked(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("roles: {anything: {}}\nexporters: {whatever: {port: 8081}}\n")
    assert set(load_site(path).roles) == {"jobstats", "anything"}


def test_a_missing_file_and_a_folder_are_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match=r"No such file(.|\n)*bcm-jobstats init"):
        load_site(tmp_path / "site.yaml")
    with pytest.raises(SiteError, match="Is a directory"):
        load_site(tmp_path)


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(b"cluster: \xff\xfe\n")
    with pytest.raises(SiteError, match="save the file as UTF-8"):
        load_site(path)


def test_where_finds_the_line_of_what_a_later_check_refuses(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "cluster: slurm\n"
        "roles:\n"
        "  jobstats:\n"
        "    attach:\n"
        "      categories:\n"
        "        - dgx\n"
        "        - gone\n"
        "      nodes: ['dgx-[01-02]',\n"
        "        login]\n"
    )
    site = load_site(path)
    assert site.where("roles.jobstats.attach.categories[1]") == f"{path}:7"
    assert site.where("roles.jobstats.attach.nodes[1]") == f"{path}:8"
    assert site.where("roles.jobstats.attach.nodes[2]") == f"{path}:9"
    assert site.where("roles.jobstats.priority") == f"{path}:3", "a default is at the nearest section of the file"
    assert site.where("prometheus.url") == str(path)


def test_two_loads_are_equal_wherever_the_file_lies(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("cluster: a\n")
    two.write_text("# moved\n\ncluster: a\n")
    assert load_site(one) == load_site(two)
    two.write_text("cluster: b\n")
    assert load_site(one) != load_site(two)
