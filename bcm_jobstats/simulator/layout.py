"""The cluster as it is found: the objects of a fresh installation with Slurm set up (bcm-facts §1.7, §3.1)."""

from __future__ import annotations

from dataclasses import dataclass

from bcm_jobstats.simulator.entities import Entity, Value
from bcm_jobstats.simulator.otherkinds import standing
from bcm_jobstats.simulator.rolekinds import ROLE_KINDS
from bcm_jobstats.simulator.schema import BCM10
from bcm_jobstats.simulator.state import State

HEAD = "bcm-head"
HEADS = {1: (HEAD,), 2: ("bcm-head-1", "bcm-head-2")}
"""The names of one head, and of two."""
HEAD_ROLES = ("backup", "boot", "firewall", "headnode", "monitoring", "provisioning", "storage")
"""The default roles of a head node (bcm-facts §3.1)."""

KERNEL = "5.14.0-284.11.1.el9_2.x86_64"
IMAGES = ("default-image", "dgx-image", "login-image")
CATEGORIES = {"default": "default-image", "dgx-h100": "dgx-image", "login": "login-image"}
WLM = "slurm"
HEAD_ADDRESS = 254
LAB_NETWORK = "10.141.0"
"""BCM's usual management network, which exists only inside a lab; elsewhere nodes have addresses of loopback."""
LAB_ADDRESS = (f"{LAB_NETWORK}.{HEAD_ADDRESS}", 8081)
"""The head node of a lab, and CMDaemon's port (bcm-facts §9)."""


@dataclass(frozen=True)
class Layout:
    """How large the cluster is, which BCM it runs, and the /24 network of its addresses."""

    profile: str = BCM10
    nodes: int = 4
    logins: int = 1
    network: str = "127.77.7"
    head: str = HEAD
    passive: str = ""
    """The second head, where there are two (bcm-facts §10)."""
    bare: bool = False
    """Without overlays, categories but `default`, and nodes: a ground to rebuild a manual's example on."""

    @property
    def heads(self) -> tuple[str, ...]:
        """The head nodes."""
        return (self.head, self.passive) if self.passive else (self.head,)

    def address(self, number: int) -> str:
        """The address of the node with a number; what does not fit a /24 is paper, and spread over a /16."""
        if self.nodes + self.logins <= HEAD_ADDRESS - len(self.heads):
            return f"{self.network}.{number}"
        return f"127.{self.network.split('.')[1]}.{number // 250}.{number % 250 + 1}"


def fresh(layout: Layout) -> State:
    """The state of a new cluster."""
    categories = {"default": "default-image"} if layout.bare else CATEGORIES
    etc = "/cm/shared/apps/slurm/var/etc/slurm" if layout.profile == BCM10 else "/cm/shared/apps/slurm/etc/slurm"
    return State(
        {
            "device": _devices(layout),
            "category": {name: _named("Category", name, softwareimage=image) for name, image in categories.items()},
            "softwareimage": {
                name: _named("SoftwareImage", name, path=f"/cm/images/{name}", kernelversion=KERNEL) for name in IMAGES
            },
            "configurationoverlay": {} if layout.bare else _overlays(),
            "wlm": {WLM: _wlm(etc)},
            **standing(layout.network),
        }
    )


def _named(kind: str, name: str, **values: Value) -> Entity:
    return Entity(kind, {"name": name, **values})


def _role(name: str, **values: Value) -> Entity:
    return _named(ROLE_KINDS[name], name, **values)


def _wlm(etc: str) -> Entity:
    wlm = _named("SlurmWlmCluster", WLM, etc=etc)
    wlm.within("cgroups")["cgroups"] = Entity("WlmCgroups", {"constraincores": "yes"})
    return wlm


def _devices(layout: Layout) -> dict[str, Entity]:
    devices = {}
    for number, name in enumerate(layout.heads):
        address, mac = f"{layout.network}.{HEAD_ADDRESS - number}", f"02:00:{number:02X}:00:00:00"
        devices[name] = Entity("HeadNode", {"hostname": name, "ip": address, "mac": mac})
        devices[name].within("roles").update({role: _role(role) for role in HEAD_ROLES})
    if layout.bare:
        return devices
    digits = max(2, len(str(layout.nodes)))
    names = [(f"dgx-{number:0{digits}}", "dgx-h100") for number in range(1, layout.nodes + 1)]
    names += [(f"login-{number:02}", "login") for number in range(1, layout.logins + 1)]
    for number, (name, category) in enumerate(names, start=1):
        mac = "02:00:" + ":".join(f"{number >> shift & 255:02X}" for shift in (24, 16, 8, 0))
        values: dict[str, Value] = {"hostname": name, "category": category, "ip": layout.address(number), "mac": mac}
        devices[name] = Entity("PhysicalNode", values)
    return devices


def _overlays() -> dict[str, Entity]:
    told: tuple[tuple[str, str, str, dict[str, Value]], ...] = (
        ("slurm-accounting", "500", "slurmaccounting", {"allheadnodes": "yes"}),
        ("slurm-client", "500", "slurmclient", {"categories": ("dgx-h100",)}),
        ("slurm-server", "500", "slurmserver", {"allheadnodes": "yes"}),
        ("slurm-submit", "500", "slurmsubmit", {"categories": ("dgx-h100", "login")}),
        ("wlm-headnode-submit", "600", "slurmsubmit", {"allheadnodes": "yes"}),
    )
    overlays = {}
    for name, priority, role, values in told:
        if priority != "500":
            values["priority"] = priority
        overlay = _named("ConfigurationOverlay", name, **values)
        overlay.within("roles")[role] = _role(role, wlmcluster=WLM)
        overlays[name] = overlay
    return overlays
