"""The desired state: roles, services, files, targets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bcm_jobstats import data
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.site import load_site
from bcm_jobstats.stack import Stack, agent, load_definitions, render
from bcm_jobstats.stack.files import LIBRARY, UNITS

ROLES = ("jobstats", "dcgm-exporter", "jobstats-gpu")
BOTH = "roles: {dcgm-exporter: }\n"


def stack(tmp_path: Path, text: str = "") -> Stack:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    definitions = load_definitions()
    return Stack(load_site(path, definitions), definitions)


def text_of(one: Stack, path: str) -> str:
    return {file.path: file.content for file in one.payload(ROLES)}[path].decode()


def test_roles_and_services(tmp_path: Path) -> None:
    roles = {role.generic: role.services for role in stack(tmp_path, BOTH).roles()}
    assert roles == {
        "generic::jobstats": ("node_exporter", "cgroup_exporter", "nvidia_gpu_exporter", "jobstats-target"),
        "generic::dcgm-exporter": ("dcgm-exporter", "dcgm-exporter-target"),
    }


@pytest.mark.parametrize(
    ("attach", "overlay"),
    [
        ("{with_role: slurmclient}", None),
        ("{categories: [dgx]}", "jobstats"),
        ("{overlay: gpus, categories: [dgx]}", "gpus"),
        ("{overlay: slurm-client}", "slurm-client"),
        ("{manual: true}", "jobstats"),
        ("{manual: true, overlay: mine}", "mine"),
    ],
)
def test_the_overlay_that_carries_a_role(tmp_path: Path, attach: str, overlay: str | None) -> None:
    assert stack(tmp_path, f"roles: {{jobstats: {{attach: {attach}}}}}\n").role("jobstats").overlay == overlay


def test_a_role_that_is_not_enabled(tmp_path: Path) -> None:
    with pytest.raises(JobstatsError, match="role dcgm-exporter"):
        stack(tmp_path).role("dcgm-exporter")


def test_the_files_of_a_node(tmp_path: Path) -> None:
    files = {file.path: file.mode for file in stack(tmp_path, BOTH).payload(ROLES)}
    assert files == {
        "/etc/bcm-jobstats/targets/dcgm-exporter.json": 0o644,
        "/etc/bcm-jobstats/targets/jobstats.json": 0o644,
        "/etc/systemd/system/cgroup_exporter.service": 0o644,
        "/etc/systemd/system/dcgm-exporter-target.service": 0o644,
        "/etc/systemd/system/dcgm-exporter.service": 0o644,
        "/etc/systemd/system/jobstats-gpus.service": 0o644,
        "/etc/systemd/system/jobstats-sweep.service": 0o644,
        "/etc/systemd/system/jobstats-sweep.timer": 0o644,
        "/etc/systemd/system/jobstats-target.service": 0o644,
        "/etc/systemd/system/node_exporter.service": 0o644,
        "/etc/systemd/system/nvidia_gpu_exporter.service": 0o644,
        "/etc/sysusers.d/bcm-jobstats.conf": 0o644,
        "/etc/tmpfiles.d/bcm-jobstats.conf": 0o644,
        "/usr/lib/bcm-jobstats/gpu-sweep": 0o755,
        "/usr/lib/bcm-jobstats/gpu-table": 0o755,
        "/usr/lib/bcm-jobstats/jobstats-target": 0o755,
        "/usr/lib/bcm-jobstats/node-check": 0o755,
    }
    assert list(files) == sorted(files)


def test_no_role_no_files(tmp_path: Path) -> None:
    assert stack(tmp_path, "roles: {jobstats: {enabled: false}}\n").payload(ROLES) == ()


def test_text_files_say_who_manages_them(tmp_path: Path) -> None:
    for file in stack(tmp_path, BOTH).payload(ROLES):
        lines = file.content.decode().splitlines()
        if not file.path.endswith(".json"):
            assert f"# {render.HEADER}" in lines[:2], file.path
    assert text_of(stack(tmp_path), "/usr/lib/bcm-jobstats/jobstats-target").startswith("#!/bin/bash\n# Managed")


def test_the_payload_is_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(BOTH)
    code = (
        "import hashlib, sys; from pathlib import Path; from bcm_jobstats.stack import Stack, load;"
        f"files = Stack(*load(Path({str(tmp_path / 'site.yaml')!r}), Path('/nonexistent'))).payload({ROLES});"
        "print(hashlib.sha256(repr(files).encode()).hexdigest())"
    )
    sums = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(sums) == 1


def test_targets_are_those_of_the_seeds(tmp_path: Path) -> None:
    """The contract of design §7: three entries, one spelling of the host (peers C1)."""
    one = stack(tmp_path, "cluster: prod\n")
    assert one.targets("dgx-01.cm.cluster", "jobstats") == [
        {"targets": [f"dgx-01:{port}"], "labels": {"job": job, "cluster": "prod", "hostname": "dgx-01"}}
        for job, port in (("node_exporter", 9100), ("cgroup_exporter", 9306), ("gpu_exporter", 9445))
    ]


def test_files_of_two_roles_never_meet(tmp_path: Path) -> None:
    one = stack(tmp_path, BOTH)
    assert one.target_file("dgx-01", "jobstats")[0] == "dgx-01.json"
    assert one.target_file("dgx-01", "dcgm-exporter")[0] == "dgx-01+dcgm-exporter.json"


@pytest.mark.parametrize("host", ["", "-x", "a_b", "../x", "localhost", "localhost.localdomain", "a b", "x" * 64, ".a"])
def test_what_is_no_host_gets_no_targets(tmp_path: Path, host: str) -> None:
    with pytest.raises(JobstatsError, match="is not the name of a node"):
        stack(tmp_path).targets(host, "jobstats")


def test_what_the_site_changes_reaches_unit_targets_and_binaries(tmp_path: Path) -> None:
    one = stack(
        tmp_path,
        "exporters:\n  node_exporter: {port: 19100, binary: /opt/ne, memory: 1G, cpu: 200%, arguments: [--x=$a %b]}\n"
        "  nvidia_gpu_exporter: {enabled: false}\n",
    )
    unit = text_of(one, "/etc/systemd/system/node_exporter.service")
    assert "ExecStart=/opt/ne --web.listen-address=:19100 " in unit
    assert ' "--x=$$a %%b"\n' in unit
    assert "MemoryMax=1G\n" in unit
    assert f"MemoryHigh={3 << 28}\n" in unit
    assert "CPUQuota=200%\n" in unit
    assert unit.count("--web.listen-address") == 1
    assert one.binaries(ROLES) == (("node_exporter", "/opt/ne"), ("cgroup_exporter", "/usr/local/bin/cgroup_exporter"))
    assert [entry["targets"] for entry in one.targets("n1", "jobstats")] == [["n1:19100"], ["n1:9306"]]


def test_gpu_exporter_in_a_role_of_its_own(tmp_path: Path) -> None:
    one = stack(tmp_path, "exporters: {nvidia_gpu_exporter: {role: jobstats-gpu}}\nroles: {jobstats-gpu: }\n")
    assert one.role("jobstats").services == ("node_exporter", "cgroup_exporter", "jobstats-target")
    assert one.role("jobstats-gpu").services == ("nvidia_gpu_exporter", "jobstats-gpu-target")


def test_the_system_user(tmp_path: Path) -> None:
    lines = stack(tmp_path, "user: {name: mon, uid: 500}\n").system_user()
    assert lines["etc/passwd"] == "mon:x:500:500:bcm-jobstats:/nonexistent:/usr/sbin/nologin"
    assert lines["etc/group"] == "mon:x:500:"
    assert lines["etc/passwd"].count(":") == 6
    assert lines["etc/shadow"].count(":") == 8
    assert lines["etc/gshadow"].count(":") == 3


def test_unfinished_files_lie_next_to_the_targets(tmp_path: Path) -> None:
    one = stack(tmp_path, "targets: {directory: /s/js/t}\n")
    assert one.shared_folders() == ("/s/js/t", "/s/js/.prometheus-targets.tmp")
    assert "ReadWritePaths=-/s/js\n" in text_of(one, "/etc/systemd/system/jobstats-target.service")


def test_target_files_are_templates_for_the_host_only(tmp_path: Path) -> None:
    content = text_of(stack(tmp_path), "/etc/bcm-jobstats/targets/jobstats.json")
    assert content.count("@HOST@") == 6
    assert json.loads(content)[0]["labels"]["cluster"] == "slurm"


@pytest.mark.parametrize("name", ["overlays", "images", "scripts"])
def test_data_is_found(name: str) -> None:
    assert any(data.path(name).iterdir())
    with pytest.raises(FileNotFoundError, match="install it again"):
        data.path("nothing")


def test_a_node_gets_the_files_of_its_roles_only(tmp_path: Path) -> None:
    one = stack(tmp_path, BOTH)
    only = {file.path for file in one.payload(["dcgm-exporter"])}
    assert only == {
        "/etc/bcm-jobstats/targets/dcgm-exporter.json",
        "/etc/systemd/system/dcgm-exporter-target.service",
        "/etc/systemd/system/dcgm-exporter.service",
        "/etc/systemd/system/jobstats-gpus.service",
        "/etc/systemd/system/jobstats-sweep.service",
        "/etc/systemd/system/jobstats-sweep.timer",
        "/etc/sysusers.d/bcm-jobstats.conf",
        "/etc/tmpfiles.d/bcm-jobstats.conf",
        "/usr/lib/bcm-jobstats/gpu-sweep",
        "/usr/lib/bcm-jobstats/gpu-table",
        "/usr/lib/bcm-jobstats/jobstats-target",
        "/usr/lib/bcm-jobstats/node-check",
    }
    assert one.binaries(["dcgm-exporter"]) == (("dcgm-exporter", "/usr/bin/dcgm-exporter"),)
    assert (one.payload([]), one.binaries([])) == ((), ())


MONITOR = "enable: {mode: role-monitor}\nroles: {jobstats: , dcgm-exporter: }\n"


def test_with_the_role_monitor_an_agent_comes_instead_of_registrations(tmp_path: Path) -> None:
    """The exporters' units stop with it; hooks and the check of nodes stay as they are."""
    one, other = stack(tmp_path, MONITOR), stack(tmp_path, BOTH)
    paths, before = ({file.path for file in each.payload(ROLES)} for each in (one, other))
    assert paths - before == set(agent.FILES)
    gone = {f"{UNITS}/{role.target_service}.service" for role in other.roles()}
    gone |= {f"/etc/bcm-jobstats/targets/{role.name}.json" for role in other.roles()}
    assert before - paths == {*gone, f"{LIBRARY}/jobstats-target"}
    for exporter in ("node_exporter", "dcgm-exporter"):
        unit = f"{UNITS}/{exporter}.service"
        assert text_of(one, unit).count(f"PartOf={agent.SERVICE}.service\n") == 1
        assert "generic::" not in text_of(one, unit)
        assert "PartOf=" not in text_of(other, unit)


