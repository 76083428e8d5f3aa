"""One run over one plan: feeder → bounded queue → workers → journal. It can be stopped or killed at any instant."""

import asyncio
import contextlib
import math
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal

from harvester.adapting import FIRST_CONCURRENCY, Adapter, Told
from harvester.asking import Answered, Asker, Hooks
from harvester.budget import Budget
from harvester.errors import HarvesterError, StoppedEarly, TeacherUnusable
from harvester.judging import Rules
from harvester.limiter import Limiter
from harvester.pricing import FREE, NUSD, usd
from harvester.prompting import teacher_identity
from harvester.recipe import Recipe
from harvester.records import Json
from harvester.store import StoreReader, StoreWriter
from harvester.store.events import Event, HandedOut, Judged, Lost, Replied, Unanswered
from harvester.store.journal import Journal
from harvester.store.writing import DONE, KILLED, STOPPED, Pending
from harvester.teachers import embedded, openai_compat
from harvester.teachers.openai_compat import OpenAICompatible
from harvester.terms import Terms

READ_AHEAD = 500
"""Open requests read from the store at once."""

MOST_HANDED_OUT = 16
"""Requests handed out under one commit, at most; a kill makes the workers' own and two such chunks uncertain."""

MOST_WORKERS_PER_PERMIT = 16
"""A worker whose request waits to be tried again holds no permit; so many may be made to keep the permits used."""

REPORT_EVERY_S = 5.0


