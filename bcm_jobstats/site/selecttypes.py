"""The words of Slurm's SelectTypeParameters, and lists of them that Slurm does not start with (slurm.conf(5)).

slurmctld and slurmd end with "Bad SelectTypeParameter" at a word that they do not know, on all nodes at once. Words,
their spelling and the releases in which they came and went are those of Slurm 20.11 to 26.05.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from bcm_jobstats.site.kinds import quoted, scalar
from bcm_jobstats.site.problems import RefusedError
from bcm_jobstats.site.settings import Kind, Reader

if TYPE_CHECKING:
    import yaml

Version = tuple[int, ...]
OLDEST: Version = (22, 5)
"""The oldest Slurm that a cluster may have whose version is not known."""


@dataclass(frozen=True)
class Releases:
    """Slurm's releases that know a word: from `since` on, and before `gone`; empty where it was ever so."""

    since: str = ""
    gone: str = ""


ALWAYS = Releases()
SHARING = Releases("23.11")
BINDING = Releases("23.11.2")
OF_CRAYS = Releases(gone="24.05")

RESOURCES = ("CR_CPU", "CR_CPU_Memory", "CR_Core", "CR_Core_Memory", "CR_Socket", "CR_Socket_Memory", "CR_Memory")
"""What is given to jobs: one of these at most."""
WITHOUT_CORES = "CR_Memory"
PER_CORE = "CR_ONE_TASK_PER_CORE"
LINEAR = {WITHOUT_CORES, PER_CORE}
"""What select/linear knows: of the resources memory alone."""
KNOWN: Mapping[str, Releases] = {
    **dict.fromkeys((*RESOURCES, PER_CORE, "CR_CORE_DEFAULT_DIST_BLOCK", "CR_LLN", "CR_Pack_Nodes"), ALWAYS),
    **dict.fromkeys(("LL_SHARED_GRES", "MULTIPLE_SHARING_GRES_PJ"), SHARING),
    **dict.fromkeys(("ENFORCE_BINDING_GRES", "ONE_TASK_PER_SHARING_GRES"), BINDING),
    "CR_NO_DIST_TOPO_BLOCK": Releases("26.05"),
    **dict.fromkeys(("OTHER_CONS_RES", "OTHER_CONS_TRES"), OF_CRAYS),
    "CR_ALLOCATE_FULL_SOCKET": Releases(gone="23.02"),
}
"""The words as slurm.conf(5) spells them; Slurm compares them without regard to case."""
_SPELLED = {word.lower(): word for word in KNOWN}


def words(text: str) -> list[str]:
    """The words of a list as Slurm parts it, which it does at commas alone."""
    return [word for word in text.split(",") if word]


def spelled(word: str) -> Optional[str]:
    """A word as slurm.conf(5) spells it; None when it is none."""
    return _SPELLED.get(word.lower())


def meant(word: str) -> str:
    """The remedy for a word that is none: the nearest one, else all of them."""
    import difflib

    near = difflib.get_close_matches(word.strip().lower(), _SPELLED, n=1)
    return f"did you mean {_SPELLED[near[0]]!r}?" if near else f"Slurm has: {', '.join(sorted(KNOWN))}"


def unfit(word: str, version: Version) -> str:
    """Why a Slurm of this version surely does not know a word; empty when it may. `(23, 11)` is any of 23.11."""
    since, gone = KNOWN[word].since, KNOWN[word].gone
    if version < _numbers(since)[: len(version)]:
        return f"{word} came with Slurm {since}, and this is {dotted(version)}"
    if gone and version >= _numbers(gone):
        return f"{word} went with Slurm {gone}, and this is {dotted(version)}"
    return ""


def doubtful(word: str) -> str:
    """Which releases know a word, where not all do that a cluster may have; else empty."""
    since, gone = KNOWN[word].since, KNOWN[word].gone
    if _numbers(since) > OLDEST:
        return f"{word} is known to Slurm from {since} on"
    return f"{word} is known to Slurm before {gone}" if gone else ""


def contradictions(told: Sequence[str], kind: str = "") -> Iterator[str]:
    """Why Slurm would not start with these words, each as slurm.conf(5) spells it.

    `kind` is SelectType; where it is not known, what one of both kinds takes is right.
    """
    resources = [word for word in told if word in RESOURCES]
    cores = [word for word in resources if word != WITHOUT_CORES]
    if len(resources) > 1:
        yield f"{' and '.join(resources)} exclude each other"
    if PER_CORE in told and any(word.startswith("CR_CPU") for word in cores):
        yield f"{PER_CORE} goes with CR_Core and CR_Socket, not with CR_CPU"
    if kind == "select/linear" and cores:
        yield f"{cores[0]} is not for select/linear, which gives whole nodes"
    if told and not cores and kind != "select/linear" and (kind or not set(told) <= LINEAR):
        yield "one of CR_CPU, CR_Core and CR_Socket is missing, alone or with _Memory"


class SelectTypes(Kind[str]):
    """Words of SelectTypeParameters with commas between; the value has them as slurm.conf(5) spells them."""

    what = "Slurm's SelectTypeParameters"

    def read(self, node: yaml.Node, path: str, reader: Reader) -> str:
        """The words."""
        text = scalar(node, "str", self.what)
        told = []
        for word in text.split(","):
            known = spelled(word)
            if known is None:
                raise RefusedError(f"{word!r} is no word of {self.what}", meant(word))
            told.append(known)
        for cause in contradictions(told):
            raise RefusedError(cause, "Slurm does not start with such a list.")
        return ",".join(told)

    def show(self, value: str) -> str:
        """The words, quoted where YAML asks for it."""
        return quoted(value)


def dotted(version: Version) -> str:
    """A version as Slurm writes it: 26.05.2."""
    return ".".join(f"{number:02}" if place == 1 else str(number) for place, number in enumerate(version))


def _numbers(text: str) -> Version:
    return tuple(int(number) for number in text.split(".") if number)
