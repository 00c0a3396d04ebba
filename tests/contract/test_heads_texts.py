"""What the head node itself tells: CMDaemon's state file, `cmha status`, and `pexec`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.bcm import heads
from bcm_jobstats.bcm.cmsh import reading

STATES = ("INIT", "FENCING", "ACTIVE", "PASSIVE", "BECOMEACTIVE", "BECOMEPASSIVE", "UNABLETOBECOMEACTIVE", "ERROR")


@pytest.mark.parametrize("word", STATES)
@pytest.mark.parametrize("text", ["{}", "{}\n", "state={}\n", "  {}  \n"])
def test_the_state_file_is_read(tmp_path: Path, word: str, text: str) -> None:
    """bcm-facts §10 [D]: the file and its words; its form is the capability head-state."""
    file = tmp_path / "var/spool/cmd/state"
    file.parent.mkdir(parents=True)
    file.write_text(text.format(word))
    assert heads.state(tmp_path) == word
    if word != "ACTIVE":
        with pytest.raises(heads.NotActive, match=f"its state is {word}"):
            heads.require_active(tmp_path)
    else:
        heads.require_active(tmp_path)


STATUS = """Node Status: running in active master mode
Failover status:
mycluster1* -> mycluster2
  failoverping  [  OK  ]
  mysql         [  OK  ]
  ping          [  OK  ]
  status        [  OK  ]
mycluster2 -> mycluster1*
  failoverping  [  OK  ]
  mysql         [FAILED] (11)
  ping          [  OK  ]
  status        [  OK  ]
"""


def test_the_manuals_cmha_status_is_read(tmp_path: Path) -> None:
    """bcm-facts §10 [T/D] AM10 ch. 17; what a passive head prints in the first line is an analogy."""
    program = tmp_path / "usr/sbin/cmha"
    program.parent.mkdir(parents=True)
    (tmp_path / "told").write_text(STATUS)
    program.write_text(f'#!/bin/sh\n[ "$*" = status ] && cat {tmp_path}/told\n')
    program.chmod(0o755)
    assert heads.status(tmp_path) == ("ACTIVE", "mycluster1")
    told = STATUS.replace("mycluster1*", "mycluster1").replace("mycluster2", "mycluster2*")
    (tmp_path / "told").write_text(told.replace("active master", "passive"))
    assert heads.status(tmp_path) == ("PASSIVE", "mycluster2")


def test_the_manuals_pexec_is_read() -> None:
    """AM11 §14.1.2: per node an empty line, its name, and the output."""
    text = "\n[node001] :\nanaconda-ks.cfg\n[other] :\n\n[node002] :\n"
    found = reading.outputs(text, ["node001", "node002", "node003"])
    assert found == {"node001": "anaconda-ks.cfg\n[other] :\n\n", "node002": ""}


def test_the_manuals_cmha_status_is_given_time() -> None:
    """bcm-facts §10: about 30 s with a crashed head."""
    assert heads.CMHA_SECONDS > 30
