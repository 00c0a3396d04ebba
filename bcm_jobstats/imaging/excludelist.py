"""What a recipe adds to BCM's exclude lists, as resources named `CATEGORY/LIST`: a marked block at a list's end.

Everything outside the block is the administrator's and stays byte for byte, but for empty lines around a list, of which
cmsh does not tell; a list that would not come back as it was is refused before it is written (ImageWork). That our
blocks are there is also recorded on shared storage, so that nothing has to be asked of BCM where there are none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Callable, Optional

from bcm_jobstats.bcm.entities import CATEGORY, NODE, Cluster, Place, place
from bcm_jobstats.bcm.imagework import EXCLUDE_LISTS, GRAB, GRABNEW, SYNC, UPDATE, ImageWork
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.plan.resource import Found, Resource, State
from bcm_jobstats.stack import Stack

KIND, LINES = "excludelist", "lines"
BEGIN, END = "# BEGIN bcm-jobstats", "# END bcm-jobstats"
"""rsync skips lines that begin with #, and the lists that BCM comes with have some (capability exclude-comments)."""
RECORD = "excludelist/"
"""How the keys of the record begin, among the `lines` of the manifest on shared storage."""


class BadBlock(JobstatsError):
    """An exclude list whose marks of ours do not go together: nobody can tell what is ours in it."""


_OF_SEED = tuple(f"- /etc/bcm-role-monitor/{name}" for name in ("admin.*", "*.key", "*.pem", "*.pfx", "*.p12"))
_STATE = "- /var/lib/bcm-role-monitor"
_GRABBED = (*_OF_SEED, _STATE)
OF_AGENT: Mapping[str, tuple[str, ...]] = {
    SYNC: (_STATE,),
    UPDATE: (_STATE,),
    GRAB: _GRABBED,
    GRABNEW: (*_GRABBED, "- /var/log/bcm-role-monitor.log"),
}
"""For nodes with the agent of enable.mode role-monitor. What it knows is a node's own: kept where BCM brings a node to
its image, which would remove it, and in no image. The other lines are for keys that nobody should have put beside its
configuration, as seed 4 had it (peers A4 4.3)."""


def desired(stack: Stack, cluster: Cluster, agents: Collection[Resource] = ()) -> Iterator[Resource]:
    """The lines of every category that the site file gives a recipe that has some, and of those with `agents`, the
    services of enable.mode role-monitor.

    Not of one whose recipe follows from its roles: exclude lists are the administrator's, and a role does not come
    with a change of them. `image grab` refuses what must not be taken whatever they say.
    """
    places = [place(one.name.rpartition("/")[0]) for one in agents]
    nodes = {where.name for where in places if where.kind == NODE}
    monitored = {where.name for where in places if where.kind == CATEGORY}
    monitored |= {cluster.nodes[name].category for name in nodes}
    for category in sorted((stack.site.recipes.keys() | monitored) & cluster.categories.keys()):
        recipe = stack.recipe_of(category, ())
        if Place(CATEGORY, category) in cluster.unseen:
            continue
        for name in EXCLUDE_LISTS:
            own = recipe.filters(name) if recipe else ()
            lines = list(dict.fromkeys((*own, *(OF_AGENT.get(name, ()) if category in monitored else ()))))
            if lines:
                yield Resource(KIND, f"{category}/{name}", {LINES: lines})


def split(text: str, subject: str = "exclude list") -> tuple[str, Optional[list[str]], str]:
    """(what is before our block, its lines, what is after it); without a block all is before. Raises BadBlock."""
    lines = text.splitlines(keepends=True)
    marks = [(number, line.strip()) for number, line in enumerate(lines) if line.strip() in {BEGIN, END}]
    if not marks:
        return text, None, ""
    if [mark for _, mark in marks] != [BEGIN, END]:
        remedy = f"Put it right in cmsh: one line `{BEGIN}`, and one `{END}` after it, or neither."
        raise BadBlock(subject, "has marks of bcm-jobstats that do not go together", remedy)
    (first, _), (last, _) = marks
    block = [line.strip() for line in lines[first + 1 : last]]
    return "".join(lines[:first]), block, "".join(lines[last + 1 :])


