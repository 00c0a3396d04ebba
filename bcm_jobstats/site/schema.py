"""The settings of the site file, each declared once with its type, its default and its line of documentation."""

# ruff: noqa: RUF009 - setting() and its like return dataclass fields

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Optional

from bcm_jobstats.site import kinds, words
from bcm_jobstats.site.amounts import Amount, AmountKind
from bcm_jobstats.site.artifacts import Artifact, some_architecture
from bcm_jobstats.site.durations import Duration
from bcm_jobstats.site.settings import Origin, optional, setting
from bcm_jobstats.site.structure import ListOf, MapOf, Section

PRIORITY = kinds.Whole(
    "a whole number from 0 to 1000",
    0,
    1000,
    barred=((250, "BCM keeps it for roles of categories"), (750, "BCM keeps it for roles of nodes")),
)
"""Overlay priorities (bcm-facts §2)."""

SYSTEM_UID = kinds.Whole("a system user's number from 100 to 999", 100, 999)
"""BCM's rogueprocess check flags user ids from 1000 (design §5)."""

ROLE_MONITOR = "role-monitor"
"""The mode with an agent on the nodes (design §3)."""


@dataclass(frozen=True)
class Enable:
    """How services are made to start."""

    mode: str = setting(
        "auto",
        kinds.Choice("auto", "generic-role", "services", ROLE_MONITOR),
        "A role with its services, or services of categories and nodes; auto takes the role where BCM allows it; "
        "role-monitor: an agent on every node follows a role that BCM has, and none of ours is made.",
    )


@dataclass(frozen=True)
class Attach:
    """Where a role goes: exactly one of four forms, told apart by `form`."""

    with_role: Optional[str] = optional(words.BCM_ROLE, "To all that carries this BCM role.", "slurmclient")
    overlay: Optional[str] = optional(
        words.OVERLAY, "Alone: into this overlay of yours. With others: the name of an overlay of our own.", "jobstats"
    )
    categories: tuple[str, ...] = setting((), ListOf(words.CATEGORY), "The categories of our own overlay.", "[dgx]")
    nodes: tuple[str, ...] = setting((), words.NODES, "The nodes of our own overlay.", '["dgx-[01-04]"]')
    manual: bool = setting(False, words.SWITCH, "Overlay and role are ours, you assign nodes and categories.")

    @property
    def form(self) -> str:
        """`with_role`, `own` (overlay of our own), `existing` (overlay of the administrator's) or `manual`."""
        if self.with_role:
            return "with_role"
        if self.manual:
            return "manual"
        return "own" if self.categories or self.nodes else "existing"


def one_form(attach: Attach) -> Iterator[tuple[str, str]]:
    """What is wrong with an attachment as a whole."""
    members = [name for name in ("categories", "nodes") if getattr(attach, name)]
    given = members + (["overlay"] if attach.overlay else [])
    remedy = "give one of: with_role; overlay with categories or nodes; overlay alone; manual: true"
    if attach.with_role and (given or attach.manual):
        yield f"with_role excludes {', '.join(given + ['manual'] * attach.manual)}", remedy
    elif attach.manual and members:
        yield f"manual excludes {', '.join(members)}", remedy
    elif not (attach.with_role or given or attach.manual):
        yield "does not say where the role goes", remedy


@dataclass(frozen=True)
class Role:
    """One role of ours: whether it is wanted, and where."""

    enabled: bool = setting(True, words.SWITCH, "Whether the cluster gets this role; naming a role enables it.")
    attach: Attach = setting(
        Attach(with_role="slurmclient"), Section(Attach, one_form), "Where it goes: exactly one form."
    )
    priority: Optional[int] = optional(
        PRIORITY, "Priority of our overlay; unset: 500 when it is made, and yours from then on.", "510"
    )


ROLES: Mapping[str, Role] = {"jobstats": Role()}
"""The roles of a site file that names none."""


