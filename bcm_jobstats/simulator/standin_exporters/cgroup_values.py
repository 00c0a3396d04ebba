"""The values of one control group in the units of peers C6, as the kernel tells them in either version."""

from __future__ import annotations

import os

from .files import read

Values = dict[str, float]


def readings_v1(root: str, path: str) -> Values:
    """The values of a group of the hierarchies cpuacct, memory and cpuset; 0 for what is not accounted."""
    ticks, memory = table(f"{root}/cpuacct{path}/cpuacct.stat"), table(f"{root}/memory{path}/memory.stat")
    second = os.sysconf("SC_CLK_TCK")
    cache = memory.get("total_cache", 0)
    values = {
        "cpu_user_seconds": ticks.get("user", 0) / second,
        "cpu_system_seconds": ticks.get("system", 0) / second,
        "cpus": cpus(f"{root}/cpuset{path}/cpuset.cpus"),
        "memory_rss_bytes": memory.get("total_rss", 0),
        "memory_cache_bytes": cache,
        "memory_shmem_bytes": cache - memory.get("total_inactive_file", 0) - memory.get("total_active_file", 0),
    }
    for kind, file in (("memory", "memory"), ("memsw", "memory.memsw")):
        stem = f"{root}/memory{path}/{file}"
        values[f"{kind}_used_bytes"] = number(f"{stem}.usage_in_bytes")
        values[f"{kind}_total_bytes"] = number(f"{stem}.limit_in_bytes")
        values[f"{kind}_fail_count"] = number(f"{stem}.failcnt")
    # The last one, and it must be there: a group that vanished while it was read is none.
    values["cpu_total_seconds"] = float(read(f"{root}/cpuacct{path}/cpuacct.usage")) / 1e9
    return values


def readings_v2(path: str) -> Values:
    """The values of a group of the unified hierarchy; OSError unless it has all of cpu and memory."""
    cpu, memory = pairs(read(f"{path}/cpu.stat")), pairs(read(f"{path}/memory.stat"))
    limit = read(f"{path}/memory.max").strip()
    return {
        "cpu_user_seconds": cpu.get("user_usec", 0) / 1e6,
        "cpu_system_seconds": cpu.get("system_usec", 0) / 1e6,
        "cpu_total_seconds": cpu.get("usage_usec", 0) / 1e6,
        "cpus": cpus(f"{path}/cpuset.cpus.effective"),
        "memory_rss_bytes": memory.get("anon", 0) + memory.get("swapcached", 0),
        "memory_cache_bytes": memory.get("file", 0),
        "memory_shmem_bytes": memory.get("shmem", 0),
        "memory_total_bytes": -1 if limit == "max" else int(limit),
        "memory_fail_count": pairs(read(f"{path}/memory.events")).get("oom", 0),
        "memory_used_bytes": int(read(f"{path}/memory.current")),
        **{f"memsw_{name}": 0 for name in ("used_bytes", "total_bytes", "fail_count")},
    }


def pairs(text: str) -> dict[str, int]:
    """Lines of a name and a number."""
    words = text.split()
    return {name: int(value) for name, value in zip(words[::2], words[1::2])}


def table(path: str) -> dict[str, int]:
    """The names and numbers of a file; none when there is no such file."""
    try:
        return pairs(read(path))
    except FileNotFoundError:
        return {}


def number(path: str) -> int:
    """The number that a file holds; 0 when there is no such file."""
    try:
        return int(read(path))
    except FileNotFoundError:
        return 0


def cpus(path: str) -> int:
    """How many CPUs a list as ``0-3,8`` names; 0 when there is no such file."""
    try:
        ranges = [part.split("-") for part in read(path).strip().split(",") if part]
    except FileNotFoundError:
        return 0
    return sum(int(ends[-1]) - int(ends[0]) + 1 for ends in ranges)
