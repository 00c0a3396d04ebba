"""What doctor finds of the exporters in software images: versions by manifest, by package, by the program itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import pytest

from bcm_jobstats.checks import images
from bcm_jobstats.imaging.contents import Content
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import DEFAULT_MANIFEST, Tree
from bcm_jobstats.slurm.findings import ERROR, NOTE, WARNING, Finding
from bcm_jobstats.stack import Stack, load

GOOD = {"node_exporter": "1.9.1", "cgroup_exporter": "0.3.3", "nvidia_gpu_exporter": "0.2.2"}
DCGM_EXPORTER = "datacenter-gpu-manager-exporter"
IMAGE = "software image dgx-image: "
SITE = "roles: {jobstats: , dcgm-exporter: }\n"


def stack(tmp_path: Path, text: str = SITE) -> Stack:
    file = tmp_path / "site.yaml"
    file.write_text(text)
    return Stack(*load(file, tmp_path))


def image(tmp_path: Path, programs: Mapping[str, Optional[str]], packages: Mapping[str, str] = {}) -> Tree:
    """A tree with programs that do nothing; a version is written into the manifest, packages into dpkg's file."""
    root = tmp_path / "image"
    manifest = Manifest(root, DEFAULT_MANIFEST)
    for name, version in programs.items():
        path = "/usr/bin/dcgm-exporter" if name == "dcgm-exporter" else f"/usr/local/bin/{name}"
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o755)
        if version:
            manifest.entries[path] = {"type": "program", "version": version}
    manifest.save()
    for name in ("dpkg", "apt-get"):
        (root / "usr/bin").mkdir(parents=True, exist_ok=True)
        (root / "usr/bin" / name).touch(mode=0o755)
    status = root / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text("\n".join(
        f"Package: {name}\nStatus: install ok installed\nVersion: {version}\n" for name, version in packages.items()
    ))  # fmt: skip
    return Tree("dgx-image", root, "/cm/images/dgx-image")


def found(tmp_path: Path, tree: Tree, *roles: str, site: str = SITE) -> list[Finding]:
    wanted = {"dgx-image": Content(frozenset(roles or ("jobstats", "dcgm-exporter")))}
    return list(images.findings(stack(tmp_path, site), [tree], wanted))


CASES: dict[str, tuple[dict[str, Optional[str]], dict[str, str], list[tuple[str, str]]]] = {
    "good": ({**GOOD, "dcgm-exporter": "3.3.6-3.4.2"}, {"datacenter-gpu-manager": "1:3.3.6"}, []),
    "too old": ({**GOOD, "cgroup_exporter": "0.3.1", "dcgm-exporter": "3.3.6-3.4.2"},
                {"datacenter-gpu-manager": "1:3.3.6"},
                [(ERROR, "cgroup_exporter is 0.3.1, and works with job statistics from 0.3.2 on")]),
    "a DCGM of another major version": (
        {**GOOD, "dcgm-exporter": "4.4.0-4.5.0"}, {"datacenter-gpu-manager": "1:3.3.6"},
        [(ERROR, "dcgm-exporter 4.4.0-4.5.0 needs DCGM >= 4, < 5, and 1:3.3.6 is installed")]),
    "DCGM 4 by its package": ({**GOOD, "dcgm-exporter": "4.4.0-4.5.0"},
                              {"datacenter-gpu-manager-4-core": "1:4.4.0-1"}, []),
    "no DCGM that is known": ({**GOOD, "dcgm-exporter": "4.4.0-4.5.0"}, {},
                              [(NOTE, "dcgm-exporter 4.4.0-4.5.0 needs DCGM >= 4, < 5, and no package of the image")]),
    "renamed fields": ({**GOOD, "dcgm-exporter": "4.9.0"}, {"datacenter-gpu-manager-4-core": "1:4.7.0-1"},
                       [(WARNING, "dcgm-exporter is 4.9.0: Renames 23 default fields")]),
    "a package tells the version": ({**GOOD, "dcgm-exporter": None},
                                    {DCGM_EXPORTER: "3.3.5-3.4.1", "datacenter-gpu-manager": "1:3.3.6"},
                                    [(ERROR, "dcgm-exporter is 3.3.5-3.4.1, and works")]),
    "a missing program": ({"node_exporter": "1.9.1", "nvidia_gpu_exporter": "0.2.2", "dcgm-exporter": "3.3.6-3.4.2"},
                          {"datacenter-gpu-manager": "1:3.3.6"},
                          [(WARNING, "has no program /usr/local/bin/cgroup_exporter, which cgroup_exporter runs")]),
}  # fmt: skip


