"""The demo: from nothing to scraped metrics on a simulated BCM, with the same commands that an administrator types."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

from bcm_jobstats.simulator import Simulator, SimulatorError, prometheus
from bcm_jobstats.simulator.imagetree import stand_ins

PATIENCE = 60.0
"""Seconds that scraping may take; it takes about 6."""
CLEAR = "\r\033[K"


class DemoError(Exception):
    """A step of the demo did not do what it should."""


class Demo:
    """One run: a cluster in a directory of its own and a Prometheus beside it."""

    def __init__(self, directory: Path, nodes: int) -> None:
        self.directory = directory
        self.root = directory / "head"
        self.nodes = nodes
        self.live = sys.stdout.isatty()
        self.began = time.monotonic()

    def run(self, *, keep: bool) -> None:
        """The whole story; with `keep` the cluster stays up."""
        self._step(f"A simulated BCM: head node, {self.nodes} DGX nodes, 1 login node")
        self.simulator = Simulator.start(self.root, nodes=self.nodes)
        server = None
        try:
            self._tell_stand_ins()
            self._cmsh("configurationoverlay; list")
            server = self._main_job()
            if keep:
                self._keep(server)
                server, self.simulator = None, None  # type: ignore[assignment]  # both stay up
        finally:
            if server:
                server.stop()
            if self.simulator:
                self.simulator.stop()

    def _main_job(self) -> prometheus.PrometheusServer:
        self._step("The site file, from what the cluster shows")
        self._product("init")
        port = prometheus.free_port()
        self._set_prometheus(port)
        self._step("What would change")
        self._product("plan")
        server = self._prometheus(port)
        try:
            self._step("Make it so")
            self._product("apply", "--yes", quiet_plan=True)
            self._wait(
                "every exporter of every node is scraped", lambda rows: all(r["ok"] for r in rows) and bool(rows)
            )
            self._product("status")
            self._take_away()
        except BaseException:
            server.stop()
            raise
        return server

    def _take_away(self) -> None:
        node = "dgx-01"
        rest = f"dgx-02..dgx-{self.nodes:02}"
        self._step(f"Take the role from {node}, with cmsh as an administrator would: {rest} keep it")
        self._cmsh(f"configurationoverlay; use slurm-client; clear categories; set nodes {rest}; commit")
        self._wait(f"{node} is gone", lambda rows: all(row["node"] != node for row in rows))
        self._product("status")
        self._step("The overlay's nodes are the administrator's: no drift")
        self._product("drift")

    def _prometheus(self, port: int) -> prometheus.PrometheusServer:
        text = self._output("prometheus", "render")
        configuration = prometheus.translated(text, self.root, self.simulator.addresses())
        # A demo does not wait for the 30 s of a real site.
        configuration = re.sub(r"(scrape_interval|scrape_timeout|evaluation_interval): \S+", r"\1: 1s", configuration)
        server = prometheus.start(configuration, self.directory / "prometheus", port)
        print(
            f"Prometheus runs at {server.url}" + ("" if server.real else " (a SIMULATED stand-in: none is installed)")
        )
        return server

    def _set_prometheus(self, port: int) -> None:
        site = self.root / "etc/bcm-jobstats/site.yaml"
        text = re.sub(r"(?m)^prometheus:.*\n", f"prometheus:\n  url: http://127.0.0.1:{port}\n", site.read_text())
        site.write_text(text, encoding="utf-8")

    def _tell_stand_ins(self) -> None:
        names = stand_ins(self.root / "cm/images/dgx-image")
        if names:
            print("Simulated stand-ins in the image: " + ", ".join(Path(name).name for name in names))

    def _keep(self, server: prometheus.PrometheusServer) -> None:
        self._step("The cluster stays up. Look around:")
        python = shlex.quote(sys.executable)
        for line in (
            f"{self.simulator.cmsh} -c 'device; roleoverview'",
            f"{python} -m bcm_jobstats --root {self.root} status",
            f"{python} -m bcm_jobstats --root {self.root} drift",
            f"ls {self.root}/cm/shared/apps/jobstats/prometheus-targets",
            f"curl -s '{server.url}/api/v1/query?query=up'",
            f"{python} -m bcm_jobstats --root {self.root} destroy",
            f"kill {server.process.pid}; {python} -m bcm_jobstats simulator stop {self.root}; rm -r {self.directory}",
        ):
            print(f"  {line}")

    def _step(self, title: str) -> None:
        seconds = f"{time.monotonic() - self.began:5.1f}s"
        print(f"\n\033[1m== {title}\033[0m  ({seconds})" if self.live else f"\n== {title}  ({seconds})", flush=True)

    def _cmsh(self, script: str) -> None:
        print(f"$ cmsh -c {shlex.quote(script)}", flush=True)
        done = subprocess.run([self.simulator.cmsh, "-n", "-c", script], check=False)
        if done.returncode:
            raise DemoError(f"cmsh ended with {done.returncode}")

    def _product(self, *words: str, quiet_plan: bool = False) -> None:
        print(f"$ bcm-jobstats {' '.join(words)}", flush=True)
        done = subprocess.run(self._command(*words), check=False, stdout=subprocess.DEVNULL if quiet_plan else None)
        if done.returncode:
            raise DemoError(f"bcm-jobstats {words[0]} ended with {done.returncode}")

    def _output(self, *words: str) -> str:
        return subprocess.run(self._command(*words), check=True, stdout=subprocess.PIPE, text=True).stdout

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "bcm_jobstats", "--root", str(self.root), *words]

    def _wait(self, what: str, reached: Callable[[list[dict[str, Any]]], bool]) -> None:
        """Ask `status` until it is so, and say how long it took."""
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            done = subprocess.run(self._command("status", "--json", "-q"), check=False, stdout=subprocess.PIPE)
            rows = json.loads(done.stdout or b"[]")
            seconds = time.monotonic() - began
            if reached(rows):
                print(f"{CLEAR if self.live else ''}{what}: after {seconds:.1f}s", flush=True)
                return
            if self.live:
                scraped = sum(row["scraped"] or 0 for row in rows)
                print(f"{CLEAR}waiting until {what}: {scraped} scraped, {seconds:.0f}s", end="", flush=True)
            time.sleep(0.3)
        raise DemoError(f"not after {PATIENCE:.0f}s: {what}")


def main() -> int:
    """`scripts/demo`."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cluster up and say how to look around")
    parser.add_argument("--nodes", type=int, default=4, metavar="N", help="DGX nodes (default: 4)")
    args = parser.parse_args()
    os.environ.pop("BCM_JOBSTATS_ROOT", None)
    directory = Path(tempfile.mkdtemp(prefix="bcm-jobstats-demo."))
    keep = False
    try:
        Demo(directory, args.nodes).run(keep=args.keep)
        keep = args.keep
    except (DemoError, SimulatorError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