@dataclass(slots=True)
class Progress:
    """What this run did so far."""

    recipe: str
    to_ask: int
    maybe_asked_again: int = 0  # at most so many requests of killed runs were sent and are sent again
    sent: int = 0  # attempts
    answered: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # of failing → requests
    accepted: int = 0
    in_flight: int = 0
    waiting: dict[str, int] = field(default_factory=dict)  # for what → requests
    spent_usd: float = 0.0  # by the whole store
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line adds to a recipe."""

    limit: int | None = None  # requests asked in this run
    budget_usd: Decimal | None = None  # instead of the recipe's
    retry_failed: bool = False  # ask also what failed for good before
    report: Callable[[Progress], None] | None = None  # called every few seconds
    say: Callable[[str], None] | None = None  # called with what a person should know at once


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
        self._budget = Budget(_limit_nusd(recipe, options), store.spent_nusd())
        self._limiter, self._adapter = _pacing(recipe)
        self._journal = Journal(store, self._judge_stored)
        self._chunk = max(1, min(self._limiter.slots.size // 2, MOST_HANDED_OUT))
        self._queue: asyncio.Queue[Pending | None] = asyncio.Queue(maxsize=self._chunk)
        self._asker: Asker | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()  # feeder and workers
        self._sending: set[asyncio.Task[None]] = set()  # between the send and the answer's being queued for the store
        self._asleep = 0  # workers whose request waits for its next attempt
        self._stopped: Exception | None = None
        self._key = b""
        self._server_ended: asyncio.Future[str] | None = None  # of the embedded teacher, with its last words

    async def ask_everything(self, key: str | None) -> None:
        """Ask every open request, up to the limit; the run's end is written down however it comes.

        Raises:
            StoppedEarly, TeacherUnusable: what stopped the run; what was in flight then is stored.
            StoreUnusable: the store can no longer be written.
        """
        started = time.monotonic()
        outcome = KILLED
        try:
            if self.progress.to_ask:
                self._key = (key or "").encode()
                async with self._connected(key) as client:
                    await self._ask_with(client, started)
            outcome = STOPPED if self._stopped else DONE
            if self._stopped:
                if isinstance(self._stopped, HarvesterError):
                    self._stopped.progress = self.progress
                raise self._stopped
        finally:
            self._update_progress(started)
            if outcome != KILLED:
                self._store.end_run(self._id, outcome=outcome, seconds=self.progress.seconds)

    @asynccontextmanager
    async def _connected(self, key: str | None) -> AsyncIterator[OpenAICompatible]:
        teacher = self._teacher
        async with contextlib.AsyncExitStack() as stack:
            if teacher.embedded:
                slots = self._limiter.slots.size
                server = embedded.running(teacher.model, slots=slots, where=str(self._recipe.path))
                running = await stack.enter_async_context(server)
                self._server_ended = running.ended
                teacher, key = teacher.model_copy(update={"base_url": running.base_url}), running.key
            yield await stack.enter_async_context(openai_compat.connect(teacher, key))

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
                with _on_interrupt(self._interrupt):
                    while left := {task for task in self._tasks if not task.done()}:
                        await asyncio.wait(left)
                if self._server_ended:
                    self._server_ended.remove_done_callback(self._server_died)
                ticker.cancel()
                self._journal.close()
        except BaseExceptionGroup as errors:
            raise _first_cause(errors) from errors

    async def _feed(self) -> None:
        """Hand open requests to the workers, each chunk of them written down as handed out before it is."""
        loop = asyncio.get_running_loop()
        after, left = 0, self.progress.to_ask
        while left:
            size = min(READ_AHEAD, left)
            batch = await loop.run_in_executor(
                self._journal.thread,
                lambda: self._store.pending(self._plan_id, after=after, limit=size),  # noqa: B023 - awaited at once
            )
            if not batch:
                break
            for start in range(0, len(batch), self._chunk):
                chunk = batch[start : start + self._chunk]
                await self._journal.put(HandedOut(self._id, chunk[-1].request_id))
                for pending in chunk:
                    await self._queue.put(pending)
            after, left = batch[-1].request_id, left - len(batch)
        await self._queue.put(None)

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
        while not self._stopped and (pending := await self._queue.get()) is not None:
            try:
                await self._ask(self._asker, pending)
            finally:
                self._mark_sending(False)
        if not self._stopped:
            self._queue.put_nowait(None)  # the end, for the next worker; the feeder is done, so there is room

    async def _ask(self, asker: Asker, pending: Pending) -> None:
        try:
            result = await asker.ask(pending.body, self._teacher.max_attempts)
        except TeacherUnusable as error:
            said = self._without_key(str(error).encode()).decode("utf-8", "replace")
            self._stop(TeacherUnusable(f"{said}; {self._how_to_go_on()}"))
        except Exception as error:  # noqa: BLE001 - a budget's end or a bug of ours: what is in flight is stored first
            self._stop(error)
        else:
            if isinstance(result, Answered):
                body = self._without_key(result.body)
                self._journal.put(
                    Replied(pending.request_id, self._teacher_id, self._id, body, result.cost_nusd, result.attempts)
                )
                self._staff()
            else:
                self.progress.failed += 1
                reason = self._without_key(result.reason.encode()).decode("utf-8", "replace")
                self.progress.reasons[reason] = self.progress.reasons.get(reason, 0) + 1
                self._journal.put(Unanswered(pending.request_id, reason, result.attempts, again=result.again))

    def _without_key(self, text: bytes) -> bytes:
        """Some providers repeat the key in what they answer; it is stored and shown nowhere."""
        return text.replace(self._key, b"[key]") if self._key else text

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
        if self._stopped is None:
            self._say_waiting()
            self._stop(StoppedEarly(f"interrupted; {self._how_to_go_on()}"))
        else:
            for task in self._tasks:
                task.cancel()

    def _say_waiting(self) -> None:
        if self._options.say and self._sending:
            self._options.say(f"waiting for {len(self._sending)} answers in flight (again: leave at once)")

    def _how_to_go_on(self) -> str:
        return f"everything answered is stored, go on with: harvester collect {self._recipe.path}"

    # --- after the store, and meanwhile

    def _judge_stored(self, replied: Sequence[Replied]) -> list[Event]:
        """Outcomes of the rows that share these replies; runs in the store's thread."""
        rows = self._reader.rows_of_requests(self._plan_id, [event.request_id for event in replied])
        judged: list[Event] = [Judged(row.row_id, self._rules.digest, self._rules.judge(row)[1]) for row in rows]
        self.progress.accepted += sum(isinstance(event, Judged) and event.outcome.accepted for event in judged)
        return judged

    async def _report(self, started: float) -> None:
        while self._options.report:
            await asyncio.sleep(REPORT_EVERY_S)
            self._update_progress(started)
            self._options.report(self.progress)

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


def _pacing(recipe: Recipe) -> tuple[Limiter, Adapter]:
    """The limits the recipe tells, and what finds the others."""
    limits = recipe.teacher.limits
    limiter = Limiter(
        concurrency=limits.concurrency or FIRST_CONCURRENCY,
        requests_per_minute=limits.requests_per_minute or math.inf,
        tokens_per_minute=limits.tokens_per_minute or math.inf,
    )
    told = Told(requests_per_minute=limits.requests_per_minute is not None, concurrency=limits.concurrency is not None)
    return limiter, Adapter(limiter, told, recipe.teacher.profile.headers)


def _limit_nusd(recipe: Recipe, options: Options) -> int | None:
    if options.budget_usd is not None:
        return int(options.budget_usd * NUSD)
    return int(recipe.budget.usd * NUSD) if recipe.budget else None


def _first_cause(errors: BaseExceptionGroup) -> BaseException:
    first = errors.exceptions[0]
    return _first_cause(first) if isinstance(first, BaseExceptionGroup) else first


@contextlib.contextmanager
def _on_interrupt(handler: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM call `handler`; in a thread that cannot have signal handlers they stay as they are."""
    loop = asyncio.get_running_loop()
    installed = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, handler)
            installed.append(number)
    try:
        yield
    finally:
        for number in installed:
            loop.remove_signal_handler(number)
