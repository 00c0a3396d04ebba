"""The check of the scrapes finds what it is there for."""

from __future__ import annotations

import math

import pytest

from tests.lab.hookjobs import scraper
from tests.lab.hookjobs.check import DCGM, NVML, Findings, Scrape, check
from tests.lab.hookjobs.truth import Hold, Outage, Told, expanded, holds, most_at_once, told

RECORD = """\
10.0 prolog before 7 dgx-01 0,1
10.1 prolog after 7 dgx-01 0,1
12.0 epilog before 7 dgx-01 0,1
12.1 epilog after 7 dgx-01 0,1
""".splitlines()
SEVEN = Hold("7", "dgx-01", frozenset("01"), 10.0, 10.1, 12.0, 12.1)
BOTH = (("0", "7"), ("1", "7"))


def scrape(asked: float, *jobs: tuple[str, str], port: int = DCGM, status: int = 200, took: float = 0.01) -> Scrape:
    return Scrape("dgx-01", port, asked, asked + took, status, frozenset(jobs))


def findings(*scrapes: Scrape, found: tuple[Hold, ...] = (SEVEN,), outages: tuple[Outage, ...] = ()) -> Findings:
    return check(scrapes, found, outages)


def test_a_record_of_one_run() -> None:
    assert holds(RECORD) == [SEVEN]
    assert holds(reversed(RECORD)) == [SEVEN]


def test_two_runs_of_one_job() -> None:
    again = ["13.0 prolog before 7 dgx-01 5", "13.1 prolog after 7 dgx-01 5"]
    assert holds([*RECORD, *again]) == [SEVEN, Hold("7", "dgx-01", frozenset("5"), 13.0, 13.1)]


def test_a_run_without_epilog_ends_when_the_next_begins() -> None:
    again = "13.0 prolog before 7 dgx-01 5"
    first, second = holds([*RECORD[:2], again])
    assert (first.ends, first.gone, second.begins) == (13.0, 13.0, 13.0)


@pytest.mark.parametrize("lines", [RECORD, RECORD[:2]], ids=["late epilog", "no epilog"])
def test_a_run_that_a_reboot_ends(lines: list[str]) -> None:
    (hold,) = holds(lines, [Outage("dgx-02", 10.2, 10.3), Outage("dgx-01", 11.0, 11.5)])
    assert (hold.ends, hold.gone) == (11.0, 11.5)


def test_an_epilog_alone_and_a_job_without_gpus() -> None:
    assert holds(RECORD[2:]) == []
    assert holds(["1.0 prolog before 3 dgx-01"]) == [Hold("3", "dgx-01", frozenset(), 1.0)]


def test_jobs_that_share() -> None:
    other = Hold("8", "dgx-01", frozenset("1"), 11.0, 11.1, 13.0, 13.1)
    later = Hold("9", "dgx-01", frozenset("1"), 13.2, 13.3, 14.0, 14.1)
    assert (most_at_once([SEVEN, other, later]), most_at_once([SEVEN, later]), most_at_once([])) == (2, 1, 0)


def test_what_scontrol_tells() -> None:
    text = "JobId=7 Restarts=1 Nodes=dgx-01 CPU_IDs=0-1 Mem=100 GRES=gpu:h100:3(IDX:0,2-3) MinCPUs=1\n"
    text += "JobId=8 Nodes=dgx-02 CPU_IDs=0 GRES="
    assert told(text) == {Told("7", 1, "dgx-01", frozenset("023"))}
    assert {one.node for one in told(text.replace("=dgx-01", "=dgx-[01,09-10]"))} == {"dgx-01", "dgx-09", "dgx-10"}
    assert expanded("a") == ["a"]


def test_all_is_well() -> None:
    found = findings(
        scrape(9.0), scrape(10.05), scrape(10.06, *BOTH), scrape(11.0, *BOTH), scrape(12.05, *BOTH), scrape(12.2)
    )
    assert (found.wrong, found.scrapes, found.seen) == ([], 6, {"7"})
    assert found.longest_miss == pytest.approx(0.01)


@pytest.mark.parametrize("port", [DCGM, NVML])
@pytest.mark.parametrize(
    "bad",
    [scrape(9.0, *BOTH), scrape(12.2, *BOTH), scrape(11.0, *BOTH, ("2", "7")), scrape(11.0, *BOTH, ("3", "8"))],
    ids=["before", "after", "another GPU", "another job"],
)  # fmt: skip
def test_what_is_not_there(bad: Scrape, port: int) -> None:
    found = findings(Scrape(bad.node, port, bad.asked, bad.answered, 200, bad.jobs))
    assert len(found.false) in (1, 2) and not found.missed


@pytest.mark.parametrize("port", [DCGM, NVML])
def test_what_is_missed(port: int) -> None:
    found = findings(*(scrape(10.2 + step / 10, ("0", "7"), port=port) for step in range(15)))
    assert len(found.missed) == 15 and not found.false
    assert found.longest_miss == pytest.approx(1.41)


def test_one_scrape_between_ends_a_miss() -> None:
    found = findings(scrape(10.2), scrape(10.6), scrape(10.7, *BOTH), scrape(10.8), scrape(11.9))
    assert found.longest_miss == pytest.approx(1.11)


def test_a_shared_gpu() -> None:
    other = Hold("8", "dgx-01", frozenset("1"), 11.0, 11.1, 13.0, 13.1)
    pair = (SEVEN, other)
    assert findings(scrape(11.5, *BOTH, ("1", "8")), found=pair).wrong == []
    assert len(findings(scrape(11.5, *BOTH), found=pair).missed) == 1
    assert findings(scrape(11.5, ("0", "7"), ("1", "8"), port=NVML), found=pair).wrong == []
    assert len(findings(scrape(11.5, *BOTH, port=NVML), found=pair).false) == 1  # the one that began last counts
    assert findings(scrape(11.05, *BOTH, port=NVML), found=pair).wrong == []


def test_answers_that_fail() -> None:
    assert len(findings(scrape(9.0, status=500), scrape(9.5, status=0)).errors) == 2


def test_an_outage_excuses() -> None:
    outage = Outage("dgx-01", 10.5, 14.0)
    ended = Hold("7", "dgx-01", frozenset("01"), 10.0, 10.1, 10.5, 14.0)
    seen = (scrape(10.2, *BOTH), scrape(11.0, status=0), scrape(11.5), scrape(15.0))
    found = findings(*seen, found=(ended,), outages=(outage,))
    assert found.wrong == [] and found.longest_silence == 0.0
    assert findings(scrape(1.0), scrape(3.0)).longest_silence == pytest.approx(1.99)
    assert math.isinf(Hold("7", "dgx-01", frozenset(), 1.0).gone)


def test_the_pages_of_both_exporters() -> None:
    page = (
        "# HELP DCGM_FI_DEV_GPU_UTIL x\n"
        'DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1"} 0\n'
        'DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-2",hpc_job="7"} 5\n'
        'DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-2",hpc_job="8"} 5\n'
        'nvidia_gpu_memory_used_bytes{minor_number="3",ordinal="2",jobid="9",userid="1"} 5\n'
        'nvidia_gpu_duty_cycle{minor_number="3",ordinal="2",jobid="9",userid="1"} 5\n'
    )
    assert scraper.jobs(page) == [("1", "7"), ("1", "8"), ("2", "9")]
