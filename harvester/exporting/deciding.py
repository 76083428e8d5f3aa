"""What finally becomes of an answer: a person's word wins over the rules, and the rules over curation."""

import re
from dataclasses import replace

from harvester.exporting.lineages import Lineage
from harvester.records import Answer, Check, Outcome
from harvester.verdicts import Verdict

CURATE, PERSON = "curate", "person"
HARMFUL = {"secrets": "secret", "personal_data": "personal_data", "decontaminate": "contaminated"}
"""Curation's filters, and their reasons, that bar a row from a place among the rejected answers too."""
REJECTED = f"{PERSON}:rejected"
_FAILURE = re.compile(r"((?:^|:)failed: [^:]*):.*", re.DOTALL)


def decided(lineage: Lineage, verdict: Verdict | None) -> Lineage:
    """An answer with what people and the recipe's curation say of it. Answers of test are left as they are."""
    if lineage.row.split == "test":
        return lineage
    if verdict is not None:
        return by_people(lineage, verdict)
    if lineage.row.curated and lineage.outcome.drop_reason is None:
        return lineage._replace(outcome=replace(lineage.outcome, drop_reason=f"{CURATE}:{lineage.row.curated}"))
    return lineage


def banned(lineage: Lineage, verdict: Verdict | None) -> str | None:
    """Why an answer has no place in any part of the dataset, the rejected ones' included; None where it may have.

    It may hold a secret.
    """
    if lineage.row.split == "test":
        return None
    if verdict is not None:
        return REJECTED if verdict.kind == "reject" else None
    return f"{CURATE}:{lineage.row.curated}" if lineage.row.curated in HARMFUL.values() else None


def left_out(lineage: Lineage, ban: str | None, *, unfiltered: bool) -> str | None:
    """Why a decided answer is not written; None for one that is.

    The test split keeps every answer, so that the teacher's own score is honest.

    Args:
        lineage: as it was `decided`.
        ban: of the same answer, from `banned`.
        unfiltered: rejected answers are written into train.
    """
    row, reason = lineage.row, lineage.outcome.drop_reason
    if row.split == "test" or reason is None:
        return None
    if unfiltered and row.split == "train" and row.reply is not None:
        return ban
    return counted(reason)


def counted(reason: str) -> str:
    """A reason as it is counted, and published: of a failure's what the provider said is left out.

    It may repeat the prompt, and with the request's number in it no two would be alike.
    """
    return _FAILURE.sub(r"\1", reason) if "failed: " in reason else reason


def by_people(lineage: Lineage, verdict: Verdict | None) -> Lineage:
    """An answer with a person's word on it: kept, taken out, or kept with another text."""
    if verdict is None or lineage.answer is None:
        return lineage
    kept = verdict.kind != "reject"
    edited = None if verdict.answer is None else _edited(lineage.answer, verdict.answer)
    outcome = Outcome(
        accepted=kept,
        drop_reason=None if kept else REJECTED,
        checks=(*lineage.outcome.checks, _check(verdict)),
        # What a judge said is about the words that the teacher wrote.
        score=None if edited else lineage.outcome.score,
        vote=None if edited else lineage.outcome.vote,
    )
    return lineage._replace(edited=edited, outcome=outcome, verified=kept, vouched=kept)


def _check(verdict: Verdict) -> Check:
    said = {"verdict": verdict.kind, "note": verdict.note, "by": verdict.said_by, "at": verdict.said_at}
    rejects = verdict.kind == "reject"
    return Check(PERSON, said, passed=not rejects, reason=verdict.note if rejects else None)


def _edited(answer: Answer, text: str) -> Answer:
    # The probabilities and the reasoning belong to the words that the teacher wrote.
    return replace(answer, status="ok", text=text, logprobs=None, reasoning=None)