def joined(text: str, lines: Optional[Sequence[str]], subject: str = "exclude list") -> str:
    """A list with `lines` in our block, which is at the end where it is new; None: without the block."""
    before, block, after = split(text, subject)
    if lines is None:
        return before + after
    if block is None and before and not before.endswith("\n"):
        before += "\n"
    return before + "".join(f"{line}\n" for line in (BEGIN, *lines, END)) + after


class ExcludeListProvider:
    """One question to BCM for each category that has lines of ours, or is to have some; see Provider."""

    kind = KIND

    def __init__(
        self,
        rank: int,
        rank_down: int,
        work: Callable[[], ImageWork],
        *,
        cluster: Cluster,
        shared: Tree,
        reached: bool,
    ) -> None:
        """`reached`: whether cmsh is the way to BCM; another one cannot tell of exclude lists."""
        self.rank, self.rank_down = rank, rank_down
        self.work, self.cluster, self.shared, self.reached = work, cluster, shared, reached
        self._lists: dict[str, Mapping[str, str]] = {}

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """See Provider."""
        found: dict[str, Found] = {}
        ours = recorded(self.shared)
        for name in sorted({*ours, *names}) if self.reached else ():
            block = split(self._text(name), _subject(name))[1]
            if block is not None:
                found[name] = Found({LINES: block}, ours=True)
            elif name in ours and name not in names:
                found[name] = Found({LINES: []}, ours=True)  # still to be struck off the record
        return found

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider."""
        self._record(name, there=True)
        self._save(name, after[LINES])

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider."""
        self._save(name, None)
        self._record(name, there=False)
        return None

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        from bcm_jobstats.bcm.cmsh.imagescripts import PROPERTIES

        category, _, which = name.rpartition("/")
        file, use = f"/root/{which}.txt", f"category; use {category}"
        lines = [f"cmsh -c '{use}; get {PROPERTIES[which]}' > {file}"]
        if before is not None:
            lines.append(f"sed -i '/^{BEGIN}/,/^{END}/d' {file}")
        if after is not None:
            block = "\n".join((BEGIN, *after[LINES], END))
            lines.append(f"cat >> {file} <<'END-OF-FILE'\n{block}\nEND-OF-FILE")
        return [*lines, f"cmsh -c '{use}; set {PROPERTIES[which]} {file}; commit'"]

    def _text(self, name: str) -> str:
        category, _, which = name.rpartition("/")
        if category not in self.cluster.categories:
            return ""  # it is gone, and its lists with it
        if category not in self._lists:
            self._lists[category] = self.work().exclude_lists(category)
        return self._lists[category].get(which, "")

    def _save(self, name: str, lines: Optional[Sequence[str]]) -> None:
        category, _, which = name.rpartition("/")
        self._lists.pop(category, None)  # an administrator may have changed it meanwhile
        text = self._text(name)
        wanted = joined(text, lines, _subject(name))
        if wanted != text:
            self.work().save_exclude_list(category, which, wanted)
            self._lists.pop(category, None)

    def _record(self, name: str, *, there: bool) -> None:
        manifest = Manifest(self.shared.root, self.shared.manifest)
        category, _, which = name.rpartition("/")
        kept = {one for one in manifest.lines.pop(RECORD + category, []) if one != which}
        kept |= {which} if there else set()
        if kept:
            manifest.lines[RECORD + category] = sorted(kept)
        manifest.save()


def recorded(shared: Tree) -> set[str]:
    """The lists that may have a block of ours."""
    lines = Manifest(shared.root, shared.manifest).lines
    ours = {key[len(RECORD) :]: names for key, names in lines.items() if key.startswith(RECORD)}
    return {f"{category}/{name}" for category, names in ours.items() for name in names}


def notes(wanted: Collection[Resource], shared: Tree, bcm: str) -> Iterator[str]:
    """What is left out because the way to BCM is not cmsh."""
    names = sorted({*(one.name for one in wanted), *recorded(shared)})
    if names:
        yield f"exclude lists are not seen with --bcm {bcm}, and stay as they are: {', '.join(names)}"


def _subject(name: str) -> str:
    category, _, which = name.rpartition("/")
    return f"exclude list {which} of category {category}"
