"""Make a certificate for bcm-jobstats whose profile allows exactly what it does.

It is used when the site file names it (bcm.certificate, bcm.key); until then cmsh uses root's own, which may do
everything. Needs an administrator's certificate itself, once.
"""

from __future__ import annotations

import argparse
from pathlib import PurePosixPath

from bcm_jobstats.bcm import certificate, heads
from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.bcm.cmsh.adapter import CmshBcm
from bcm_jobstats.cli import common
from bcm_jobstats.cli.main import BadUsage
from bcm_jobstats.errors import ExitStatus, JobstatsError
from bcm_jobstats.slurm import resources


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("--for", dest="purpose", choices=certificate.PURPOSES, default=certificate.APPLY,
                        help="read: plan, status; apply: changes; images: image too (default: apply)")  # fmt: skip
    parser.add_argument("--days", type=int, default=365, metavar="N", help="days until it ends (default: 365)")
    folder = "folder on the head node for the certificate and its key (default: /etc/bcm-jobstats)"
    parser.add_argument("--out", default="/etc/bcm-jobstats", metavar="DIR", help=folder)
    parser.add_argument("--print", action="store_true", help="only print the cmsh commands that do it")
    parser.add_argument("--force", action="store_true", help="replace a certificate that is there, and a profile")


def run(args: argparse.Namespace) -> ExitStatus:
    """Make it, or print how."""
    folder = _folder(args.out)
    if args.days < 1:
        raise BadUsage(f"--days {args.days}", "a certificate lasts one day at least", "Give a number from 1.")
    where = common.deployment(args, lenient=True)
    cmsh, timeout = process.find(where.root), where.access.timeout
    cluster = CmshBcm(cmsh, timeout).read()
    two = len(heads.names(cluster)) > 1
    site = where.stack.site
    slurm = bool(resources.asked(site))
    made = certificate.wanted(args.purpose, args.days, folder, two_heads=two, metrics=site.bcm.metrics, slurm=slurm)
    if args.print:
        script = certificate.script(made, certificate.profiles(cmsh, timeout))
        common.put(args, {"commands": script}, "\n".join(["cmsh <<'END'", *script, "END"]))
        return ExitStatus.OK
    key = where.root / made.key.lstrip("/")
    if key.exists() and not args.force:
        raise JobstatsError(str(key), "is there already", "Use it, or make a new one with: certificate --force")
    heads.require_active(where.root, cluster)
    certificate.create(cmsh, timeout, made, where.root, force=args.force)
    document = {"profile": made.profile, "tokens": made.tokens, "certificate": made.certificate, "key": made.key}
    text = f"bcm:\n  certificate: {made.certificate}\n  key: {made.key}"
    common.say(args, f"Made, with {len(made.tokens)} rights, for {made.days} days. For the site file:")
    common.put(args, document, text)
    if two:
        common.say(args, "The other head node needs both files too: nothing copies a head's own files.")
    return ExitStatus.OK


def _folder(given: str) -> str:
    """The folder on the head node; BadUsage when it is not an absolute path."""
    folder = PurePosixPath(given)
    if not folder.is_absolute() or ".." in folder.parts:
        raise BadUsage(f"--out {given}", "is not an absolute path", "Give one, such as /etc/bcm-jobstats")
    return str(folder)
