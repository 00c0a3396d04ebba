"""Secrets, state and a node's own files are found before a grab takes them: one case for each rule."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from bcm_jobstats.bcm.cmsh import scripts
from bcm_jobstats.imaging import lookout
from bcm_jobstats.imaging.capture import Entry, Finding, judged
from bcm_jobstats.imaging.lookout import Told
from bcm_jobstats.imaging.rules import KEY_SIZE, OWN, RULES, SECRET, STATE
from bcm_jobstats.simulator.excludelists import DEFAULTS

FOUND = [
    ("/root/.cm/cmsh/admin.key", SECRET, "/root/.cm/cmsh/admin.key"),
    ("/root/.cm/cert.pfx", SECRET, "/root/.cm/cert.pfx"),
    ("/cm/local/apps/cmd/etc/own.key", SECRET, "/cm/local/apps/cmd/etc/own.key"),
    ("/etc/bcm-role-monitor/admin.pem", SECRET, "/etc/bcm-role-monitor/admin.pem"),
    ("/etc/bcm-exporter/tls/x.key", SECRET, "/etc/bcm-exporter/tls/x.key"),
    ("/root/install/admin.key", SECRET, "/root/install/admin.key"),
    ("/opt/monitor/etc/admin.pem", SECRET, "/opt/monitor/etc/admin.pem"),
    ("/root/.ssh/id_ed25519", SECRET, "/root/.ssh/id_ed25519"),
    ("/etc/bcm-role-monitor/admin.KEY", SECRET, "/etc/bcm-role-monitor/admin.KEY"),
    ("/etc/monitor/admin.key", SECRET, "/etc/monitor/admin.key"),
    ("/cm/local/apps/monitor/admin.key", SECRET, "/cm/local/apps/monitor/admin.key"),
    ("/opt/a/b/c/d/e/f/cmAdmin.Key", SECRET, "/opt/a/b/c/d/e/f/cmAdmin.Key"),
    ("/usr/local/etc/admin.key", SECRET, "/usr/local/etc/admin.key"),
    ("/srv/backup/root/.cm/admin.key", SECRET, "/srv/backup/root/.cm/admin.key"),
    ("/home/bob/.cm/admin.key", SECRET, "/home/bob/.cm/admin.key"),
    ("/home/bob/.ssh/id_rsa", SECRET, "/home/bob/.ssh/id_rsa"),
    ("/home/bob/.netrc", SECRET, "/home/bob/.netrc"),
    ("/root/.kube/config", SECRET, "/root/.kube/config"),
    ("/root/.docker/config.json", SECRET, "/root/.docker/config.json"),
    ("/etc/krb5.keytab", SECRET, "/etc/krb5.keytab"),
    ("/etc/slurm/jwt_hs256.key", SECRET, "/etc/slurm/jwt_hs256.key"),
    ("/etc/ssl/private/node.pem", SECRET, "/etc/ssl/private/node.pem"),
    ("/etc/pki/tls/private/node.key", SECRET, "/etc/pki/tls/private/node.key"),
    ("/etc/kubernetes/admin.conf", SECRET, "/etc/kubernetes/admin.conf"),
    ("/etc/rancher/k3s/k3s.yaml", SECRET, "/etc/rancher/k3s/k3s.yaml"),
    ("/var/lib/bcm-role-monitor/state.json", STATE, "/var/lib/bcm-role-monitor"),
    ("/var/lib/docker/overlay2/x", STATE, "/var/lib/docker"),
    ("/var/lib/containerd/x", STATE, "/var/lib/containerd"),
    ("/var/lib/grafana/grafana.db", STATE, "/var/lib/grafana/grafana.db"),
    ("/opt/grafana/data/grafana.db", STATE, "/opt/grafana/data/grafana.db"),
    ("/srv/grafana/grafana.db", STATE, "/srv/grafana/grafana.db"),
    ("/var/lib/prometheus/data/{wal,chunks_head}/0", STATE, "/var/lib/prometheus/data"),
    ("/opt/prometheus/{wal,chunks_head}/0", STATE, "/opt/prometheus"),
    ("/srv/tsdb/{wal,chunks_head}/0", STATE, "/srv/tsdb"),
    ("/cm/local/apps/prometheus/{wal,chunks_head}/0", STATE, "/cm/local/apps/prometheus"),
    ("/var/spool/slurmd/cred_state", STATE, "/var/spool/slurmd"),
    ("/var/lib/slurm/job_state", STATE, "/var/lib/slurm"),
    ("/cm/local/apps/slurm/var/spool/cred_state", STATE, "/cm/local/apps/slurm/var/spool"),
    ("/var/opt/prometheus-targets/dgx-01.json", STATE, "/var/opt/prometheus-targets"),
    ("/etc/prometheus/prometheus-targets/dgx-01.json", STATE, "/etc/prometheus/prometheus-targets"),
    ("/etc/ssh/ssh_host_rsa_key", OWN, "/etc/ssh/ssh_host_rsa_key"),
    ("/etc/machine-id", OWN, "/etc/machine-id"),
    ("/etc/iscsi/initiatorname.iscsi", OWN, "/etc/iscsi/initiatorname.iscsi"),
    ("/etc/nvme/hostnqn", OWN, "/etc/nvme/hostnqn"),
    ("/var/lib/dbus/machine-id", OWN, "/var/lib/dbus/machine-id"),
    ("/etc/netplan/50-cloud-init.yaml", OWN, "/etc/netplan/50-cloud-init.yaml"),
    ("/etc/sysconfig/network-scripts/ifcfg-wlan0", OWN, "/etc/sysconfig/network-scripts/ifcfg-wlan0"),
    ("/etc/NetworkManager/system-connections/ib0", OWN, "/etc/NetworkManager/system-connections/ib0"),
    ("/var/lib/dhcp/dhclient.leases", OWN, "/var/lib/dhcp/dhclient.leases"),
    ("/scratch/job_7", OWN, "/scratch"),
    ("/local/job_7", OWN, "/local"),
    ("/raid/job_7", OWN, "/raid"),
    ("/data/set", OWN, "/data"),
]
FINE = [
    *("/etc/munge/munge.key", "/etc/ssl/private/ssl-cert-snakeoil.key", "/root/.ssh/id_rsa.pub", "/etc/hosts"),
    *("/home/bob/.ssh/id_rsa.pub", "/home/bob/.ssh/authorized_keys", "/etc/pki/tls/private/localhost.key"),
    *("/root/.cm/cert.pem", "/etc/slurm/slurm.key"),
    *(
        "/etc/ssh/ssh_host_rsa_key.pub",
        "/etc/sysconfig/network-scripts/ifcfg-lo",
        "/srv/backup/wal/0",
        "/srv/other/chunks_head/0",
    ),
    *("/etc/bcm-jobstats/manifest.json", "/data/lost+found/x", "/usr/local/bin/node_exporter"),
]
EXCLUDED = [
    *("/cm/local/apps/cmd/etc/cert.key", "/etc/hostname", "/etc/HOSTNAME", "/run/gpustat/0", "/run/dcgm-job-map/0"),
    *("/etc/sysconfig/network-scripts/ifcfg-eth0", "/var/lib/dhclient/dhclient.leases"),
    "/cm/shared/apps/jobstats/prometheus-targets/dgx-01.json",
]
"""What BCM's own list keeps out of an image (bcm-facts §6)."""
KEYS = [
    "/etc/bcm-role-monitor/key.pem", "/root/.ssh/mykey", "/root/keys", "/opt/tool/conf/tls", "/srv/web/x",
    "/usr/local/share/x", "/home/bob/backup/mine",
]  # fmt: skip
"""Private keys by what is in them; their names say nothing."""
KEPT = [
    "/etc/ssh/ssh_host_ed25519_key", "/etc/ssl/private/ssl-cert-snakeoil.key",
    "/usr/local/lib/python3/dist-packages/tls/tests/key.pem", "/opt/conda/lib/site-packages/test/key.pem",
]  # fmt: skip
"""Private keys that belong there, or that are told as what else they are."""
TEXT = "# a key\n-----BEGIN OPENSSH PRIVATE KEY-----\nx\n"
GRABNEW = DEFAULTS["excludelistgrabnew"]


