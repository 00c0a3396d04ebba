"""A SIMULATED exporter: a stand-in for the four exporters that a site supplies, with made-up values.

Run as ``python -I -S -E standin_exporter.py KIND [flags]``; unknown flags are accepted and ignored. Names, labels and
units of the metrics are those of peers C6 and C7, the machine has eight whole GPUs (no MIG). What is real are the jobs:
the gpustat map (peers C4) and dcgm-exporter's mapping directory (peers C7) are read at every scrape. It imports little,
as it is started many times; it is also copied into images as one
file, so it imports nothing of this package.
"""

from __future__ import annotations

import _socket  # `socket` is the same with 13 ms of imports, as long as all the rest of the start
import _thread
import os
import sys
import time

KINDS = {"node_exporter": 9100, "cgroup_exporter": 9306, "nvidia_gpu_exporter": 9445, "dcgm_exporter": 9400}
LISTEN_FLAGS = ("web.listen-address", "a", "address")
GPUS = 8
GIB = 1024**3
MODEL = "NVIDIA H100 80GB HBM3"
DRIVER = "550.90.07"
MAX_REQUEST = 16384  # bytes
PATIENCE = 5.0  # seconds that a client may be silent

# (name, type, help, key of the value in `gpu_values`): default-counters.csv before DCGM 4.7 (peers C7)
DCGM_FIELDS = (
    ("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz).", "sm_clock"),
    ("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz).", "mem_clock"),
    ("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Memory temperature (in C).", "mem_temp"),
    ("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", "temp"),
    ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", "watts"),
    ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Total energy consumption since boot (in mJ).", "energy"),
    ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries.", "zero"),
    ("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", "util"),
    ("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %).", "copy_util"),
    ("DCGM_FI_DEV_ENC_UTIL", "gauge", "Encoder utilization (in %).", "zero"),
    ("DCGM_FI_DEV_DEC_UTIL", "gauge", "Decoder utilization (in %).", "zero"),
    ("DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered.", "zero"),
    ("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB).", "fb_free"),
    ("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", "fb_used"),
    ("DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved (in MiB).", "fb_reserved"),
    ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Remapped rows for uncorrectable errors.", "zero"),
    ("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter", "Remapped rows for correctable errors.", "zero"),
    ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed.", "zero"),
    ("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "counter", "Total NVLink bandwidth counters for all lanes.", "nvlink"),
    ("DCGM_FI_DEV_VGPU_LICENSE_STATUS", "gauge", "vGPU license status.", "zero"),
    ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", "Ratio of time the graphics engine is active.", "active"),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gauge", "Ratio of cycles the tensor pipe is active.", "tensor"),
    ("DCGM_FI_PROF_DRAM_ACTIVE", "gauge", "Ratio of cycles the device memory interface is active.", "dram"),
    ("DCGM_FI_PROF_PCIE_TX_BYTES", "gauge", "Rate of data transmitted over PCIe (in B/s).", "pcie"),
    ("DCGM_FI_PROF_PCIE_RX_BYTES", "gauge", "Rate of data received over PCIe (in B/s).", "pcie"),
)

Options = dict[str, str]


def main(arguments: list[str]) -> int:
    """Serve until killed; 1 when the address is not to be had, 64 for an unknown kind."""
    if not arguments or arguments[0] not in KINDS:
        sys.stderr.write(f"usage: standin_exporter.py {'|'.join(KINDS)} [flags]\n")
        return 64
    kind, options = arguments[0], read_options(arguments[1:])
    host, port = listen_address(kind, options)
    server = _socket.socket(_socket.AF_INET6 if ":" in host else _socket.AF_INET, _socket.SOCK_STREAM)
    server.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
        server.listen(64)
    except OSError as error:
        sys.stderr.write(f"{kind}: listen tcp {host}:{port}: {error.strerror}\n")
        return 1
    sys.stderr.write(f"{kind}: SIMULATED exporter listening on {host}:{port}\n")
    while True:
        try:
            descriptor, _ = server._accept()  # type: ignore[attr-defined]  # what socket.accept calls
        except ConnectionError:
            continue  # the client gave up before its turn
        _thread.start_new_thread(answer, (_socket.socket(fileno=descriptor), kind, options))


