"""The site file: what an administrator decides, loaded and checked with file and line for everything that is wrong."""

from __future__ import annotations

from bcm_jobstats.site.amounts import Amount
from bcm_jobstats.site.artifacts import Artifact, Supply
from bcm_jobstats.site.load import load_site
from bcm_jobstats.site.problems import Problem, SiteError
from bcm_jobstats.site.reference import SettingDoc, reference, template
from bcm_jobstats.site.schema import ROLE_MONITOR, Attach, Exporter, Role, Rollout, Site

__all__ = [
    "ROLE_MONITOR",
    "Amount",
    "Artifact",
    "Attach",
    "Exporter",
    "Problem",
    "Role",
    "Rollout",
    "SettingDoc",
    "Site",
    "SiteError",
    "Supply",
    "load_site",
    "reference",
    "template",
]
