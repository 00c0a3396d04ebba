"""The stand-in nvidia-smi: it prints as public outputs of the real one do, and tells of the exporters' GPUs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bcm_jobstats.simulator.standin_exporters import smi
from tests.simulator.exporterpages import labels, lay, page, series

QUERY = ("--query-gpu=index,uuid,pci.bus_id", "--format=csv,noheader")
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
MIG = "1:3g.40gb,1:1g.10gb*2,3:1g.10gb*7"
Instance = tuple[str, str]
"""The index of a GPU and the number of a GPU instance."""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node of four GPUs, one of whose device files has another number than the GPU."""
    monkeypatch.setenv("HOSTNAME", "dgx-01")
    monkeypatch.delenv("BCM_SIMULATED_MIG", raising=False)
    lay(tmp_path, {f"dev/nvidia{name}": "" for name in ("0", "1", "2", "10", "ctl")})
    return tmp_path


def divide(node: Path, text: str) -> None:
    lay(node, {"etc/bcm-simulated-mig": text})


def told(capsys: pytest.CaptureFixture[str], node: Path, *arguments: str, status: int = 0) -> str:
    assert smi.main(list(arguments), root=str(node)) == status
    return capsys.readouterr().out


def listed(text: str) -> dict[tuple[str, str], str]:
    """Index of a GPU and of a MIG device in it (empty: the GPU) -> UUID, by -L."""
    found, gpu = {}, ""
    for line in text.splitlines():
        part = re.fullmatch(r"  MIG \S+ +Device +(\d+): \(UUID: (.*)\)", line)
        whole = re.fullmatch(r"GPU (\d+): .* \(UUID: (.*)\)", line)
        assert part or whole, line
        if whole:
            gpu = whole[1]
        found[gpu, part[1] if part else ""] = (part or whole or [""])[2]
    return found


def blocks(text: str) -> list[list[tuple[str, str]]]:
    """The names and values of -q, GPU by GPU; a heading has no value."""
    found: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        if re.fullmatch(r"GPU [0-9A-F]{8}:[0-9A-F]{2}:00\.0", line):
            found.append([])
        elif found and line:
            name, _, value = line.partition(" : ")
            found[-1].append((name.strip(), value))
    return found


def numbers(text: str) -> dict[tuple[str, str], str]:
    """Index of a GPU and of a MIG device in it -> number of the GPU instance, by -q."""
    found, index = {}, ""
    for gpu, block in enumerate(blocks(text)):
        for name, value in block:
            index = value if name == "Index" else index
            if name == "GPU Instance ID":
                found[str(gpu), index] = value
    return found


def test_the_list_is_printed_as_the_real_one_does(capsys: pytest.CaptureFixture[str], node: Path) -> None:
    """influxdata/telegraf#5812, and others: `MIG 1g.20gb     Device  0: (UUID: MIG-...)`."""
    divide(node, "1:3g.40gb,1:1g.10gb*2\n")
    lines = told(capsys, node, "-L").splitlines()
    assert re.fullmatch(rf"GPU 0: NVIDIA H100 80GB HBM3 \(UUID: GPU-{UUID}\)", lines[0])
    assert re.fullmatch(rf"GPU 1: NVIDIA H100 80GB HBM3 \(UUID: GPU-{UUID}\)", lines[1])
    assert re.fullmatch(rf"  MIG 3g\.40gb     Device  0: \(UUID: MIG-{UUID}\)", lines[2])
    assert re.fullmatch(rf"  MIG 1g\.10gb     Device  1: \(UUID: MIG-{UUID}\)", lines[3])
    assert [line.split(":")[0] for line in lines[4:]] == ["  MIG 1g.10gb     Device  2", "GPU 2", "GPU 3"]


def test_the_log_is_printed_as_the_real_one_does(capsys: pytest.CaptureFixture[str], node: Path) -> None:
    """The logs that the module names: columns of driver 550; a MIG device has numbers and no UUID."""
    divide(node, "1:1g.10gb*2")
    text = told(capsys, node, "-q")
    assert text.startswith("\n==============NVSMI LOG==============\n\nTimestamp                                 : ")
    assert "\nAttached GPUs                             : 4\nGPU 00000000:0B:00.0\n    Product Name         " in text
    assert {line.index(" : ") for line in text.splitlines() if " : " in line} == {41}
    assert (
        "    MIG Mode\n"
        "        Current                           : Enabled\n"
        "        Pending                           : Enabled\n"
        "    MIG Device\n"
        "        Index                             : 0\n"
        "        GPU Instance ID                   : 7\n"
        "        Compute Instance ID               : 0\n"
    ) in text
    assert "MIG-" not in text
    names = [[name for name, _ in block] for block in blocks(text)]
    assert [block.count("MIG Device") for block in names] == [0, 2, 0, 0]
    assert names[1].index("MIG Mode") < names[1].index("MIG Device") < names[1].index("GPU UUID")