def test_the_agent_is_the_one_service_that_cmdaemon_knows(tmp_path: Path) -> None:
    """It is restarted for every file that it or one of its exporters runs with."""
    one = stack(tmp_path, MONITOR)
    assert [(role.started, role.carried_by) for role in one.roles()] == [((agent.SERVICE,), "slurmclient")] * 2
    ((service, files),) = one.files_by_service().items()
    assert service == agent.SERVICE
    assert {*agent.FILES, f"{UNITS}/node_exporter.service", f"{UNITS}/dcgm-exporter.service"} <= set(files)
    assert set(files) <= {file.path for file in one.payload(ROLES)}
    assert {one.service_of(name) for name in ("node_exporter", "dcgm-exporter")} == {agent.SERVICE}
    assert not stack(tmp_path, MONITOR + "exporters: {}\n").payload(())


def test_the_agent_s_configuration_names_the_heads_and_what_the_site_says(tmp_path: Path) -> None:
    """Without a cluster it asks `master`; the site's own list goes before what BCM tells."""
    one = stack(tmp_path, MONITOR + "role_monitor: {check_interval: 2m, share: no}\ntargets: {directory: /srv/x/t}\n")
    assert "bcm_headnodes" not in json.loads(text_of(one, agent.CONFIG))
    one.heads = ("bcm-1", "bcm-2")
    told = json.loads(text_of(one, agent.CONFIG))
    assert told["bcm_headnodes"] == ["bcm-1", "bcm-2"]
    assert (told["check_interval"], told["share"], told["prometheus_targets_dir"]) == (120, False, "/srv/x/t")
    assert [told[name] for name in ("cert_path", "key_path", "ca_path")] == [agent.CERTIFICATE, agent.KEY, agent.CA]
    assert stack(tmp_path, MONITOR + "role_monitor: {heads: [h.x]}\n").heads == ("h.x",)
