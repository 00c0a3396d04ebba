"""Software images: what is in them, what should be, and how nodes get it.

CATEGORY is the category of nodes whose software image is meant.
"""

from __future__ import annotations

import argparse
import importlib

from bcm_jobstats.cli.main import Parser, general
from bcm_jobstats.errors import ExitStatus

ACTIONS = {
    "list": "the images, who uses them, and what of ours is in them",
    "plan": "what would change in the image, file by file, program by program",
    "build": "clone the image, install into the clone, check it; no node is touched",
    "recipe": "the same as commands to review and run by hand",
    "fetch": "on a connected machine: get all artifacts into one file",
    "diff": "what in an image or on a node is not as it was written",
    "grab": "a node's files into an image: the golden-node way, made safe",
    "rollout": "bring the nodes to the image: a canary, then waves; stops and says why",
    "rollback": "bring the nodes back to the image before",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """One parser for each action."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    for name, what in ACTIONS.items():
        module = importlib.import_module(f"bcm_jobstats.cli.image.{name}")
        own = actions.add_parser(name, help=what, description=module.__doc__, parents=[general()])
        module.configure(own)


def run(args: argparse.Namespace) -> ExitStatus:
    """Do the action."""
    module = importlib.import_module(f"bcm_jobstats.cli.image.{args.action}")
    return ExitStatus(module.run(args))
