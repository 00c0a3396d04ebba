"""config.json of seed 4's document, and everything that can be wrong in it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.node.config import BadConfig, Config, Exporter, load

DOCUMENT = {
    "bcm_headnodes": ["bcm-headnode-01", "bcm-headnode-02"],
    "bcm_port": 8081,
    "cert_path": "/etc/bcm-role-monitor/admin.pem",
    "key_path": "/etc/bcm-role-monitor/admin.key",
    "check_interval": 60,
    "retry_interval": 600,
    "max_retries": 3,
    "prometheus_targets_dir": "/cm/shared/apps/jobstats/prometheus-targets",
    "node_exporter_port": 9100,
    "cgroup_exporter_port": 9306,
    "nvidia_gpu_exporter_port": 9445,
    "cluster_name": "slurm",
}
"""The example of the document's section Configuration."""

EXPORTERS = Config().exporters


def loaded(tmp_path: Path, content: Any, **arguments: Any) -> Config:
    path = tmp_path / "config.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return load(path, **arguments)


def wrong(tmp_path: Path, content: Any) -> str:
    with pytest.raises(BadConfig) as caught:
        loaded(tmp_path, content)
    assert caught.value.status == ExitStatus.BAD_SITE
    assert caught.value.subject == str(tmp_path / "config.json")
    return str(caught.value)


def test_the_example_of_the_document_is_the_default(tmp_path: Path) -> None:
    config = loaded(tmp_path, DOCUMENT)
    assert config == Config(heads=("bcm-headnode-01", "bcm-headnode-02"))
    assert config.warnings == ()
    assert loaded(tmp_path, {}) == Config()


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("bcm_headnodes", [], "heads", ("master",)),
        ("bcm_headnodes", ["10.141.255.254", "fd00::1", "head.example.com"], "heads",
         ("10.141.255.254", "fd00::1", "head.example.com")),
        ("bcm_port", 9081, "port", 9081),
        ("cert_path", "/c.pem", "certificate", Path("/c.pem")),
        ("key_path", "/c.key", "key", Path("/c.key")),
        ("ca_path", "/ca.pem", "ca", Path("/ca.pem")),
        ("server_name", "head", "server_name", "head"),
        ("server_name", None, "server_name", None),
        ("role", "SlurmSubmit", "role", "slurmsubmit"),
        ("check_interval", 1, "check_interval", 1.0),
        ("check_interval", 0.5e3, "check_interval", 500.0),
        ("retry_interval", 5, "retry_interval", 5.0),
        ("check_interval", "60", "check_interval", 60.0),
        ("check_interval", "2.5", "check_interval", 2.5),
        ("bcm_port", "9081", "port", 9081),
        ("max_retries", 1, "max_retries", 1),
        ("max_retries", 0, "max_retries", 0),
        ("slow_retry_interval", 86400, "slow_retry_interval", 86400.0),
        ("prometheus_targets_dir", "/srv/prometheus/service discovery/", "targets",
         Path("/srv/prometheus/service discovery")),
        ("cluster_name", "dgx-1", "cluster", "dgx-1"),
        ("cluster_name", "Hôpital Slurm.A", "cluster", "Hôpital Slurm.A"),
        ("node_exporter_port", 19100, "exporters",
         (Exporter("node_exporter", "node_exporter", 19100), *EXPORTERS[1:])),
        ("nvidia_gpu_exporter_port", 1, "exporters",
         (*EXPORTERS[:2], Exporter("nvidia_gpu_exporter", "gpu_exporter", 1))),
        ("dcgm_exporter_port", 9400, "exporters",
         (*EXPORTERS, Exporter("dcgm-exporter", "dcgm-exporter", 9400))),
        ("exporters", [{"service": "x@1", "job": "y", "port": 1},
                        {"service": "z", "job": "y", "port": 2, "suffix": "+z"}],
         "exporters", (Exporter("x@1", "y", 1), Exporter("z", "y", 2, "+z"))),
        ("share", False, "share", False),
        ("textfile", "/x.prom", "textfile", Path("/x.prom")),
        ("textfile", None, "textfile", None),
    ],
)  # fmt: skip
def test_every_key(tmp_path: Path, key: str, value: Any, field: str, expected: Any) -> None:
    assert getattr(loaded(tmp_path, {key: value}), field) == expected


