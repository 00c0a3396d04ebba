"""Exporters as data: the shipped ones, a site's own, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.site import Site, SiteError, load_site
from bcm_jobstats.stack import Stack, load, load_definitions

OWN = """\
name: lustre_exporter
role: lustre
binary: /usr/local/bin/lustre_exporter
port: 9169
arguments: ["--listen=:{{ port }}", "{{ '--old' if cluster == 'old' else '' }}"]
environment: {CLUSTER: "{{ cluster }}"}
"""


def definition(folder: Path, text: str, name: str = "own.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def refused(folder: Path) -> list[str]:
    with pytest.raises(SiteError) as caught:
        load_definitions([folder])
    return [
        f"{Path(problem.file).name}:{problem.line}: {problem.cause} {problem.remedy}"
        for problem in caught.value.problems
    ]


def test_the_shipped_exporters_keep_the_contract() -> None:
    """Names, roles, ports and job labels of design §5 and §7."""
    told = {(one.name, one.role, one.port, one.label, one.gpu) for one in load_definitions().exporters.values()}
    assert told == {
        ("node_exporter", "jobstats", 9100, "node_exporter", False),
        ("cgroup_exporter", "jobstats", 9306, "cgroup_exporter", False),
        ("nvidia_gpu_exporter", "jobstats", 9445, "gpu_exporter", True),
        ("dcgm-exporter", "dcgm-exporter", 9400, "dcgm-exporter", True),
    }
    assert load_definitions().roles == ("dcgm-exporter", "jobstats")


def test_a_site_s_own_exporter_needs_one_file_and_its_role_s_name(tmp_path: Path) -> None:
    definition(tmp_path / "etc/bcm-jobstats/overlays.d", OWN)
    site_file = definition(tmp_path, "cluster: dgx\nroles: {lustre: {attach: {nodes: [n1]}}}\n", "site.yaml")
    site, definitions = load(site_file, tmp_path)
    role = Stack(site, definitions).role("lustre")
    assert (role.generic, role.services, role.overlay) == (
        "generic::lustre",
        ("lustre_exporter", "lustre-target"),
        "lustre",
    )
    (exporter,) = role.exporters
    assert exporter.arguments == ("--listen=:9169",), "an argument that comes out empty is left away"
    assert exporter.environment == {"CLUSTER": "dgx"}
    assert exporter.label == "lustre_exporter"
    assert Stack(site, definitions).targets("n1", "lustre")[0]["targets"] == ["n1:9169"]


def test_a_site_s_definition_replaces_a_shipped_one_and_says_so(tmp_path: Path) -> None:
    text = "name: node_exporter\nrole: jobstats\nbinary: /opt/node_exporter\nport: 9100\n"
    definition(tmp_path, text)
    exporters = load_definitions([tmp_path]).exporters
    assert exporters["node_exporter"].binary == "/opt/node_exporter"
    assert Path(str(exporters["node_exporter"].replaces)).name == "node_exporter.yaml"
    assert exporters["cgroup_exporter"].replaces is None


def test_a_folder_that_is_not_there_adds_nothing(tmp_path: Path) -> None:
    assert load_definitions([tmp_path / "none"]) == load_definitions()


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("port: 9169", "port: 0"), 4, "from 1 to 65535"),
        (("port: 9169\n", ""), 1, "port: is missing add it: The port"),
        (("binary: /", "binary: "), 3, "absolute path"),
        (("role:", "rol:"), 2, "did you mean 'role'"),
        (("name: lustre_exporter", "name: lustre-target"), 1, "not ending in -target"),
        (("name: lustre_exporter", "name: ../x"), 1, "not the name of an exporter"),
        (("name: lustre_exporter", "name: slurmd"), 1, "a service of the system"),
        (("{{ port }}", "{{ prot }}"), 5, "'prot' is undefined did you mean 'port'"),
        (("{{ port }}", "{{ port"), 5, "not jinja2"),
        (("{{ cluster }}", "{{ host }}"), 6, "environment.CLUSTER: 'host' is undefined"),
        (("CLUSTER:", "cluster-name:"), 6, "not the name of an environment variable"),
        (("environment:", "unit: mine.service.j2\nenvironment:"), 6, "there is no template mine.service.j2"),
        (("environment:", "unit: ../../x.j2\nenvironment:"), 6, "not the file name of a template"),
        (("environment:", "after: [a b]\nenvironment:"), 6, "not the name of a systemd unit"),
        (("environment:", "memory: 10%\nenvironment:"), 6, "amount of memory"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(
    tmp_path: Path, change: tuple[str, str], line: int, words: str
) -> None:
    assert change[0] in OWN
    definition(tmp_path, OWN.replace(*change))
    problems = refused(tmp_path)
    assert any(one.startswith(f"own.yaml:{line}: ") and words in one for one in problems), problems


def test_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    definition(tmp_path, OWN.replace("9169", "0"), "a.yaml")
    definition(tmp_path, "- x\n", "b.yaml")
    definition(tmp_path, "", "c.yaml")
    definition(tmp_path, OWN, "d.yml")
    definition(tmp_path, OWN, "e.yaml")
    definition(tmp_path, OWN, "f.yaml")
    told = refused(tmp_path)
    assert [one.split(":")[0] for one in told] == ["a.yaml", "b.yaml", "c.yaml", "d.yml", "f.yaml"]
    assert "is not read name it *.yaml" in told[3]
    assert "e.yaml too" in told[4]


def test_site_and_definitions_are_told_together(tmp_path: Path) -> None:
    definition(tmp_path / "etc/bcm-jobstats/overlays.d", OWN.replace("9169", "0"))
    site_file = definition(tmp_path, "clutser: x\n", "site.yaml")
    with pytest.raises(SiteError) as caught:
        load(site_file, tmp_path)
    assert {Path(problem.file).name for problem in caught.value.problems} == {"own.yaml", "site.yaml"}


def test_ports_of_a_site_s_own_exporters_count_too(tmp_path: Path) -> None:
    definition(tmp_path, OWN.replace("9169", "9100"))
    site_file = definition(tmp_path, "\nroles:\n  lustre:\n", "site.txt")
    with pytest.raises(SiteError, match=r"site.txt:\d: .*node_exporter and lustre_exporter|lustre_exporter and node"):
        load_site(site_file, load_definitions([tmp_path]))


def test_a_template_of_the_site_lies_next_to_its_definition(tmp_path: Path) -> None:
    definition(tmp_path, OWN + "unit: mine.service.j2\n")
    definition(
        tmp_path, "# {{ header }}\n[Service]\nExecStart={{ command | map('quote') | join(' ') }}\n", "mine.service.j2"
    )
    site = load_site(definition(tmp_path, "roles: {lustre: }\n", "site.txt"))
    (unit,) = [
        one for one in Stack(site, load_definitions([tmp_path])).payload(["lustre"]) if "lustre_exporter" in one.path
    ]
    assert b"ExecStart=/usr/local/bin/lustre_exporter --listen=:9169\n" in unit.content


def test_a_template_that_fails_is_an_error_of_the_site(tmp_path: Path) -> None:
    definition(tmp_path, OWN + "unit: mine.service.j2\n")
    site = load_site(definition(tmp_path, "roles: {lustre: }\n", "site.txt"))
    for text, words in (("{{ nothing }}", "'nothing' is undefined"), ("\n{% if %}", r"j2:2: not jinja2")):
        definition(tmp_path, text, "mine.service.j2")
        with pytest.raises(SiteError, match=words):
            Stack(site, load_definitions([tmp_path])).payload(["lustre"])


def test_defaults_need_no_file() -> None:
    assert [role.name for role in Stack(Site(), load_definitions()).roles()] == ["jobstats"]