@pytest.mark.parametrize(("programs", "packages", "told"), CASES.values(), ids=CASES)
def test_versions_and_pairs(
    tmp_path: Path, programs: dict[str, Optional[str]], packages: dict[str, str], told: list[tuple[str, str]]
) -> None:
    """peers C1, C7: the oldest versions that work, and that dcgm-exporter goes with its DCGM only."""
    made = found(tmp_path, image(tmp_path, programs, packages))
    assert [(one.severity, f"{one}".startswith(f"{IMAGE}{text}")) for one, (_, text) in zip(made, told)] == [
        (severity, True) for severity, _ in told
    ]
    assert len(made) == len(told), made
    assert all(one.remedy for one in made if one.severity != NOTE)


def test_a_version_that_nobody_tells_is_said_to_be_unknown(tmp_path: Path) -> None:
    made = found(tmp_path, image(tmp_path, {**GOOD, "cgroup_exporter": None}), "jobstats")
    assert [f"{one}" for one in made] == [
        f"{IMAGE}the versions of cgroup_exporter are not known: they do not tell, or only root can ask them"
    ]


def test_a_program_that_the_site_supplied_is_asked_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the module that runs it in the image; here it is given what that would tell."""
    asked: list[Any] = []

    def installed(root: Path, exporter: Any) -> Optional[str]:
        asked.append((root, exporter.name))
        return "0.3.0"

    monkeypatch.setattr(images, "installed_version", installed)
    tree = image(tmp_path, {**GOOD, "cgroup_exporter": None})
    assert [one.cause.partition(",")[0] for one in found(tmp_path, tree, "jobstats")] == ["cgroup_exporter is 0.3.0"]
    assert asked == [(tree.root, "cgroup_exporter")]


def test_what_an_artifact_will_bring_is_not_missed(tmp_path: Path) -> None:
    supply = f"{{file: /srv/cgroup_exporter, sha256: {'a' * 64}}}"
    site = f"{SITE}artifacts: {{cgroup_exporter: {{version: '0.3.3', x86_64: {supply}}}}}\n"
    tree = image(tmp_path, {"node_exporter": "1.9.1", "nvidia_gpu_exporter": "0.2.2"})
    assert found(tmp_path, tree, "jobstats", site=site) == []


def test_only_images_of_our_roles_are_looked_at(tmp_path: Path) -> None:
    tree = image(tmp_path, {})
    assert list(images.findings(stack(tmp_path), [tree], {})) == []
    assert list(images.findings(stack(tmp_path), [tree], {"dgx-image": Content()})) == []


def test_images_that_are_not_apart_are_errors(tmp_path: Path) -> None:
    tree = image(tmp_path, GOOD)
    (tmp_path / "link").symlink_to(tree.root)
    others = [Tree("alias", tmp_path / "link", "/cm/images/link"), Tree("inner", tree.root / "usr", "/cm/images/x/usr")]
    told = [f"{one}" for one in images.findings(stack(tmp_path), [tree, *others], {}) if one.severity == ERROR]
    assert len(told) == 2
    assert told[0].startswith("software image alias: has the same directory as dgx-image, /cm/images/link")
    assert told[1].startswith("software image inner: lies in the directory of dgx-image, /cm/images/dgx-image")


def test_a_manifest_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    tree = image(tmp_path, GOOD)
    tree.record.write_text("{")
    made = found(tmp_path, tree, "jobstats")
    assert [one.severity for one in made] == [ERROR]
    assert "manifest.json: cannot be read" in f"{made[0]}"