@dataclass(frozen=True)
class Exporter:
    """What a site changes in an exporter's definition; unset means: as the definition says."""

    enabled: bool = setting(True, words.SWITCH, "Whether the role runs this exporter.")
    role: Optional[str] = optional(
        words.ROLE, "The role that runs it, so that GPU nodes alone have it.", "jobstats-gpu"
    )
    port: Optional[int] = optional(words.PORT, "The port it listens on.", "9100")
    binary: Optional[str] = optional(
        words.ABSOLUTE, "The program in the software image.", "/usr/local/bin/node_exporter"
    )
    arguments: tuple[str, ...] = setting(
        (),
        ListOf(words.ARGUMENT, repeats=True),
        "Added to the definition's; --name=value takes the place of its --name=..., --name that of its --no-name.",
        '["--log.level=warn"]',
    )
    memory: Optional[str] = optional(words.MEMORY, "The most memory it may take.", "256M")
    cpu: Optional[str] = optional(words.CPU, "The most CPU time it may take; 100% is one core.", "50%")


@dataclass(frozen=True)
class Targets:
    """Prometheus' targets."""

    directory: str = setting(
        "/cm/shared/apps/jobstats/prometheus-targets",
        words.ABSOLUTE,
        "Shared folder with one target file per node and role.",
    )
    read: str = setting(
        "files",
        kinds.Choice("files", "compact", "http"),
        "How Prometheus reads them: every file; one file that `targets sync` makes of them, for hundreds of nodes; or "
        "from `targets serve`.",
    )
    every: Optional[Duration] = optional(
        words.DURATION, "How often the head node runs `targets sync`; unset: when you do.", "5m"
    )
    listen: Optional[str] = optional(
        words.ADDRESS, "Where the head nodes run `targets serve`; unset: they do not.", "0.0.0.0:9089"
    )
    url: Optional[str] = optional(
        words.URL, "Where Prometheus finds `targets serve`; unset: by `listen`.", "http://master:9089/targets"
    )


def sensible_rhythm(targets: Targets) -> Iterator[tuple[str, str]]:
    """A timer that would keep the head node busy, or that nobody would wait for."""
    if targets.every and not 10_000 <= targets.every.milliseconds <= 24 * 3_600_000:
        yield f"every ({targets.every}) is not between 10s and 24h", "give it a time between them"
    port = int(targets.listen.rpartition(":")[2]) if targets.listen else 1
    if not 1 <= port <= 65535:
        yield f"listen ({targets.listen}) has no port from 1 to 65535", "such as 0.0.0.0:9089"


@dataclass(frozen=True)
class Prometheus:
    """The Prometheus server."""

    url: str = setting("http://localhost:9090", words.URL, "Where Prometheus answers.")
    use_existing: bool = setting(
        False, words.SWITCH, "Whether it was there before: then targets.directory is where it looks for target files."
    )
    scrape_interval: Duration = setting(
        Duration(30_000), words.DURATION, "How often it asks each exporter; jobstats counts on 30s at most."
    )


@dataclass(frozen=True)
class User:
    """The system user that exporters run as, the same on every node."""

    name: str = setting("jobstats", words.USER, "Its name.")
    uid: int = setting(967, SYSTEM_UID, "Its user and group number.")


@dataclass(frozen=True)
class RoleMonitor:
    """The agent of enable.mode role-monitor."""

    check_interval: Duration = setting(
        Duration(60_000), words.DURATION, "How often a node asks BCM whether it has the role."
    )
    retry_interval: Duration = setting(Duration(600_000), words.DURATION, "Between attempts to start an exporter.")
    max_retries: int = setting(
        3, kinds.Whole("a whole number from 1 to 100", 1, 100), "After so many it is tried at the slow rate."
    )
    slow_retry_interval: Duration = setting(Duration(3_600_000), words.DURATION, "The slow rate: it never gives up.")
    heads: tuple[str, ...] = setting(
        (), ListOf(words.HOST_NAME), "The head nodes it asks, in this order; unset: those of BCM.", "[bcm-1, bcm-2]"
    )
    server_name: Optional[str] = optional(
        words.HOST_NAME, "The name in the head nodes' certificates, where they are asked by another.", "master"
    )
    share: bool = setting(
        True, words.SWITCH, "Whether nodes share one answer of BCM over shared storage; else each asks for itself."
    )


