"""Settings of something that is not ours: wanted is consent enough, and the former value is given back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from bcm_jobstats.plan import apply, planner
from bcm_jobstats.plan.generations import Generations
from bcm_jobstats.plan.model import ADOPT, UPDATE, Plan
from bcm_jobstats.plan.resource import Found, Resource, State


@dataclass
class Kept:
    """Originals in memory."""

    states: dict[str, State] = field(default_factory=dict)

    def all(self) -> Mapping[str, State]:
        return dict(self.states)

    def hold(self, address: str, state: State) -> None:
        self.states.setdefault(address, state)

    def release(self, address: str) -> None:
        self.states.pop(address, None)


class Settings:
    """One thing with two settings, `knob.a` and `knob.b`."""

    kind = "knob"
    rank = rank_down = 50

    def __init__(self, *, setting: bool = True) -> None:
        self.there = {"a": "1", "b": "1"}
        self.setting = setting
        self.originals = Kept()

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        held = {address.partition(".")[2] for address in self.originals.all()}
        return {name: Found({"value": self.there[name]}, name in held, self.setting) for name in {*names, *held}}

    def write(self, name: str, before: Optional[State], after: State) -> None:
        self.there[name] = after["value"]

    def leaves(self, name: str, state: State) -> Optional[State]:
        return None

    def remove(self, name: str, before: State) -> Optional[State]:
        return before

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        return []


def wanted(**values: str) -> list[Resource]:
    return [Resource("knob", name, {"value": value}) for name, value in values.items()]


def carried_out(plan: Plan, knobs: Settings, generations: Generations) -> None:
    apply.carry_out(plan, [knobs], generations, knobs.originals)


def made(knobs: Settings, **values: str) -> Plan:
    return planner.make([knobs], wanted(**values), originals=knobs.originals.all())


def test_a_setting_is_taken_over_because_it_is_asked_for_and_given_back_when_it_is_not(tmp_path: Path) -> None:
    knobs, generations = Settings(), Generations(tmp_path)
    plan = made(knobs, a="2", b="1")
    assert [(change.action, change.address) for change in plan.changes] == [(ADOPT, "knob.a")], "b is right already"
    carried_out(plan, knobs, generations)
    assert (knobs.there, knobs.originals.all()) == ({"a": "2", "b": "1"}, {"knob.a": {"value": "1"}})
    assert made(knobs, a="2").changes == ()
    carried_out(made(knobs, a="3"), knobs, generations)
    assert knobs.originals.all() == {"knob.a": {"value": "1"}}, "what is kept is the administrator's, not ours"
    plan = made(knobs)
    assert [(change.action, change.after) for change in plan.changes] == [(UPDATE, {"value": "1"})]
    carried_out(plan, knobs, generations)
    assert (knobs.there, knobs.originals.all()) == ({"a": "1", "b": "1"}, {})
    assert made(knobs).changes == ()


def test_rollback_goes_back_and_forth_without_more_consent(tmp_path: Path) -> None:
    knobs, generations = Settings(), Generations(tmp_path)
    carried_out(made(knobs, a="2"), knobs, generations)
    carried_out(made(knobs), knobs, generations)
    back = planner.towards([knobs], generations.back_to_before(2))
    assert back.conflicts == ()
    carried_out(back, knobs, generations)
    assert (knobs.there["a"], knobs.originals.all()) == ("2", {"knob.a": {"value": "1"}})
    carried_out(planner.towards([knobs], generations.back_to_before(1)), knobs, generations)
    assert (knobs.there["a"], knobs.originals.all()) == ("1", {})


def test_what_is_no_setting_still_needs_to_be_adopted() -> None:
    plan = made(Settings(setting=False), a="2")
    assert (plan.changes, [conflict.address for conflict in plan.conflicts]) == ((), ["knob.a"])