def read_options(arguments: list[str]) -> Options:
    """The flags by their names without dashes: ``--x=1``, ``-x=1`` or ``--x 1``; the last of a name counts."""
    options: Options = {}
    for position, argument in enumerate(arguments):
        if argument.startswith("-"):
            name, equals, value = argument.lstrip("-").partition("=")
            following = arguments[position + 1] if position + 1 < len(arguments) else ""
            options[name] = value if equals or following.startswith("-") else following
    return options


def listen_address(kind: str, options: Options) -> tuple[str, int]:
    """Host and port from the flags, else from dcgm-exporter's variable, else the kind's usual port.

    An address without a host is the node's own where the simulated cluster names it, else all addresses.
    """
    text = next((options[flag] for flag in LISTEN_FLAGS if options.get(flag)), "")
    if not text and kind == "dcgm_exporter":
        text = os.environ.get("DCGM_EXPORTER_LISTEN", "")
    host, _, port = text.rpartition(":")
    default = os.environ.get("BCM_SIMULATED_ADDRESS") or "0.0.0.0"  # noqa: S104 - what the real ones do
    return host.strip("[]") or default, int(port) if port.isdigit() else KINDS[kind]


def answer(client: _socket.socket, kind: str, options: Options) -> None:
    """Answer one request and close."""
    try:
        client.settimeout(PATIENCE)
        request = b""
        while b"\r\n\r\n" not in request and b"\n\n" not in request and len(request) < MAX_REQUEST:
            part = client.recv(4096)
            if not part:
                break
            request += part
        client.sendall(response(request, kind, options))
    except OSError:
        return  # a client that is gone or silent
    finally:
        client.close()


def response(request: bytes, kind: str, options: Options) -> bytes:
    """The whole HTTP response to the raw `request`."""
    words = request.split(b"\n", 1)[0].split()
    status, text = "404 Not Found", f"SIMULATED {kind}: see /metrics\n"
    if len(words) != 3 or not words[2].startswith(b"HTTP/"):
        status, text = "400 Bad Request", "not an HTTP request\n"
    elif words[0] not in (b"GET", b"HEAD"):
        status, text = "405 Method Not Allowed", "only GET\n"
    elif words[1].split(b"?")[0] == b"/metrics":
        try:
            status, text = "200 OK", metrics(kind, options, time.time())
        except OSError as error:  # a mapping file gone between listing and reading fails the whole scrape, as real
            status, text = "500 Internal Server Error", f"{error}\n"
    body = text.encode()
    kind_of_text = "text/plain; version=0.0.4; charset=utf-8"
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind_of_text}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + (b"" if words[:1] == [b"HEAD"] else body)


class Page:
    """Metric families in the text format 0.0.4."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def family(self, name: str, kind: str, text: str, *samples: tuple[dict[str, str], float]) -> None:
        """Add a family with its samples (labels, value); nothing when there are none."""
        if samples:
            self.lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        for labels, value in samples:
            inner = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
            self.lines.append(f"{name}{{{inner}}} {value:.12g}" if inner else f"{name} {value:.12g}")


def escaped(text: str) -> str:
    """A label value as the text format writes it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def metrics(kind: str, options: Options, now: float) -> str:
    """The page of one scrape at `now` (seconds since the epoch)."""
    page = Page()
    text = "This exporter is a stand-in of the simulated cluster: its values are made up."
    page.family("bcm_jobstats_simulated_exporter", "gauge", text, ({"kind": kind}, 1))
    fill = {"node_exporter": node, "cgroup_exporter": cgroup, "nvidia_gpu_exporter": nvidia, "dcgm_exporter": dcgm}
    fill[kind](page, options, now)
    return "\n".join(page.lines) + "\n"


def host_name() -> str:
    """The node's name: a process node shares the machine's, so the environment comes first."""
    return os.environ.get("HOSTNAME") or os.uname().nodename


def gpu_uuid(host: str, index: int) -> str:
    """The UUID of GPU `index` of the simulated node `host`: always the same one."""
    number = 0xCBF29CE484222325  # FNV-1a
    for byte in host.encode():
        number = (number ^ byte) * 0x100000001B3 % 2**64
    return f"GPU-51b0{number >> 48:04x}-{number >> 32 & 0xFFFF:04x}-4{number >> 20 & 0xFFF:03x}-8000-{index:012x}"