def sensible_intervals(monitor: RoleMonitor) -> Iterator[tuple[str, str]]:
    """What keeps the agent from asking at all, or from being merciful to the head node."""
    day = 24 * 3_600_000
    for name in ("check_interval", "retry_interval", "slow_retry_interval"):
        given = getattr(monitor, name)
        if not 1000 <= given.milliseconds <= day:
            yield f"{name} ({given}) is not between 1s and 24h", "give it a time between them"
    if monitor.slow_retry_interval.milliseconds < monitor.retry_interval.milliseconds:
        cause = f"slow_retry_interval ({monitor.slow_retry_interval}) is shorter than retry_interval"
        yield f"{cause} ({monitor.retry_interval})", "make it longer"


@dataclass(frozen=True)
class Hooks:
    """The scripts that Slurm runs before and after a job on its nodes."""

    enabled: bool = setting(
        True, words.SWITCH, "Whether Slurm's prolog and epilog tie GPUs to jobs, for the exporters that tell of jobs."
    )
    location: str = setting(
        "shared",
        kinds.Choice("shared", "local"),
        "Where the scripts lie: one copy under /cm/shared, as BCM's own hooks; or a copy in every software image.",
    )


@dataclass(frozen=True)
class JobMap:
    """How a GPU's job comes into the metrics of dcgm-exporter, and how Slurm counts GPUs."""

    mode: str = setting(
        "label",
        kinds.Choice("label", "info", "both"),
        "The label hpc_job in every DCGM series, a metric slurm_job_gpu_info to join them with, or both.",
    )
    release: str = setting(
        "empty",
        kinds.Choice("empty", "unlink"),
        "What becomes of the file of a GPU without a job; dcgm-exporter before 4.4.0 needs unlink.",
    )
    numbers: str = setting(
        "index",
        kinds.Choice("index", "minor"),
        "What Slurm's GPU numbers are: NVML's index (AutoDetect), or that of the device file (gres.conf with File=).",
    )


@dataclass(frozen=True)
class Slurm:
    """Settings of Slurm that jobstats counts on. What is unset stays as it is."""

    constrain_ram: Optional[bool] = optional(words.SWITCH, "BCM's wlm setting constrainramspace.", "yes")
    constrain_cores: Optional[bool] = optional(words.SWITCH, "BCM's wlm setting constraincores.", "yes")
    select_type_parameters: Optional[str] = optional(
        words.SELECT_TYPE_PARAMETERS,
        "BCM's wlm setting selecttypeparameters; a change restarts slurmctld and slurmd.",
        "CR_Core_Memory",
    )
    manage_conf: bool = setting(
        False, words.SWITCH, "Whether the lines that jobstats needs are written into slurm.conf, outside BCM's section."
    )


@dataclass(frozen=True)
class Bcm:
    """How BCM is spoken to."""

    timeout: Duration = setting(Duration(60_000), words.DURATION, "How long one call to BCM may take.")
    address: str = setting("localhost:8081", words.ADDRESS, "Where CMDaemon answers JSON and REST.")
    certificate: Optional[str] = optional(
        words.ABSOLUTE,
        "A certificate with fewer rights than root's own (see: bcm-jobstats certificate).",
        "/etc/bcm-jobstats/apply.pem",
    )
    key: Optional[str] = optional(words.ABSOLUTE, "The private key of that certificate.", "/etc/bcm-jobstats/apply.key")
    ca: str = setting("/cm/local/apps/cmd/etc/cacert.pem", words.ABSOLUTE, "The authority of BCM's certificates.")
    commands: bool = setting(True, words.SWITCH, "Whether cmsh on the head nodes gets the commands jobstats-....")
    metrics: bool = setting(False, words.SWITCH, "Whether BCM samples the exporters too, for Base View's own charts.")


def certificate_and_key(bcm: Bcm) -> Iterator[tuple[str, str]]:
    """A certificate is of no use without its key."""
    if bool(bcm.certificate) != bool(bcm.key):
        yield "certificate and key go together", "give both, or neither"


