"""The cmsh adapter of the port."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Optional, TypeVar

from bcm_jobstats.bcm import wlmsettings
from bcm_jobstats.bcm.cmsh import answers, assignments, producers, reading, scripts, wlm
from bcm_jobstats.bcm.cmsh.scripts import FULL_NAME, AssignForm
from bcm_jobstats.bcm.cmsh.talk import Talk
from bcm_jobstats.bcm.entities import Cluster, GenericRole, Overlay, Place, Producer, Service, WlmCluster
from bcm_jobstats.bcm.errors import CannotAssign, Refused, Unreachable, Unreadable
from bcm_jobstats.bcm.port import PROBE_ROLE

T = TypeVar("T", Overlay, GenericRole, Service, Producer, WlmCluster)
SLOW = 3600.0
"""Seconds that work on many nodes may take at least."""


class CmshBcm(Talk):
    """BCM through cmsh: a fixed number of processes for each method, whatever the number of nodes."""

    name = "cmsh"
    writes = True
    helper = ""

    def __init__(self, cmsh: Path, timeout: float, options: Sequence[str] = ()) -> None:
        """`timeout` in seconds, for each cmsh process; `options` go to every one, such as a certificate."""
        super().__init__(cmsh, timeout, options)
        self._form: Optional[AssignForm] = None

    def read(self, roles: Collection[str] = (), *, every_node: bool = False) -> Cluster:
        """See the port. Three processes: the objects; settings of Slurm and what is assigned to objects; our roles'
        fields. One more when nodes carry one of `roles` and not the others."""
        cluster = reading.objects(self.ask(reading.OBJECTS))
        text = self.ask([*wlm.query(cluster.wlms), *assignments.query(cluster, roles, every_node=every_node)])
        cluster, text = wlm.read(cluster, text)
        cluster, left_over = assignments.read(cluster, text)
        if left_over:
            text = self.ask(assignments.query_nodes(left_over))
            cluster, _ = assignments.read(cluster, text, of_nodes=True)
        wanted = reading.generic_roles(cluster)
        if not wanted:
            return cluster
        fields = reading.role_fields(wanted, self.ask(reading.role_queries(wanted)))
        return reading.with_generic(cluster, fields)

    def save_overlay(self, before: Optional[Overlay], after: Overlay) -> Optional[Overlay]:
        """See the port."""
        words = self._do(scripts.save_overlay(before, after))
        return self._took(f"overlay {after.name}", after, lambda: self._overlay(after.name), words)

    def remove_overlay(self, name: str) -> Optional[Overlay]:
        """See the port."""
        words = self._do(scripts.remove_overlay(name))
        return self._took(f"overlay {name}", None, lambda: self._overlay(name), words)

    def save_role(self, where: Place, before: Optional[GenericRole], after: GenericRole) -> Optional[GenericRole]:
        """See the port."""
        if before is None and not self.can_assign(where, PROBE_ROLE):
            raise CannotAssign(where, after.name, "cmsh knows no form of `assign` for it")
        words = self._do(scripts.save_role(where, before, after, self._form or FULL_NAME))

        def found() -> Optional[GenericRole]:
            role = self._role(where, after.name)
            same = role and sorted(role.services) == sorted(after.services)
            return replace(role, services=after.services) if role and same else role  # BCM may not keep their order

        return self._took(f"role {after.name} of {where}", after, found, words)

    def remove_role(self, where: Place, name: str) -> Optional[GenericRole]:
        """See the port."""
        words = self._do(scripts.remove_role(where, name))
        return self._took(f"role {name} of {where}", None, lambda: self._role(where, name), words)

    def save_service(self, where: Place, before: Optional[Service], after: Service) -> Optional[Service]:
        """See the port."""
        words = self._do(scripts.save_service(where, before, after))
        return self._took(f"service {after.name} of {where}", after, lambda: self._service(where, after.name), words)

    def remove_service(self, where: Place, before: Service) -> Optional[Service]:
        """See the port."""
        words = self._do(scripts.remove_service(where, before.name))

        def found() -> Optional[Service]:
            service = self._service(where, before.name)
            return service if service and service.revision == before.revision else None

        return self._took(f"service {before.name} of {where}", None, found, words)

    def save_wlm(self, before: WlmCluster, after: WlmCluster) -> Optional[WlmCluster]:
        """See the port."""
        words = self._do(wlm.save(before, after))

        def found() -> WlmCluster:
            told = wlm.of({before.name: before}, self.ask(wlm.query({before.name: before})))[0][before.name]
            return replace(told, settings=wlmsettings.spelled_as(told.settings, after.settings))

        return self._took(f"wlm cluster {after.name}", after, found, words)

    def can_assign(self, where: Place, role: str) -> bool:
        """See the port. The form that works is kept; the others are what `help assign` suggests (bcm-facts §13 #1)."""
        if self._form is None and self._assigns(where, role, FULL_NAME):
            self._form = FULL_NAME
        if self._form is None:
            suggested = scripts.assign_forms(self.ask([*scripts.at(where, "roles"), "help assign"]))
            self._form = next((form for form in suggested if self._assigns(where, role, form)), None)
        return self._form is not None

    def update_nodes(self, category: str) -> None:
        """See the port. How imageupdate ends is told by its last line (bcm-facts §6)."""
        answer = self._run(scripts.update_nodes(category), SLOW, write=True)
        text = answers.without_events(answer.text)
        lowered = text.lower()
        if "completed" not in lowered or "failed" in lowered:
            raise Refused(
                f"imageupdate of category {category}",
                answer.last_words(),
                "Check `softwareimage provisioningstatus` in cmsh and run the command again.",
            )

    def restart_services(self, category: str, services: Collection[str]) -> None:
        """See the port. A node that lacks one of them says so and the rest goes on; `status` tells what runs."""
        self._run(scripts.restart_services(category, services), SLOW)

    def producers(self) -> Mapping[str, Producer]:
        """See the port. Two processes."""
        revisions = producers.names(self.ask(producers.LIST))
        wanted = [name for name in revisions if scripts.can_be_sent(name)]
        return producers.producers(revisions, wanted, self.ask(producers.fields_query(wanted))) if wanted else {}

    def save_producer(self, before: Optional[Producer], after: Producer) -> Optional[Producer]:
        """See the port."""
        words = self._do(producers.save(before, after))
        return self._took(f"producer {after.name}", after, lambda: self.producers().get(after.name), words)

    def remove_producer(self, name: str) -> Optional[Producer]:
        """See the port."""
        words = self._do(producers.remove(name))
        return self._took(f"producer {name}", None, lambda: self.producers().get(name), words)

    def execute(self, nodes: Collection[str], command: str) -> Mapping[str, str]:
        """See the port. Never repeated: nobody knows how far it came."""
        answer = self._run(scripts.execute(nodes, command))
        return reading.outputs(answers.without_events(answer.text), nodes)

    def service_states(self, nodes: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        """See the port. One process, the nodes as ranges."""
        return reading.service_states(self.ask(reading.status_query(nodes)), nodes)

    def _assigns(self, where: Place, role: str, form: AssignForm) -> bool:
        # Changes are local to the cmsh session until `commit` (bcm-facts §1.5); `refresh` drops them.
        there = scripts.at(where, "roles")
        text = self.ask([*there, form.command(role), "home", *there, reading.LIST_NAMES, "home",
                          scripts.MODES[where.kind], "refresh"])  # fmt: skip
        return any(role == row.get("name") for table in answers.tables(text) for row in table)

    def _overlay(self, name: str) -> Optional[Overlay]:
        return reading.overlays(self.ask([reading.LIST_OVERLAYS])).get(name)

    def _role(self, where: Place, name: str) -> Optional[GenericRole]:
        if name not in reading.names(self.ask([*scripts.at(where, "roles"), reading.LIST_NAMES])):
            return None
        wanted = [(where, name)]
        return reading.role_fields(wanted, self.ask(reading.role_queries(wanted)))[where, name]

    def _service(self, where: Place, name: str) -> Optional[Service]:
        return reading.services(self.ask([*scripts.at(where, "services"), reading.LIST_SERVICES])).get(name)

    def _do(self, commands: Sequence[str]) -> str:
        """Run a writing script once. What it did is found out by reading back; here only its words are kept."""
        try:
            text = answers.without_events(self._run(commands, write=True).text)
        except Unreachable as error:
            return f"{error.subject} {error.cause}"
        return answers.refusal(text) or " / ".join(line.strip() for line in text.splitlines() if line.strip())

    def _took(self, subject: str, wanted: Optional[T], read: Callable[[], Optional[T]], words: str) -> Optional[T]:
        """What is there after a write; raises Refused with cmsh's words when that is not what was wanted."""
        try:
            found = read()
        except Unreadable as error:
            found, refused, words = None, True, words or error.cause
        else:
            refused = found != wanted
        if refused:
            raise Refused(
                subject,
                f"BCM did not take the change: {words or 'cmsh said nothing'}",
                "Cure the cause and run the command again: it goes on here.",
            )
        return found
