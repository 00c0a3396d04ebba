"""What nobody could confirm about BCM, as switches: one per unknown (bcm-facts §13)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

CHOICES: dict[str, tuple[str, ...]] = {
    "uncommitted": ("discard", "keep"),  # what becomes of changes at the end of -c (§13 #4); keep = committed then
    "exit_status": ("zero", "honest"),  # always 0, or 1 when the last command failed or -q stopped (§13 #3)
    "empty_get": ("line", "nothing"),  # `get` of an empty property prints an empty line or nothing
    "json_cells": ("cut", "full"),  # whether `list -d {}` cuts cells at the column width
    "get_nodes": ("ranges", "names"),  # whether `get nodes` prints node001..node003 or every name
    # how a new generic role is assigned (§13 #1): generic::NAME, `assign generic NAME`, `assign GenericRole NAME`, not
    "generic_assign": ("yes", "typed", "class", "no"),
    "errors_to": ("stdout", "stderr"),  # where error texts go
    "overlay_calls": ("cmdevice", "cmpart", "none"),  # the JSON service with the calls of overlays (§13 #7)
    "json_references": ("uuid", "name"),  # how JSON writes overlay.nodes and .categories, device.category (§13 #7)
    "json_generic_name": ("prefixed", "bare"),  # whether a generic role's name in JSON has its `generic::` (§13 #7)
    "rest_roles": ("effective", "own"),  # whether /rest/v1/device tells inherited roles (§13 #9)
    "rest_etag": ("absent", "present"),  # whether REST answers with an ETag and takes If-None-Match: not in the facts
    "pythoncm": ("own", "3.9", "3.12", "none"),  # the Python of the head's pythoncm; own = that of the simulator (§7)
    "services_follow": ("commit", "imageupdate"),  # when role services appear on running nodes (§13 #11)
    "configuration_types": ("refused", "accepted"),  # whether `configurations` have types other than static (§13 #2)
    "configuration_removal": ("keep", "delete"),  # what becomes of a configuration's file when its entry goes
    "texts": ("plain", "other"),  # two wordings of every error text nobody has seen (§13 #5)
    "show_labels": ("plain", "other"),  # labels and widths of wlm, category and softwareimage `show` in 11 (§13 #6)
    "hainfo": ("absent", "present"),  # whether `main; hainfo` is a command (§13 #13)
    "customizations": ("refused", "accepted"),  # whether `add` works in an overlay's customizations (§13 #14)
    "role_services": ("on", "off"),  # whether services that a role brings are monitored and autostarted (§13 #15)
    "equal_priority": ("first", "last"),  # which of two overlays of one priority wins, by name (§13 #16)
    "layouts": ("mixed", "older", "newer"),  # overlay list, roleoverview, provisioningstatus: two layouts each (§1.7)
    "shared_storage": ("nas", "das"),  # /cm/shared of two heads: on both, or on the active one only (§10); at start
    # whether a failing script makes the generic prolog or epilog fail (§13 #12); in a lab, where they run
    "prolog_status": ("honest", "zero"),
    "provisioners": ("always", "dirty"),  # whether imageupdate sends images of 5 minutes ago, too (§6, §11.19)
    "imageupdate_clears_restart": ("yes", "no"),  # whether an imageupdate does away with restart-required (§1.7)
    "imageupdate_new_image": ("yes", "no"),  # whether it sends a newly set image before the node was rebooted (§6)
}
"""The switches and their values; the first is the default."""

PROLOG_STATUS = "prolog_status"
"""This one is kept in a file of its own too, beside that of all, which the nodes of a lab have."""
NUMBERS = {"settle_delay": "0", "clone_delay": "0", "sync_delay": "0"}
"""Switches that hold a number of seconds: how long CMDaemon takes until nodes follow a commit, how long the copy of an
image takes, and the sync of as many nodes as there are provisioning slots, or a grab."""


class Switches:
    """The switches of one simulated BCM."""

    def __init__(self, chosen: Mapping[str, str] | None = None, file: Path | None = None) -> None:
        self._file: Path | None = None
        self._values = {name: values[0] for name, values in CHOICES.items()}
        self._values.update(NUMBERS)
        for name, value in (chosen or {}).items():
            self.set(name, value)
        self._file = file
        self._save()

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def set(self, name: str, value: str) -> None:
        """Turn a switch; a switch or value that does not exist is a ValueError."""
        if name in NUMBERS:
            float(value)
        elif value not in CHOICES.get(name, ()):
            raise ValueError(f"simulator: no switch {name}={value}; there are {CHOICES}")
        self._values[name] = value
        self._save()

    def _save(self) -> None:
        """Keep them where the client process finds them when the daemon does not answer."""
        if self._file is not None:
            self._file.write_text(json.dumps(self._values), encoding="utf-8")
            (self._file.parent / PROLOG_STATUS).write_text(f"{self[PROLOG_STATUS]}\n", encoding="utf-8")

    def told(self) -> dict[str, str]:
        """All switches, for a file or a report."""
        return dict(self._values)
