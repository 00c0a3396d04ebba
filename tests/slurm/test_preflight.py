"""Every case of Slurm's configuration, as data in tests/assets/slurm, and what the checks find in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import pytest
import yaml

from bcm_jobstats.bcm.entities import WlmCluster
from bcm_jobstats.simulator.excludelists import DEFAULTS, rules
from bcm_jobstats.site import load_site
from bcm_jobstats.slurm import check_spool, preflight, reading
from bcm_jobstats.slurm.findings import ERROR, NOTE, WARNING, Seen

CASES = sorted((Path(__file__).parents[1] / "assets/slurm").glob("*.yaml"))
ETC = "/cm/shared/apps/slurm/var/etc/slurm"
SOUND: dict[str, Any] = yaml.safe_load(next(case for case in CASES if case.stem == "sound").read_text())
FILES = ("slurm", "gres", "cgroup")


def written(case: dict[str, Any], root: Path) -> Seen:
    """The sound configuration with the changes of a case, as files that were read again."""
    etc = root / ETC.lstrip("/")
    etc.mkdir(parents=True)
    for name in FILES:
        text: Optional[str] = case.get(name, SOUND[name])
        for old, new in case.get("change", {}).get(name, {}).items():
            assert text and text.count(old) == 1, f"{old} does not stand once in {name}.conf"
            text = text.replace(old, new)
        if text is not None:
            (etc / f"{name}.conf").write_text(text)
    site = root / "site.yaml"
    site.write_text(case.get("site", ""))
    wlm = WlmCluster("slurm", "slurm", ETC, case.get("version", SOUND["version"]))
    return reading.look(load_site(site), wlm, root, case.get("excludes", {}))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_is_found(path: Path, tmp_path: Path) -> None:
    """bcm-facts §5.1 about prolog and epilog, §6 about what an imageupdate leaves alone."""
    case = yaml.safe_load(path.read_text())
    found = list(preflight.findings(written(case, tmp_path)))
    told = [f"{one.severity} {one.subject.rpartition('/')[2]} {one.cause}" for one in found]
    wanted = [line for line in case["findings"] if not line.startswith("  ")]
    for line, text in zip(wanted, told):
        assert text.startswith(line)
    assert len(told) == len(wanted), told
    number = -1
    for line in case["findings"]:
        number += not line.startswith("  ")
        if line.startswith("  "):
            assert found[number].remedy.startswith(line.strip())
    assert all(one.remedy for one in found)


def test_what_is_taken_for_excluded_is() -> None:
    """bcm-facts §6: the simulator's imageupdate has the default lists."""
    told = rules("update", DEFAULTS["excludelistupdate"]).all
    assert {f"- {path}/*" for path in check_spool.EXCLUDED} <= set(told)


def test_every_check_finds_something_in_some_case(tmp_path: Path) -> None:
    """A check that no case can make speak would be a check of nothing."""
    seen = [written(yaml.safe_load(path.read_text()), tmp_path / path.stem) for path in CASES]
    silent = [check.__name__ for check in preflight.CHECKS if not any(list(check(one)) for one in seen)]
    assert silent == []


def test_what_is_found_does_not_grow_with_the_nodes(tmp_path: Path) -> None:
    lines = "".join(f"NodeName=dgx-{number:04} Name=gpu File=/dev/nvidia[0-7]\n" for number in range(1, 2001))
    nodes = "".join(f"NodeName=dgx-{number:04} NodeHostname=vm Port={number}\n" for number in range(1, 2001))
    found = list(preflight.findings(written({"gres": lines, "slurm": SOUND["slurm"] + nodes}, tmp_path)))
    assert [one.severity for one in found] == [WARNING, WARNING]
    assert "dgx-[0001-2000]" in found[1].cause


SLURM = WlmCluster("slurm", "slurm", ETC, "24.11")


@pytest.mark.parametrize(
    ("wlms", "checks", "severity", "told"),
    [
        ([], 0, NOTE, "has no Slurm cluster"),
        ([WlmCluster("lsf", "lsf", ETC)], 0, NOTE, "has no Slurm cluster"),
        ([WlmCluster("slurm", "slurm")], 0, WARNING, "does not tell where its slurm.conf lies"),
        ([WlmCluster("slurm", "slurm", "/nowhere")], 0, NOTE, "no Slurm"),
        ([WlmCluster("a", "slurm", ETC), WlmCluster("b", "slurm", ETC)], 0, ERROR, "clusters a, b"),
        ([WlmCluster("a", "slurm", "/a"), WlmCluster("Slurm", "slurm", ETC, "24.11")], len(preflight.CHECKS), "", ""),
        ([WlmCluster("other", "slurm", ETC, "24.11")], len(preflight.CHECKS), "", ""),
    ],
)
def test_which_cluster(wlms: list[WlmCluster], checks: int, severity: str, told: str, tmp_path: Path) -> None:
    """The one that the site names, else the only one; where there is none, that is said."""
    seen = written({}, tmp_path)
    made, found = reading.examine(seen.site, wlms, tmp_path)
    assert made == checks
    assert [one.severity for one in found] == ([severity] if severity else [])
    assert all(told in f"{one}" for one in found)


def test_a_configuration_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    seen = written({"gres": None}, tmp_path)
    (tmp_path / ETC.lstrip("/") / "gres.conf").mkdir()
    made, found = reading.examine(seen.site, [SLURM], tmp_path)
    assert made == 0
    assert [one.severity for one in found] == [ERROR]
    assert "cannot be read: Is a directory" in found[0].cause


@pytest.mark.parametrize(
    ("text", "numbers"), [("24.11", (24, 11)), ("slurm 26.05.2-1", (26, 5, 2)), ("", ()), ("current", ())]
)
def test_versions(text: str, numbers: tuple[int, ...]) -> None:
    assert reading.version(text) == numbers
