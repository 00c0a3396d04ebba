"""Scrapes exporters every 100 ms until its input ends: a line of JSON on stdout for each answer.

It is run inside the head node of a lab, by that node's own python3: ``python3 scraper.py NODE:PORT...``. So it imports
nothing but the standard library.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
import threading
import time

PERIOD = 0.1  # seconds
PATIENCE = 10.0  # seconds; Prometheus' own default
SAMPLE = re.compile(r"^(?:DCGM_FI_DEV_GPU_UTIL|nvidia_gpu_memory_used_bytes)\{([^}]*)\} ", re.M)
"""A series that each of the two exporters has once for every GPU, and dcgm-exporter for every job of it (peers C7)."""
TELLING = threading.Lock()
LABEL = re.compile(r'(\w+)="([^"]*)"')


def jobs(text: str) -> list[tuple[str, str]]:
    """GPU and job of every sample that names one: (``gpu``, ``hpc_job``) or (``ordinal``, ``jobid``)."""
    found = []
    for sample in SAMPLE.finditer(text):
        labels = dict(LABEL.findall(sample[1]))
        job = labels.get("hpc_job") or labels.get("jobid")
        if job:
            found.append((labels["gpu"] if "gpu" in labels else labels["ordinal"], job))
    return found


def look(node: str, port: int) -> dict[str, object]:
    """One scrape: when it was asked for and answered, the HTTP status (0: no answer), and the jobs that it names."""
    asked, status, text = time.time(), 0, ""
    connection = http.client.HTTPConnection(node, port, timeout=PATIENCE)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text, status = answer.read().decode(), answer.status
    except (OSError, http.client.HTTPException):
        status = 0
    finally:
        connection.close()
    return {"node": node, "port": port, "asked": asked, "answered": time.time(), "status": status, "jobs": jobs(text)}


def follow(address: str, ended: threading.Event) -> None:
    """Scrape one exporter until the end, at the same rate however long an answer takes."""
    node, _, port = address.partition(":")
    due = time.monotonic()
    while not ended.wait(max(0.0, due - time.monotonic())):
        due = max(due + PERIOD, time.monotonic())
        told = json.dumps(look(node, int(port)))
        with TELLING:
            print(told, flush=True)


def main(addresses: list[str]) -> None:
    """Scrape all until the input ends."""
    ended = threading.Event()
    followers = [threading.Thread(target=follow, args=(address, ended)) for address in addresses]
    for follower in followers:
        follower.start()
    sys.stdin.read()
    ended.set()
    for follower in followers:
        follower.join()


if __name__ == "__main__":
    main(sys.argv[1:])
