"""Target files are the same, whoever writes them."""

from __future__ import annotations

import json
from typing import Optional

import pytest

from bcm_jobstats.node.config import Config, Exporter
from bcm_jobstats.node.registration import clusters, file_names, files
from bcm_jobstats.stack import targets
from bcm_jobstats.stack.definitions import Exporter as Definition

OF_DOCUMENT = [
    {"targets": ["dgx-01:9100"], "labels": {"job": "node_exporter", "cluster": "slurm", "hostname": "dgx-01"}},
    {"targets": ["dgx-01:9306"], "labels": {"job": "cgroup_exporter", "cluster": "slurm", "hostname": "dgx-01"}},
    {"targets": ["dgx-01:9445"], "labels": {"job": "gpu_exporter", "cluster": "slurm", "hostname": "dgx-01"}},
]
"""The example of the document's section Single File Per Node."""


def defined(exporter: Exporter) -> Definition:
    return Definition(name=exporter.service, role="jobstats", binary="/x", port=exporter.port, job=exporter.job)


@pytest.mark.parametrize("host", ["dgx-01", "a", "n" * 63])
@pytest.mark.parametrize("cluster", ["slurm", "a-b_1"])
def test_the_same_bytes_as_those_of_the_other_modes(host: str, cluster: str) -> None:
    dcgm = Exporter("dcgm-exporter", "dcgm-exporter", 9400, targets.suffix("dcgm-exporter"))
    plain = Config().exporters
    expected = {
        targets.file_name(host, role): targets.fill(targets.template(cluster, [defined(one) for one in some]), host)
        for role, some in (("jobstats", plain), ("dcgm-exporter", [dcgm]))
    }
    assert files(host, cluster, [plain[0], dcgm, *plain[1:]]) == expected
    assert file_names(host, [dcgm, *plain]) == sorted(expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, set()), (b"", set()), (b"[]", set()), (b"{", set()), (b'"x"', set()), (b"[" * 60_000, set()),
        (b'[1, {}, {"labels": 1}, {"labels": {}}, {"labels": {"cluster": 1}}]', set()),
        (b'[{"labels": {"cluster": "a"}}, {"labels": {"cluster": "b"}}]', {"a", "b"}),
        (b'[{"labels": {"cluster": "a"}}]' + b" " * 70_000, set()),
    ],
)  # fmt: skip
def test_the_clusters_of_a_file(content: Optional[bytes], expected: set[str]) -> None:
    assert clusters(content) == expected
    assert clusters(files("dgx-01", "slurm", Config().exporters)["dgx-01.json"]) == {"slurm"}


def test_the_example_of_the_document() -> None:
    written = files("dgx-01", "slurm", Config().exporters)
    assert {name: json.loads(content) for name, content in written.items()} == {"dgx-01.json": OF_DOCUMENT}
