"""What is deployed: the roles with their services, and every file that a node needs, from the site and definitions."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Optional, TypeVar, cast

from bcm_jobstats import data
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.site import ROLE_MONITOR, Role, Site
from bcm_jobstats.site.arguments import merged
from bcm_jobstats.site.checks import enabled, port_of
from bcm_jobstats.stack import agent, hooks, render, targets, upstream
from bcm_jobstats.stack.definitions import Definitions, Exporter
from bcm_jobstats.stack.files import LIBRARY, UNITS, PayloadFile, PayloadLink, Program, script
from bcm_jobstats.stack.recipes import Recipe

TARGETS = "/etc/bcm-jobstats/targets"
SYSUSERS = "/etc/sysusers.d/bcm-jobstats.conf"
"""The exporters' user for systemd-sysusers, should something replace a node's /etc/passwd."""
NODE_CHECK = "node-check"
"""The script of every node that has files of ours."""
TARGET = "jobstats-target"
"""The script that registers a node with the role itself."""


@dataclass(frozen=True)
class RoleSpec:
    """A role as the cluster is to have it."""

    name: str
    settings: Role
    exporters: tuple[Exporter, ...]
    hooked: bool = True
    """Whether the site wants hooks."""
    monitored: bool = False
    """Whether no role of ours is made of it: the agent of enable.mode role-monitor runs its exporters."""

    @property
    def generic(self) -> str:
        """The name of the generic role in BCM."""
        return f"generic::{self.name}"

    @property
    def target_service(self) -> str:
        """The service that registers a node for this role."""
        return agent.SERVICE if self.monitored else f"{self.name}-target"

    @property
    def services(self) -> tuple[str, ...]:
        """Its services in the order they start: targets are registered once the exporters run."""
        return (*(exporter.name for exporter in self.exporters), self.target_service)

    @property
    def started(self) -> tuple[str, ...]:
        """Those of its services that CMDaemon starts and watches; an agent's exporters are the agent's."""
        return (self.target_service,) if self.monitored else self.services

    @property
    def carried_by(self) -> str:
        """The role of BCM that nodes with it have: ours, or the one that the agent follows."""
        return str(self.settings.attach.with_role) if self.monitored else self.generic

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the hooks whose maps its exporters read, also where the site wants no hooks."""
        return tuple(name for name in hooks.NAMES if name in {exporter.hooks for exporter in self.exporters})

    @property
    def hooks(self) -> tuple[str, ...]:
        """The names of the hooks that it brings (see stack.hooks)."""
        return self.reads if self.hooked else ()

    @property
    def overlay(self) -> Optional[str]:
        """The overlay that carries it; None when it goes wherever another role is (`with_role`)."""
        attach = self.settings.attach
        return None if attach.form == "with_role" else attach.overlay or self.name


