"""The agent of enable.mode role-monitor, run on this node here and now, as the program role-monitor in an image does.

`role-monitor deploy` says what deploying it means here, for who knows the command of that name; it changes nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bcm_jobstats.cli import common
from bcm_jobstats.cli.main import BadUsage
from bcm_jobstats.errors import ExitStatus, JobstatsError
from bcm_jobstats.node import options

STEPS = (
    ("bcm-jobstats certificate --for role-monitor", "a certificate that reads devices and nothing else"),
    ("bcm-jobstats plan", "what would change"),
    ("bcm-jobstats apply", "the agent into the images, its service onto their categories"),
    ("bcm-jobstats image rollout", "where nodes are to get a new image: CATEGORY IMAGE, in waves"),
)
"""Instead of copying files to each node: what to run, and why."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments: those of the agent, and those of the deployment that seed 4 knows."""
    parser.add_argument("what", nargs="?", choices=("deploy",), help="deploy: say what deploying the agent means")
    options.add(parser)
    parser.add_argument("--dgx-nodes", nargs="+", metavar="NODE", help="with deploy: the nodes that are to have it")


def run(args: argparse.Namespace) -> ExitStatus:
    """Run the agent, or say what its deployment means."""
    if args.what == "deploy":
        return _deploy(args)
    if args.dgx_nodes:
        raise BadUsage("--dgx-nodes", "goes with deploy", "Say: bcm-jobstats role-monitor deploy --dgx-nodes NODE")
    if args.json and not args.once:
        raise BadUsage("--json", "goes with --once", "Say: bcm-jobstats role-monitor --once --json")
    from bcm_jobstats.node import main

    chosen = {name: getattr(args, name) for name in ("config", "prometheus_targets_dir", "once", "dry_run", "json")}
    return ExitStatus(main.run(options.Options(**chosen, root=args.root)))


def _deploy(args: argparse.Namespace) -> ExitStatus:
    old = _old(args.config) if args.config else {}
    directory = args.prometheus_targets_dir or old.get("prometheus_targets_dir")
    nodes = args.dgx_nodes or old.get("dgx_nodes") or []
    site: dict[str, Any] = {"enable": {"mode": "role-monitor"}}
    if old.get("cluster_name"):
        site["cluster"] = str(old["cluster_name"])
    if directory:
        site["targets"] = {"directory": str(directory)}
    found, trouble = _places(args, [str(node) for node in nodes])
    steps = [command for command, _ in STEPS]
    common.put(
        args,
        {"site": site, "site_file": str(args.site), "commands": steps, "nodes": found, "problem": trouble},
        _text(args, site, found, trouble),
    )
    return ExitStatus.OK


def _old(path: Path) -> dict[str, Any]:
    """What a configuration of seed 4's guided setup says of the agent; JobstatsError when it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise JobstatsError(
            str(path), f"is not JSON: {error}", "Name the configuration of the guided setup."
        ) from error
    if not isinstance(found, dict):
        raise JobstatsError(str(path), "is not a JSON object", "Name the configuration of the guided setup.")
    systems = found.get("systems")
    nodes = found.get("dgx_nodes") or (systems.get("dgx_nodes") if isinstance(systems, dict) else None)
    known = {
        name: found[name] for name in ("cluster_name", "prometheus_targets_dir") if isinstance(found.get(name), str)
    }
    return {**known, "dgx_nodes": nodes if isinstance(nodes, list) else []}


def _places(args: argparse.Namespace, nodes: list[str]) -> tuple[list[dict[str, str]], str]:
    """Of each node its category and its image, by which it gets the agent; and why BCM could not be asked."""
    if not nodes:
        return [], ""
    try:
        cluster = common.deployment(args, lenient=True).cluster
    except JobstatsError as error:
        return [{"node": name} for name in nodes], f"{error.subject}: {error.cause}"
    found = []
    for name in nodes:
        node = cluster.nodes.get(name.split(".")[0])
        image = cluster.image_of(node) if node else None
        found.append({"node": name, **({"category": node.category, "image": image or ""} if node else {})})
    return found, ""


def _text(args: argparse.Namespace, site: dict[str, Any], nodes: list[dict[str, str]], trouble: str) -> str:
    lines = ["Nothing was changed. The agent comes with the software images, and CMDaemon starts it."]
    lines += ["", f"In the site file, {args.site}:"]
    lines += [f"  {section}: {json.dumps(value)}" for section, value in site.items()]  # which is YAML, too
    lines += ["", "Then:", *(f"  {command:45} {why}" for command, why in STEPS)]
    if nodes:
        lines += ["", "The nodes get it by their category and its image:"]
        lines += [f"  {one['node']}: {_by(one, trouble)}" for one in nodes]
    if trouble:
        lines.append(f"  BCM was not asked: {trouble}")
    return "\n".join(lines)


def _by(node: dict[str, str], trouble: str) -> str:
    if "category" not in node:
        return "not known" if trouble else "BCM has no such node"
    return f"category {node['category']}, image {node['image'] or 'none: a head node'}"