@dataclass(frozen=True)
class Rollout:
    """How a new software image reaches the nodes of a category."""

    canary: int = setting(1, kinds.Whole("a whole number from 1 to 1000", 1, 1000), "How many nodes go first, alone.")
    wave: Amount = setting(Amount(10, percent=True), AmountKind(1), "How many nodes go together after them.")
    max_failures: Amount = setting(Amount(0), AmountKind(), "How many nodes may fail before it stops.")
    settle: Duration = setting(Duration(20_000), words.DURATION, "How long a node's services must have run well.")
    timeout: Duration = setting(Duration(900_000), words.DURATION, "How long a node may take until they do.")
    test_job: Optional[str] = optional(
        words.TEST_JOB, "A command that must succeed for every node; {node} is its name.", '"srun -w {node} hostname"'
    )


def settles_in_time(rollout: Rollout) -> Iterator[tuple[str, str]]:
    """A node is given up at the end of its time, however well its services run by then."""
    if rollout.timeout.milliseconds <= rollout.settle.milliseconds:
        yield f"timeout ({rollout.timeout}) is not longer than settle ({rollout.settle})", "give it more time"


@dataclass(frozen=True)
class Site:
    """Everything an administrator decides. Defaults stand for whatever the file leaves out."""

    cluster: str = setting(
        "slurm", words.CLUSTER, "Slurm's ClusterName, which is also the label `cluster` of every series."
    )
    enable: Enable = setting(Enable(), Section(Enable), "How services are made to start.")
    roles: Mapping[str, Role] = setting(
        ROLES,
        MapOf(words.ROLE, Section(Role), Role(), ROLES),
        "The roles the cluster gets, and where.",
        "dcgm-exporter: {attach: {categories: [dgx]}}",
    )
    exporters: Mapping[str, Exporter] = setting(
        {},
        MapOf(words.EXPORTER, Section(Exporter), Exporter()),
        "What differs from the exporters' definitions.",
        "node_exporter: {port: 9101}",
    )
    images: tuple[str, ...] = setting(
        (),
        ListOf(words.IMAGE),
        "Software images that get the files of all roles, whether or not one of their nodes has a role yet.",
        "[dgx-image]",
    )
    recipes: Mapping[str, str] = setting(
        {}, MapOf(words.CATEGORY, words.RECIPE), "Category -> the recipe of its image, where its roles do not tell.",
        "{login: login}",
    )  # fmt: skip
    artifacts: Mapping[str, Artifact] = setting(
        {},
        MapOf(words.EXPORTER, Section(Artifact, some_architecture)),
        "The programs that `image build` puts into software images.",
        "dcgm-exporter: {version: 4.8.4-1, x86_64: {package: datacenter-gpu-manager-exporter}}",
    )
    rollout: Rollout = setting(
        Rollout(), Section(Rollout, settles_in_time), "How a new software image reaches the nodes."
    )
    targets: Targets = setting(Targets(), Section(Targets, sensible_rhythm), "Where nodes register for Prometheus.")
    prometheus: Prometheus = setting(Prometheus(), Section(Prometheus), "The Prometheus server.")
    user: User = setting(User(), Section(User), "The system user that the exporters run as, the same on every node.")
    role_monitor: RoleMonitor = setting(
        RoleMonitor(), Section(RoleMonitor, sensible_intervals), "The agent of enable.mode role-monitor."
    )
    hooks: Hooks = setting(Hooks(), Section(Hooks), "The scripts that Slurm runs before and after a job on its nodes.")
    job_map: JobMap = setting(JobMap(), Section(JobMap), "How jobs come into the metrics of GPUs.")
    slurm: Slurm = setting(Slurm(), Section(Slurm), "Settings of Slurm that jobstats counts on.")
    bcm: Bcm = setting(Bcm(), Section(Bcm, certificate_and_key), "How BCM is spoken to.")
    origin: Origin = field(default_factory=Origin, compare=False, repr=False)

    def where(self, path: str) -> str:
        """`FILE:LINE` of a setting such as `roles.jobstats.attach.categories[0]`, for later checks on the cluster."""
        return self.origin.where(path)
