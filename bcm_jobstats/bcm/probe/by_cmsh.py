"""Questions about cmsh itself and the head node."""

from __future__ import annotations

import hashlib

from bcm_jobstats.bcm import capabilities as doubts
from bcm_jobstats.bcm import heads
from bcm_jobstats.bcm.capabilities import Capability
from bcm_jobstats.bcm.cmsh import answers, reading, scripts, wlm
from bcm_jobstats.bcm.entities import OVERLAY, Place
from bcm_jobstats.bcm.probe.answer import UNKNOWN, Answer, Question, first, tables
from bcm_jobstats.bcm.probe.prober import Exchange, Prober

NO_SUCH = "bcm-jobstats-no-such-node"
PROLOG = "/cm/local/apps/cmd/scripts/prolog"


def _no_such_object(prober: Prober) -> Exchange:
    return prober.ask([f"device; use {NO_SUCH}"], verbatim=True)


def _exit_status(prober: Prober) -> Answer:
    plain, quitting = _no_such_object(prober), prober.ask([f"device; use {NO_SUCH}"], quit_=True, verbatim=True)
    told = f"{plain.status} after `use` of a node that is not there, {quitting.status} with --quit"
    return Answer("honest" if plain.status or quitting.status else "zero", told)


def _errors_to(prober: Prober) -> Answer:
    exchange = _no_such_object(prober)
    to = "stderr" if exchange.stderr.strip() else "stdout" if exchange.stdout.strip() else "nowhere"
    return Answer(to, first(exchange.text))


def _error_texts(prober: Prober) -> Answer:
    texts = [_no_such_object(prober).text, prober.ask(["bcm-jobstats-no-such-command"], verbatim=True).text]
    return Answer("recorded", " / ".join(first(text) for text in texts))


def _show_labels(prober: Prober) -> Answer:
    cluster = prober.cluster
    for mode, table in (("wlm", cluster.wlms), ("category", cluster.categories), ("softwareimage", cluster.images)):
        for name in [name for name in table if scripts.can_be_sent(name)][:1]:
            prober.ask([mode, scripts.command("show", name)])
    return Answer("recorded", "show of a wlm cluster, a category and a software image")


def _hainfo(prober: Prober) -> Answer:
    text = prober.ask(["main", "help"], verbatim=True).text
    return Answer("present" if "hainfo" in text else "absent", "main; help")


def _list_fields(prober: Prober) -> Answer:
    exchange = prober.ask([*reading.OBJECTS, "home", "main versioninfo"])
    reading.objects(exchange.text)
    return Answer("yes", "overlays, categories, images, wlm clusters and devices were read")


def _wlm_settings(prober: Prober) -> Answer:
    asked = wlm.query(prober.cluster.wlms)
    if not asked:
        return Answer(UNKNOWN, "no Slurm cluster is known")
    told, _ = wlm.of(prober.cluster.wlms, prober.ask([*asked, "home", "main versioninfo"]).text)
    lacking = {name for one in told.values() if one.type == wlm.SLURM for name in wlm.missing(one)}
    return Answer("no" if lacking else "yes", f"lacks {', '.join(sorted(lacking))}" if lacking else "all are told")


def _json_cells(prober: Prober) -> Answer:
    rows = tables(prober.ask(["category", "list -f name:4 -d {}"]))
    names = [row.get("name", "") for table in rows for row in table]
    long = any(len(name) > 4 for name in names)
    if not long and all(len(name) <= 4 for name in prober.cluster.categories):
        return Answer(UNKNOWN, "every category has a name of four letters at most")
    return Answer("full" if long else "cut", "category; list -f name:4 -d {}")


def _empty_get(prober: Prober) -> Answer:
    for overlay in prober.cluster.overlays.values():
        if not overlay.revision and scripts.can_be_sent(overlay.name):
            script = [*scripts.at(Place(OVERLAY, overlay.name)), "get name", "get revision", "get name"]
            lines = len(prober.ask(script).stdout.splitlines())
            return Answer({3: "line", 2: "nothing"}.get(lines, UNKNOWN), f"{lines} lines for three `get`")
    return Answer(UNKNOWN, "every overlay has a revision")


def _get_nodes(prober: Prober) -> Answer:
    for overlay in prober.cluster.overlays.values():
        if len(overlay.nodes) > 1 and scripts.can_be_sent(overlay.name):
            text = prober.ask([*scripts.at(Place(OVERLAY, overlay.name)), "get nodes"]).text
            return Answer("ranges" if ".." in text else "names", first(text))
    return Answer(UNKNOWN, "no overlay names two nodes")


def _submodes_in_foreach(prober: Prober) -> Answer:
    text = prober.ask(["device", f"foreach -l headnode (get hostname; roles; {reading.LIST_NAMES})"]).text
    names = {row.get("name", "") for table in answers.tables(text) for row in table}
    entered = any(name.split("] ")[-1] == "headnode" for name in names)
    return Answer("yes" if entered else "no", f"{len(names)} roles of the head nodes")


def _pexec(prober: Prober) -> Answer:
    here = heads.own(prober.access.root, prober.cluster) or next(iter(heads.names(prober.cluster)), "")
    if not here:
        return Answer(UNKNOWN, "no head node is known")
    text = prober.ask(scripts.execute([here], "echo bcm-jobstats 2>/dev/null | tr b B ; cd")).text
    told = reading.outputs(answers.without_events(text), [here]).get(here, "")
    return Answer("yes" if told.strip() == "Bcm-joBstats" else "no", first(told or text))


def _head_state(prober: Prober) -> Answer:
    here, (told, active) = heads.state(prober.access.root), heads.status(prober.access.root)
    return Answer("yes" if here != heads.UNKNOWN else "no", f"{heads.STATE}: {here}; cmha: {told}, active {active}")


def _prolog(prober: Prober) -> Answer:
    content = prober.file(PROLOG)
    if content is None:
        return Answer(UNKNOWN, f"{PROLOG} is not there to be read")
    digest = hashlib.sha256(content).hexdigest()[:16]
    return Answer(UNKNOWN, f"read {PROLOG} (sha256 {digest}…): does it end with the script's status?")


QUESTIONS: dict[Capability, Question] = {
    doubts.EXIT_STATUS: _exit_status,
    doubts.ERRORS_TO: _errors_to,
    doubts.ERROR_TEXTS: _error_texts,
    doubts.SHOW_LABELS: _show_labels,
    doubts.PROLOG_FAILURE: _prolog,
    doubts.HAINFO: _hainfo,
    doubts.LIST_FIELDS: _list_fields,
    doubts.JSON_CELLS: _json_cells,
    doubts.EMPTY_GET: _empty_get,
    doubts.GET_NODES: _get_nodes,
    doubts.SUBMODES_IN_FOREACH: _submodes_in_foreach,
    doubts.PEXEC: _pexec,
    doubts.WLM_SETTINGS: _wlm_settings,
    doubts.HEAD_STATE: _head_state,
}