def gpu_jobs(options: Options) -> dict[int, tuple[str, str, float]]:
    """GPU index -> (job id, uid, start) from the gpustat map; a file named by UUID counts before one by ordinal."""
    directory, host = options.get("simulated-gpustat-dir") or "/run/gpustat", host_name()
    found = {}
    for index in range(GPUS):
        for name in (gpu_uuid(host, index), str(index)):
            try:
                with open(f"{directory}/{name}", encoding="ascii", errors="replace") as file:  # noqa: PTH123
                    words, start = file.read().split(), os.fstat(file.fileno()).st_mtime
            except OSError:
                continue
            if len(words) == 2 and words[0].isdigit() and words[1].isdigit():
                found[index] = (words[0], words[1], start)
            break
    return found


def gpu_values(index: int, busy: bool, now: float) -> dict[str, float]:
    """Made-up readings of one GPU, by the keys of `DCGM_FIELDS`; they move a little, counters only grow."""
    wave = (int(now / 15) + 3 * index) % 10
    util = 62 + 3 * index + wave if busy else 0
    used = 40960 + 2048 * index if busy else 4
    watts = 110 + 5.5 * util
    clocks = {"sm_clock": 1755 if busy else 345, "mem_clock": 2619, "temp": 31 + util / 3, "mem_temp": 36 + util / 3}
    memory = {"fb_used": used, "fb_reserved": 638, "fb_free": 80 * 1024 - 638 - used}
    shares = {"active": util / 100, "tensor": util / 160, "dram": util / 220, "copy_util": util // 2, "util": util}
    totals = {"energy": int(now) * 400000, "nvlink": int(now) * 1000, "pcie": util * 1.2e8, "zero": 0}
    return {"watts": watts, **clocks, **memory, **shares, **totals}


def nvidia(page: Page, options: Options, now: float) -> None:
    """nvidia_gpu_prometheus_exporter from 0.2.2 on: labels jobid and userid, and the old metrics too (peers C6)."""
    jobs, host = gpu_jobs(options), host_name()
    rows = []
    for index in range(GPUS):
        labels = {"minor_number": str(index), "ordinal": str(index), "name": MODEL, "uuid": gpu_uuid(host, index)}
        job, user, _ = jobs.get(index, ("", "", 0))
        full = {**labels, "jobid": job, "userid": user} if job else labels
        rows.append((labels, full, gpu_values(index, bool(job), now), (int(job or 0), int(user or 0))))
    page.family("nvidia_gpu_num_devices", "gauge", "Number of GPU devices", ({}, GPUS))
    for name, text, key, factor in (
        ("memory_total_bytes", "Total memory in bytes", "", 0.0),
        ("memory_used_bytes", "Used memory in bytes", "fb_used", 1024.0**2),
        ("duty_cycle", "Percent of time over the past sample period the GPU was busy", "util", 1.0),
        ("power_usage_milliwatts", "Power usage in milliwatts", "watts", 1000.0),
        ("temperature_celsius", "Temperature in Celsius", "temp", 1.0),
        ("graphics_util_percent", "Share of time the graphics engine was busy (0 to 1)", "active", 1.0),
    ):
        samples = [(full, values[key] * factor if key else 80.0 * GIB) for _, full, values, _ in rows]
        page.family(f"nvidia_gpu_{name}", "gauge", text, *samples)
    for place, name in enumerate(("jobId", "jobUid")):
        page.family(f"nvidia_gpu_{name}", "gauge", name, *((labels, ids[place]) for labels, _, _, ids in rows))


def dcgm_jobs(directory: str) -> dict[int, list[str]]:
    """GPU index -> job ids from dcgm-exporter's mapping directory (peers C7); other file names are skipped."""
    found = {}
    for name in sorted(os.listdir(directory)) if directory and os.path.isdir(directory) else ():  # noqa: PTH112, PTH208
        if name.isdigit():
            with open(f"{directory}/{name}", encoding="ascii", errors="replace") as file:  # noqa: PTH123
                found[int(name)] = [line.strip() for line in file if line.strip()]
    return found


def dcgm_fields(options: Options) -> set[str]:
    """The fields that the counters file asks for; all when there is none."""
    path = options.get("f") or options.get("collectors") or os.environ.get("DCGM_EXPORTER_COLLECTORS", "")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return {line.split(",")[0].strip() for line in file}
    except OSError:
        return {field[0] for field in DCGM_FIELDS}


def dcgm(page: Page, options: Options, now: float) -> None:
    """dcgm-exporter 4.x before 4.9 (peers C7): with several jobs on a GPU its metrics come once per job."""
    directory = options.get("hpc-job-mapping-dir") or os.environ.get("DCGM_HPC_JOB_MAPPING_DIR", "")
    jobs, wanted, host = dcgm_jobs(directory), dcgm_fields(options), host_name()
    rows = []
    for index in range(GPUS):
        pci = f"00000000:{index * 16 + 11:02X}:00.0"
        labels = {"gpu": str(index), "UUID": gpu_uuid(host, index), "pci_bus_id": pci, "device": f"nvidia{index}"}
        labels.update({"modelName": MODEL, "Hostname": host, "DCGM_FI_DRIVER_VERSION": DRIVER})
        values = gpu_values(index, bool(jobs.get(index)), now)
        rows += [({**labels, "hpc_job": job} if job else labels, values) for job in jobs.get(index) or [""]]
    for name, kind, text, key in DCGM_FIELDS:
        if name in wanted:
            page.family(name, kind, text, *((labels, values[key]) for labels, values in rows))


def cgroup(page: Page, options: Options, now: float) -> None:
    """cgroup_exporter (peers C6), job totals only: one cgroup for each job of the gpustat map, 8 cores per GPU."""
    gpus: dict[str, list[tuple[str, float]]] = {}
    for job, user, start in gpu_jobs(options).values():
        gpus.setdefault(job, []).append((user, start))
    families: dict[str, list[tuple[dict[str, str], float]]] = {}
    for job, entries in sorted(gpus.items()):
        cpus, age = 8 * len(entries), max(0.0, now - min(start for _, start in entries))
        total = 64 * GIB * len(entries)
        busy = {"user": age * cpus * 0.7, "system": age * cpus * 0.05, "total": age * cpus * 0.75}
        memory = {"total": total, "used": total * 0.55, "rss": total * 0.4, "cache": total * 0.1, "shmem": total * 0.05}
        values = {f"cpu_{name}_seconds": value for name, value in busy.items()}
        values.update({f"memory_{name}_bytes": value for name, value in memory.items()})
        values.update({"cpus": cpus, "memory_fail_count": 0, "memsw_fail_count": 0})
        values.update({"memsw_total_bytes": total, "memsw_used_bytes": memory["used"]})
        for name, value in values.items():
            families.setdefault(f"cgroup_{name}", []).append(({"jobid": job, "step": "", "task": ""}, value))
        families.setdefault("cgroup_uid", []).append(({"jobid": job}, int(entries[0][0])))
    for name, samples in sorted(families.items()):
        page.family(name, "gauge", f"{name} of a job's control group", *samples)


def node(page: Page, options: Options, now: float) -> None:
    """A few of node_exporter's metrics: CPU, memory, load, boot time, names."""
    boot = now - time.monotonic()
    labels = {"nodename": host_name(), "sysname": "Linux", "machine": "x86_64", "release": "5.15.0-1063-nvidia"}
    page.family("node_uname_info", "gauge", "Labeled system information.", (labels, 1))
    page.family("node_boot_time_seconds", "gauge", "Node boot time, in unixtime.", ({}, round(boot)))
    page.family("node_time_seconds", "gauge", "System time in seconds since epoch.", ({}, now))
    shares = {"idle": 0.6, "user": 0.35, "system": 0.04, "iowait": 0.01}
    cpus = [({"cpu": str(c), "mode": m}, (now - boot) * share) for c in range(GPUS) for m, share in shares.items()]
    page.family("node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode.", *cpus)
    for name, amount in (("MemTotal", 2048), ("MemFree", 1200), ("MemAvailable", 1500), ("Cached", 280)):
        page.family(f"node_memory_{name}_bytes", "gauge", f"Memory information field {name}.", ({}, amount * GIB))
    for minutes in (1, 5, 15):
        page.family(f"node_load{minutes}", "gauge", f"{minutes}m load average.", ({}, 3 + int(now / 60) % minutes / 10))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
