"""Make a certificate for bcm-jobstats whose profile allows exactly what it does.

It is used when the site file names it (bcm.certificate, bcm.key); until then cmsh uses root's own, which may do
everything. Needs an administrator's certificate itself, once.

That for role-monitor is for the agents on the nodes (enable.mode role-monitor): it reads devices and nothing else, and
lies on shared storage, where their user alone can read its key. The agents take a new one without a restart.

With --force the certificate before stays valid until its end; where its key may be known to others, revoke it.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
from dataclasses import replace
from pathlib import PurePosixPath

from bcm_jobstats.bcm import certificate, handover, heads
from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.bcm.cmsh.adapter import CmshBcm
from bcm_jobstats.cli import common
from bcm_jobstats.cli.main import BadUsage
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.errors import ExitStatus, JobstatsError
from bcm_jobstats.site import Site
from bcm_jobstats.slurm import resources
from bcm_jobstats.stack import agent

OWN = "/etc/bcm-jobstats"
CA = PurePosixPath(agent.CA).name
OLD = "The certificate before stays valid until its end: to end it now, revoke it in cmsh (cert)."


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("--for", dest="purpose", choices=certificate.PURPOSES, default=certificate.APPLY,
                        help="read: plan, status; apply: changes; images: image too; role-monitor: the agents on the "
                        "nodes (default: apply)")  # fmt: skip
    parser.add_argument("--days", type=int, default=365, metavar="N", help="days until it ends (default: 365)")
    folder = f"folder for the certificate and its key (default: {OWN}; for role-monitor: {agent.CERTIFICATES})"
    parser.add_argument("--out", metavar="DIR", help=folder)
    parser.add_argument("--print", action="store_true", help="only print the cmsh commands that do it")
    parser.add_argument("--force", action="store_true", help="replace a certificate that is there, and a profile")


def run(args: argparse.Namespace) -> ExitStatus:
    """Make it, or print how."""
    monitor = args.purpose == certificate.MONITOR
    folder = _folder((agent.CERTIFICATES if monitor else OWN) if args.out is None else args.out)
    if args.days < 1:
        raise BadUsage(f"--days {args.days}", "a certificate lasts one day at least", "Give a number from 1.")
    where = common.deployment(args, lenient=True)
    cmsh, timeout = process.find(where.root), where.access.timeout
    cluster = CmshBcm(cmsh, timeout).read()
    two = len(heads.names(cluster)) > 1
    site = where.stack.site
    slurm = bool(resources.asked(site))
    made = certificate.wanted(args.purpose, args.days, folder, two_heads=two, metrics=site.bcm.metrics, slurm=slurm)
    if monitor:
        names = [PurePosixPath(path).name for path in (made.certificate, made.key)]
        handover.check_ours(where.root / folder.lstrip("/"), names, CA)
    if args.print:
        before, after, there = _around(made, site) if monitor else ([], [], made)
        script = certificate.script(there, certificate.profiles(cmsh, timeout))
        common.put(args, {"commands": script}, "\n".join([*before, "cmsh <<'END'", *script, "END", *after]))
        return ExitStatus.OK
    key = where.root / made.key.lstrip("/")
    replaced = key.exists()
    if replaced and not args.force:
        raise JobstatsError(str(key), "is there already", "Use it, or make a new one with: certificate --force")
    heads.require_active(where.root, cluster)
    if monitor:
        _for_agents(args, where, made)
    else:
        _for_heads(args, where, made, two_heads=two)
    if replaced:
        common.say(args, OLD)
    return ExitStatus.OK


def _for_heads(args: argparse.Namespace, where: Deployment, made: certificate.Wanted, *, two_heads: bool) -> None:
    """Make it where this head node's own files are."""
    cmsh, timeout = process.find(where.root), where.access.timeout
    certificate.create(cmsh, timeout, made, where.root, force=args.force)
    document = {"profile": made.profile, "tokens": made.tokens, "certificate": made.certificate, "key": made.key}
    text = f"bcm:\n  certificate: {made.certificate}\n  key: {made.key}"
    common.say(args, f"Made, with {len(made.tokens)} rights, for {made.days} days. For the site file:")
    common.put(args, document, text)
    if two_heads:
        common.say(args, "The other head node needs both files too: nothing copies a head's own files.")


def _for_agents(args: argparse.Namespace, where: Deployment, made: certificate.Wanted) -> None:
    """Make it in a folder of root's and hand it over."""
    folder, user, ca = PurePosixPath(made.key).parent, where.stack.site.user, where.access.ca
    if not ca.is_file():
        raise JobstatsError(str(ca), "is not there, so that agents could not tell BCM from another", "Set bcm.ca.")
    into = where.root / str(folder).lstrip("/")
    with handover.workshop(into) as shop:
        there = _in(folder.parent / shop.name, made)
        certificate.create(process.find(where.root), where.access.timeout, there, where.root, force=args.force)
        shutil.copyfile(ca, shop / CA)
        key, own = (shop / PurePosixPath(path).name for path in (made.key, made.certificate))
        handover.hand_over(key, [shop / CA, own], into, user.uid)
    document = {"profile": made.profile, "tokens": made.tokens, "certificate": made.certificate, "key": made.key}
    common.put(args, {**document, "ca": f"{folder}/{CA}"}, f"{made.certificate}\n{made.key}\n{folder}/{CA}")
    common.say(args, f"Made, with {len(made.tokens)} right, for {made.days} days, for user {user.name} on the nodes.")
    if str(folder) != agent.CERTIFICATES:
        common.say(args, f"The agents look for it in {agent.CERTIFICATES}: move the folder there.")


def _in(shop: PurePosixPath, made: certificate.Wanted) -> certificate.Wanted:
    """The same with its files in another folder."""
    names = [PurePosixPath(path).name for path in (made.certificate, made.key)]
    return replace(made, certificate=f"{shop}/{names[0]}", key=f"{shop}/{names[1]}")


def _around(made: certificate.Wanted, site: Site) -> tuple[list[str], list[str], certificate.Wanted]:
    """What a shell does before and after cmsh for a certificate of agents, and what cmsh makes: in a folder of root's
    alone, as hand_over has it."""
    folder, user = PurePosixPath(made.key).parent, site.user.uid
    shop = folder.parent / f"{handover.MADE_BESIDE.format(name=folder.name)}by-hand"
    there = _in(shop, made)
    after = [
        ["install", "-d", "-m", "0750", "-o", "0", "-g", str(user), str(folder)],
        ["install", "-m", "0644", site.bcm.ca, f"{folder}/{CA}"],
        ["install", "-m", "0644", there.certificate, made.certificate],
        ["install", "-m", "0600", "-o", str(user), "-g", str(user), there.key, made.key],
        ["rm", "-r", str(shop)],
    ]
    before = [["mkdir", "-p", str(folder.parent)], ["mkdir", "-m", "0700", str(shop)]]
    return [shlex.join(words) for words in before], [shlex.join(words) for words in after], there


def _folder(given: str) -> str:
    """The folder on the head node; BadUsage when it is not an absolute path."""
    folder = PurePosixPath(given)
    if not folder.is_absolute() or ".." in folder.parts:
        raise BadUsage(f"--out {given}", "is not an absolute path", "Give one, such as /etc/bcm-jobstats")
    return str(folder)
