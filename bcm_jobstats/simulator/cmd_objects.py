"""Commands that propose objects: add, assign, unassign, import, clone, remove (bcm-facts §1.5)."""

from __future__ import annotations

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.cmd_list import kinds_here
from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.options import options
from bcm_jobstats.simulator.places import Level
from bcm_jobstats.simulator.rolekinds import GENERIC, role_kind
from bcm_jobstats.simulator.session import Session, command

Words = tuple[str, ...]
SWITCHES_NOT_CLONED = "Warning: The Ethernet switch settings were not cloned, and have to be set manually\n"
"""Literal, bcm-facts §1.5."""
TYPED = ("device", "configurations", "monitoring", "nodeexecutionfilters", "executionmultiplexers")
"""Where `add` wants a type before the name."""


@command("add")
def add(session: Session, words: Words) -> None:
    """Add a named object: ``add NAME``, ``add TYPE NAME`` where there are types (device, configurations)."""
    places = session.places
    kinds = kinds_here(session)
    if places.here.mode == "roles" or not kinds:
        raise messages.wrong_mode("add")
    typed = {type_word(kind): kind for kind in kinds}
    kind, names = kinds[-1], words
    if len(words) > 1 and words[0].lower() in typed:
        kind, names = typed[words[0].lower()], words[1:]
    needs_type = places.here.mode in TYPED
    if not names or (needs_type and len(words) < 2):
        raise messages.usage("add <type> <name>" if needs_type else "add <name>")
    if needs_type and words[0].lower() not in typed:
        raise messages.bad_value("type", words[0])
    schema = session.catalogue[kind]
    entity = Entity(kind, {schema.key: names[0]})
    if kind == "PhysicalNode" and len(names) > 1:
        entity.values["ip"] = names[1]
    _place(session, names[0], entity)


def type_word(kind: str) -> str:
    """What a type is called after `add`: ``physicalnode``, ``prometheus``, ``node`` for a NodeFilter."""
    return kind.lower().replace("producer", "").replace("filter", "")


def _place(session: Session, name: str, entity: Entity, cloned_from: str = "") -> None:
    """Put a new object here and choose it."""
    places = session.places
    here = places.here.mode
    if places.find(name) is not None and not (here == "services" and name not in places.entries()):
        raise messages.exists(places.what().capitalize(), name)
    if len(places.levels) == 1:
        session.drafts.add(here, name, entity, cloned_from)
    else:
        places.edit(places.levels[:-1]).within(here)[name] = entity
    session.go([*places.levels[:-1], Level(here, name)])


@command("assign")
def assign(session: Session, words: Words) -> None:
    """Assign a role; its values are unset (bcm-facts §2). How a new generic role is named is unconfirmed (§13 #1)."""
    if session.places.here.mode != "roles" or not words:
        raise messages.wrong_mode("assign") if words else messages.usage("assign <role>")
    name = _role_name(words, session.daemon.switches["generic_assign"])
    kind = role_kind(name)
    if kind is None:
        raise messages.unknown_role(words[0])
    if name in session.places.entries():
        raise messages.assigned_twice(name)
    _place(session, name, Entity(kind, {"name": name}))


def _role_name(words: Words, form: str) -> str:
    """The name of the role that the words of `assign` mean, by the form in which this BCM takes generic roles."""
    type_words = {"typed": "generic", "class": "genericrole"}
    if len(words) == 2 and words[0].lower() == type_words.get(form):
        return words[1] if words[1].startswith(GENERIC) else GENERIC + words[1]
    if len(words) != 1:
        raise messages.usage("assign <role>")
    if not words[0].startswith(GENERIC):
        return words[0].lower()
    if form != "yes":
        raise messages.unknown_role(words[0])
    return words[0]


@command("unassign")
def unassign(session: Session, words: Words) -> None:
    """Take an own role away."""
    places = session.places
    if places.here.mode != "roles":
        raise messages.wrong_mode("unassign")
    names = words or ((places.here.chosen,) if places.here.chosen else ())
    for name in names:
        if name not in places.entries():
            raise messages.not_assigned(name)
        del places.edit(places.levels[:-1]).within("roles")[name]
    _out_of(session, names)


def _out_of(session: Session, names: tuple[str, ...]) -> None:
    here = session.places.here
    if here.chosen in names:
        session.go([*session.places.levels[:-1], Level(here.mode)])


@command("import")
def import_role(session: Session, words: Words) -> None:
    """Assign a role with the values it has elsewhere: ``import --overlay X slurmclient`` (also -c, -n; §2)."""
    found, names = options(words, {"overlay=": "o", "category=": "c", "node=": "n"})
    modes = {"overlay": "configurationoverlay", "category": "category", "node": "device"}
    if session.places.here.mode != "roles" or len(found) != 1 or len(names) != 1:
        raise messages.usage("import --overlay|--category|--node <name> <role>")
    ((option, holder),) = found.items()
    source = session.drafts.get(modes[option], holder)
    role = source.entries("roles").get(names[0]) if source else None
    if role is None:
        raise messages.no_such("role", names[0])
    if names[0] in session.places.entries():
        raise messages.assigned_twice(names[0])
    _place(session, names[0], role.copy())


@command("clone")
def clone(session: Session, words: Words) -> None:
    """Copy an object under a new name, and be in it: ``clone A B``."""
    places = session.places
    names = words if len(words) == 2 else (str(places.here.chosen), *words)
    source = places.find(names[0])
    if len(names) != 2 or source is None:
        raise messages.no_such(places.what(), names[0])
    entity = source.copy()
    entity.values[places.schema(entity).key] = names[1]
    if entity.kind == "SoftwareImage":
        entity.values["path"] = f"/cm/images/{names[1]}"
    for unique in ("mac", "ip"):
        entity.values.pop(unique, None)
    _place(session, names[1], entity, cloned_from=names[0])
    if places.here.mode == "device":
        session.write(SWITCHES_NOT_CLONED)


@command("remove")
def remove(session: Session, words: Words) -> None:
    """Propose the removal of objects; ``-d`` also of an image's directory."""
    found, rest = options(words, {"data": "d", "all": "a"})
    places = session.places
    here = places.here
    names = tuple(rest) or ((here.chosen,) if here.chosen else ())
    if not names or here.mode == "roles":
        raise messages.usage("remove <name>")
    for name in names:
        if name not in places.entries():
            raise messages.no_such(places.what(), name)
        if len(places.levels) == 1:
            session.drafts.remove(here.mode, name, delete_data="data" in found)
        else:
            del places.edit(places.levels[:-1]).within(here.mode)[name]
    _out_of(session, names)


@command("swap")
def swap(session: Session, words: Words) -> None:
    """Have two objects take each other's place: ``swap A B`` swaps all they hold but their names (an assumption)."""
    places = session.places
    if len(words) != 2 or places.here.chosen is not None:
        raise messages.usage("swap <name> <name>")
    levels = [[*places.levels[:-1], Level(places.here.mode, name)] for name in words]
    for name, where in zip(words, levels):
        if places.find(name, where) is None:
            raise messages.no_such(places.what(), name)
    one, other = (places.edit(where) for where in levels)
    key = places.schema(one).key
    if one.kind != other.kind:
        raise messages.usage("swap two objects of one type")
    mine, theirs = dict(one.values), dict(other.values)
    one.values, other.values = {**theirs, key: mine[key]}, {**mine, key: theirs[key]}
    one.children, other.children = other.children, one.children
    one.extra, other.extra = other.extra, one.extra