class Stack:
    """The desired state of the nodes. Everything it gives is the same, byte for byte, for the same site."""

    def __init__(self, site: Site, definitions: Definitions) -> None:
        self.site = site
        self.definitions = definitions
        self.heads: tuple[str, ...] = site.role_monitor.heads
        """The head nodes that agents ask, in this order; who knows the cluster sets them where the site does not."""
        names = enabled(site, definitions)
        self._exporters = tuple(self._resolved(definitions.exporters[name]) for name in names)

    def _resolved(self, exporter: Exporter) -> Exporter:
        """The definition with the site's changes, its templates filled in."""
        own = self.site.exporters.get(exporter.name)
        port = port_of(self.site, self.definitions, exporter.name)
        values = {"port": port, "name": exporter.name, "cluster": self.site.cluster}
        arguments = merged(render.words(exporter.arguments, values, exporter.folder), own.arguments if own else ())
        environment = {
            key: "".join(render.words([text], values, exporter.folder)) for key, text in exporter.environment.items()
        }
        changes: dict[str, Any] = {"port": port, "arguments": arguments, "environment": environment}
        for name in ("role", "binary", "memory", "cpu"):
            if own and getattr(own, name) is not None:
                changes[name] = getattr(own, name)
        return dataclasses.replace(exporter, **changes)

    @property
    def monitored(self) -> bool:
        """Whether an agent on the nodes runs the exporters (enable.mode role-monitor)."""
        return self.site.enable.mode == ROLE_MONITOR

    def roles(self) -> tuple[RoleSpec, ...]:
        """The enabled roles, by name."""
        hooked, monitored = self.site.hooks.enabled, self.monitored
        return tuple(
            RoleSpec(name, role, tuple(one for one in self._exporters if one.role == name), hooked, monitored)
            for name, role in sorted(self.site.roles.items())
            if role.enabled
        )

    def role(self, name: str) -> RoleSpec:
        """One enabled role; JobstatsError when the site has no such role."""
        for role in self.roles():
            if role.name == name:
                return role
        known = ", ".join(role.name for role in self.roles())
        raise JobstatsError(f"role {name}", "the site file does not enable it", f"enabled: {known or 'none'}")

    def binaries(self, roles: Collection[str]) -> tuple[tuple[str, str], ...]:
        """(exporter, path) of every program that a software image with these roles must hold."""
        return tuple((exporter.name, exporter.binary) for exporter in self._exporters if exporter.role in roles)

    def payload(self, names: Collection[str]) -> tuple[PayloadFile, ...]:
        """Every file that nodes with the roles `names` need, sorted by path."""
        roles = [role for role in self.roles() if role.name in names]
        if not roles:
            return ()
        scripts = (NODE_CHECK,) if self.monitored else (TARGET, NODE_CHECK)
        files = [PayloadFile(f"{LIBRARY}/{name}", script(name), 0o755) for name in scripts]
        content = render.unit("sysusers.conf.j2", data.path("images"), {"user": self.site.user})
        files.append(PayloadFile(SYSUSERS, content))
        files += hooks.files(self.site, {name for role in roles for name in role.reads})
        for role in roles:
            files += [self._exporter_unit(exporter) for exporter in role.exporters]
            files += () if self.monitored else self._registration(role)
        if self.monitored:
            files += agent.files(self.site, roles, self.heads)
        return tuple(sorted(files, key=lambda one: one.path))

    @property
    def recipes(self) -> Mapping[str, Recipe]:
        """The recipes of software images by name, the shipped ones first."""
        return self.definitions.recipes

    def recipe_of(self, category: str, roles: Collection[str]) -> Optional[Recipe]:
        """The recipe of a category's software image: the site's choice, else the first one that is for one of the
        `roles` that its nodes have, else None. JobstatsError when the site's choice is no recipe."""
        chosen = self.site.recipes.get(category)
        if chosen is None:
            return next((recipe for recipe in self.recipes.values() if set(recipe.roles) & set(roles)), None)
        if chosen not in self.recipes:
            known = ", ".join(self.recipes) or "none"
            raise JobstatsError(f"recipe {chosen} of category {category}", "there is none", f"there are: {known}")
        return self.recipes[chosen]

    def image_files(self, roles: Collection[str], recipe: Optional[Recipe]) -> tuple[PayloadFile, ...]:
        """Every file of a software image whose nodes have the roles, sorted by path.

        JobstatsError when the recipe has a file of the roles too; SiteError when a template of it fails.
        """
        files = [*self.payload(roles), *(recipe.payload(self.site) if recipe else ())]
        return tuple(_each_once(recipe, files))

    def image_links(self, roles: Collection[str], recipe: Optional[Recipe], version: str) -> tuple[PayloadLink, ...]:
        """Every symbolic link of a software image whose nodes have the roles; `version` is BCM's. Errors as above."""
        links = [*self.links(roles, version), *(recipe.payload_links() if recipe else ())]
        return tuple(_each_once(recipe, links))

    def programs(self, roles: Collection[str], recipe: Optional[Recipe]) -> tuple[Program, ...]:
        """The programs that the site supplies for a software image whose nodes have the roles, by name.

        Those of exporters that the site file has no artifact of are the administrator's to install.
        """
        exporters = {one.name: one for one in self._exporters if one.role in roles}
        names = {*exporters, *(recipe.artifacts if recipe else ())} & set(self.site.artifacts)
        return tuple(self._program(name) for name in sorted(names))

    def _program(self, name: str) -> Program:
        artifact, definition = self.site.artifacts[name], self.definitions.exporters.get(name)
        if definition is None:
            return Program(name, artifact.path or "", artifact.mode, artifact, None)
        exporter = self._resolved(definition)
        artifact = upstream.completed(artifact, exporter.upstream)
        return Program(name, artifact.path or exporter.binary, artifact.mode, artifact, exporter)

    def hooks(self, names: Collection[str]) -> tuple[str, ...]:
        """The names of the hooks that nodes with the roles `names` need (see stack.hooks)."""
        needed = {hook for role in self.roles() if role.name in names for hook in role.hooks}
        return tuple(name for name in hooks.NAMES if name in needed)

    def links(self, names: Collection[str], version: str) -> tuple[PayloadLink, ...]:
        """Every symbolic link that nodes with the roles `names` need; `version` is BCM's."""
        return tuple(hooks.links(self.site, self.hooks(names), version))

    def shared_hooks(self, names: Collection[str], version: str) -> tuple[PayloadFile, ...]:
        """The hooks on shared storage that nodes with the roles `names` need; `version` is BCM's."""
        return tuple(hooks.shared(self.site, self.hooks(names), version))

    def _exporter_unit(self, exporter: Exporter) -> PayloadFile:
        values = {
            "exporter": exporter,
            "site": self.site,
            "command": [exporter.binary, *exporter.arguments],
            "forget": hooks.forgetting(self.site, exporter.hooks),
            "part_of": f"{agent.SERVICE}.service" if self.monitored else "",
        }
        content = render.unit(exporter.unit, exporter.folder, values)
        return PayloadFile(f"{UNITS}/{exporter.name}.service", content)

    def _registration(self, role: RoleSpec) -> Iterator[PayloadFile]:
        yield self._target_unit(role)
        yield PayloadFile(f"{TARGETS}/{role.name}.json", targets.template(self.site.cluster, role.exporters))

    def _target_unit(self, role: RoleSpec) -> PayloadFile:
        arguments = [f"{TARGETS}/{role.name}.json", self.site.targets.directory]
        values = {
            "role": role,
            "site": self.site,
            "arguments": arguments,
            "suffix": targets.suffix(role.name),
            "parent": str(PurePosixPath(self.site.targets.directory).parent),
        }
        content = render.unit("jobstats-target.service.j2", data.path("overlays") / "templates", values)
        return PayloadFile(f"{UNITS}/{role.target_service}.service", content)

    def target_file(self, host: str, role: str) -> tuple[str, bytes]:
        """Name and content of the file with which `host` registers for `role`, as the node itself writes it."""
        short = targets.short(host)
        template = targets.template(self.site.cluster, self.role(role).exporters)
        return targets.file_name(short, role), targets.fill(template, short)

    def targets(self, host: str, role: str) -> list[dict[str, Any]]:
        """The target list of `host` for `role`; JobstatsError when `host` is no host name."""
        return cast("list[dict[str, Any]]", json.loads(self.target_file(host, role)[1]))

    def files_by_service(self) -> Mapping[str, tuple[str, ...]]:
        """Service -> the files of the payload that it runs with: changed, they take effect when it is restarted.

        An agent's exporters are restarted with the agent, which is the service that CMDaemon knows.
        """
        files: dict[str, tuple[str, ...]] = {}
        for role in self.roles():
            files.update({exporter.name: (f"{UNITS}/{exporter.name}.service",) for exporter in role.exporters})
            # The timer of the sweeper comes and goes with the services of the role.
            sweep = [f"{UNITS}/{hooks.SWEEP}.{suffix}" for suffix in ("service", "timer") if role.reads]
            own = () if self.monitored else (f"{TARGETS}/{role.name}.json", f"{LIBRARY}/{TARGET}")
            unit = f"{UNITS}/{role.target_service}.service"
            files[role.target_service] = (unit, *own, *sweep, *files.get(role.target_service, ()))
        if not self.monitored or not files:
            return files
        every = {path for paths in files.values() for path in paths}
        return {agent.SERVICE: tuple(sorted(every.union(agent.FILES)))}

    def service_of(self, exporter: str) -> str:
        """The service of CMDaemon with which an exporter is started and restarted."""
        return agent.SERVICE if self.monitored else exporter

    def system_user(self) -> Mapping[str, str]:
        """The lines of the exporters' user by file, relative to the root of an image."""
        name, uid = self.site.user.name, self.site.user.uid
        return {
            "etc/passwd": f"{name}:x:{uid}:{uid}:bcm-jobstats:/nonexistent:/usr/sbin/nologin",
            "etc/group": f"{name}:x:{uid}:",
            "etc/shadow": f"{name}:!*:::::::",
            "etc/gshadow": f"{name}:!*::",
        }

    def shared_folders(self) -> tuple[str, ...]:
        """Folders on shared storage that nodes write to; they belong to the exporters' user, mode 0755.

        The second is for unfinished files: next to the first, because Prometheus' glob reads everything in that one.
        """
        directory = PurePosixPath(self.site.targets.directory)
        return (str(directory), str(directory.parent / targets.STAGING))


Placed = TypeVar("Placed", PayloadFile, PayloadLink)


def _each_once(recipe: Optional[Recipe], found: Sequence[Placed]) -> list[Placed]:
    """By path; JobstatsError when the recipe has something at a place where the roles have something."""
    by_path = {one.path: one for one in found}
    if recipe and len(by_path) < len(found):
        paths = [one.path for one in found]
        twice = next(path for path in paths if paths.count(path) > 1)
        raise JobstatsError(recipe.origin.file, f"{twice} comes with the nodes' roles", "Remove it from the recipe.")
    return [by_path[path] for path in sorted(by_path)]