def make(root: Path, *paths: str) -> None:
    for path in paths:
        start, brace, rest = path.partition("{")
        names, _, end = rest.partition("}")
        for name in names.split(",") if brace else ("",):
            file = root / f"{start}{name}{end}".lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("x")


def make_keys(root: Path, *paths: str, text: str = TEXT) -> None:
    for path in paths:
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def asked(root: Path) -> Told:
    """What a node with the tree `root` tells: the command of the product, in a shell."""
    command = lookout.command().replace("cd /etc/..", f"cd {root}")
    found = lookout.told(subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True).stdout)
    assert found is not None
    return found


def test_every_rule_has_a_case() -> None:
    def about(place: str) -> int:
        return sum(path.startswith(f"{place}/") for path, _, _ in [*FOUND, *((path, "", "") for path in EXCLUDED)])

    assert all(about(rule.place) for rule in RULES)
    places = {rule.place for rule in RULES if rule.some}
    assert all(rule.some for rule in RULES if rule.place in places), "one find tells either the first or all"


@dataclass(frozen=True)
class Seen:
    """The same tree, told by a node that has it and looked at here."""

    on_node: tuple[Entry, ...]
    here: tuple[Entry, ...]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A tree with everything in it; one look, for it takes many processes."""
    root = tmp_path_factory.mktemp("node")
    make(root, *(path for path, _, _ in FOUND), *FINE, *EXCLUDED)
    return Seen(asked(root).entries, tuple(lookout.of_tree(root)))


@pytest.mark.parametrize(("path", "kind", "shown"), FOUND)
def test_what_should_not_be_taken_is_found_on_a_node_and_in_an_image(
    seen: Seen, path: str, kind: str, shown: str
) -> None:
    for entries in (seen.on_node, seen.here):
        found = [one for one in judged(entries, GRABNEW) if one.path == shown]
        assert [one.kind for one in found] == [kind]
        # The line that is proposed keeps it out.
        assert shown not in {one.path for one in judged(entries, f"{GRABNEW}{found[0].line}\n")}


def test_nothing_else_is_found(seen: Seen) -> None:
    """Neither what belongs into an image, nor what BCM's own list keeps out of it."""
    for entries in (seen.on_node, seen.here):
        assert {one.path for one in judged(entries, GRABNEW)} == {shown for _, _, shown in FOUND}


