"""What the rules of now make of stored rows: recalled where the store knows it, judged anew where it does not."""

from collections.abc import Callable

from harvester.judging import NO_ANSWER, Rules
from harvester.parsing import parse
from harvester.records import Answer, Check, Outcome
from harvester.store import StoredRow
from harvester.store.schema import EXHAUSTED, PENDING


def is_open(row: StoredRow) -> bool:
    """Whether a row waits for its answer; the next run asks for it."""
    return row.state in (PENDING, EXHAUSTED)


class Readings:
    """The answers of some rows, each read once, and only if it is asked for."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._answers: dict[int, Answer] = {}

    def answer(self, row: StoredRow) -> Answer:
        """A row's answer; one that failed where it has no reply."""
        if row.id not in self._answers:
            self.keep(row, parse(row.reply.raw) if row.reply else NO_ANSWER)
        return self._answers[row.id]

    def keep(self, row: StoredRow, answer: Answer) -> None:
        """Note what a row's reply was read as."""
        self._answers[row.id] = answer


class Judgements:
    """The outcomes of rows by a recipe's rules."""

    def __init__(self, rules: Rules, explained: Callable[[StoredRow], bool]) -> None:
        """By some rules; a rejected answer that is to be `explained` comes with its checks, which no store keeps."""
        self._rules, self._explained = rules, explained
        self._passed: dict[str, tuple[Check, ...]] = {}  # step → the checks of an accepted answer, ever the same

    def outcome(self, row: StoredRow, readings: Readings) -> Outcome:
        """A row's outcome; that of one without a reply says why it has none."""
        if (known := self._known(row)) is not None:
            return known
        answer, outcome = self._rules.judge_row(row)
        readings.keep(row, answer)
        if outcome.accepted:
            self._passed[row.step] = outcome.checks
        return outcome

    def _known(self, row: StoredRow) -> Outcome | None:
        """The outcome as a run stored it, by these rules; None where it lacks what is wanted of it."""
        if row.reply is None or row.outcome is None or row.rules != self._rules.of_step(row.step):
            return None
        known = row.outcome
        if not known.accepted:
            return None if self._explained(row) else known
        passed = self._passed.get(row.step)
        return None if passed is None else Outcome(known.accepted, known.drop_reason, passed, known.score, known.vote)
