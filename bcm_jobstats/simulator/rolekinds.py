"""The roles: their names in cmsh, their types and their fields (bcm-facts §1.7, §3.1, §3.2)."""

from __future__ import annotations

from bcm_jobstats.simulator.schema import (
    BCM11,
    CHOICE,
    FIXED,
    LINES,
    LIST,
    LONG,
    NUMBER,
    TEXT,
    Row,
    Schema,
    Submode,
    f,
    no,
    yes,
)

GENERIC = "generic::"
"""The prefix of generic roles; their own name follows."""

_ASSOCIATIONS = f("Provisioning associations", FIXED, "<0 internally used>")
_HEAD: tuple[Row, ...] = (f("Name", FIXED), f("Revision"), f("Type", "computed"), yes("Add services"))

_SNIPPETS = Submode(
    "excludelistsnippets",
    "Exclude list snippets",
    ("ExcludeListSnippet",),
    format="name:12,lines:7,disabled:12,modesync:11,modefull:11,modeupdate:14,modegrab:11,modegrabnew:14",
)

_GENERIC: tuple[Row, ...] = (
    *_HEAD,
    _ASSOCIATIONS,
    f("Services", LIST),
    Submode("configurations", "Configurations", ("static",), format="type:12,name:32,filename:64"),
    Submode("environments", "Environments", ("GenericRoleEnvironment",), format="name:16,value:25,nodeenvironment:16"),
    _SNIPPETS,
    no("Data node"),
)

_SLURM_CLIENT: tuple[Row, ...] = (
    *_HEAD,
    f("WLM cluster", name="wlmcluster", attribute="wlmCluster"),
    f("Slots"),
    no("All Queues"),
    f("Queues", LIST),
    _ASSOCIATIONS,
    no("Power Saving Allowed"),
    f("Features", LIST),
    f("Sockets"),
    f("Cores Per Socket"),
    f("ThreadsPerCore"),
    f("Boards"),
    f("SocketsPerBoard"),
    f("RealMemory", TEXT, "0B"),
    f("NodeAddr"),
    f("Weight"),
    f("Port"),
    f("TmpDisk"),
    f("Reason"),
    f("CPU Spec List"),
    f("Core Spec Count", NUMBER),
    f("Mem Spec Limit"),
    f("GPU auto detect", CHOICE, "none", choices=("bcm", "none", "nrt", "nvml", "off", "oneapi", "rsmi")),
    Submode("nodecustomizations", "Node Customizations", ("NodeCustomization",), format="key:20,value:32,enabled:8"),
    Submode(
        "genericresources",
        "Generic Resources",
        ("GenericResource",),
        format="alias:16,name:16,type:16,count:8,file:32",
    ),
    f("Cpu Bindings", TEXT, "None"),
    no("Slurm hardware probe autodetect"),
    f("Memory autodetection slack", TEXT, "0.0%"),
    no("IMEX"),
    f("Nodesets", LIST, profiles=(BCM11,)),
    f("Nodeset features", LIST, profiles=(BCM11,)),
)

_WLM: tuple[Row, ...] = (*_HEAD, f("WLM cluster", name="wlmcluster", attribute="wlmCluster"), _ASSOCIATIONS)

_ACCOUNTING: tuple[Row, ...] = (
    *_HEAD,
    no("High availability"),
    f("Primary accounting server"),
    f("DbdPort", NUMBER, "6819"),
    f("StorageHost"),
    f("StoragePort", NUMBER, "3306"),
    f("StorageLoc", TEXT, "slurm_acct_db"),
    f("StorageUser", TEXT, "slurm"),
)

_PROVISIONING: tuple[Row, ...] = (
    no("All Images"),
    no("Include revisions of local images"),
    f("Local images", LIST),
    f("Name", FIXED),
    f("Nodegroups", LIST),
    _ASSOCIATIONS,
    f("Revision"),
    f("Shared images", LIST),
    f("Type", "computed"),
    f("Provisioning slots", NUMBER, "10"),
)

_MONITORING: tuple[Row, ...] = (
    *_HEAD,
    _ASSOCIATIONS,
    f("Number of backups", NUMBER, "2"),
    f("Backup ring", TEXT, "automatic"),
)

_PLAIN = (*_HEAD, _ASSOCIATIONS)

