"""One run over one plan: feeder → bounded queue → workers → journal. It can be stopped or killed at any instant."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from harvester.asking import Answered, Asker, Hooks
from harvester.bounds import caps, pacing
from harvester.budget import Budget
from harvester.errors import BadInput, StoppedEarly, TeacherUnusable
from harvester.feeding import Feeder
from harvester.interrupting import on_interrupt
from harvester.judging import Rules
from harvester.parsing import other_model, parse, parse_decoded
from harvester.pricing import FREE, usd
from harvester.progress import REPORT_EVERY_S, Options, Progress
from harvester.prompting import teacher_identity
from harvester.recipe import Recipe
from harvester.records import Json
from harvester.store import StoreReader, StoreWriter
from harvester.store.events import Event, Judged, Lost, Replied, Reported, Unanswered
from harvester.store.journal import Journal
from harvester.store.writing import DONE, KILLED, STOPPED, Pending
from harvester.teachers import embedded, openai_compat
from harvester.teachers.openai_compat import Access, OpenAICompatible
from harvester.terms import Terms

MOST_WORKERS_PER_PERMIT = 16
"""A worker whose request waits to be tried again holds no permit; so many may be made to keep the permits used."""
MOST_REASONS, OTHER_REASONS = 50, "other reasons (`harvester status` has them all)"
"""A teacher that puts a number into every message must not make the progress as long as the run."""


class Run:
    """One run over one plan."""

    def __init__(self, recipe: Recipe, store: StoreWriter, plan_id: int, binding: Terms, options: Options) -> None:
        """Begin this run in the store."""
        self._recipe, self._store, self._plan_id, self._options = recipe, store, plan_id, options
        self._teacher = recipe.teacher
        self._price = recipe.teacher.known_price or FREE
        self._rules = Rules(recipe.rules)
        self._reader = StoreReader(store.engine, store.path)
        again = store.uncertain(recipe.name)
        self._id = store.begin_run(plan_id, recipe.name, _price(recipe), retry_failed=options.retry_failed)
        self._teacher_id = _teacher_id(recipe, store, binding)
        open_requests = store.count_pending(plan_id)
        to_ask = open_requests if options.limit is None else min(options.limit, open_requests)
        self.progress = Progress(recipe.name, to_ask, again)
        self._budget = Budget(store.spent_nusd(), list(caps(recipe, options, store)))
        self._limiter, self._adapter = pacing(recipe, self._say)
        self._journal = Journal(store, self._judge_stored)
        self._feeder = Feeder(store, self._journal, plan_id=plan_id, run_id=self._id, limit=to_ask)
        self._asker: Asker | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()  # feeder and workers
        self._sending: set[asyncio.Task[None]] = set()  # between the send and the answer's being queued for the store
        self._asleep = 0  # workers whose request waits for its next attempt
        self._stopped: Exception | None = None
        self._main: asyncio.Task[Any] | None = None
        self._interrupted_early = False  # before there was anything to ask with
        self._written_at = -math.inf  # the progress, into the store
        self._server_ended: asyncio.Future[str] | None = None  # of the embedded teacher, with its last words

    async def ask_everything(self, access: Access) -> None:
        """Ask every open request, up to the limit; the run's end is written down however it comes.

        Raises:
            StoppedEarly, TeacherUnusable: what stopped the run; what was in flight then is stored.
            StoreUnusable: the store can no longer be written.
        """
        started = time.monotonic()
        outcome = KILLED
        self._main = asyncio.current_task()
        with on_interrupt(self._interrupt):  # until the end is written down
            try:
                if self.progress.to_ask:
                    async with self._connected(access) as client:
                        await self._ask_with(client, started)
                outcome = STOPPED if self._stopped else DONE
                if self._stopped:
                    raise self._stopped
            except asyncio.CancelledError:
                if self._main is None or not self._interrupted_early:
                    raise
                self._main.uncancel()
                outcome = STOPPED
                raise StoppedEarly(f"interrupted; {self._how_to_go_on()}") from None
            except (BadInput, TeacherUnusable, StoppedEarly) as error:
                outcome, error.progress = STOPPED, self.progress
                raise
            finally:
                self._update_progress(started)
                if outcome != KILLED:
                    self._store.end_run(self._id, outcome=outcome, seconds=self.progress.seconds)

    @asynccontextmanager
    async def _connected(self, access: Access) -> AsyncIterator[OpenAICompatible]:
        teacher = self._teacher
        async with contextlib.AsyncExitStack() as stack:
            if teacher.embedded:
                slots = self._limiter.slots.size
                server = embedded.running(teacher.model, slots=slots, where=str(self._recipe.path))
                running = await stack.enter_async_context(server)
                self._server_ended = running.ended
                teacher, access = teacher.model_copy(update={"base_url": running.base_url}), Access(running.key)
            yield await stack.enter_async_context(openai_compat.connect(teacher, access))

    async def _ask_with(self, client: OpenAICompatible, started: float) -> None:
        hooks = Hooks(sending=self._mark_sending, lost=self._lost, sleep=self._sleep)
        self._asker = Asker(
            client,
            limiter=self._limiter,
            adapter=self._adapter,
            budget=self._budget,
            price=self._price,
            hooks=hooks,
        )
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._journal.run())
                ticker = self._group.create_task(self._report(started))
                if self._server_ended:
                    self._server_ended.add_done_callback(self._server_died)
                self._tasks.add(self._group.create_task(self._feed()))
                self._staff()
                while left := {task for task in self._tasks if not task.done()}:
                    await asyncio.wait(left)
                if self._server_ended:
                    self._server_ended.remove_done_callback(self._server_died)
                ticker.cancel()
                self._journal.close()
        except BaseExceptionGroup as errors:
            raise _first_cause(errors) from errors
        finally:
            self._journal.flush()  # what a cancelled group left in it

    async def _feed(self) -> None:
        try:
            await self._feeder.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, what is in flight is stored first
            self._stop(error)

    # --- workers

    def _staff(self) -> None:
        """Have as many workers awake as there are permits."""
        permits = self._limiter.slots.size
        workers = len(self._tasks) - 1
        wanted = min(permits + self._asleep, MOST_WORKERS_PER_PERMIT * permits, self.progress.to_ask)
        if self._group and not self._stopped:
            for _ in range(wanted - workers):
                self._tasks.add(self._group.create_task(self._work()))

    async def _work(self) -> None:
        if self._asker is None:
            raise AssertionError("workers start after the asker")
        while not self._stopped and (pending := await self._next()) is not None:
            try:
                await self._ask(self._asker, pending)
            finally:
                self._mark_sending(False)

    async def _next(self) -> Pending | None:
        """The next request, once what is answered is on disk but for a group."""
        await self._journal.room()
        try:
            return await self._feeder.next()
        except Exception as error:  # noqa: BLE001 - as in `_feed`
            self._stop(error)
            return None

    async def _ask(self, asker: Asker, pending: Pending) -> None:
        try:
            result = await asker.ask(pending.body, self._teacher.max_attempts)
        except TeacherUnusable as error:
            self._stop(TeacherUnusable(f"{error}; {self._how_to_go_on()}"))
        except Exception as error:  # noqa: BLE001 - a budget's end or a bug of ours: what is in flight is stored first
            self._stop(error)
        else:
            if isinstance(result, Answered):
                self._keep(pending, result)
            else:
                self.progress.failed += 1
                self._count_reason(result.reason)
                self._journal.put(Unanswered(pending.request_id, result.reason, result.attempts, again=result.again))

    def _count_reason(self, reason: str) -> None:
        reasons = self.progress.reasons
        if reason not in reasons and len(reasons) >= MOST_REASONS:
            reason = OTHER_REASONS
        reasons[reason] = reasons.get(reason, 0) + 1

    def _keep(self, pending: Pending, result: Answered) -> None:
        other = None if self._teacher.embedded else other_model(result.decoded, self._teacher.model)
        self._journal.put(
            Replied(
                pending.request_id,
                self._teacher_id,
                self._id,
                result.body,
                result.cost_nusd,
                result.attempts,
                other_model=other,
                decoded=result.decoded,
            )
        )
        self._staff()
        if other:
            self.progress.other_models[other] = self.progress.other_models.get(other, 0) + 1
            if self._teacher.strict:
                named = f"a reply names the model {other!r}, not {self._teacher.model!r}, and teacher.strict is true"
                self._stop(TeacherUnusable(f"teacher: {named}; {self._how_to_go_on()}"))

    def _mark_sending(self, sending: bool) -> None:
        me = asyncio.current_task()
        if me is not None:
            (self._sending.add if sending else self._sending.discard)(me)
            if self._stopped and not sending:
                me.cancel()  # it would wait for its next attempt, or for the next request

    def _lost(self, cost_nusd: int) -> None:
        self._journal.put(Lost(self._id, cost_nusd))

    async def _sleep(self, seconds: float) -> None:
        self._asleep += 1
        self._staff()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._asleep -= 1

    # --- stopping

    def _stop(self, error: Exception) -> None:
        """Send nothing further; what is in flight is still waited for and stored."""
        if self._stopped is None:
            self._stopped = error
            for task in self._tasks - self._sending:
                if task is not asyncio.current_task():
                    task.cancel()

    def _server_died(self, last_words: "asyncio.Future[str]") -> None:
        if not last_words.cancelled():
            self._stop(TeacherUnusable(f"embedded teacher: ended: {last_words.result()}; {self._how_to_go_on()}"))

    def _interrupt(self) -> None:
        if self._group is None and self._main:
            self._interrupted_early = True
            self._main.cancel()
        elif self._stopped is None:
            if self._sending:
                self._say(f"waiting for {len(self._sending)} answers in flight (again: leave at once)")
            self._stop(StoppedEarly(f"interrupted; {self._how_to_go_on()}"))
        else:
            for task in self._tasks:
                task.cancel()

    def _say(self, line: str) -> None:
        if self._options.say:
            self._options.say(line)

    def _how_to_go_on(self) -> str:
        again = "ask the same again" if "/" in self._recipe.name else f"harvester collect {self._recipe.path}"
        return f"everything answered is stored, go on with: {again}"

    # --- after the store, and meanwhile

    def _judge_stored(self, replied: Sequence[Replied]) -> Sequence[Event]:
        """Outcomes of the rows that share these replies; runs in the store's thread."""
        answers = {
            event.request_id: parse(event.raw) if event.decoded is None else parse_decoded(event.decoded)
            for event in replied
        }
        rows = self._reader.to_judge(self._plan_id, list(answers), with_seeds=self._rules.look_at_seeds)
        judged = [
            Judged(row.row, self._rules.digest, self._rules.judge(answers[row.request_id], row.seed)) for row in rows
        ]
        self.progress.accepted += sum(event.outcome.accepted for event in judged)
        return judged

    async def _report(self, started: float) -> None:
        while True:
            await asyncio.sleep(self._options.report_every_s)
            self._update_progress(started)
            self._write_progress()
            try:
                if self._options.report:
                    self._options.report(self.progress)
            except Exception as error:  # noqa: BLE001 - the caller's own: what is in flight is stored first
                self._stop(error)
                return

    def _write_progress(self) -> None:
        """For those who look at the store meanwhile; often enough for a person."""
        now = time.monotonic()
        if now - self._written_at >= REPORT_EVERY_S:
            self._written_at = now
            self._journal.put(Reported(self._id, asdict(self.progress)))

    def _update_progress(self, started: float) -> None:
        self.progress.seconds = time.monotonic() - started
        self.progress.spent_usd = usd(self._budget.spent_nusd)
        waiting = {**self._limiter.waiting, "budget": self._budget.waiting, "retry": self._asleep}
        self.progress.waiting = {what: count for what, count in waiting.items() if count}
        if self._asker:
            counters = self._asker.counters
            self.progress.sent, self.progress.in_flight = counters.sent, counters.in_flight
            self.progress.answered = counters.answered


def _price(recipe: Recipe) -> Json:
    price = recipe.teacher.price
    return price and price.model_dump(mode="json")


def _teacher_id(recipe: Recipe, store: StoreWriter, binding: Terms) -> int:
    return store.teacher_id(
        name="teacher",
        provider=recipe.teacher.profile.id,
        identity=teacher_identity(recipe),
        terms=asdict(binding),
        price=_price(recipe),
    )


def _first_cause(errors: BaseExceptionGroup) -> BaseException:
    first = errors.exceptions[0]
    return _first_cause(first) if isinstance(first, BaseExceptionGroup) else first
