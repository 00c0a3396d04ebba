"""Slurm's hooks as they are deployed: one file each, with the site's settings, where BCM runs them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bcm_jobstats import data
from bcm_jobstats.site import Site, load_site
from bcm_jobstats.stack import Stack, hooks, load_definitions, render

HOOKS = ("prolog-jobstats", "epilog-jobstats", "prolog-dcgm", "epilog-dcgm")
SCRIPTS = (*(f"{hook}.sh" for hook in HOOKS), "gpu-sweep", "gpu-forget")
ROLES = ("jobstats", "dcgm-exporter")
GPUS = ("/etc/systemd/system/slurmd.service.wants/jobstats-gpus.service", "/etc/systemd/system/jobstats-gpus.service")
SWEEPERS = {
    "/etc/systemd/system/jobstats-gpus.service",
    "/etc/systemd/system/jobstats-sweep.service",
    "/etc/systemd/system/jobstats-sweep.timer",
    "/usr/lib/bcm-jobstats/gpu-sweep",
    "/usr/lib/bcm-jobstats/gpu-table",
}
FORGET = "/usr/lib/bcm-jobstats/gpu-forget"
BOTH = "roles: {jobstats: , dcgm-exporter: }\n"


def stack(tmp_path: Path, text: str = "") -> Stack:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    definitions = load_definitions()
    return Stack(load_site(path, definitions), definitions)


def site(tmp_path: Path, text: str) -> Site:
    return stack(tmp_path, text).site


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_one_file_that_says_who_manages_it(tmp_path: Path, script: str) -> None:
    text = hooks.text(Site(), script).decode()
    lines = text.splitlines()
    assert lines[:2] == ["#!/bin/bash -p", f"# {render.HEADER}"]
    assert [line for line in lines[1:] if line.startswith("#!")] == []
    assert hooks.SHARED_PART not in text
    assert text.endswith("\n")
    (tmp_path / script).write_text(text)
    subprocess.run(["bash", "-O", "extglob", "-n", str(tmp_path / script)], check=True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_has_the_settings_of_the_site_once(tmp_path: Path, script: str) -> None:
    chosen = site(tmp_path, "job_map: {mode: both, release: unlink, numbers: minor}\n")
    lines = hooks.text(chosen, script).decode().splitlines()
    starts = ("run=", "mode=", "release=", "numbers=")
    assert [line for line in lines if line.startswith(starts)] == [
        "run=/run", "mode=both", "release=unlink", "numbers=minor"]  # fmt: skip


def test_what_is_deployed_runs_by_itself(tmp_path: Path) -> None:
    """As BCM calls it: through a link, from any directory, with nothing beside it."""
    for hook in ("prolog-jobstats", "epilog-jobstats"):
        text = hooks.text(Site(), f"{hook}.sh").decode().replace("\nrun=/run\n", f"\nrun={tmp_path}\n")
        (tmp_path / hook).write_text(text)
        (tmp_path / hook).chmod(0o755)
        (tmp_path / f"60-{hook}.sh").symlink_to(tmp_path / hook)
    env = {"SLURM_JOB_ID": "77", "SLURM_JOB_UID": "1000", "SLURM_JOB_GPUS": "0,3"}
    told = []
    for hook in ("prolog-jobstats", "epilog-jobstats"):
        subprocess.run([str(tmp_path / f"60-{hook}.sh")], check=True, env=env, cwd="/")
        told.append({path.name: path.read_text() for path in (tmp_path / "gpustat").iterdir()})
    assert told == [{"0": "77 1000\n", "3": "77 1000\n"}, {"0": "", "3": ""}]


def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str, str]) -> None:
    """A damaged installation: in a script, one text in the place of another."""
    name, old, new = change
    shutil.copytree(data.path("scripts"), tmp_path / "scripts")
    text = (tmp_path / "scripts" / name).read_text()
    assert old in text
    (tmp_path / "scripts" / name).write_text(text.replace(old, new))
    real = data.path
    monkeypatch.setattr(data, "path", lambda folder: tmp_path / folder if folder == "scripts" else real(folder))


DAMAGE = {
    "setting gone": (("gpu-map.bash", "\nmode=label\n", "\n"), "0 lines that set mode"),
    "setting twice": (("gpu-map.bash", "\nrelease=empty\n", "\nrelease=empty\nrelease=unlink\n"), "2 lines that set"),
    "nothing read": (("prolog-dcgm.sh", hooks.INCLUDE, ":"), "0 lines that read gpu-map.bash"),
    "read twice": (("prolog-dcgm.sh", hooks.INCLUDE, f"{hooks.INCLUDE}\n{hooks.INCLUDE}"), "2 lines that read"),
}


@pytest.mark.parametrize(("change", "cause"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_script_is_not_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str, str], cause: str
) -> None:
    scripts(tmp_path, monkeypatch, change)
    with pytest.raises(hooks.BadScript, match=cause):
        hooks.text(Site(), "prolog-dcgm.sh")


def test_text_of_the_shared_part_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    r"""\1, \g<0> and the like mean something to re.sub, and bash is full of backslashes."""
    scripts(tmp_path, monkeypatch, ("gpu-map.bash", "\nmode=label\n", "\nmode=label\n: '\\1 \\g<0> \\n' # ä\n"))
    assert "\n: '\\1 \\g<0> \\n' # ä\n" in hooks.text(Site(), "prolog-dcgm.sh").decode()


PLACES = {
    "10.0": "/cm/shared/apps/slurm/var/cm/{hook}.sh",
    "10.24.07": "/cm/shared/apps/slurm/var/cm/{hook}.sh",
    "11.0": "/cm/shared/apps/slurm/{kind}s/{hook}.sh",
    "11.25.05": "/cm/shared/apps/slurm/{kind}s/{hook}.sh",
}


@pytest.mark.parametrize("version", PLACES)
def test_hooks_on_shared_storage_lie_where_bcm_has_its_own(tmp_path: Path, version: str) -> None:
    one = stack(tmp_path, BOTH)
    expected = {hook: PLACES[version].format(hook=hook, kind=hook.split("-")[0]) for hook in HOOKS}
    there = {file.path: file.mode for file in one.shared_hooks(ROLES, version)}
    assert there == dict.fromkeys(expected.values(), 0o755)
    links = {link.path: link.target for link in one.links(ROLES, version)}
    assert links.pop(GPUS[0]) == GPUS[1]
    assert links == {
        f"/cm/local/apps/slurm/var/{hook.split('-')[0]}s/60-{hook}.sh": path for hook, path in expected.items()
    }
    assert [file.path for file in one.payload(ROLES) if "log-" in file.path] == []


def test_local_hooks_are_files_of_the_image(tmp_path: Path) -> None:
    one = stack(tmp_path, BOTH + "hooks: {location: local}\n")
    assert one.shared_hooks(ROLES, "10.0") == ()
    payload = {file.path: file for file in one.payload(ROLES)}
    targets = [link.target for link in one.links(ROLES, "10.0") if link.path != GPUS[0]]
    assert targets == [f"/usr/lib/bcm-jobstats/{hook}.sh" for hook in HOOKS]
    assert {payload[target].mode for target in targets} == {0o755}
    assert payload[targets[2]].content == hooks.text(one.site, "prolog-dcgm.sh")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ("jobstats",)),
        (BOTH, ("jobstats", "dcgm")),
        ("roles: {jobstats: {enabled: false}, dcgm-exporter: }\n", ("dcgm",)),
        (f"{BOTH}exporters: {{nvidia_gpu_exporter: {{enabled: false}}}}\n", ("dcgm",)),
        ("exporters: {nvidia_gpu_exporter: {enabled: false}}\n", ()),
    ],
)
def test_a_node_has_the_hooks_of_the_exporters_it_runs(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    one = stack(tmp_path, text)
    assert one.hooks(ROLES) == names
    links = [*map(hooks.link_path, hooks.of(names)), *([GPUS[0]] if names else [])]
    assert [link.path for link in one.links(ROLES, "10.0")] == links
    paths = {file.path for file in one.payload(ROLES)}
    assert (SWEEPERS | {FORGET}) & paths == (SWEEPERS if names else set())
    told = {file.path: file.content.decode() for file in one.payload(ROLES)}
    wanting = {path.rpartition("/")[2] for path, content in told.items() if "Wants=jobstats-sweep.timer" in content}
    assert ("jobstats-target.service" in wanting) == ("jobstats" in names)


OFF = f"{BOTH}hooks: {{enabled: false, location: local}}\n"


def test_without_hooks_the_sweeper_stays_and_nothing_starts_it(tmp_path: Path) -> None:
    """Its files gone while its timer runs, systemd says that the unit to trigger vanished."""
    one = stack(tmp_path, OFF)
    assert (one.hooks(ROLES), one.links(ROLES, "10.0"), one.shared_hooks(ROLES, "10.0")) == ((), (), ())
    payload = {file.path: file.content.decode() for file in one.payload(ROLES)}
    assert SWEEPERS | {FORGET, hooks.TMPFILES} <= set(payload)
    assert [path for path in payload if "log-" in path] == []
    assert [path for path, text in payload.items() if "Wants=jobstats-sweep" in text] == []
    told = [line for line in payload[hooks.TMPFILES].splitlines() if line.startswith("d ")]
    assert [line.split()[1] for line in told] == ["/run/bcm-jobstats", "/run/bcm-jobstats/textfile"], (
        "a sweeper on its way would take a map that has a directory of ours for its own"
    )


def test_without_hooks_what_read_a_map_forgets_it_before_it_starts(tmp_path: Path) -> None:
    def forgetting(text: str) -> dict[str, str]:
        payload = {file.path.rpartition("/")[2]: file.content.decode() for file in stack(tmp_path, text).payload(ROLES)}
        pairs = ((name, line) for name, text in payload.items() for line in text.splitlines())
        return {name: line.partition("=")[2] for name, line in pairs if line.startswith("ExecStartPre=+")}

    assert forgetting(BOTH) == {}
    assert forgetting(OFF) == {
        "nvidia_gpu_exporter.service": f"+-{FORGET} gpustat",
        "dcgm-exporter.service": f"+-{FORGET} dcgm-job-map",
    }


def test_the_services_that_read_a_map_are_restarted_when_hooks_go(tmp_path: Path) -> None:
    on, off = ({file.path: file.content for file in stack(tmp_path, text).payload(ROLES)} for text in (BOTH, OFF))
    by_service = stack(tmp_path, OFF).files_by_service()
    changed = {name for name, paths in by_service.items() if any(on.get(path) != off.get(path) for path in paths)}
    assert changed == {"nvidia_gpu_exporter", "jobstats-target", "dcgm-exporter", "dcgm-exporter-target"}
    assert by_service == stack(tmp_path, BOTH).files_by_service()


def test_only_the_directories_of_the_hooks_there_are_made(tmp_path: Path) -> None:
    assert hooks.directories(()) == ("/run/bcm-jobstats", "/run/bcm-jobstats/textfile")
    only = [line.split()[1] for line in _tmpfiles(stack(tmp_path)).splitlines() if line.startswith("d ")]
    assert sorted(only) == [
        "/run/bcm-jobstats",
        "/run/bcm-jobstats/gpustat",
        "/run/bcm-jobstats/gpustat/.new",
        "/run/bcm-jobstats/runs",
        "/run/bcm-jobstats/textfile",
        "/run/gpustat",
    ]


def _tmpfiles(one: Stack) -> str:
    return next(file.content.decode() for file in one.payload(ROLES) if file.path == hooks.TMPFILES)


def test_a_changed_sweeper_restarts_what_wants_its_timer(tmp_path: Path) -> None:
    by_service = stack(tmp_path, BOTH).files_by_service()
    timer = "/etc/systemd/system/jobstats-sweep.timer"
    assert {service for service, paths in by_service.items() if timer in paths} == {
        "jobstats-target", "dcgm-exporter-target"}  # fmt: skip
