"""What `lab status` tells."""

from __future__ import annotations

from typing import Any

from bcm_jobstats.simulator.lab.pod import Pod


def look(pod: Pod) -> dict[str, Any]:
    """What runs now: the nodes with the memory that they take, those that Slurm gives jobs to, Prometheus' targets."""
    told: dict[str, Any] = {"directory": str(pod.directory), "running": pod.running}
    if not pod.running:
        return told
    off = set(pod.simulator.status()["down"])
    told["nodes"] = {
        node: {"address": address, "up": node not in off, "memory_bytes": pod.memory(node)}
        for node, address in pod.nodes().items()
    }
    return {**told, "slurm_ready": pod.ready(), "targets": pod.targets()}


def text(told: dict[str, Any]) -> str:
    """The same for a person."""
    if not told["running"]:
        return f"No lab runs in {told['directory']}."
    lines = []
    for node, entry in told["nodes"].items():
        memory = f"{entry['memory_bytes'] / 2**20:5.0f} MiB" if entry["memory_bytes"] else ""
        lines.append(f"{node:<10} {entry['address']:<15} {'up' if entry['up'] else 'down':<4} {memory}".rstrip())
    answering = sum(told["targets"].values())
    lines += [
        f"Slurm: {len(told['slurm_ready'])} nodes ready. Prometheus: {answering} of {len(told['targets'])} targets up.",
        f"The head node's root: {told['directory']}",
    ]
    return "\n".join(lines)
