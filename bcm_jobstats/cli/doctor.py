"""Look for what is wrong, read-only. Exit status 1 when an error is found; warnings and notes leave it 0.

Without options: the private keys of BCM's certificates and how long those of bcm-jobstats last, the exporters in the
software images, whether Slurm is configured as job statistics need it, and with enable.mode role-monitor whether BCM
tells the agents of the role that they follow.
With --contract: does BCM still behave as when it was probed? Run that after an upgrade of BCM.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.checks import certificates, contract, followed, images, keys, lists
from bcm_jobstats.cli import common
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.errors import ExitStatus, JobstatsError
from bcm_jobstats.imaging import contents, payload
from bcm_jobstats.slurm import reading
from bcm_jobstats.slurm.findings import ERROR, NOTE, SEVERITIES, Finding


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("--contract", action="store_true", help="compare BCM with the transcript of the last probe")


def run(args: argparse.Namespace) -> ExitStatus:
    """Check."""
    where = common.deployment(args, lenient=True)
    return _contract(args, where) if args.contract else _preflight(args, where)


def _preflight(args: argparse.Namespace, where: Deployment) -> ExitStatus:
    access = where.access
    found = [*keys.findings(where.root, access.key), *certificates.findings(where.root, access)]
    with common.busy(args, "Reading the cluster"):
        try:
            cluster = where.cluster
        except JobstatsError as error:
            cause = f"{error.cause}: nothing of Slurm was checked"
            checks, about_cluster = 0, [Finding(ERROR, error.subject, cause, error.remedy)]
        else:
            checks, about_cluster = _cluster(where, cluster)
    found += about_cluster
    common.put(args, {"checks": 1 + checks, "findings": [asdict(one) for one in found]}, _text(1 + checks, found))
    return ExitStatus.FAILED if any(one.severity == ERROR for one in found) else ExitStatus.OK


def _cluster(where: Deployment, cluster: Cluster) -> tuple[int, list[Finding]]:
    excludes = lists.of_jobs(cluster, lambda: where.imagework)
    checks, found = reading.examine(where.stack.site, cluster.wlms.values(), where.root, excludes)
    try:
        wanted = contents.of_images(where.stack, where.placed(), cluster)
    except JobstatsError as error:
        return checks, [*found, Finding(ERROR, "site file", f"{error}: the software images were not checked")]
    about_images = images.findings(where.stack, payload.image_trees(cluster, where.root), wanted)
    about_role = followed.findings(where.stack, where.root, where.access, cluster)
    return checks + 1 + where.stack.monitored, [*found, *about_images, *about_role]


def _text(checks: int, found: Sequence[Finding]) -> str:
    """The findings by severity, the worst first, and a line that counts them."""
    counts = Counter(one.severity for one in found)
    groups = [
        f"{severity}s:\n" + "\n".join(f"  {one}" for one in found if one.severity == severity)
        for severity in SEVERITIES
        if counts[severity]
    ]
    told = [f"{counts[one]} {one}{'s' * (counts[one] > 1)}" for one in SEVERITIES if counts[one]]
    clean = ["no problem found"] if counts.keys() <= {NOTE} else []
    made = f"{checks} check{'s' * (checks > 1)}"
    return "\n\n".join([*groups, f"{', '.join([made, *clean, *told])}."])


def _contract(args: argparse.Namespace, where: Deployment) -> ExitStatus:
    before = contract.saved(where.root / contract.SAVED)
    found = []
    for finding in contract.compare(before, contract.prober(where)):
        found.append(finding)
        common.say(args, f"  {finding.name}: {finding.now}")
    changed = [finding for finding in found if finding.changed]
    rows = [[f.name, f.before, f.now, f.consequence] for f in changed]
    text = common.table(["behaviour", "was", "is", "what follows"], rows) if rows else "BCM behaves as it was probed."
    common.put(args, [{**vars(f), "changed": f.changed} for f in found], text)
    if changed:
        common.say(args, "When that is as it should be, take it as the new state with: bcm-jobstats probe")
    return ExitStatus.FAILED if changed else ExitStatus.OK
