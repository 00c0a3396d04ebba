"""Commands for administrators who live in cmsh: `~/.cm/cmsh/NAME.cmsh` becomes the command NAME (bcm-facts §1.2).

Native cmsh as far as it goes; bcm-jobstats is called for what cmsh cannot do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bcm_jobstats.site import Site
from bcm_jobstats.stack import RoleSpec, Stack

FOLDER = ".cm/cmsh"
"""Below root's home on a head node."""
MARK = "!: bcm-jobstats made this file and overwrites it with every apply"
"""Its first line: a shell command that does nothing, because whether cmsh knows comments is not documented."""


def is_ours(content: str) -> bool:
    """Whether a command file was written by us."""
    return content.startswith(MARK)


def files(stack: Stack) -> Mapping[str, str]:
    """File name -> content of every command that a head node gets."""
    roles = stack.roles()
    lines = {
        "jobstats-status": list(dict.fromkeys(_states(role) for role in roles)),
        "jobstats-plan": ["!bcm-jobstats plan"],
        "jobstats-drift": ["!bcm-jobstats drift"],
        "jobstats-job": ["!jobstats $1"],
        "jobstats-enable": list(_members(stack.site, roles, "append")),
        "jobstats-disable": list(_members(stack.site, roles, "removefrom")),
    }
    return {f"{name}.cmsh": "\n".join([MARK, *body]) + "\n" for name, body in lines.items()}


def _states(role: RoleSpec) -> str:
    """Every node with the role, however it came by it, and its services (bcm-facts §1.6)."""
    return f"device foreach -l {role.carried_by} (get hostname; services; status)"


def _members(site: Site, roles: tuple[RoleSpec, ...], verb: str) -> Iterator[str]:
    """Nodes into or out of the overlay, where its members are the administrator's; else where they are decided."""
    for role in roles:
        attach = site.roles[role.name].attach
        if attach.form == "manual":
            yield f"configurationoverlay; use {role.overlay}; {verb} nodes $1; commit; home"
        elif attach.form == "existing":
            yield f"!echo '{role.name} is in your overlay {role.overlay}: change its nodes there'"
        elif attach.form == "with_role":
            yield f"!echo '{role.name} is wherever {attach.with_role} is: assign or unassign that role'"
        else:
            yield f"!echo 'roles.{role.name}.attach in the site file names them: change it, then bcm-jobstats apply'"
    if verb == "append":
        yield "!bcm-jobstats drift -q >/dev/null || echo 'Not all is in place yet: see jobstats-drift'"