def test_what_bcm_excludes_would_be_found_without_its_list(seen: Seen) -> None:
    places = {one.path for one in judged(seen.on_node)}
    for path in EXCLUDED:
        assert any(path == place or path.startswith(f"{place}/") for place in places), path


def test_empty_files_and_directories_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").touch()
    (tmp_path / "var/lib/docker").mkdir(parents=True)
    assert asked(tmp_path).entries == () == tuple(lookout.of_tree(tmp_path))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A tree of private keys, and of what only looks like one."""
    root = tmp_path_factory.mktemp("keys")
    make_keys(root, *KEYS, *KEPT)
    make_keys(root, "/etc/doc", text="Begin it with -----BEGIN PRIVATE KEY-----\n")
    make_keys(root, "/etc/large", text=TEXT + "x" * KEY_SIZE)
    make_keys(root, "/etc/certificate.pem", text="-----BEGIN CERTIFICATE-----\n")
    make_keys(root, "/etc/1/2/3/4/5/6/deep", "/var/lib/elsewhere/key")
    (root / "etc/link").symlink_to(root / "root/keys")
    os.mkfifo(root / "etc/fifo")
    return Seen(asked(root).entries, tuple(lookout.of_tree(root)))


def test_private_keys_are_found_by_what_is_in_them(keys: Seen) -> None:
    for entries in (keys.on_node, keys.here):
        found = judged(entries, GRABNEW)
        assert {one.path for one in found if one.kind == SECRET} == set(KEYS)
        assert {one.path for one in found if one.kind == OWN} == {"/etc/ssh/ssh_host_ed25519_key"}
        assert judged(entries, GRABNEW + "".join(f"{one.line}\n" for one in found)) == []


def test_a_place_with_more_small_files_than_are_looked_into_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "KEY_FILES", 3)
    make(tmp_path, *(f"/opt/{number}" for number in range(4)), *(f"/etc/{number}" for number in range(3)))
    assert asked(tmp_path).crowded == ("/opt",)


def test_jobs_and_the_manifest_are_told(tmp_path: Path) -> None:
    make(tmp_path, "/etc/bcm-jobstats/manifest.json", "/sys/fs/cgroup/system.slice/slurmstepd.scope/job_41/x",
         "/sys/fs/cgroup/system.slice/dgx-01_slurmstepd.scope/job_7/x")  # fmt: skip
    told = asked(tmp_path)
    assert told.jobs == ("7", "41")
    assert told.manifest == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert asked(tmp_path / "etc").manifest == ""


def test_names_with_blanks_and_newlines_do_not_confuse(tmp_path: Path) -> None:
    make(tmp_path, "/root/.cm/my own.key", "/root/.cm/a\n@etc\n./krb5.keytab\n.key")
    make_keys(tmp_path, "/srv/a\n@etc\n./b")
    paths = [one.path for one in judged(asked(tmp_path).entries)]
    assert paths == ["/root/.cm/a?@etc?./krb5.keytab?.key", "/root/.cm/my own.key", "/srv/a?@etc?./b"]


def test_an_answer_that_was_cut_is_none() -> None:
    assert lookout.told("@etc\n./krb5.keytab\n") is None
    assert lookout.told("") is None


def test_the_command_can_be_sent() -> None:
    assert scripts.execute(["dgx-01"], lookout.command())


def test_a_directory_with_its_content_excluded_is_no_finding() -> None:
    entries = [Entry("/var/lib/docker", is_dir=True)]
    assert judged(entries, "- /var/lib/docker/*") == judged(entries, "- /var/lib/docker") == []
    assert judged(entries) == [Finding(STATE, "/var/lib/docker", "images and containers", "- /var/lib/docker/*")]
