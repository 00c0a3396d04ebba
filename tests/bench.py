"""The performance table: latency from role to scrape, cost of a plan by number of nodes, start-up."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.monitoring.prometheus import up
from bcm_jobstats.simulator import Simulator, prometheus
from tests import bench_hooks, bench_images, bench_lab, bench_role_monitor
from tests.harness import cluster, run

SEED_LATENCY = 90.0
"""Seconds that the seed's role monitor states: 60 s poll and 30 s refresh (peers A4 4.11). Not run here."""
SIZES = (4, 400, 10_000)
Row = tuple[str, str, str, str]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    help_ = f"times the role is given and taken (default: 7), or each hook is run (default: {bench_hooks.ROUNDS})"
    parser.add_argument("--rounds", type=int, metavar="N", help=help_)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--lab", action="store_true", help="the rows of the lab instead: needs root")
    which.add_argument("--hooks", action="store_true", help="the rows of Slurm's prologs and epilogs instead")
    which.add_argument("--images", action="store_true", help="the rows of software images instead: calls, not times")
    which.add_argument(
        "--role-monitor", action="store_true", help="what a thousand role monitors cost the head instead"
    )
    args = parser.parse_args()
    if args.rounds is not None and args.rounds < 1:
        parser.error("--rounds: at least 1")
    if args.hooks:
        rows = bench_hooks.rows(args.rounds or bench_hooks.ROUNDS)
    elif args.images:
        with tempfile.TemporaryDirectory(prefix="bcm-jobstats-bench.") as directory:
            rows = list(bench_images.rows(Path(directory)))
    elif args.role_monitor:
        with tempfile.TemporaryDirectory(prefix="bcm-jobstats-bench.") as directory:
            rows = list(bench_role_monitor.rows(Path(directory)))
    else:
        rows = bench_lab.rows() if args.lab else _rows(args.rounds or 7)
    head: Row = ("what", "measured", "target", "against the seeds, or in one run")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(4)]
    for row in [head, tuple("-" * width for width in widths), *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")


def _rows(rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bcm-jobstats-bench.") as directory:
        return [*_latency(Path(directory), rounds), *_plans(Path(directory)), _start_up()]


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def _latency(directory: Path, rounds: int) -> list[Row]:
    say("Two DGX nodes, the role given to dgx-01 and taken from it")
    with cluster(directory / "latency", nodes=2, node_kind="process") as simulator:
        site = simulator.directory / "etc/bcm-jobstats/site.yaml"
        site.parent.mkdir(parents=True)
        site.write_text("prometheus: {scrape_interval: 1s}\n")
        assert run(simulator.directory, "apply", "--yes", "-q").status == 0
        text = run(simulator.directory, "prometheus", "render").out
        configuration = prometheus.translated(text, simulator.directory, simulator.addresses())
        server = prometheus.start(configuration, directory / "prometheus", prometheus.free_port())
        try:
            _wait(lambda: _scraped(server.url) == 6)
            given, taken = [], []
            for number in range(rounds):
                taken.append(_timed(simulator, "dgx-02", lambda: _stopped(simulator)))
                # Not just failing: forgotten, so that the way back is the whole way.
                _wait(lambda: len(up(server.url)) == 3)
                # Prometheus looks every 5 s: each round begins at another moment of that.
                time.sleep(number * 0.7 % 5)
                given.append(_timed(simulator, "dgx-01,dgx-02", lambda: _scraped(server.url) == 6))
                say(f"  round {number + 1}: taken {taken[-1]:.2f} s, given {given[-1]:.2f} s")
        finally:
            server.stop()
    which = "Prometheus" if server.real else "a SIMULATED Prometheus"
    return [
        _seconds(f"role committed -> all 3 exporters scraped by {which}", given, "<= 6 s median", SEED_LATENCY),
        _seconds("role taken -> services stopped, target gone", taken, "<= 3 s", SEED_LATENCY),
    ]


def _timed(simulator: Simulator, nodes: str, reached: Callable[[], bool]) -> float:
    script = f"configurationoverlay; use slurm-client; clear categories; set nodes {nodes}; commit"
    began = time.monotonic()
    process.run(simulator.cmsh, [script], 30.0)
    _wait(reached)
    return time.monotonic() - began


def _wait(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        if time.monotonic() > deadline:
            raise SystemExit("bench: the simulated cluster did not follow within 120 s")
        time.sleep(0.02)


def _scraped(url: str) -> int:
    return sum(up(url).values())


def _stopped(simulator: Simulator) -> bool:
    target = simulator.directory / "cm/shared/apps/jobstats/prometheus-targets/dgx-01.json"
    states = simulator.control({"op": "services", "node": "dgx-01"})["result"]
    return not target.exists() and not any(state == "UP" for state in states.values())


def _plans(directory: Path) -> list[Row]:
    counts, seconds, megabytes = [], [], []
    for size in SIZES:
        say(f"plan on {size} nodes")
        with cluster(directory / f"plan{size}", nodes=size) as simulator:
            site = simulator.directory / "etc/bcm-jobstats/site.yaml"
            site.parent.mkdir(parents=True)
            site.touch()
            assert run(simulator.directory, "apply", "--yes", "-q").status == 0
            simulator.control({"op": "reset_log"})
            took, memory = _measured([sys.executable, "-m", "bcm_jobstats", "--root", str(simulator.directory), "plan"])
            counts.append(sum("argv" in entry for entry in simulator.control({"op": "log"})["result"]))
            seconds.append(took)
            megabytes.append(memory)
    sizes = ", ".join(f"{size:,}" for size in SIZES)
    largest = f"{SIZES[-1]:,}"
    longer, larger = (f"{values[-1] / values[0]:.1f} x that on {SIZES[0]}" for values in (seconds, megabytes))
    return [
        (f"cmsh processes for plan on {sizes} nodes", ", ".join(map(str, counts)), "equal", "seeds: 35 ssh a node"),
        (f"plan on {largest} nodes", f"{seconds[-1]:.2f} s", "<= 5 s", longer),
        (f"memory of plan on {largest} nodes", f"{megabytes[-1]:.0f} MB", "<= 200 MB", larger),
    ]


def _measured(command: list[str]) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a command."""
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, command
    return time.monotonic() - began, usage.ru_maxrss / 1024


def _start_up() -> Row:
    say("start-up")
    command = str(Path(sys.executable).with_name("bcm-jobstats"))
    ours = _median([command, "--version"])
    bare = _median([sys.executable, "-c", "pass"])
    return ("bcm-jobstats --version", f"{ours * 1000:.0f} ms", "<= 100 ms", f"{ours / bare:.1f} x an empty python")


def _median(command: list[str], times: int = 15) -> float:
    return statistics.median(_measured(command)[0] for _ in range(times))


def _seconds(what: str, values: list[float], target: str, seed: float) -> Row:
    median = statistics.median(values)
    text = f"{median:.1f} s median, {max(values):.1f} s most (n={len(values)})"
    return (what, text, target, f"{seed / median:.0f} x shorter than the {seed:.0f} s the seed states")


if __name__ == "__main__":
    main()
