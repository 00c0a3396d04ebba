"""The settings of a Slurm cluster in BCM that are of interest, by their names in cmsh (bcm-facts §5.2, §5.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Optional

SELECT_TYPE_PARAMETERS, PROLOG_FLAGS = "selecttypeparameters", "prologflags"
CONSTRAIN_CORES, CONSTRAIN_RAM_SPACE = "constraincores", "constrainramspace"
OWN = (SELECT_TYPE_PARAMETERS, PROLOG_FLAGS)
"""Those of the cluster itself."""
CGROUPS = (CONSTRAIN_CORES, CONSTRAIN_RAM_SPACE)
"""Those of its submode `cgroups`, which CMDaemon writes into cgroup.conf."""
FLAGS = {"alloc", "contain", "deferbatch", "forcerequeueonfail", "nohold", "runinjob", "serial", "x11"}
"""What PrologFlags may hold (slurm.conf(5)), in small letters."""
PARAMETER = re.compile(r"[A-Z]{2}[A-Za-z_]*")
"""One of SelectTypeParameters, such as CR_Core_Memory."""
YES, NO = {"yes", "1", "on", "true"}, {"no", "0", "off", "false"}


def value(name: str, told: str) -> Optional[str]:
    """What BCM told of a setting: `yes` or `no`, or words with commas between; empty for one that is not set.

    None when it is nothing that such a setting can hold: the words of an error, most likely.
    """
    if name in CGROUPS:
        word = told.strip().lower()
        return "yes" if word in YES else "no" if word in NO else None
    words = told.replace(",", " ").split()
    known = (word.lower() in FLAGS if name == PROLOG_FLAGS else PARAMETER.fullmatch(word) for word in words)
    return ",".join(words) if all(known) else None


def same(one: str, other: str) -> bool:
    """Whether two values mean the same: Slurm minds neither letters nor order in lists of words."""
    return sorted(one.lower().split(",")) == sorted(other.lower().split(","))


def known(told: Mapping[str, Optional[str]]) -> dict[str, str]:
    """The settings among what BCM told (name -> value, None: nothing), without those that cannot be understood."""
    pairs = ((name, told.get(name)) for name in (*OWN, *CGROUPS))
    values = {name: value(name, text) for name, text in pairs if text is not None}
    return {name: text for name, text in values.items() if text is not None}


def spelled_as(found: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """`found`, with values that mean the same as in `wanted` spelled as there: BCM may have its own order of words."""
    alike = {name for name in found.keys() & wanted.keys() if same(found[name], wanted[name])}
    return {name: wanted[name] if name in alike else told for name, told in found.items()}


def directory(told: Optional[str]) -> str:
    """An absolute path; empty when it is none."""
    return told if told and told.startswith("/") and told.isprintable() else ""


def release(told: Optional[str]) -> str:
    """Slurm's version, such as `24.11` or `23.02.8`; empty when it is none."""
    return told if told and re.fullmatch(r"[0-9]{2}\.[0-9]{2}([.-][A-Za-z0-9.-]+)?", told, re.ASCII) else ""
