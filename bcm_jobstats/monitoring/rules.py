"""Recording rules that say which job a GPU's metrics are of, for job_map.mode info and both.

The node tells `slurm_job_gpu_info{jobid,userid,gpu[,GPU_I_ID]} 1`, dcgm-exporter the metrics of the same GPU or MIG
instance (peers C7, the alternative), and Prometheus joins the two: `job_gpu:DCGM_FI_DEV_GPU_UTIL:join{jobid="12"}`.
"""

from __future__ import annotations

from typing import Any

from bcm_jobstats.site import Site

FILE = "rules/bcm-jobstats.yml"
"""The rules' place in prometheus.yml: a path below that file's own folder, so /etc/prometheus/rules/bcm-jobstats.yml
where prometheus.yml is Debian's."""

METRICS = (
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_FB_FREE",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    "DCGM_FI_DEV_SM_CLOCK",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_XID_ERRORS",
    "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "DCGM_FI_PROF_SM_ACTIVE",
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
    "DCGM_FI_PROF_DRAM_ACTIVE",
    "DCGM_FI_PROF_PCIE_TX_BYTES",
    "DCGM_FI_PROF_PCIE_RX_BYTES",
)
"""The fields that tell what a job makes of its GPUs, or what stopped it, named as before dcgm-exporter 4.9 (peers C7).

Each is one more series per job and GPU, which is what a site that takes `info` wants few of. So those fields of
default-counters.csv are left out that tell of the hardware (remapped rows, PCIe replays), of encoders and licences, or
the same less well (MEM_COPY_UTIL than DRAM_ACTIVE). SM_ACTIVE is in no default, costs nothing until a site's counters
file has it, and is asked for most (anchors §1.2). MIG instances have no GPU_UTIL: GR_ENGINE_ACTIVE stands for it."""

GPU = "cluster, hostname, gpu, GPU_I_ID"
"""What makes a GPU or a MIG instance one of its kind. On a whole GPU GPU_I_ID is missing on both sides, and so equal.
hostname is the target's own: what dcgm-exporter says of it is `Hostname`, or `exported_hostname` from 4.8.3 on."""

ABOUT_GPU = "UUID, modelName, GPU_I_PROFILE"

HEADER = """\
# Managed by bcm-jobstats: made with `bcm-jobstats prometheus rules`
#
# job_gpu:FIELD:join is a field of dcgm-exporter, in DCGM's own unit, with the job that holds the GPU or MIG instance.
# On a GPU that jobs share each of them has the reading of the whole GPU: do not add up jobs. For a field that has no
# rule, ask with the same expression; the name of the field stands in it once.
"""


def wanted(site: Site) -> bool:
    """Whether there is anything to join: with `label` dcgm-exporter itself names the job, in hpc_job."""
    return site.job_map.mode != "label"


def rules(site: Site) -> str:
    """The text of the rules file, valid without any rule too. prometheus.yml names it only when there are rules."""
    import yaml

    if not wanted(site):
        return f"{HEADER.splitlines()[0]}\n# None: job_map.mode is label.\ngroups: []\n"
    group: dict[str, Any] = {
        "name": "bcm-jobstats-job-gpu",
        "rules": [{"record": f"job_gpu:{metric}:join", "expr": expression(metric)} for metric in METRICS],
    }
    text: str = yaml.safe_dump({"groups": [group]}, sort_keys=False, width=1000)
    return HEADER + text


def expression(metric: str) -> str:
    """A metric of dcgm-exporter times the jobs on the GPU.

    Where the label hpc_job is there too, a GPU has one series for each of its jobs, and two of them on the side of
    "one" would make Prometheus give up the rule for the whole cluster. topk leaves one, with its labels, whatever they
    differ in; an aggregation that keeps labels would not.
    """
    jobs = "max without (instance, job) (slurm_job_gpu_info)"
    return f"{jobs} * on ({GPU}) group_left ({ABOUT_GPU}) topk by ({GPU}) (1, {metric})"
