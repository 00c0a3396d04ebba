"""The exclude lists in effect for a node: its own or its category's, and what is added (bcm-facts §3.2, §6)."""

from __future__ import annotations

from collections.abc import Iterator

from bcm_jobstats.simulator.excludelists import DEFAULTS, FIELDS, NO_NEW_FILES, STATIC_MOUNTS, Rules, rules
from bcm_jobstats.simulator.state import State

SNIPPETS = "excludelistsnippets"
MODES = {word: f"mode{word}" for word in FIELDS}
"""The switch of a snippet for each list; which are on by default is in its schema."""
ON_BY_DEFAULT = ("modesync", "modeupdate")


def effective(state: State, node: str, word: str) -> str:
    """The list `word` (one of FIELDS) of a node as `excludelist get` shows it; "" for what is no node."""
    device = state.table("device").get(node)
    if device is None or not device.values.get("category"):
        return ""
    field = FIELDS[word]
    own = str(device.values.get(field, ""))
    category = state.table("category").get(str(device.values["category"]))
    inherited = str(category.values.get(field, DEFAULTS[field])) if category else DEFAULTS[field]
    text = own if own.strip() else inherited
    return "\n".join([text.rstrip("\n"), *_snippets(state, node, word), *_mounts()]).strip("\n") + "\n"


def effective_rules(state: State, node: str, word: str) -> Rules:
    """The same as rules."""
    return rules(word, effective(state, node, word))


def _snippets(state: State, node: str, word: str) -> Iterator[str]:
    """The lines that the roles of a node add (bcm-facts §3.2)."""
    for _, held in sorted(state.resolver.roles(node).items()):
        for name, snippet in sorted(held.role.entries(SNIPPETS).items()):
            default = "yes" if MODES[word] in ON_BY_DEFAULT else "no"
            if snippet.values.get("disabled") == "yes" or snippet.values.get(MODES[word], default) != "yes":
                continue
            yield f"# {held.name}: {name}"
            prefix = f"{NO_NEW_FILES} " if snippet.values.get("nonewfiles") == "yes" else ""
            for line in snippet.values.get("excludelist", ()):
                yield prefix + (line if line.startswith(("- ", "+ ")) else f"- {line}")


def _mounts() -> Iterator[str]:
    """That these are among the lines that are shown, and what is said about them, are assumptions."""
    yield "# mounted"
    for place in STATIC_MOUNTS:
        yield f"{NO_NEW_FILES} - {place}"
