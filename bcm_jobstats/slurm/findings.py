"""What the checks of Slurm are given, and what they tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Callable, Optional

from bcm_jobstats.errors import BREAKS, printable
from bcm_jobstats.site import Site
from bcm_jobstats.slurm.conffile import Conf, Setting

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
"""error: job statistics are missing or wrong. warning: part of them is, or may be. note: worth knowing, or unknown."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, or cannot be told; `subject` is `FILE:LINE`, or what has no line."""

    severity: str
    subject: str
    cause: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{printable(self.subject)}: {printable(self.cause, kept=BREAKS)}"
        return f"{text}\n    {printable(self.remedy)}" if self.remedy else text


@dataclass(frozen=True)
class Seen:
    """Slurm's configuration as it was read, and what the site wants of it."""

    site: Site
    wlm: str
    """The name of the WLM cluster in BCM."""
    slurm: Conf
    gres: Conf
    cgroup: Conf
    version: tuple[int, ...] = ()
    """Slurm's, such as (24, 11) or (26, 5, 2); empty when it is not known."""
    excludes: Mapping[str, str] = field(default_factory=dict)
    """Category of nodes with slurmd -> its excludelistupdate; none when they are not known."""

    def words(self, key: str) -> list[str]:
        """The words of a list with commas in slurm.conf, in small letters as Slurm compares them."""
        return [word.strip().lower() for word in (self.slurm.get(key) or "").split(",") if word.strip()]


Check = Callable[[Seen], Iterator[Finding]]


def at(conf: Conf, setting: Optional[Setting]) -> str:
    """The place of a setting; the file when it has none."""
    return setting.where if setting else str(conf.path)


def by_site(seen: Seen, name: str, value: str) -> str:
    """The remedy for what BCM sets when the site file asks for it under `slurm:`."""
    if getattr(seen.site.slurm, name):
        return "The site file asks for it: bcm-jobstats apply sets it."
    return f"slurm: {{{name}: {value}}} in the site file, then bcm-jobstats apply."


def by_cmsh(seen: Seen, command: str) -> str:
    """The remedy for what an administrator sets in cmsh."""
    return f"cmsh: wlm; use {seen.wlm}; {command}; commit"


def by_conf(seen: Seen, key: str, value: str) -> str:
    """The remedy for a line of slurm.conf that BCM has no setting for."""
    setting = seen.slurm.setting(key)
    if setting and setting.generated:
        return (
            f"It stands in BCM's section, where edits are lost: look for its source (cmsh: wlm; use {seen.wlm}; show)."
        )
    if seen.site.slurm.manage_conf:
        return "The site file asks for it (slurm.manage_conf): bcm-jobstats apply writes it."
    by_hand = f"write {key}={value} outside BCM's section, then: scontrol reconfigure"
    return f"slurm: {{manage_conf: yes}} in the site file, then bcm-jobstats apply; or {by_hand}"
