"""/etc/bcm-role-monitor/config.json: every key of seed 4's document with its default, and others (peers A4 4.3)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Optional

from bcm_jobstats.errors import ExitStatus, JobstatsError

CONFIG = Path("/etc/bcm-role-monitor/config.json")
STATE = Path("/var/lib/bcm-role-monitor")
RUN = Path("/run/bcm-role-monitor")
STAGING = ".prometheus-targets.tmp"
"""The folder beside the targets for unfinished files, as Prometheus' glob reads all in that one, and for what agents
share; stack.targets and scripts/jobstats-target know it by the same name."""


class BadConfig(JobstatsError):
    """config.json cannot be used; `cause` tells everything that is wrong in it, a line each."""

    status = ExitStatus.BAD_SITE


class Exporter(NamedTuple):
    """One service that follows the role. `suffix` tells the target files of two of our roles apart (stack.targets)."""

    service: str
    job: str
    port: int
    suffix: str = ""


class Config(NamedTuple):
    """What the agent goes by. Times in seconds."""

    heads: tuple[str, ...] = ("master",)
    """Host `master` is the active head node for every node of BCM (bcm-facts 6)."""
    port: int = 8081
    certificate: Path = Path("/etc/bcm-role-monitor/admin.pem")
    key: Path = Path("/etc/bcm-role-monitor/admin.key")
    ca: Path = Path("/cm/local/apps/cmd/etc/cacert.pem")
    server_name: Optional[str] = None
    """The name that the head nodes' certificates carry, where that is not the name they are asked by."""
    role: str = "slurmclient"
    check_interval: float = 60.0
    retry_interval: float = 600.0
    max_retries: int = 3
    slow_retry_interval: float = 3600.0
    """Between attempts once max_retries have failed (0: from the first on): an agent never gives up."""
    targets: Path = Path("/cm/shared/apps/jobstats/prometheus-targets")
    cluster: str = "slurm"
    """The label `cluster`, as it is given: it is what queries ask for, in Slurm's ClusterName always lower case."""
    exporters: tuple[Exporter, ...] = (
        Exporter("node_exporter", "node_exporter", 9100),
        Exporter("cgroup_exporter", "cgroup_exporter", 9306),
        Exporter("nvidia_gpu_exporter", "gpu_exporter", 9445),
    )
    share: bool = True
    """Whether nodes share one list of roles, so that BCM is asked once for all of them."""
    textfile: Optional[Path] = Path("/run/bcm-jobstats/textfile/role_monitor.prom")
    root: Path = Path("/")
    """Prefix of STATE and RUN, for tests."""
    warnings: tuple[str, ...] = ()
    """What its file has that means nothing, one line each."""

    def means(self, other: Config) -> bool:
        """Whether both say the same, whatever else their files have."""
        return self._replace(warnings=()) == other._replace(warnings=())


def load(path: Path, *, targets: Optional[Path] = None, root: Path = Path("/")) -> Config:
    """The configuration in `path`, which is taken as it is (without `root`); `targets` of the command line wins over
    prometheus_targets_dir in it. Raises BadConfig."""
    from bcm_jobstats.node.configfile import parse, read
    from bcm_jobstats.node.configkeys import Reader

    reader = Reader(parse(path, read(path)))
    config = reader.config(targets, root)
    if reader.problems:
        raise BadConfig(str(path), "\n  ".join(["cannot be used", *reader.problems]))
    return config
