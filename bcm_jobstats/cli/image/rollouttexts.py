"""What `image rollout` says of its plan and of its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from bcm_jobstats.imaging.rolling import Rolling
from bcm_jobstats.imaging.rollout import Options, RolloutPlan
from bcm_jobstats.imaging.waves import natural
from bcm_jobstats.plan.model import Plan
from bcm_jobstats.site.noderange import fold


def planned(plan: RolloutPlan, options: Options, slots: Optional[int], mending: Optional[Plan]) -> str:
    """A plan for people; `slots`: how many nodes BCM syncs at a time."""
    record, count = plan.record, len(plan.nodes)
    before = f" (now {record.source})" if record.source != plan.image else ""
    lines = [f"Category {record.category}: software image {plan.image}{before}, {count} of its nodes"]
    lines += [f"  {change.name} is put right first" for change in (mending.changes if mending else ())]
    lines += [f"  done already: {fold(plan.done)}"] if plan.done else []
    for number, wave in enumerate(plan.waves, 1):
        lines.append(f"  {number}. {'canary' if wave.canary else 'wave'}: {fold(wave.nodes)}")
    lines += left_lines(plan.left)
    if plan.waiting:
        lines.append(f"  not named: {fold(plan.waiting)}")
    if not plan.ends:
        lines.append("  the category keeps its image until they went too")
    if unseen(plan):
        lines.append(f"  No node goes: the category gets {plan.image} though no node was seen to work with it")
    lines += [f"BCM syncs {slots} nodes at a time, the others of a wave wait."] if slots else []
    lines.append(f"It stops when a canary fails, or more than {options.most} of the nodes that went.")
    if options.reboot:
        lines.append("--reboot: nodes of which BCM says restart-required boot, and their jobs end: drain them first.")
    else:
        lines.append("Jobs are not stopped; services of ours are restarted where their files change.")
    return "\n".join(lines)


def unseen(plan: RolloutPlan) -> bool:
    """Whether the category would get an image with which no node was seen to work."""
    return not plan.nodes and not plan.done and plan.ends and plan.record.source != plan.image


def question(plan: RolloutPlan) -> str:
    """What is asked before it begins."""
    if unseen(plan):
        return f"Give category {plan.record.category} image {plan.image}, though no node was seen to work with it?"
    return f"Roll {plan.image} out to category {plan.record.category}?"


def document(plan: RolloutPlan, rolling: Rolling, ended: bool, error: Optional[str] = None) -> dict[str, Any]:
    """A run of a rollout as data."""
    nodes = {name: rolling.record.nodes[name] for name in natural(rolling.record.nodes)}
    return {
        "category": plan.record.category,
        "image": plan.image,
        "source": plan.record.source,
        "ended": ended,
        "waves": [{"nodes": list(wave.nodes), "canary": wave.canary} for wave in plan.waves],
        "nodes": {name: {"state": node.state, "reason": node.reason} for name, node in nodes.items()},
        "left": dict(plan.left),
        "unchecked": dict(rolling.unchecked),
        "calls": dict(rolling.means.calls),
        "error": error,
    }


def summary(plan: RolloutPlan, rolling: Rolling, wanting: list[str], ended: bool) -> str:
    """How a rollout came out; `wanting`: nodes that BCM says have to boot."""
    name, failed = plan.record.category, rolling.failed()
    state = f"category {name} has image {plan.image}" if ended else f"category {name} keeps its image for now"
    lines = [f"Done: {len(rolling.verified())} nodes work with {plan.image}, {len(failed)} failed; {state}."]
    lines += [f"  {node} failed: {why}" for node, why in failed.items()]
    lines += left_lines(plan.left)
    lines += [f"  not checked: {what}: {why}" for what, why in sorted(rolling.unchecked.items())]
    lines += boot_lines(wanting)
    lines += [] if ended else [f"  Go on: bcm-jobstats image rollout {name}"]
    return "\n".join(lines)


def left_lines(left: Mapping[str, str]) -> list[str]:
    """Nodes that do not go, by the reason."""
    reasons = sorted(set(left.values()))
    return [f"  left: {fold(name for name, why in left.items() if why == reason)} {reason}" for reason in reasons]


def boot_lines(wanting: Sequence[str]) -> list[str]:
    """Nodes that BCM says have to boot."""
    return [f"  BCM says restart-required of {fold(wanting)}, until they boot"] if wanting else []
