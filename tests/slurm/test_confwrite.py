"""Lines put into slurm.conf and taken out again: everything else stays byte for byte (bcm-facts §4, §5.2; peers C9)."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bcm_jobstats.slurm import conffile, confwrite, wlmconf
from bcm_jobstats.slurm.conflines import BEGIN, END
from tests.bcm.fuzzing import search

KEY, LINE = "TaskPlugin", "TaskPlugin=task/affinity,task/cgroup"
SECTION = f"{BEGIN} -- DO NOT REMOVE\nSelectType=select/cons_tres\n{END}   -- DO NOT REMOVE\n"
PUT: dict[str, tuple[str, str]] = {
    "no file yet": ("", f"{LINE}\n"),
    "no section": ("A=1\n", f"A=1\n{LINE}\n"),
    "no section, no last newline": ("A=1", f"A=1\n{LINE}"),
    "a section": (f"A=1\n{SECTION}B=2\n", f"A=1\n{LINE}\n{SECTION}B=2\n"),
    "nothing but a section": (SECTION, f"{LINE}\n{SECTION}"),
    "only in the section": (f"{BEGIN}\nTaskPlugin=x\n{END}\n", f"{LINE}\n{BEGIN}\nTaskPlugin=x\n{END}\n"),
    "a section that never ends": (f"A=1\n{BEGIN}\nB=2\n", f"A=1\n{LINE}\n{BEGIN}\nB=2\n"),
    "in place": ("A=1\nTaskPlugin=task/none\nB=2\n", f"A=1\n{LINE}\nB=2\n"),
    "in place after the section": (f"{SECTION}TaskPlugin=task/none\n", f"{SECTION}{LINE}\n"),
    "in place without a last newline": ("A=1\nTaskPlugin=task/none", f"A=1\n{LINE}"),
    "the last of two": (f"{KEY}=a\nB=2\ntaskplugin=b\n", f"{KEY}=a\nB=2\n{LINE}\n"),
    "in a comment only": ("#TaskPlugin=a\n", f"#TaskPlugin=a\n{LINE}\n"),
    "of another key that begins alike": ("TaskPluginParam=x\n", f"TaskPluginParam=x\n{LINE}\n"),
    "line ends of Windows": ("A=1\r\nTaskPlugin=x\r\nB=2\r\n", f"A=1\r\n{LINE}\r\nB=2\r\n"),
    "new among line ends of Windows": ("A=1\r\n", f"A=1\r\n{LINE}\r\n"),
    "several lines": ("TaskPlugin=task/\\\nnone\nB=2\n", f"{LINE}\nB=2\n"),
    "before a line that swallows the next": (f"A=1\nB=2 \\\n{SECTION}", f"A=1\n{LINE}\nB=2 \\\n{SECTION}"),
    "before a last line that would swallow it": ("A=1\nB=2 \\\n", f"A=1\n{LINE}\nB=2 \\\n"),
}


@pytest.mark.parametrize(("before", "after"), PUT.values(), ids=PUT)
def test_a_line_goes_where_it_belongs_and_comes_out_without_a_trace(before: str, after: str) -> None:
    """bcm-facts §4, §5.2."""
    former = confwrite.line_of(before, KEY)
    assert confwrite.with_line(before, KEY, LINE) == after
    assert confwrite.with_line(after, KEY, LINE) == after
    assert confwrite.with_line(after, KEY, former) == before


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        (None, "TaskPlugin=v"),
        ("TaskPlugin=x", "TaskPlugin=v"),
        ("  taskplugin = x  # why", "  taskplugin = v  # why"),
        ("TaskPlugin=x# why", "TaskPlugin=v# why"),
        ('TaskPlugin="x"', "TaskPlugin=v"),
        ("TaskPlugin=a\\\nb", "TaskPlugin=v"),
        ("TaskPlugin=a\\#b", "TaskPlugin=v"),
        ("TaskPlugin+=a", "TaskPlugin=v"),
        ("TaskPlugin=", "TaskPlugin=v"),
        ("TaskPlugin=a b=c", "TaskPlugin=v"),
    ],
)
def test_of_a_line_only_the_value_changes_where_that_can_be_done(line: Optional[str], changed: str) -> None:
    assert confwrite.with_value(line, "TaskPlugin", "v") == changed


PIECES = st.sampled_from(
    ["TaskPlugin=task/none", "taskplugin = a,b # c", "  TaskPlugin=", "ProctrackType=x", "A=1", "#", "# TaskPlugin=a",
     "\\", " \\", "\\\\", "\n", "\n", "\r\n", "\r", "\0", '"', "=", "TaskPlugin", BEGIN, END, "\udc80", "\u2028",
     "\x0b", "Include /etc/x.conf", " ", "\t", "NodeName=a TaskPlugin=x", "TaskPlugin+=a"]
)  # fmt: skip
TEXTS = st.one_of(st.lists(PIECES, max_size=14).map("".join), st.lists(PIECES, max_size=14).map("\n".join))


@search(600)
@given(TEXTS)
@example("A\r")
@example(f"TaskPlugin=a\n{BEGIN}\nTaskPlugin=b")
def test_what_is_written_is_read_by_slurm_and_taking_it_out_is_the_identity(text: str) -> None:
    former = confwrite.line_of(text, KEY)
    changed = confwrite.with_line(text, KEY, LINE)
    assert confwrite.line_of(changed, KEY) == LINE
    assert confwrite.with_line(changed, KEY, former) == text
    before, after = parsed(text), parsed(changed)
    mine = [one for one in after if one not in before]
    assert [value for _, value, generated in mine if generated] == []
    assert {value for _, value, _ in mine} <= {LINE.partition("=")[2]}
    assert [one for one in after if one[0].lower() != KEY.lower()] == [
        one for one in before if one[0].lower() != KEY.lower()
    ]


def parsed(text: str) -> list[tuple[str, str, bool]]:
    """What Slurm reads, by the other module that knows its rules."""
    settings = conffile.parse(text, Path("/nowhere/slurm.conf"), Path("/nowhere")).settings
    return [(setting.key, setting.value, setting.generated) for setting in settings]


@pytest.mark.parametrize(
    ("key", "told", "wanted"),
    [
        ("JobAcctGatherType", None, "jobacct_gather/cgroup"),
        ("JobAcctGatherType", "jobacct_gather/linux", "jobacct_gather/cgroup"),
        ("JobAcctGatherType", "jobacct_gather/cgroup", "jobacct_gather/cgroup"),
        ("ProctrackType", "cgroup", "proctrack/cgroup"),
        ("ProctrackType", "proctrack/linuxproc", "proctrack/cgroup"),
        ("TaskPlugin", None, "task/affinity,task/cgroup"),
        ("TaskPlugin", "task/none", "task/affinity,task/cgroup"),
        ("TaskPlugin", "task/cgroup", "task/affinity,task/cgroup"),
        ("TaskPlugin", "affinity,cgroup", "affinity,cgroup"),
        ("TaskPlugin", "task/cgroup,task/mine,task/affinity", "task/cgroup,task/mine,task/affinity"),
        ("TaskPlugin", "mine,cgroup", "task/affinity,task/cgroup,task/mine"),
    ],
)
def test_what_is_right_already_stays_and_the_rest_becomes_it(key: str, told: Optional[str], wanted: str) -> None:
    """peers A3a, anchors §5: the values that jobstats needs; an administrator's longer list is kept."""
    assert wlmconf.WANTED[key](told) == wanted
    assert wlmconf.WANTED[key](wanted) == wanted
