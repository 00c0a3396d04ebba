"""Every doubt of `capabilities.py`, asked on a head node by looking only."""

from __future__ import annotations

from collections.abc import Iterator

from bcm_jobstats.bcm import capabilities as doubts
from bcm_jobstats.bcm.capabilities import Capability
from bcm_jobstats.bcm.probe import by_cmsh, by_images, by_json, by_roles
from bcm_jobstats.bcm.probe.answer import UNKNOWN, Answer, Question
from bcm_jobstats.bcm.probe.prober import Prober
from bcm_jobstats.errors import JobstatsError

QUESTIONS: dict[Capability, Question] = {
    **by_cmsh.QUESTIONS,
    **by_roles.QUESTIONS,
    **by_images.QUESTIONS,
    **by_json.QUESTIONS,
}


def ask(prober: Prober) -> Iterator[tuple[Capability, Answer]]:
    """Every doubt with its answer, one after the other. A question that fails is answered UNKNOWN with the reason."""
    for capability in doubts.ALL:
        question = QUESTIONS.get(capability)
        if question is None:
            yield capability, Answer(UNKNOWN, "only a change could tell")
            continue
        try:
            yield capability, question(prober)
        except JobstatsError as error:
            yield capability, Answer(UNKNOWN, str(error).splitlines()[0])
