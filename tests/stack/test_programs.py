"""The programs that a site supplies: which images get them, and what is known of their projects' releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.site import SiteError, load_site
from bcm_jobstats.stack import Stack, load_definitions
from bcm_jobstats.stack.upstream import Pair

SITE = """\
roles: {dcgm-exporter: }
exporters: {cgroup_exporter: {binary: /opt/ce, port: 19306}, nvidia_gpu_exporter: {enabled: false}}
artifacts:
  node_exporter:
    version: 1.9.1
    x86_64: {archive: /root/n.tar.gz, unchecked: true}
    aarch64: {archive: /root/n.tar.gz, unchecked: true, member: own, url: http://mirror/n}
  cgroup_exporter: {version: 0.3.4, mode: 0700, x86_64: {file: /root/ce, unchecked: true}}
  nvidia_gpu_exporter: {version: 0.2.2, x86_64: {source: /root/n, build: make, result: n}}
  dcgm-exporter: {version: 4.8.2-1, x86_64: {package: datacenter-gpu-manager-exporter}}
  tool: {version: 1.0.0, path: /usr/bin/tool, x86_64: {package: tool}}
  libs: {version: 1.0.0, x86_64: {package: libs}}
"""
RECIPE = "name: mine\nartifacts: [tool, libs, cgroup_exporter]\n"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    (tmp_path / "images.d").mkdir()
    (tmp_path / "images.d/mine.yaml").write_text(RECIPE)
    (tmp_path / "site.yaml").write_text(SITE)
    definitions = load_definitions(images=[tmp_path / "images.d"])
    return Stack(load_site(tmp_path / "site.yaml", definitions), definitions)


def test_images_get_the_programs_of_their_roles_and_recipe(stack: Stack) -> None:
    def names(*roles: str, recipe: str = "dgx") -> list[str]:
        return [program.name for program in stack.programs(roles, stack.recipes[recipe])]

    assert names("jobstats") == ["cgroup_exporter", "node_exporter"], "nvidia_gpu_exporter is not run"
    assert names("dcgm-exporter") == ["dcgm-exporter"]
    assert names("jobstats", "dcgm-exporter") == ["cgroup_exporter", "dcgm-exporter", "node_exporter"]
    assert names() == []
    assert names(recipe="mine") == ["cgroup_exporter", "libs", "tool"]
    assert [program.name for program in stack.programs({"jobstats"}, None)] == ["cgroup_exporter", "node_exporter"]


def test_a_program_lies_where_its_service_starts_it(stack: Stack) -> None:
    programs = {one.name: one for one in stack.programs({"jobstats", "dcgm-exporter"}, stack.recipes["mine"])}
    assert {name: (one.path, one.mode) for name, one in programs.items()} == {
        "cgroup_exporter": ("/opt/ce", 0o700),
        "dcgm-exporter": ("/usr/bin/dcgm-exporter", 0o755),
        "libs": ("", 0o755),
        "node_exporter": ("/usr/local/bin/node_exporter", 0o755),
        "tool": ("/usr/bin/tool", 0o755),
    }
    assert programs["tool"].exporter is None
    exporter = programs["cgroup_exporter"].exporter
    assert exporter and (exporter.port, exporter.binary) == (19306, "/opt/ce"), "with the site's changes"


def test_without_artifacts_programs_are_the_administrator_s(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("")
    one = Stack(load_site(tmp_path / "site.yaml"), load_definitions())
    assert one.programs({"jobstats"}, one.recipes["dgx"]) == ()


def test_the_definition_knows_where_releases_lie_and_what_is_in_them(stack: Stack) -> None:
    (node,) = (one.artifact for one in stack.programs({"jobstats"}, None) if one.name == "node_exporter")
    assert node.x86_64 and node.aarch64
    assert node.x86_64.url == (
        "https://github.com/prometheus/node_exporter/releases/download/v1.9.1/node_exporter-1.9.1.linux-amd64.tar.gz"
    )
    assert node.x86_64.member == "node_exporter-1.9.1.linux-amd64/node_exporter"
    assert (node.aarch64.url, node.aarch64.member) == ("http://mirror/n", "own"), "the site's own words count"


def test_an_archive_s_address_is_not_that_of_a_program(stack: Stack) -> None:
    """cgroup_exporter's release is an archive, and the site has the program itself."""
    (program,) = (one for one in stack.programs({"jobstats"}, None) if one.name == "cgroup_exporter")
    assert program.artifact.x86_64 == stack.site.artifacts["cgroup_exporter"].x86_64


ADDRESSES = {
    ("cgroup_exporter", "x86_64"): (
        "https://github.com/plazonic/cgroup_exporter/releases/download/v0.3.4/cgroup_exporter-v0.3.4-binaries.tar.gz",
        "cgroup_exporter-amd64",
    ),
    ("cgroup_exporter", "aarch64"): (
        "https://github.com/plazonic/cgroup_exporter/releases/download/v0.3.4/cgroup_exporter-v0.3.4-binaries.tar.gz",
        "cgroup_exporter-arm64",
    ),
    ("nvidia_gpu_exporter", "x86_64"): (None, None),
    ("dcgm-exporter", "x86_64"): (None, None),
}


@pytest.mark.parametrize(("which", "told"), ADDRESSES.items(), ids=lambda one: "-".join(map(str, one)))
def test_releases(which: tuple[str, str], told: tuple[str | None, str | None]) -> None:
    upstream = load_definitions().exporters[which[0]].upstream
    assert (upstream.url_of("0.3.4", which[1]), upstream.member_of("0.3.4", which[1])) == told
    assert upstream.project


def test_how_programs_tell_their_versions() -> None:
    told = {name: one.version_arguments for name, one in load_definitions().exporters.items()}
    assert told.pop("nvidia_gpu_exporter") == ("-h",)
    assert set(told.values()) == {("--version",)}


@pytest.mark.parametrize(
    ("exporter", "dcgm", "fits"),
    [
        ("3.3.9-3.6.1", "3.3.9", True),
        ("3.3.9-3.6.1", "4.1.0", False),
        ("4.2.3-4.1.3", "3.3.9", False),
        ("4.2.3-4.1.3", "4.2.3", True),
        ("4.8.2-1", "4.6.0", True),
        ("4.9.0", "4.6.1", False),
        ("4.9.0", "4.7.1", True),
        ("4.10.1-1", "4.7.0", True),
        ("4.10.1-1", "5.0.0", False),
    ],
)
def test_dcgm_exporter_goes_with_the_dcgm_it_was_built_for(exporter: str, dcgm: str, fits: bool) -> None:
    """peers C7: pair with the DCGM it was built for."""
    pair = load_definitions().exporters["dcgm-exporter"].pair(exporter)
    assert pair and pair.needs == "DCGM"
    assert pair.fits(dcgm) is fits
    assert bool(pair.note) == (exporter.split(".")[:2] in (["4", "9"], ["4", "10"]))


def test_what_must_go_with_nothing_has_no_pair() -> None:
    assert load_definitions().exporters["node_exporter"].pair("1.9.1") is None
    assert [Pair("x", since="4", before="5").covers(version) for version in ("3.9", "4", "4.9", "5.0")] == [
        False,
        True,
        True,
        False,
    ]


OWN = """\
name: x_exporter
role: jobstats
binary: /usr/bin/x
port: 9999
upstream:
  url: http://h/{{ version }}/{{ arch }}
  member: x-{{ machine }}/x
"""


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("{{ arch }}", "{{ archs }}"), 6, "upstream.url: 'archs' is undefined did you mean 'arch'"),
        (("{{ arch }}", "{{ arch"), 6, "upstream.url: not jinja2"),
        (("http://h", "ftp://h"), 6, "upstream.url: 'ftp://h/1.0/amd64' is not an http or https address"),
        (("member: x", "member: /x"), 7, "upstream.member: '/x-x86_64/x' is not a file of an archive"),
        (("upstream:", "minimum_version: v1\nupstream:"), 5, "not a version such as 1.9.1"),
        (("upstream:", "pairs: [{since: '1'}]\nupstream:"), 5, "pairs[0].needs: is missing"),
        (("upstream:", "upstream:\n  package: {arch: x}"), 6, "must be one of debian, redhat, suse, not 'arch'"),
    ],
)
def test_what_is_wrong_of_a_project_is_told_with_file_and_line(
    tmp_path: Path, change: tuple[str, str], line: int, words: str
) -> None:
    assert change[0] in OWN
    (tmp_path / "x.yaml").write_text(OWN.replace(*change))
    with pytest.raises(SiteError) as caught:
        load_definitions([tmp_path])
    told = [f"{problem.line}: {problem.cause} {problem.remedy}" for problem in caught.value.problems]
    assert any(one.startswith(f"{line}: ") and words in one for one in told), told
