"""Stored rows → the dataset's: each answer with all that it was made from, and with what judges said of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from harvester.flowing import said
from harvester.judging import Rules
from harvester.recipe import REPAIR, Recipe, Step
from harvester.records import Answer, Json, Outcome
from harvester.selection import NOT_SELECTED, WAITING, Group, Node, decide
from harvester.store import StoredRow
from harvester.store.schema import EXHAUSTED, PENDING


@dataclass(frozen=True, slots=True)
class Lineage:
    """One answer of the recipe's last answering step; with no answer yet, its `answer` is None."""

    row: StoredRow
    answer: Answer | None
    outcome: Outcome
    made_from: tuple[StoredRow, ...]  # its ancestors, the first one first
    judged_by: tuple[StoredRow, ...]
    group: Group  # of the answers to one question
    verified: bool  # its own checks pass, whatever judges say
    steps: dict[str, Json]  # what templates see of the ancestors and the row itself


@dataclass(frozen=True, slots=True)
class Ended:
    """A row of an earlier step that led to no answer."""

    row: StoredRow
    reason: str


def lineages(recipe: Recipe, rows: Iterable[StoredRow], rules: Rules) -> Iterator[Lineage | Ended]:
    """The dataset's rows and what ended before it could become one, seed by seed.

    Args:
        recipe: whose steps.
        rows: of one plan, in the order of their seeds.
        rules: those of now; they judge every answer anew.
    """
    for _, of_seed in groupby(rows, key=lambda row: row.position):
        yield from _Tree(recipe, list(of_seed), rules).lineages()


def is_waiting(outcome: Outcome) -> bool:
    """Whether a judge has not spoken yet."""
    return (outcome.drop_reason or "").rpartition(":")[2] == WAITING


class _Tree:
    """The rows of one seed."""

    def __init__(self, recipe: Recipe, rows: Sequence[StoredRow], rules: Rules) -> None:
        self._recipe = recipe
        self._rows = {row.id: row for row in rows}
        self._judged = {row.id: rules.judge_row(row) for row in rows if row.state not in (PENDING, EXHAUSTED)}
        nodes = [
            Node(row.id, row.step, row.parent, row.part, row.sample, outcome)
            for row in rows
            if (judged := self._judged.get(row.id)) and (outcome := judged[1])
        ]
        self._reasons = decide(recipe, nodes, final=True)
        self._mended = {row.parent for row in rows if row.step.endswith(REPAIR)}
        # By the row that they are about, and the judge: a second attempt is about the same as the first.
        self._verdicts: defaultdict[tuple[int | None, str], list[StoredRow]] = defaultdict(list)
        for row in rows:
            if (step := recipe.by_name[row.step]).judges:
                self._verdicts[self._first(row).parent, step.name].append(row)

    def lineages(self) -> Iterator[Lineage | Ended]:
        answers = self._recipe.answer_step
        for row in self._rows.values():
            step = self._recipe.by_name[row.step]
            if row.id in self._mended or (step.judges and self._is_about_answers(step)):
                continue
            if step.name == answers.name:
                yield self._lineage(row)
            elif reason := self._reasons.get(row.id):
                yield Ended(row, f"{step.name}:{reason}")

    def _lineage(self, row: StoredRow) -> Lineage:
        chain = self._chain(row)
        steps = {
            one.step.removesuffix(REPAIR): said(self._judged[one.id][0]) for one in chain if one.id in self._judged
        }
        if row.id not in self._judged:
            waiting = Outcome(accepted=False, drop_reason=WAITING)
            return Lineage(row, None, waiting, chain[:-1], (), self._group(row), verified=False, steps=steps)
        answer, outcome = self._judged[row.id]
        reason = self._reasons[row.id]
        if reason == NOT_SELECTED or outcome.accepted:
            outcome = replace(outcome, drop_reason=reason)
        if reason and reason.startswith("of:"):
            outcome = replace(outcome, accepted=False, drop_reason=reason)
        judges = list(self._judges(row, self._recipe.answer_step))
        return Lineage(
            row=row,
            answer=answer,
            outcome=self._with_verdicts(outcome, judges),
            made_from=chain[:-1],
            judged_by=tuple(judges),
            group=self._group(row),
            verified=self._judged[row.id][1].accepted,
            steps=steps,
        )

    def _group(self, row: StoredRow) -> Group:
        first = self._first(row)
        return first.parent, first.part

    def _first(self, row: StoredRow) -> StoredRow:
        """The first attempt: of a second one the row that it mends, of others the row itself."""
        return self._rows[row.parent] if row.step.endswith(REPAIR) and row.parent in self._rows else row

    def _chain(self, row: StoredRow) -> tuple[StoredRow, ...]:
        found = [row]
        while (parent := found[-1].parent) is not None and parent in self._rows:
            found.append(self._rows[parent])
        return tuple(found[::-1])

    def _judges(self, row: StoredRow, step: Step) -> Iterator[StoredRow]:
        """The rows that judge a row, and those that judge it further by way of them."""
        for reader in self._recipe.readers(step.name):
            if not reader.judges:
                continue
            for one in self._verdicts[row.id, reader.name]:
                if one.id not in self._mended:
                    yield one
                    yield from self._judges(one, reader)

    def _with_verdicts(self, outcome: Outcome, judges: Sequence[StoredRow]) -> Outcome:
        """An answer's outcome with the last score, and with the first judge's reason against it."""
        if not outcome.accepted or outcome.drop_reason:
            return outcome
        for step in self._recipe.steps:
            if not step.judges or not self._is_about_answers(step):
                continue
            rows = [row for row in judges if self._recipe.by_name[row.step] is step]
            if not rows or rows[0].id not in self._judged:
                return replace(outcome, accepted=False, drop_reason=f"{step.name}:{WAITING}")
            verdict = self._judged[rows[0].id][1]
            outcome = replace(outcome, score=verdict.score)
            if reason := self._reasons[rows[0].id]:
                return replace(outcome, accepted=verdict.accepted, drop_reason=f"{step.name}:{reason}")
        return outcome

    def _is_about_answers(self, judge: Step) -> bool:
        return self._recipe.answered_by(judge) == self._recipe.answer_step
