"""Recipes of software images: the shipped ones, a site's own, and what images get of them."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bcm_jobstats import data
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.site import SiteError, load_site
from bcm_jobstats.stack import Stack, load, load_definitions

OWN = """\
name: storage
doc: Nodes with disks.
roles: [lustre]
files:
  - {path: /etc/x.conf, template: x.conf.j2, mode: 0600, owner: user}
units:
  - {template: disks.service.j2, enabled: true}
  - {template: disks.timer.j2, enabled: true}
  - {template: idle.service.j2}
links:
  - {path: /etc/y, target: /etc/x.conf}
exclude: {update: [/data/*, "*.swp"]}
"""
TEMPLATES = {
    "x.conf.j2": "# {{ header }}\ncluster={{ site.cluster }} {{ library }}\n",
    "disks.service.j2": "[Service]\n",
    "disks.timer.j2": "[Timer]\n",
    "idle.service.j2": "[Service]\n",
}


def own(folder: Path, text: str = OWN) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "storage.yaml").write_text(text)
    for name, content in TEMPLATES.items():
        (folder / ("templates" if name.startswith("disks") else "") / name).write_text(content)
    return folder


def stack(tmp_path: Path, text: str = "", *images: Path) -> Stack:
    (tmp_path / "site.yaml").write_text(text)
    return Stack(load_site(tmp_path / "site.yaml"), load_definitions(images=images))


def test_the_shipped_recipes(tmp_path: Path) -> None:
    recipes = stack(tmp_path).recipes
    assert {name: recipe.roles for name, recipe in recipes.items()} == {
        "dgx": ("jobstats", "dcgm-exporter"),
        "login": (),
        "monitoring": (),
        "slurm-controller": (),
    }
    assert [name for name, recipe in recipes.items() if not recipe.doc or recipe.replaces] == []


def test_a_category_s_recipe_is_the_site_s_choice_or_follows_from_roles(tmp_path: Path) -> None:
    one = stack(tmp_path, "recipes: {front: login, odd: monitoring, gone: nothing}\n")
    told = {
        (category, role): recipe.name if (recipe := one.recipe_of(category, {role} if role else ())) else None
        for category, role in [("front", "jobstats"), ("odd", ""), ("x", "dcgm-exporter"), ("x", "lustre"), ("x", "")]
    }
    assert told == {
        ("front", "jobstats"): "login",
        ("odd", ""): "monitoring",
        ("x", "dcgm-exporter"): "dgx",
        ("x", "lustre"): None,
        ("x", ""): None,
    }
    with pytest.raises(JobstatsError, match=r"recipe nothing of category gone(.|\n)*slurm-controller"):
        one.recipe_of("gone", ())


def test_a_site_s_own_recipe(tmp_path: Path) -> None:
    one = stack(tmp_path, "cluster: prod\nuser: {uid: 500}\n", own(tmp_path / "images.d"))
    recipe = one.recipes["storage"]
    assert one.recipe_of("x", {"lustre"}) is recipe
    files = {file.path: (file.content.decode(), file.mode, file.owner) for file in one.image_files((), recipe)}
    assert list(files) == sorted(files)
    text, mode, owner = files.pop("/etc/x.conf")
    assert text.startswith("# Managed by bcm-jobstats")
    assert text.endswith("\ncluster=prod /usr/lib/bcm-jobstats\n")
    assert (mode, owner) == (0o600, "500:500")
    units = "/etc/systemd/system"
    assert files == {
        f"{units}/disks.service": ("[Service]\n", 0o644, "0:0"),
        f"{units}/disks.timer": ("[Timer]\n", 0o644, "0:0"),
        f"{units}/idle.service": ("[Service]\n", 0o644, "0:0"),
    }
    links = {link.path: link.target for link in one.image_links((), recipe, "10.0")}
    assert links == {
        "/etc/y": "/etc/x.conf",
        f"{units}/multi-user.target.wants/disks.service": f"{units}/disks.service",
        f"{units}/timers.target.wants/disks.timer": f"{units}/disks.timer",
    }
    assert recipe.exclude == {"update": ("/data/*", "*.swp")}
    assert (recipe.filters("update"), recipe.filters("grab")) == (("- /data/*", "- *.swp"), ())


def test_a_site_s_recipe_replaces_a_shipped_one_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "etc/bcm-jobstats/images.d").mkdir(parents=True)
    (tmp_path / "etc/bcm-jobstats/images.d/a.yaml").write_text(
        "name: login\nfiles: [{path: /etc/profile.d/j.sh, template: profile.sh.j2}]\n"
    )
    (tmp_path / "site.yaml").write_text("recipes: {front: login}\n")
    one = Stack(*load(tmp_path / "site.yaml", tmp_path))
    assert list(one.recipes) == ["dgx", "login", "monitoring", "slurm-controller"]
    recipe = one.recipe_of("front", ())
    assert recipe
    assert Path(str(recipe.replaces)).name == "login.yaml"
    (file,) = one.image_files((), recipe)
    assert (file.path, b"jobstats/current/bin" in file.content) == ("/etc/profile.d/j.sh", True)


def test_an_image_gets_the_files_of_roles_and_recipe(tmp_path: Path) -> None:
    one = stack(tmp_path)
    roles = {"jobstats"}
    plain = {file.path for file in one.payload(roles)}
    both = {file.path for file in one.image_files(roles, one.recipes["login"])}
    assert both - plain == {"/etc/profile.d/bcm-jobstats.sh"}
    assert plain < both
    assert one.image_files(roles, None) == one.payload(roles)
    assert set(one.image_links(roles, one.recipes["dgx"], "10.0")) == set(one.links(roles, "10.0"))


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        ("files: [{path: /etc/tmpfiles.d/bcm-jobstats.conf, template: profile.sh.j2}]", "/etc/tmpfiles.d/bcm-jobstats"),
        (
            "links: [{path: /etc/systemd/system/slurmd.service.wants/jobstats-gpus.service, target: /x}]",
            "jobstats-gpus.service comes with the nodes' roles",
        ),
    ],
)
def test_a_recipe_does_not_overwrite_what_roles_bring(tmp_path: Path, mine: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(f"name: a\n{mine}\n")
    one = stack(tmp_path, "", tmp_path / "none", only(tmp_path))
    with pytest.raises(JobstatsError, match=f"a.yaml(.|\n)*{words}"):
        one.image_files({"jobstats"}, one.recipes["a"])
        one.image_links({"jobstats"}, one.recipes["a"], "10.0")


def only(tmp_path: Path) -> Path:
    folder = tmp_path / "images.d"
    folder.mkdir()
    (tmp_path / "a.yaml").rename(folder / "a.yaml")
    return folder


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("name: storage\n", ""), 1, "name: is missing"),
        (("roles:", "role:"), 3, "did you mean 'roles'"),
        (("path: /etc/x.conf", "path: etc/x.conf"), 5, "files[0].path: 'etc/x.conf' is not an absolute path"),
        (("path: /etc/x.conf", "path: /run/x.conf"), 5, "files[0]: /run/x.conf is not part of a software image"),
        (("path: /etc/x.conf", "path: /etc/y"), 11, "links[0]: /etc/y is in the recipe already"),
        (("mode: 0600", "mode: 0622"), 5, "must be a mode such as 0755, not '0622'"),
        (("owner: user", "owner: me"), 5, "must be one of root, user, not 'me'"),
        (("template: disks.timer.j2", "template: disks.conf.j2"), 8, "not the file name of a unit's template"),
        (("update:", "updates:"), 12, "one of update, sync, full, grab, grabnew, not 'updates'"),
        (("/data/*,", "' x',"), 12, "is not an rsync pattern"),
        (("template: idle", "template: odd"), 9, "units[2].template: there is no template odd.service.j2"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(
    tmp_path: Path, change: tuple[str, str], line: int, words: str
) -> None:
    assert OWN.count(change[0]) == 1
    with pytest.raises(SiteError) as caught:
        load_definitions(images=[own(tmp_path / "images.d", OWN.replace(*change))])
    (problem,) = caught.value.problems
    assert (problem.line, words in f"{problem.cause} {problem.remedy}") == (line, True), str(problem)


def test_a_template_that_fails_is_told_at_once(tmp_path: Path) -> None:
    folder = own(tmp_path / "images.d")
    (folder / "x.conf.j2").write_text("{{ nothing }}")
    with pytest.raises(SiteError, match="'nothing' is undefined"):
        load_definitions(images=[folder])


def test_roles_and_artifacts_that_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(
        "artifacts: {tool: {version: 1.0.0, x86_64: {file: /a, unchecked: true}}}\n"
        "exporters: {node_exporter: {role: metrics}}\nroles: {metrics: }\n"
    )
    images = tmp_path / "images.d"
    images.mkdir()
    (images / "a.yaml").write_text("name: a\nroles: [metrics, jobstatz]\nartifacts: [tool,\n  tools]\n")
    with pytest.raises(SiteError) as caught:
        load_site(tmp_path / "site.yaml", load_definitions(images=[images]))
    assert [f"{Path(one.file).name}:{one.line}: {one.cause} {one.remedy}" for one in caught.value.problems] == [
        "a.yaml:2: roles[1]: no exporter belongs to role jobstatz did you mean 'jobstats'?",
        "a.yaml:4: artifacts[1]: the site file has no artifact tools did you mean 'tool'?",
        "site.yaml:1: artifacts.tool: path is missing: no exporter says where it belongs "
        "add it, such as path: /usr/local/bin/tool",
    ]


def test_problems_of_exporters_and_recipes_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- x\n")
    with pytest.raises(SiteError) as caught:
        load_definitions([tmp_path], [tmp_path])
    assert len(caught.value.problems) == 1, "the same problem of the same file, told once"
    (tmp_path / "b").mkdir()
    (tmp_path / "b/b.yaml").write_text("nam: x\n")
    with pytest.raises(SiteError) as caught:
        load_definitions([tmp_path], [tmp_path / "b"])
    assert {Path(one.file).name for one in caught.value.problems} == {"a.yaml", "b.yaml"}


KEPT = ("/var/lib/prometheus/metrics2/wal/1", "/var/lib/grafana/grafana.db", "/var/lib/alertmanager/nflog")


def test_no_copy_of_an_image_touches_what_is_monitored(tmp_path: Path) -> None:
    """bcm-facts §6: of /var/lib only particular directories are excluded by default."""
    exclude = stack(tmp_path).recipes["monitoring"].exclude
    assert set(exclude) == {"update", "sync", "full", "grab", "grabnew"}
    for mode, patterns in exclude.items():
        assert [path for path in KEPT if not any(fnmatch.fnmatch(path, one) for one in patterns)] == [], mode


@pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed")
def test_rsync_takes_the_lines_as_filter_rules(tmp_path: Path) -> None:
    recipe = stack(tmp_path).recipes["monitoring"]
    (tmp_path / "list").write_text("".join(f"{line}\n" for line in recipe.filters("update")))
    image, node = tmp_path / "image", tmp_path / "node"
    for path in (*KEPT, "/var/lib/other/x"):
        (node / path[1:]).parent.mkdir(parents=True)
        (node / path[1:]).write_text("")
    (image / "var/lib/prometheus").mkdir(parents=True)
    command = ["rsync", "-a", "--delete", f"--filter=merge {tmp_path / 'list'}", f"{image}/", f"{node}/"]
    subprocess.run(command, check=True)
    there = {f"/{path.relative_to(node)}" for path in node.rglob("*") if path.is_file()}
    assert there == set(KEPT), "and nothing else; directories that the image lacks stay too"


def test_a_grab_leaves_the_cluster_s_key_where_it_is(tmp_path: Path) -> None:
    """peers A4 4.3, B4: the role monitor of seed 4 keeps BCM's administrator key on every node."""
    exclude = stack(tmp_path).recipes["dgx"].exclude
    assert set(exclude) == {"grab", "grabnew"}
    for patterns in exclude.values():
        assert {"/etc/bcm-role-monitor/*.key", "/var/lib/bcm-role-monitor"} <= set(patterns)


@pytest.mark.parametrize("there", [True, False])
def test_the_command_is_on_the_path_where_shared_storage_has_it(tmp_path: Path, there: bool) -> None:
    one = stack(tmp_path)
    (file,) = one.image_files((), one.recipes["login"])
    place = tmp_path / "current/bin"
    text = file.content.decode().replace("/cm/shared/apps/jobstats/current/bin", str(place))
    assert text.count(str(place)) == 3
    if there:
        place.mkdir(parents=True)
    (tmp_path / "profile.sh").write_text(text)
    code = f'set -eu; . {tmp_path}/profile.sh; . {tmp_path}/profile.sh; echo "$PATH"'
    done = subprocess.run(
        ["sh", "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PATH": "/usr/bin:/bin"}
    )
    assert done.stdout == "/usr/bin:/bin" + f":{place}" * there + "\n"


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="systemd-sysusers is not installed")
def test_systemd_makes_the_same_user(tmp_path: Path) -> None:
    one = stack(tmp_path, "user: {name: mon, uid: 500}\n")
    (file,) = [file for file in one.payload({"jobstats"}) if "sysusers" in file.path]
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (tmp_path / "x.conf").write_bytes(file.content)
    command = ["systemd-sysusers", f"--root={root}", str(tmp_path / "x.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = one.system_user()
    assert (root / "etc/passwd").read_text().splitlines() == [wanted["etc/passwd"]]
    assert (root / "etc/group").read_text().splitlines() == [wanted["etc/group"]]
    assert re.match(r"mon:!\*?:", (root / "etc/shadow").read_text())


def examples(folder: str) -> list[str]:
    """The YAML of a README, with whole sums for those that are cut short there."""
    text = (data.path(folder) / "README.md").read_text()
    return [re.sub(r"[0-9a-f]{4}\.\.\.", "0a" * 32, one) for one in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def test_the_examples_of_the_readmes_are_valid(tmp_path: Path) -> None:
    recipe, artifacts = examples("images")
    exporter, upstream, *_ = examples("overlays")
    overlays, images = tmp_path / "etc/bcm-jobstats/overlays.d", tmp_path / "etc/bcm-jobstats/images.d"
    overlays.mkdir(parents=True)
    images.mkdir()
    (overlays / "lustre.yaml").write_text(exporter + upstream)
    (images / "storage.yaml").write_text(recipe)
    for name in ("lustre.conf.j2", "lustre-tune.service.j2"):
        (images / name).write_text("# {{ header }}\n")
    tool = "  lctl: {version: 2.15.0, path: /usr/sbin/lctl, x86_64: {package: lustre-client}}\n"
    (tmp_path / "site.yaml").write_text(artifacts + tool + "roles: {lustre: }\n")
    one = Stack(*load(tmp_path / "site.yaml", tmp_path))
    found = one.recipe_of("x", {"lustre"})
    assert found
    assert found.name == "storage"
    assert len(one.image_files({"lustre"}, found)) == len(one.payload({"lustre"})) + 2
    assert [program.name for program in one.programs({"lustre"}, found)] == ["lctl"]
    assert {supply.kind for artifact in one.site.artifacts.values() for supply in artifact.supplies.values()} == {
        "archive",
        "file",
        "package",
        "source",
    }
