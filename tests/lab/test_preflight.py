"""doctor on real Slurm: slurm.conf is read as Slurm reads it, and what is found goes when it is mended."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bcm_jobstats.deployment import Deployment
from bcm_jobstats.simulator.layout import HEAD
from bcm_jobstats.site import selecttypes
from bcm_jobstats.slurm.conffile import Conf, read
from tests.harness import run, until
from tests.lab.labs import SITE, Lab

pytestmark = pytest.mark.lab
UNIT = re.compile(r"(?<=\d) u?sec$")
ODD = """\
MESSAGETIMEOUT = 20   # a comment, and a key in other letters
epilogmsgtime=\\
1234
MailProg="/bin/true"
KillWait=31
KillWait=32
# KillWait=33 \\
include extra.conf
 MinJobAge=301#302
\tMaxArraySize=\t1002\t
"""
"""Lines that mean something else to a reader who does not know Slurm's rules."""
EXTRA = "BatchStartTimeout=11\n"
KEYS = (
    *("MessageTimeout", "EpilogMsgTime", "MailProg", "KillWait", "MinJobAge", "MaxArraySize", "BatchStartTimeout"),
    *("ClusterName", "ProctrackType", "TaskPlugin", "JobAcctGatherType", "PrologFlags", "SelectTypeParameters"),
    *("GresTypes", "AccountingStorageType", "SlurmUser", "ReturnToService"),
)


def etc(lab: Lab) -> Path:
    """The directory of slurm.conf, as BCM tells it, on this machine."""
    wlms = Deployment(lab.directory, lab.path(SITE)).bcm.read().wlms
    return lab.path(wlms["slurm"].etc)


def told_by_slurm(lab: Lab) -> dict[str, str]:
    """What slurmctld says it runs by, in the words of slurm.conf where they differ."""
    lines = (line.partition("=") for line in lab.on(HEAD, "scontrol", "show", "config").splitlines())
    told = {key.strip(): UNIT.sub("", value.strip()) for key, _, value in lines}
    told["SlurmUser"] = told["SlurmUser"].partition("(")[0]
    return told


def counting(conf: Conf) -> dict[str, str | None]:
    return {key: conf.get(key) for key in KEYS}


def test_slurm_conf_is_read_as_slurm_reads_it(lab: Lab) -> None:
    """slurm.conf(5), asked of slurmctld itself."""
    file = etc(lab) / "slurm.conf"
    before = file.read_text()
    file.write_text(ODD + before)
    (file.parent / "extra.conf").write_text(EXTRA)
    try:
        lab.on(HEAD, "scontrol", "reconfigure")
        conf = read(file, lab.directory)
        slurm = told_by_slurm(lab)
    finally:
        file.write_text(before)
        (file.parent / "extra.conf").unlink()
        lab.on(HEAD, "scontrol", "reconfigure")
    assert conf.odd == ()
    folded = {key: (value or "").lower() for key, value in counting(conf).items()}
    assert folded == {key: slurm[key].lower() for key in KEYS}
    assert conf.get("MessageTimeout") == "20" and conf.get("KillWait") == "32"


VERSIONS = {"bookworm": (22, 5), "trixie": (24, 11)}
"""Slurm's, in Debian's releases."""


def test_slurm_knows_the_words_that_are_known_here(lab: Lab) -> None:
    """Each word of SelectTypeParameters, and lists that cannot be: what scontrol cannot read, no daemon starts with."""
    conf = (etc(lab) / "slurm.conf").read_text()
    tried = etc(lab) / "tried.conf"

    def refused(words: str) -> bool:
        tried.write_text(re.sub("(?m)^SelectTypeParameters=.*", f"SelectTypeParameters={words}", conf))
        done = lab.tried(
            HEAD, "env", f"SLURM_CONF=/{tried.relative_to(lab.directory)}", "scontrol", "show", "hostnames", "a"
        )
        assert (done.returncode != 0) == ("Bad SelectTypeParameter" in done.stderr), done.stderr
        return done.returncode != 0

    alone = {word: refused(word.swapcase()) for word in selecttypes.KNOWN}
    assert alone == {word: bool(selecttypes.unfit(word, VERSIONS[lab.release])) for word in selecttypes.KNOWN}
    assert refused("CR_Core_Memroy")
    for words in ("CR_Core_Memory,CR_Memory", "CR_CPU,CR_ONE_TASK_PER_CORE"):
        assert refused(words) and list(selecttypes.contradictions(words.split(",")))


def found(lab: Lab) -> list[str]:
    """What doctor finds: severity, file, and the first word of the cause."""
    told = json.loads(run(lab.directory, "doctor", "--json").out)["findings"]
    return [
        f"{one['severity']} {Path(one['subject'].partition(':')[0]).name} {one['cause'].split()[0]}" for one in told
    ]


def wlm(lab: Lab, constrain: str, flags: str) -> None:
    """Set in cmsh what Slurm is to run by."""
    cgroups = f"cgroups; set constraincores {constrain}; set constrainramspace {constrain}; commit"
    lab.cmsh(f"wlm; use slurm; {cgroups}; home; wlm; use slurm; set prologflags {flags}; commit")


def test_what_is_found_goes_when_it_is_mended(lab: Lab) -> None:
    """The lab's gres.conf names device files; its slurm.conf is edited by hand outside of BCM's section."""
    file = etc(lab) / "slurm.conf"
    wlm(lab, "no", "Alloc")
    written = {"warning cgroup.conf ConstrainRAMSpace", "note slurm.conf PrologFlags"}
    until(lambda: written <= {*found(lab)}, what="CMDaemon has written its part")
    file.write_text(file.read_text().replace("ProctrackType=proctrack/cgroup", "ProctrackType=proctrack/linuxproc"))
    file.write_text(re.sub("(?m)^TaskPlugin=.*", "TaskPlugin=task/cgroup", file.read_text()))
    wanted = [
        "error slurm.conf ProctrackType",
        "warning slurm.conf TaskPlugin",
        "warning cgroup.conf ConstrainCores",
        "warning cgroup.conf ConstrainRAMSpace",
        "warning gres.conf numbers",
        "note slurm.conf PrologFlags",
    ]
    assert found(lab) == wanted
    assert run(lab.directory, "doctor").status == 1
    wlm(lab, "yes", "Alloc,Contain")
    until(lambda: not written & {*found(lab)}, what="CMDaemon has written its part again")
    lab.site("job_map: {numbers: minor}\n")
    file.write_text(re.sub("(?m)^ProctrackType=.*", "ProctrackType=proctrack/cgroup", file.read_text()))
    file.write_text(re.sub("(?m)^TaskPlugin=.*", "TaskPlugin=task/affinity,task/cgroup", file.read_text()))
    assert lab.ok("doctor").out == "20 checks, no problem found.\n"
