"""What head nodes run: the timer of `targets sync` and `targets serve`, as far as the site wants them (targets.every,
targets.listen). Their units are files of the heads (headfiles.py); CMDaemon starts them by a role, or as services.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from bcm_jobstats import data
from bcm_jobstats.bcm.entities import NODE, OVERLAY, GenericRole, Overlay, Place, Service
from bcm_jobstats.enable.marks import OURS, of_place
from bcm_jobstats.enable.resources import MARK, overlay_state, role_state, service_state
from bcm_jobstats.plan.resource import Resource
from bcm_jobstats.site import Site
from bcm_jobstats.stack import Stack, render

KIND = "headunit"
OVERLAY_NAME = "jobstats-head"
ROLE_NAME = "generic::jobstats-head"
REGISTRY, HTTP = "jobstats-registry", "jobstats-targets-http"
FOLDER = "etc/systemd/system"
"""Below the root of a head node."""
SITE_FILE = "/etc/bcm-jobstats/site.yaml"
"""The site file that bcm-jobstats takes unless told."""
MARKED = f"# {render.HEADER}"
PRIORITY = 500


def services(site: Site) -> tuple[str, ...]:
    """The services that the head nodes get."""
    return (REGISTRY,) * (site.targets.every is not None) + (HTTP,) * (site.targets.listen is not None)


def files(stack: Stack, site_file: str = SITE_FILE) -> Mapping[str, str]:
    """File name -> content of every unit that a head node gets; `site_file` is the site file's path on heads."""
    targets = stack.site.targets
    names: list[str] = []
    if targets.every is not None:
        names += [f"{REGISTRY}.service", f"{REGISTRY}.timer", f"{REGISTRY}-sync.service"]
    if targets.listen is not None:
        names.append(f"{HTTP}.service")
    seconds = int(targets.every.seconds) if targets.every else 0
    site = site_file if site_file != SITE_FILE else ""
    values = {"name": REGISTRY, "every": seconds, "listen": targets.listen, "site": site}
    folder = data.path("overlays") / "templates"
    return {name: render.unit(f"{name}.j2", folder, values).decode() for name in names}


def is_ours(content: str) -> bool:
    """Whether a unit was written by us."""
    return content.startswith(MARKED)


def restarted(name: str) -> bool:
    """Whether a unit that changed has to be started anew; the others only say what to start, or run for a moment."""
    return name in {f"{REGISTRY}.timer", f"{HTTP}.service"}


def desired(site: Site, heads: Collection[str], *, generic: bool) -> Iterator[Resource]:
    """What has CMDaemon start them: a role on all head nodes, or (`generic` false) services of the `heads`, which are
    all of them: one that is down keeps its services, and its units follow."""
    wanted = services(site)
    if not wanted:
        return
    if generic:
        state = overlay_state(Overlay(OVERLAY_NAME, PRIORITY, all_head_nodes=True, revision=OURS))
        owned = {key: value for key, value in state.items() if key != "priority"}
        yield Resource("overlay", OVERLAY_NAME, owned, {"priority": PRIORITY}, mark=MARK)
        role = GenericRole(ROLE_NAME, wanted, OURS)
        yield Resource("role", f"{Place(OVERLAY, OVERLAY_NAME)}/{ROLE_NAME}", role_state(role), mark=MARK)
        return
    for where in (Place(NODE, head) for head in heads):
        for name in wanted:
            service = Service(name, monitored=True, autostart=True, revision=of_place(where))
            yield Resource("service", f"{where}/{name}", service_state(service), mark=MARK)
