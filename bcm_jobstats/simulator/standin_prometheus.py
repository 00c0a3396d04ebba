"""A SIMULATED Prometheus for machines that have none: file_sd, relabelling, scraping, and the query `up`; no more.

Run as: standin_prometheus.py CONFIGURATION HOST:PORT. It reads just the form of configuration that the demo writes.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RULE = re.compile(r"regex: '([^']+)', target_label: __address__, replacement: '([^']+)'")
DISCOVERY = 5.0
"""Seconds between looks at the target files, as Prometheus' discovery throttle (design §7)."""


class Scraper:
    """The targets, and whether their last scrape worked."""

    def __init__(self, configuration: str) -> None:
        interval = re.search(r"scrape_interval: (\d+)s", configuration)
        self.interval = float(interval.group(1)) if interval else 30.0
        self.files = re.findall(r"^ *- (/\S+\.json)$", configuration, re.MULTILINE)
        self.rules = [(re.compile(regex), to.replace("$1", r"\1")) for regex, to in RULE.findall(configuration)]
        self.targets: list[dict[str, str]] = []
        self.up: list[dict[str, Any]] = []

    def discover(self) -> None:
        """Read the target files; a broken one is left out."""
        found = []
        for path in sorted(path for name in self.files for path in Path(name).parent.glob(Path(name).name)):
            try:
                groups = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            found += [{**group["labels"], "instance": target} for group in groups for target in group["targets"]]
        self.targets = found

    def scrape(self) -> None:
        """Ask every target once."""
        now = time.time()
        self.up = [{"metric": {"__name__": "up", **t}, "value": [now, self._ask(t["instance"])]} for t in self.targets]

    def _ask(self, address: str) -> str:
        for regex, to in self.rules:
            if regex.fullmatch(address):
                address = regex.sub(to, address)
                break
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=2) as answer:
                return "1" if answer.read() else "0"
        except (urllib.error.URLError, OSError, ValueError):
            return "0"

    def run(self) -> None:
        """Discover and scrape for ever."""
        looked = 0.0
        while True:
            if time.monotonic() - looked >= DISCOVERY:
                looked = time.monotonic()
                self.discover()
            self.scrape()
            time.sleep(self.interval)


def main(argv: list[str]) -> None:
    """Serve /-/ready and /api/v1/query."""
    scraper = Scraper(Path(argv[1]).read_text(encoding="utf-8"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": scraper.up}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """No access log."""

    host, _, port = argv[2].rpartition(":")
    threading.Thread(target=scraper.run, daemon=True).start()
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv)
