"""What follows from stored replies while a run is under way: they are judged, and lead on to other questions."""

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Connection

from harvester.flowing import Flow
from harvester.parsing import parse, parse_decoded
from harvester.progress import Progress
from harvester.records import Answer
from harvester.store import StoreReader, trees
from harvester.store.accepted import accepted_of, accepted_rows, touched
from harvester.store.events import Event, Judged, Known, Replied, Unanswered
from harvester.store.journal import Consequences
from harvester.store.reading import ToJudge


class Following:
    """Judges the rows of one plan, and plans what they lead to; called in the store's thread."""

    def __init__(
        self,
        flow: Flow,
        reader: StoreReader,
        progress: Progress,
        *,
        count_accepted: bool = False,
    ) -> None:
        """Ready to judge and to render.

        Args:
            flow: of the plan.
            reader: of the store.
            progress: is told what is accepted.
            count_accepted: keep `progress.accepted_rows` up to date, too, from a `recount` on.
        """
        self._flow, self._reader, self._progress, self._count = flow, reader, progress, count_accepted
        self._touched: set[int] = set()  # places of the seeds that the commit under way decides about
        self._had = 0  # accepted rows of theirs before it
        self._recipe, self._plan_id, self._rules = flow.recipe, flow.plan_id, flow.rules
        self._last = flow.recipe.last_word.name
        # All of its keys are there from the beginning: the event loop reads it meanwhile.
        progress.steps = {step.name: 0 for step in flow.recipe.steps} | progress.steps

    @property
    def rules(self) -> str:
        """Digest of the rules by which it judges."""
        return self._rules.digests.whole

    def before(self, connection: Connection, events: Sequence[Event]) -> None:
        """Count what is accepted of the seeds that the commit decides about: of the others nothing changes in it."""
        if self._count:
            self._touched = touched(connection, self._plan_id, events)
            self._had = self._accepted_now(connection)

    def within(self, connection: Connection, events: Sequence[Event]) -> Consequences:
        """The rows that outcomes lead to, planned in the commit that writes those."""
        found = self._led_to(connection, events) if self._flow.leads_on else Consequences()
        if self._count:
            has = self._accepted_now(connection)
            self._progress.accepted_rows = (self._progress.accepted_rows or 0) + has - self._had
        return found

    def recount(self, connection: Connection) -> None:
        """Count what is accepted in the whole store."""
        found = accepted_rows(connection, self._recipe, self._plan_id, self._rules.digests)
        self._progress.accepted_rows = found

    def _accepted_now(self, connection: Connection) -> int:
        return accepted_of(connection, self._recipe, self._plan_id, self._rules.digests, self._touched)

    def _led_to(self, connection: Connection, events: Sequence[Event]) -> Consequences:
        outcomes = {event.row: event.outcome for event in events if isinstance(event, Judged)}
        outcomes |= trees.failed(
            connection,
            self._plan_id,
            request_ids=[event.request_id for event in events if isinstance(event, Unanswered)],
            row_ids=[event.row for event in events if isinstance(event, Known)],
        )
        parents = self._flow.pass_on(connection, outcomes)
        found = trees.children(connection, self._plan_id, parents, self._rules.digests)
        just_now = {event.request_id for event in events if isinstance(event, Replied)}  # `after` sees their new rows
        return Consequences([known for known in found.ended if known.request_id not in just_now], open=found.open)

    def after(self, events: Sequence[Event]) -> Consequences:
        """Outcomes of the rows whose requests came to an end; what takes long is left to do."""
        answers = {
            event.request_id: parse(event.raw) if event.decoded is None else parse_decoded(event.decoded)
            for event in events
            if isinstance(event, Replied)
        }
        known = {event.row: event.request_id for event in events if isinstance(event, Known)}
        replied = set(answers)
        if known:
            raw = self._reader.raw_replies(list(set(known.values()) - replied))
            answers |= {one: parse(reply) for one, reply in raw.items()}
        if not answers:
            return Consequences()
        rows = [
            row
            for row in self._reader.to_judge(self._plan_id, list(answers), with_seeds=self._rules.look_at_seeds)
            if row.request_id in replied or row.row in known  # the others that share a request were judged before
        ]
        for row in rows:
            self._progress.steps[self._rules.step_of(row.step)] += 1
        slow = [row for row in rows if self._rules.is_slow(row.step)]
        quick = [row for row in rows if not self._rules.is_slow(row.step)]
        jobs = [partial(self._judge, [row], {row.request_id: answers[row.request_id]}) for row in slow]
        return Consequences(self._judge(quick, answers), jobs)

    def _judge(self, rows: Sequence[ToJudge], answers: Mapping[int, Answer]) -> Sequence[Judged]:
        judged = []
        for row in rows:
            outcome = self._rules.judge(row.step, answers[row.request_id], row.seed)
            judged.append(Judged(row.row, self._rules.of_step(row.step), outcome, self._rules.is_slow(row.step)))
            # Approximate while several threads count; what is exact is in the store.
            self._progress.accepted += outcome.accepted and self._rules.step_of(row.step) == self._last
        return judged
