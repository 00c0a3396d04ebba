"""Check of how Slurm numbers GPUs: the numbers in SLURM_JOB_GPUS have to be those that exporters use (peers C4a)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bcm_jobstats.site.noderange import RangeError, expand, fold
from bcm_jobstats.slurm.conffile import Conf
from bcm_jobstats.slurm.findings import ERROR, NOTE, WARNING, Finding, Seen

INDEX, MINOR, UNKNOWN = "index", "minor", "unknown"
DETECTED = ("nvml", "nvidia")
"""AutoDetect of gres.conf by which GPUs are numbered as NVML does, by PCI bus (gres.conf(5)); BCM's gpuautodetect has
nvml, `bcm` writes lines with File=, and `none` and `off` write none (peers C9)."""
ALL = ""
"""The node of a line without NodeName, which is for all."""
COMPARE = (
    "Compare on a node: nvidia-smi --query-gpu=index,uuid --format=csv; cat /proc/driver/nvidia/gpus/*/information"
    " (GPU UUID, Device Minor)."
)


@dataclass(frozen=True)
class Gpus:
    """The GPUs that Slurm numbers in one way: of which nodes (none: of all), and where that is first told."""

    numbers: str
    where: str
    nodes: tuple[str, ...]


def order(seen: Seen) -> Iterator[Finding]:
    """`job_map.numbers` has to say what Slurm's numbers are; whether both orders agree cannot be seen from here."""
    wanted = seen.site.job_map.numbers
    if not seen.site.hooks.enabled or "gpu" not in seen.words("GresTypes"):
        return
    found = gpus(seen.gres)
    if not found:
        cause = "names no GPUs, though Slurm has GresTypes=gpu: how they are numbered is unknown"
        yield Finding(NOTE, str(seen.gres.path), cause, f"cmsh: set gpuautodetect nvml in role slurmclient. {COMPARE}")
    for one in found:
        on = f" on {fold(one.nodes)}" if one.nodes else ""
        if one.numbers == INDEX != wanted:
            cause = f"numbers GPUs{on} by NVML's index (AutoDetect), and job_map.numbers is {wanted}"
            yield Finding(
                ERROR, one.where, cause, "job_map: {numbers: index} in the site file, then bcm-jobstats apply."
            )
        elif one.numbers == MINOR != wanted:
            cause = f"numbers GPUs{on} by device file, which may be another order than job_map.numbers ({wanted})"
            remedy = f"{COMPARE} Where they differ: job_map: {{numbers: minor}} in the site file."
            yield Finding(WARNING, one.where, cause, remedy)
        elif one.numbers == UNKNOWN:
            yield Finding(NOTE, one.where, f"does not tell how GPUs{on} are numbered", COMPARE)


def gpus(gres: Conf) -> list[Gpus]:
    """What gres.conf tells of GPUs, one entry for each way to number them, however many lines and nodes there are."""
    lines = [(setting.where, {setting.key.lower(): setting.value, **setting.options}) for setting in gres.settings]
    detect = {node: words["autodetect"] for _, words in lines if "autodetect" in words for node in _nodes(words)}
    told: dict[str, tuple[str, str]] = {}
    for where, words in lines:
        for node in _nodes(words) if words.get("name") == "gpu" else ():
            told.setdefault(node, (_numbers(detect.get(node, detect.get(ALL, "")), words), where))
    for where, words in lines:
        for node in _nodes(words) if _detects(words.get("autodetect", "")) else ():
            told.setdefault(node, (INDEX, where))
    return [_together(told, numbers) for numbers in sorted({numbers for numbers, _ in told.values()})]


def _together(told: Mapping[str, tuple[str, str]], numbers: str) -> Gpus:
    nodes = {node: where for node, (way, where) in told.items() if way == numbers}
    return Gpus(numbers, next(iter(nodes.values())), () if ALL in nodes else tuple(nodes))


def _numbers(detect: str, words: Mapping[str, str]) -> str:
    """Node by node, its own AutoDetect goes before that of all nodes (gres.conf(5))."""
    if _detects(detect):
        return INDEX
    files = "file" in words or "multiplefiles" in words
    return MINOR if files and detect.lower() in {"", "off", "none"} else UNKNOWN


def _detects(detect: str) -> bool:
    return any(one in detect.lower() for one in DETECTED)


def _nodes(words: Mapping[str, str]) -> list[str]:
    text = words.get("nodename", ALL)
    try:
        return expand(text) if text != ALL else [ALL]
    except RangeError:
        return [text]
