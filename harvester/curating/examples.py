"""Stored answers → what filters see of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harvester.curating.base import Example
from harvester.exporting.columns import Columns
from harvester.exporting.deciding import by_people
from harvester.exporting.lineages import Ended, Lineage, is_waiting
from harvester.judging import NO_ANSWER
from harvester.verdicts import Verdict

FIRST = float("inf")
"""The score of what a person accepted: of duplicates it is the one that stays."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer to look at."""

    example: Example
    kept: bool  # would be written, as things stand
    protected: bool  # a person accepted it: nothing drops it


def candidates(found: Iterable[Lineage | Ended], columns: Columns, said: Mapping[str, Verdict]) -> Iterator[Candidate]:
    """Every answer of train and dev about which nothing is open any more.

    Args:
        found: the recipe's lineages.
        columns: give what the student sees.
        said: people's verdicts, by row_id.
    """
    for one in found:
        if isinstance(one, Ended) or one.answer is None or one.row.split == "test":
            continue
        verdict = said.get(one.row.row_id)
        lineage = by_people(one, verdict)
        if is_waiting(lineage.outcome):
            continue
        protected = verdict is not None and verdict.kind in ("accept", "edit")
        yield Candidate(_example(lineage, columns, protected=protected), lineage.outcome.drop_reason is None, protected)


def _example(lineage: Lineage, columns: Columns, *, protected: bool) -> Example:
    row, answer = lineage.row, lineage.answer or NO_ANSWER
    return Example(
        id=row.id,
        row_id=row.row_id,
        split=row.split,
        seed_id=row.seed_id,
        seed=row.seed,
        prompt="\n\n".join(message["content"] for message in columns.prompt(lineage)),
        answer=answer.text,
        reasoning=answer.reasoning,
        score=FIRST if protected else lineage.outcome.score,
        finish_reason=answer.finish_reason,
        completion_tokens=answer.usage.output_tokens,
        reference=row.reference,
    )
