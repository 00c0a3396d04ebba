"""The pages of the stand-in GPU exporters against peers C4, C6 and C7."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bcm_jobstats.simulator.standin_exporters.gpus import gpu_uuid
from bcm_jobstats.simulator.standin_exporters.server import response
from tests.simulator.exporterpages import labels, lay, page, series

NAME = "NVIDIA H100 80GB HBM3"
MIG = "2:1g.10gb*2"  # instances 7 and 8 of GPU 2


@pytest.fixture(autouse=True)
def _node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTNAME", "node001")
    for name in ("DCGM_HPC_JOB_MAPPING_DIR", "DCGM_EXPORTER_COLLECTORS", "BCM_SIMULATED_DCGM_EXPORTER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("BCM_SIMULATED_MIG", raising=False)


def test_uuids_differ_between_nodes_gpus_and_instances() -> None:
    uuids = {gpu_uuid(host, gpu, mig) for host in ("node001", "dgx-01") for gpu in range(8) for mig in ("", "0", "7")}
    assert len(uuids) == 48
    digits = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    assert all(re.fullmatch(rf"(GPU|MIG)-{digits}", uuid) for uuid in uuids)


@pytest.mark.parametrize(
    ("files", "job", "user"),
    [
        ({"1": "4711 1001\n"}, "4711", "1001"),
        ({gpu_uuid("node001", 1): "4711 1001\n", "1": "1 1\n"}, "4711", "1001"),  # the UUID counts
        ({gpu_uuid("node001", 1): "", "1": "1 1\n"}, "", ""),  # even when it says nothing
        ({"1": "4711\n"}, "4711", ""),
        ({"1": "4711 1001 more\n"}, "", ""),
        ({"1": "garbage\n"}, "garbage", ""),
        ({"1.7": "4711 1001\n"}, "", ""),
        ({"1/x": ""}, "", ""),
    ],
)
def test_the_job_of_a_gpu(tmp_path: Path, files: dict[str, str], job: str, user: str) -> None:
    lay(tmp_path / "run/gpustat", files)
    lines = page("nvidia_gpu_exporter", tmp_path)
    duty = series(lines, "nvidia_gpu_duty_cycle")
    assert len(duty) == 8
    told = {"jobid": job, "userid": user}
    expected = {"minor_number": "1", "ordinal": "1", "name": NAME, "uuid": gpu_uuid("node001", 1)}
    assert labels(duty[1]) == {**expected, **{name: text for name, text in told.items() if text}}
    assert [line for line in duty if "jobid" in line] == ([duty[1]] if job else [])
    assert duty[1].endswith(" 0") == (job == "")


def test_the_families_of_the_nvidia_exporter(tmp_path: Path) -> None:
    lay(tmp_path / "run/gpustat", {"1": "4711 1001\n"})
    lines = page("nvidia_gpu_exporter", tmp_path)
    assert series(lines, "nvidia_gpu_num_devices") == ["nvidia_gpu_num_devices 8"]
    for name in ("memory_total_bytes", "memory_used_bytes", "power_usage_milliwatts", "temperature_celsius"):
        assert len(series(lines, f"nvidia_gpu_{name}")) == 8
    shares = [float(line.rpartition(" ")[2]) for line in series(lines, "nvidia_gpu_graphics_util_percent")]
    assert 0 < max(shares) <= 1
    # The old form is joined with the others, so its labels are theirs; a GPU without a job has none.
    duty = series(lines, "nvidia_gpu_duty_cycle")[1]
    for name, value in (("jobId", 4711), ("jobUid", 1001)):
        (line,) = series(lines, f"nvidia_gpu_{name}")
        assert line == f"{duty.rpartition(' ')[0].replace('duty_cycle', name)} {value}"


def test_gpus_are_those_that_have_a_device_node(tmp_path: Path) -> None:
    lay(tmp_path, {f"dev/{name}": "" for name in ("nvidia10", "nvidia3", "nvidiactl", "nvidia-uvm", "null")})
    lay(tmp_path, {"run/gpustat/1": "4711 1001\n", "map/1": "4712\n"})
    lines = page("nvidia_gpu_exporter", tmp_path)
    assert series(lines, "nvidia_gpu_num_devices") == ["nvidia_gpu_num_devices 2"]
    found = [labels(line) for line in series(lines, "nvidia_gpu_duty_cycle")]
    assert [(one["ordinal"], one["minor_number"], one.get("jobid")) for one in found] == [
        *(("0", "3", None), ("1", "10", "4711")),
    ]
    dcgm = series(page("dcgm_exporter", tmp_path, hpc_job_mapping_dir=f"{tmp_path}/map"), "DCGM_FI_DEV_GPU_TEMP")
    found = [labels(line) for line in dcgm]
    assert [(one["gpu"], one["device"], one.get("hpc_job")) for one in found] == [
        *(("0", "nvidia3", None), ("1", "nvidia10", "4712")),
    ]


def test_mig_instances_of_the_nvidia_exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BCM_SIMULATED_MIG", MIG)
    lay(tmp_path / "run/gpustat", {"2.7": "1 1\n", gpu_uuid("node001", 2, "8"): "2 2\n", "2.8": "9 9\n"})
    lines = page("nvidia_gpu_exporter", tmp_path)
    assert series(lines, "nvidia_gpu_num_devices") == ["nvidia_gpu_num_devices 8"]
    found = [labels(line) for line in series(lines, "nvidia_gpu_memory_total_bytes")]
    told = [(one.get("GPU_I_ID"), one.get("jobid"), one["name"]) for one in found if one["minor_number"] == "2"]
    mig = f"{NAME} MIG 1g.10gb"
    assert told == [(None, None, NAME), ("7", "1", mig), ("8", "2", mig)]
    assert [labels(line)["minor_number"] for line in series(lines, "nvidia_gpu_duty_cycle")] == list("0134567")


# file name -> text; version; what every GPU that is not asked for lacks: (gpu, instance, job) of GPUs 0 to 2
MAPPINGS: list[tuple[dict[str, str], str, str, list[str]]] = [
    ({"0": "4711\n", "1": "4711\n4712\n"}, "", "", ["0:4711", "1:4711", "1:4712", "2:"]),
    ({"0": "4711\r\n4712"}, "", "", ["0:4711", "0:4712", "1:", "2:"]),
    ({"0": "4711\n4711\n"}, "", "", ["0:4711", "0:4711", "1:", "2:"]),  # a line written twice is told twice
    ({"0": "\n"}, "", "", ["0:", "1:", "2:"]),
    ({"0": "", "1": "4711\n"}, "", "4.8.2", ["0:", "1:4711", "2:"]),
    ({"0": "", "1": "4711\n"}, "", "4.4.0", ["0:", "1:4711", "2:"]),
    ({"0": "", "1": "4711\n"}, "", "4.3.9", ["1:4711", "2:"]),
    ({".0.tmp": "9\n", "lock": "9\n", "0.1.2": "9\n", "-1": "9\n", "0.x": "9\n"}, "", "", ["0:", "1:", "2:"]),
    ({"0/1": "9\n"}, "", "", ["0:", "1:", "2:"]),
    ({"2": "9\n", "2.7": "4711\n"}, MIG, "4.8.2", ["0:", "1:", "2.7:4711", "2.8:"]),
    ({"2": "9\n", "2.7": "4711\n"}, MIG, "4.8.1", ["0:", "1:", "2.7:9", "2.8:9"]),
    ({"1.7": "9\n"}, MIG, "4.8.2", ["0:", "1:", "2.7:", "2.8:"]),
]


@pytest.mark.parametrize(("files", "mig", "version", "found"), MAPPINGS)
def test_dcgm_metrics_come_once_per_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], mig: str, version: str, found: list[str]
) -> None:
    monkeypatch.setenv("BCM_SIMULATED_MIG", mig)
    if version:
        monkeypatch.setenv("BCM_SIMULATED_DCGM_EXPORTER", version)
    lay(tmp_path, files)
    told = []
    for line in series(page("dcgm_exporter", hpc_job_mapping_dir=str(tmp_path)), "DCGM_FI_DEV_GPU_UTIL"):
        one = labels(line)
        instance = f".{one['GPU_I_ID']}" if one.get("GPU_I_PROFILE") == "1g.10gb" else ""
        told.append(f"{one['gpu']}{instance}:{one.get('hpc_job', '')}")
        assert line.endswith(" 0") == ("hpc_job" not in one)
    assert [text for text in told if text[0] in "012"] == found


@pytest.mark.parametrize(("version", "name"), [("4.8.2", "Hostname"), ("4.8.3", "hostname")])
def test_the_host_name_label(monkeypatch: pytest.MonkeyPatch, version: str, name: str) -> None:
    monkeypatch.setenv("BCM_SIMULATED_DCGM_EXPORTER", version)
    line = series(page("dcgm_exporter"), "DCGM_FI_DEV_GPU_UTIL")[0]
    expected = {"gpu": "0", "UUID": gpu_uuid("node001", 0), "pci_bus_id": "00000000:0B:00.0", "device": "nvidia0"}
    assert labels(line) == {**expected, "modelName": NAME, name: "node001", "DCGM_FI_DRIVER_VERSION": "550.90.07"}


def test_dcgm_fields_are_those_of_the_counters_file(tmp_path: Path) -> None:
    counters = tmp_path / "counters.csv"
    counters.write_text("# comment\nDCGM_FI_DEV_GPU_TEMP, gauge, GPU temperature (in C).\n")
    lines = page("dcgm_exporter", f=str(counters))
    assert {line.partition("{")[0] for line in lines if line[0] != "#"} == {
        *("bcm_jobstats_simulated_exporter", "DCGM_FI_DEV_GPU_TEMP"),
    }


def test_a_mapping_file_that_vanishes_fails_the_scrape(tmp_path: Path) -> None:
    def status() -> str:
        answer = response(b"GET /metrics HTTP/1.1\r\n\r\n", "dcgm_exporter", {"hpc-job-mapping-dir": str(tmp_path)})
        return answer[:12].decode()

    for name in ("lock", "0.x"):
        (tmp_path / name).symlink_to(tmp_path / "gone")
    assert status() == "HTTP/1.1 200"
    (tmp_path / "0").symlink_to(tmp_path / "gone")  # listed, and not there when it is read
    assert status() == "HTTP/1.1 500"
    (tmp_path / "0").unlink()
    assert status() == "HTTP/1.1 200"


def test_no_mapping_directory_is_no_job(tmp_path: Path) -> None:
    lines = page("dcgm_exporter", hpc_job_mapping_dir=str(tmp_path / "none"))
    assert len(series(lines, "DCGM_FI_DEV_GPU_UTIL")) == 8
    assert "hpc_job" not in "".join(lines)
