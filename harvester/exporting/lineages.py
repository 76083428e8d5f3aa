"""Stored rows → the dataset's: each answer with all that it was made from, and with what judges said of it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

from harvester.exporting.recalling import Judgements, Readings, is_open
from harvester.flowing import said
from harvester.judging import Rules
from harvester.recipe import REPAIR, Recipe, Step
from harvester.records import Answer, Json, Outcome
from harvester.selection import NOT_SELECTED, WAITING, Group, Node, decide
from harvester.store import StoredRow
from harvester.store.stored import StoredReply


class Lineage(NamedTuple):
    """One row of the recipe's last answering step."""

    row: StoredRow
    outcome: Outcome
    made_from: tuple[StoredRow, ...]  # its ancestors, the first one first
    judged_by: tuple[StoredRow, ...]
    group: Group  # of the answers to one question
    verified: bool  # its own checks pass, whatever judges say
    readings: Readings  # of the rows of its seed
    edited: Answer | None = None  # what a person put in the place of the teacher's
    vouched: bool = False  # a person accepted it, or wrote it

    @property
    def waits(self) -> bool:
        """Whether it has no answer yet."""
        return is_open(self.row)

    @property
    def answer(self) -> Answer | None:
        """None where it waits for one."""
        if self.waits:
            return None
        return self.edited or self.readings.answer(self.row)

    @property
    def steps(self) -> dict[str, Json]:
        """What templates see of the ancestors and the row itself."""
        chain = (one for one in (*self.made_from, self.row) if not is_open(one))
        return {one.step.removesuffix(REPAIR): said(self.readings.answer(one)) for one in chain}

    @property
    def replies(self) -> tuple[StoredReply, ...]:
        """Of every teacher that wrote, revised or judged it."""
        if not self.made_from and not self.judged_by:
            return (self.row.reply,) if self.row.reply else ()
        return tuple(row.reply for row in (*self.made_from, self.row, *self.judged_by) if row.reply)


@dataclass(frozen=True, slots=True)
class Ended:
    """A row of an earlier step that led to no answer."""

    row: StoredRow
    reason: str


def lineages(
    recipe: Recipe, rows: Iterable[StoredRow], rules: Rules, *, explained: Callable[[StoredRow], bool] = lambda _: True
) -> Iterator[Lineage | Ended]:
    """The dataset's rows and what ended before it could become one, seed by seed.

    Args:
        recipe: whose steps.
        rows: of one plan, in the order of their seeds.
        rules: those of now; what others made of a row is judged anew.
        explained: whether a rejected answer is to come with its checks, which the store does not keep.

    Raises:
        BadInput: a row is of a step that the recipe lacks.
    """
    judgements = Judgements(rules, explained)
    one_step = len(recipe.steps) == 1
    for _, group in groupby(rows, key=lambda row: row.position):
        of_seed = list(group)
        for row in of_seed:
            rules.require_step(row.step)
        if one_step and len(of_seed) == 1:
            yield alone(of_seed[0], judgements)
        else:
            yield from in_tree(recipe, of_seed, judgements)


def is_waiting(outcome: Outcome) -> bool:
    """Whether a judge has not spoken yet."""
    return (outcome.drop_reason or "").rpartition(":")[2] == WAITING


def alone(row: StoredRow, judgements: Judgements) -> Lineage:
    """The only row of its seed, in a recipe of one step: `in_tree` without a tree, which takes four times as long."""
    readings = Readings()
    if is_open(row):
        return Lineage(row, _WAITS, (), (), (row.parent, row.part), verified=False, readings=readings)
    outcome = judgements.outcome(row, readings)
    return Lineage(row, outcome, (), (), (row.parent, row.part), verified=outcome.accepted, readings=readings)


def in_tree(recipe: Recipe, of_seed: Sequence[StoredRow], judgements: Judgements) -> Iterator[Lineage | Ended]:
    """What the rows of one seed come to."""
    return _Tree(recipe, of_seed, judgements).lineages()


_WAITS = Outcome(accepted=False, drop_reason=WAITING)


class _Tree:
    """The rows of one seed."""

    def __init__(self, recipe: Recipe, rows: Sequence[StoredRow], judgements: Judgements) -> None:
        self._recipe = recipe
        self._readings = Readings()
        self._rows = {row.id: row for row in rows}
        self._judged = {row.id: judgements.outcome(row, self._readings) for row in rows if not is_open(row)}
        nodes = [
            Node(row.id, row.step, row.parent, row.part, row.sample, outcome)
            for row in rows
            if (outcome := self._judged.get(row.id))
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
        waits = row.id not in self._judged
        judges = () if waits else tuple(self._judges(row, self._recipe.answer_step))
        return Lineage(
            row=row,
            outcome=_WAITS if waits else self._outcome(row, judges),
            made_from=self._chain(row)[:-1],
            judged_by=judges,
            group=self._group(row),
            verified=not waits and self._judged[row.id].accepted,
            readings=self._readings,
        )

    def _outcome(self, row: StoredRow, judges: Sequence[StoredRow]) -> Outcome:
        """What the rules made of a row, after the selection and after its judges."""
        outcome, reason = self._judged[row.id], self._reasons[row.id]
        if reason == NOT_SELECTED or outcome.accepted:
            outcome = replace(outcome, drop_reason=reason)
        if reason and reason.startswith("of:"):
            outcome = replace(outcome, accepted=False, drop_reason=reason)
        return self._with_verdicts(outcome, judges)

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
            verdict = self._judged[rows[0].id]
            outcome = replace(outcome, score=verdict.score)
            if reason := self._reasons[rows[0].id]:
                return replace(outcome, accepted=verdict.accepted, drop_reason=f"{step.name}:{reason}")
        return outcome

    def _is_about_answers(self, judge: Step) -> bool:
        return self._recipe.answered_by(judge) == self._recipe.answer_step