ROLE_KINDS: dict[str, str] = {
    "backup": "BackupRole",
    "boot": "BootRole",
    "cgroupsupervisor": "CgroupSupervisorRole",
    "cloudgateway": "CloudGatewayRole",
    "docker::host": "DockerHostRole",
    "etcd::host": "EtcdHostRole",
    "failover": "FailoverRole",
    "firewall": "FirewallRole",
    "headnode": "HeadNodeRole",
    "kubelet": "KubeletRole",
    "login": "LoginRole",
    "monitoring": "MonitoringRole",
    "pbsproclient": "PbsProClientRole",
    "pbsproserver": "PbsProServerRole",
    "pbsprosubmit": "PbsProSubmitRole",
    "provisioning": "ProvisioningRole",
    "scaleserver": "ScaleServerRole",
    "slurmaccounting": "SlurmAccountingRole",
    "slurmclient": "SlurmClientRole",
    "slurmserver": "SlurmServerRole",
    "slurmsubmit": "SlurmSubmitRole",
    "snmptrap": "SnmpTrapRole",
    "storage": "StorageRole",
    "subnetmanager": "SubnetManagerRole",
}
"""The roles that can be assigned, by cmsh name; a generic role has any name after its prefix."""

_WLM_PARTS = ("client", "server", "submit", "accounting")
WLM_ROLES = frozenset(name for name in ROLE_KINDS if name.startswith(("slurm", "pbspro")) and name.endswith(_WLM_PARTS))
"""Roles that need a WLM cluster when a node or category has them (bcm-facts §1.5, §2)."""

_ROWS: dict[str, tuple[Row, ...]] = {
    "GenericRole": _GENERIC,
    "SlurmClientRole": _SLURM_CLIENT,
    "SlurmServerRole": _WLM,
    "SlurmSubmitRole": _WLM,
    "SlurmAccountingRole": (*_ACCOUNTING, f("WLM cluster", name="wlmcluster", attribute="wlmCluster")),
    "PbsProClientRole": _WLM,
    "PbsProServerRole": _WLM,
    "PbsProSubmitRole": _WLM,
    "ProvisioningRole": _PROVISIONING,
    "MonitoringRole": _MONITORING,
}

_STATIC: tuple[Row, ...] = (
    f("Name"),
    f("Type", "computed"),
    yes("Create directory"),
    f("Filename"),
    f("Filemask directory", TEXT, "0644"),
    f("User name"),
    f("Group name"),
    no("Disabled"),
    f("Service action on write", CHOICE, "RESTART", choices=("RESTART", "none")),
    yes("Service stop on failure"),
    f("Content", LONG),
    f("Filemask", TEXT, "0644"),
)

OTHER_CONFIGURATIONS = ("generated", "symlink", "templated")
"""Types of configurations that may exist (bcm-facts §3.2); `add` takes them by the switch `configuration_types`."""

_RESOURCE: tuple[Row, ...] = (f("Alias"), f("Name"), f("Type"), f("Count", NUMBER), f("File"), f("Cores"))

_ENVIRONMENT: tuple[Row, ...] = (f("Name"), f("Value"), no("Node Environment"))

_SNIPPET: tuple[Row, ...] = (
    f("Name"),
    f("Lines", "computed"),
    no("Disabled"),
    f("Exclude list", LINES),
    no("No new files"),
    yes("Mode sync"),
    no("Mode full"),
    yes("Mode update"),
    no("Mode grab"),
    no("Mode grab new"),
)


def role_kind(name: str) -> str | None:
    """The type of a role by its name, or None when there is no such role."""
    if name.startswith(GENERIC):
        return "GenericRole" if len(name) > len(GENERIC) else None
    return ROLE_KINDS.get(name)


def role_schemas() -> list[Schema]:
    """The schemas of all roles and of what lies in their submodes."""
    kinds = ["GenericRole", *sorted(set(ROLE_KINDS.values()))]
    roles = [Schema(kind, _ROWS.get(kind, _PLAIN)) for kind in kinds]
    return [
        *roles,
        Schema("static", _STATIC),
        *(Schema(kind, _STATIC[:-2]) for kind in OTHER_CONFIGURATIONS),
        Schema("NodeCustomization", (f("Key"), f("Value"), yes("Enabled"), f("Notes", LONG)), "key"),
        Schema("GenericResource", _RESOURCE, "alias"),
        Schema("GenericRoleEnvironment", _ENVIRONMENT),
        Schema("ExcludeListSnippet", _SNIPPET),
    ]
