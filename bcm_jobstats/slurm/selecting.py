"""Whether a Slurm of some version and SelectType starts with words in SelectTypeParameters (slurm.conf(5))."""

from __future__ import annotations

from collections.abc import Iterator

from bcm_jobstats.site import selecttypes

ENDS = "slurmctld and slurmd do not start with it"
KINDS = ("select/cons_tres", "select/cons_res", "select/linear")
"""Values of SelectType by which it is known which words there have to be."""


def refusals(text: str, version: tuple[int, ...], kind: str) -> Iterator[str]:
    """Why Slurm would surely not start with these words; `version` and `kind`, SelectType, are empty when unknown."""
    told = [known for word in selecttypes.words(text) if (known := selecttypes.spelled(word))]
    yield from filter(None, (selecttypes.unfit(word, version) for word in told))
    yield from selecttypes.contradictions(told, kind if kind in KINDS else "")


def doubts(text: str) -> Iterator[str]:
    """Which words not every Slurm knows that a cluster may have."""
    told = [known for word in selecttypes.words(text) if (known := selecttypes.spelled(word))]
    yield from (f"{doubt}, another does not start" for doubt in map(selecttypes.doubtful, told) if doubt)
