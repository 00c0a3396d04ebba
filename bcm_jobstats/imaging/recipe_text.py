"""A build as text that an administrator can review and run by hand: a batch for cmsh and a shell script.

Whether cmsh knows comments is not documented; `!: 'TEXT'` is a shell command that does nothing (bcm-facts §1.2). TEXT
is quoted for the shell, and has no `;`, at which cmsh might end the command before it looks at quotes.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from bcm_jobstats.bcm.cmsh import imagescripts
from bcm_jobstats.imaging.order import Order
from bcm_jobstats.imaging.packages import PackageProvider
from bcm_jobstats.imaging.programs import ProgramProvider
from bcm_jobstats.plan.model import Change, Plan
from bcm_jobstats.plan.resource import Provider

CMSH, SHELL = "recipe.cmsh", "recipe.sh"
_REMARK = "!: "
_COMMANDS = "END-OF-COMMANDS"


def cmsh_text(order: Order, nodes: Sequence[str]) -> str:
    """The batch: the clone; then, as remarks, what comes after the script. `nodes` are those of the category."""
    return "".join(f"{line}\n" for line in _cmsh(order, nodes))


def _cmsh(order: Order, nodes: Sequence[str]) -> Iterator[str]:
    def remark(*lines: str) -> Iterator[str]:
        yield from (_REMARK + _in_quotes(line.replace(";", ",")) for line in lines)

    yield from remark(f"Software image {order.target} for category {order.category}, by bcm-jobstats image recipe")
    if order.clones:
        yield from remark(f"1. Clone it. BCM copies {order.source}, and commit -w waits for that. No node is touched.")
        yield from imagescripts.clone(order.source, order.target)
    yield from remark(
        f"2. On the head node, as root: bash {SHELL}",
        "3. The rest is for afterwards. Review each command, and run what is between the quotes.",
    )
    yield from remark("   The provisioning nodes get the changed image; imageupdate alone may be too early.")
    yield from remark(*imagescripts.UPDATE_PROVISIONERS)
    for canary in nodes[:1]:
        if not order.in_place:
            yield from remark(
                f"   One node first, {canary}: it gets the image.", *imagescripts.use([canary], order.target)
            )
        yield from remark("   A dry run: synclog shows what would change.", *imagescripts.sync([canary], write=False))
        yield from remark(*imagescripts.synclog(canary))
        yield from remark("   The real one.", *imagescripts.sync([canary], write=True))
    if not order.in_place:
        yield from remark("   When that node works: all of the category, which has the image from then on.")
        yield from remark(*imagescripts.use_in_category(order.category, order.target))
        if nodes:
            yield from remark(*imagescripts.use(nodes[:1], ""))
    if nodes[1:]:
        yield from remark("   Some nodes at a time, the dry run before the real one.")
        yield from remark(*imagescripts.sync(nodes[1:], write=False), *imagescripts.sync(nodes[1:], write=True))


def _in_quotes(text: str) -> str:
    """One word to the shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def shell_text(order: Order, plan: Plan, providers: Sequence[Provider], shown: str) -> str:
    """The script; `shown` is the directory of the image. It makes the files that `image build` makes, and no manifest:
    what it makes is the administrator's."""
    by_kind = {provider.kind: provider for provider in providers}
    lines = [
        "#!/bin/bash",
        f"# Software image {order.target} for category {order.category}, by bcm-jobstats image recipe.",
        f"# Run it as root on the active head node, after the clone of {CMSH}. It touches no node.",
        "# What it makes is yours: bcm-jobstats keeps no record of it, and image rollout does not know the image.",
        "set -eu",
        "umask 022",
        f"test -d {shlex.quote(shown)}",
    ]
    for change in plan.changes:
        lines += ["", f"# {change.action} {change.address}"]
        lines += _steps(change, by_kind[change.kind])
    return "\n".join(lines) + "\n"


def _steps(change: Change, provider: Provider) -> list[str]:
    commands = provider.commands(change.name, change.before, change.after)
    if isinstance(provider, ProgramProvider) and change.after and "sha256" in change.after:
        summed = f"{change.after['sha256']}  {provider.place(change.after)}"
        return [f"# version {change.after.get('version', 'unknown')}", f"echo '{summed}' | sha256sum -c -", *commands]
    if change.kind == PackageProvider.kind:
        # The last two open a shell in the image and say what is typed there.
        *copies, enter, typed = commands
        return [*copies, f"{enter} <<'{_COMMANDS}'\n{typed}\n{_COMMANDS}"]
    return commands