def test_the_command_line_goes_before_the_file_and_that_before_the_default(tmp_path: Path) -> None:
    given = Path("/from/the/command/line")
    content = {"prometheus_targets_dir": "/from/the/file"}
    assert loaded(tmp_path, content, targets=given).targets == given
    assert loaded(tmp_path, content).targets == Path("/from/the/file")
    assert loaded(tmp_path, {}).targets == Path("/cm/shared/apps/jobstats/prometheus-targets")
    assert not loaded(tmp_path, content, targets=given).warnings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bcm_headnodes", "master"), ("bcm_headnodes", [""]), ("bcm_headnodes", ["a b"]), ("bcm_headnodes", [1]),
        ("bcm_headnodes", ["https://head"]), ("bcm_headnodes", None), ("bcm_port", 0), ("bcm_port", 65536),
        ("bcm_port", "0x1f91"), ("bcm_port", True), ("bcm_port", 8081.5), ("cert_path", "admin.pem"), ("cert_path", ""),
        ("key_path", "/etc/../x"), ("key_path", None), ("ca_path", "/a\nb"), ("server_name", "a/b"), ("role", ""),
        ("role", "slurm client"), ("check_interval", 0), ("check_interval", 86401), ("check_interval", "60s"),
        ("check_interval", "inf"),
        ("check_interval", True), ("retry_interval", -1), ("slow_retry_interval", 0), ("max_retries", -1),
        ("max_retries", 1.5), ("max_retries", 10**30), ("prometheus_targets_dir", "targets"),
        ("prometheus_targets_dir", "/"), ("cluster_name", "a\nb"), ("cluster_name", ""), ("cluster_name", " "),
        ("node_exporter_port", 0), ("node_exporter_port", None), ("dcgm_exporter_port", 9100), ("exporters", []),
        ("exporters", {}), ("exporters", ["node_exporter"]), ("exporters", [[]]), ("share", "yes"), ("textfile", "x"),
        ("exporters", [{"service": "x", "job": "x", "port": 1, "prot": 2}]),
        ("exporters", [{"service": "x.service", "job": "x", "port": 1}]),
        ("exporters", [{"service": "-x", "job": "x", "port": 1}]),
        ("exporters", [{"service": "x", "job": "x\"y", "port": 1}]),
        ("exporters", [{"service": "x", "job": "x", "port": 1, "suffix": "/x"}]),
        ("exporters", [{"service": "x", "job": "x", "port": 1}, {"service": "x", "job": "x", "port": 2}]),
        ("exporters", [{"service": "x", "job": "x", "port": 1}, {"service": "y", "job": "x", "port": 1}]),
        ("exporters", [{"service": f"x{n}", "job": "x", "port": n} for n in range(1, 70)]),
        ("cluster_name", "\ud800"), ("cluster_name", "x" * 201), ("prometheus_targets_dir", "/x/\ud800"),
        ("cert_path", "/x/\ud800"), ("textfile", "/x/\ud800"), ("check_interval", [[[[1]]]]), ("role", "x" * 100_000),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_named_with_its_remedy(tmp_path: Path, key: str, value: Any) -> None:
    told = wrong(tmp_path, {key: value}).splitlines()
    assert len(told) == 2, told
    where = {"dcgm_exporter_port": "*_port"}.get(key, key)
    assert told[1].startswith(f"  {where}")
    assert "; " in told[1]
    assert len(told[1]) < 250


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    told = wrong(
        tmp_path, {"bcm_port": 0, "cluster_name": "", "exporters": [{"service": "", "job": "", "port": 0}] * 2}
    )
    for where in ("bcm_port", "cluster_name", "exporters[0].service", "exporters[1].port"):
        assert where in told
    assert "twice" not in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"bcm_port": 8081,}', "line 1, column 1"),
        (b'{\n  "bcm_port" 8081\n}', "line 2, column 14"),
        (b"", "line 1, column 1"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1} // x', "line 1, column 10"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a": NaN}', "NaN"),
        (b'{"check_interval": 1e999}', "check_interval"),
        (b'{"bcm_port": ' + b"9" * 5000 + b"}", "bcm_port"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' twice"),
        (b'{"role": "\xff"}', "byte 11 is not UTF-8"),
        (b'{"a": ' + b"[" * 100_000, "too deep"),
        (b'{"a": "' + b"x" * 2_000_000 + b'"}', "more than 1048576 bytes"),
        (b"\0" * 100, "line 1, column 1"),
    ],
)  # fmt: skip
def test_what_is_no_json(tmp_path: Path, content: bytes, told: str) -> None:
    said = wrong(tmp_path, content)
    assert told in said or (told == "bcm_port" and "4300 digits" in said)


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    assert loaded(tmp_path, b'\xef\xbb\xbf{"bcm_port": 1}').port == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"config\.json: no such file"):
        load(tmp_path / "config.json")
    with pytest.raises(BadConfig, match="is not a file"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadConfig, match="is not a file"):
        load(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        ({"check_intervall": 60}, "'check_intervall': is not a setting; did you mean 'check_interval'?"),
        ({"verbose": True}, "'verbose': is not a setting; it is not used"),
        ({"a\nb": 1}, "'a\\nb': is not a setting; it is not used"),
        ({"exporters": [{"service": "x", "job": "x", "port": 1}], "node_exporter_port": 9100},
         "node_exporter_port: is not used; exporters tells all ports"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_a_warning(tmp_path: Path, content: Any, warning: str) -> None:
    assert loaded(tmp_path, content).warnings == (warning,)


def test_warnings_stay_few(tmp_path: Path) -> None:
    assert len(loaded(tmp_path, {f"key{number}": 1 for number in range(1000)}).warnings) == 64