def test_the_query_is_printed_as_the_real_one_does(capsys: pytest.CaptureFixture[str], node: Path) -> None:
    lines = told(capsys, node, *QUERY).splitlines()
    assert len(lines) == 4
    assert re.fullmatch(rf"0, GPU-{UUID}, 00000000:0B:00\.0", lines[0])
    assert told(capsys, node, QUERY[0], "--format=csv").splitlines() == ["index, uuid, pci.bus_id", *lines]
    unknown = told(capsys, node, "--query-gpu=index,cuda_version", QUERY[1], status=2)
    assert unknown == 'Field "cuda_version" is not a valid field to query.\n'


def test_what_it_cannot_tell_it_does_not_make_up(capsys: pytest.CaptureFixture[str], node: Path) -> None:
    for arguments in ((), ("-q", "-x"), ("--query-gpu=index",), ("mig", "-lgi")):
        assert "SIMULATED" in told(capsys, node, *arguments, status=2)


def test_a_node_without_gpus(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert told(capsys, tmp_path, "-L", status=6) == "No devices were found\n"


def test_all_ways_tell_of_the_same_gpus(capsys: pytest.CaptureFixture[str], node: Path) -> None:
    divide(node, MIG)
    uuids = listed(told(capsys, node, "-L"))
    text = told(capsys, node, "-q")
    gpus = [tuple(line.split(", ")) for line in told(capsys, node, *QUERY).splitlines()]
    assert [uuid for _, uuid, _ in gpus] == [uuids[str(gpu), ""] for gpu in range(4)]
    facts = [dict(block) for block in blocks(text)]
    assert [fact["GPU UUID"] for fact in facts] == [uuid for _, uuid, _ in gpus]
    assert [fact["Bus Id"] for fact in facts] == [address for _, _, address in gpus]
    assert [fact["Minor Number"] for fact in facts] == ["0", "1", "2", "10"]
    assert set(numbers(text)) == {place for place in uuids if place[1]}


def test_the_exporters_know_the_gpus_by_the_same_names(capsys: pytest.CaptureFixture[str], node: Path) -> None:
    divide(node, MIG)
    uuids, ids = listed(told(capsys, node, "-L")), numbers(told(capsys, node, "-q"))
    expected = {(place[0], ids.get(place, "")): uuid for place, uuid in uuids.items()}
    assert len(expected) == 4 + 3 + 7

    lines = series(page("nvidia_gpu_exporter", node), "nvidia_gpu_memory_total_bytes")
    found = {(one["ordinal"], one.get("GPU_I_ID", "")): one["uuid"] for one in map(labels, lines)}
    assert found == expected

    divided = {gpu for gpu, number in expected if number}
    lines = series(page("dcgm_exporter", node), "DCGM_FI_DEV_GPU_TEMP")
    places = {(one["gpu"], one.get("GPU_I_ID", "")) for one in map(labels, lines)}
    assert places == {place for place in expected if place[1] or place[0] not in divided}


def test_mig_may_change_on_a_node_that_runs(
    capsys: pytest.CaptureFixture[str], node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def instances() -> set[Instance]:
        shown = {(gpu, number) for (gpu, _), number in numbers(told(capsys, node, "-q")).items()}
        for kind, name, gpu in (
            ("nvidia_gpu_exporter", "nvidia_gpu_memory_total_bytes", "ordinal"),
            ("dcgm_exporter", "DCGM_FI_DEV_GPU_TEMP", "gpu"),
        ):
            found = [labels(line) for line in series(page(kind, node), name)]
            assert {(one[gpu], one["GPU_I_ID"]) for one in found if "GPU_I_ID" in one} == shown
        return shown

    assert instances() == set()
    divide(node, "0:1g.10gb*2\n")
    assert instances() == {("0", "7"), ("0", "8")}
    divide(node, "2:3g.40gb*2\n")
    assert instances() == {("2", "1"), ("2", "2")}
    monkeypatch.setenv("BCM_SIMULATED_MIG", "3:7g.80gb")
    assert instances() == {("3", "0")}  # the variable counts, where it is set
    monkeypatch.setenv("BCM_SIMULATED_MIG", "")
    assert instances() == set()
