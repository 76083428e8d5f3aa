"""The loop: planned requests → permits → teacher → store. It can be stopped or killed at any instant and run again."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path

from harvester import terms
from harvester.budget import Budget, worst_case_nusd, worst_case_tokens
from harvester.errors import BadInput, HarvesterError, StoppedEarly, TeacherUnusable
from harvester.judging import Rules
from harvester.limiter import Limiter
from harvester.parsing import read_usage_of
from harvester.planning import ensure_plan
from harvester.pricing import FREE, NUSD, usd
from harvester.prompting import teacher_identity
from harvester.recipe import Recipe
from harvester.records import Usage
from harvester.retry import GiveUp, Received, Retry, TryAgain, decide, retrying
from harvester.store import StoreReader, StoreWriter
from harvester.store.events import Event, HandedOut, Judged, Lost, Replied, Unanswered
from harvester.store.journal import Journal
from harvester.store.writing import Pending
from harvester.teachers import embedded, openai_compat
from harvester.teachers.openai_compat import OpenAICompatible

READ_AHEAD = 500
"""Open requests read from the store at once."""

WORKERS_PER_PERMIT = 2
"""A worker whose request waits to be tried again holds no permit: others are there to use it."""

REPORT_EVERY_S = 5.0
BYTES_PER_TOKEN = 3
"""For pacing by tokens, where an estimate is enough: it is settled from the reply's usage."""


@dataclass(slots=True)
class Progress:
    """What this run did so far."""

    recipe: str
    to_ask: int
    maybe_asked_again: int = 0  # at most so many requests of killed runs were sent and are sent again
    sent: int = 0  # attempts
    answered: int = 0
    failed: int = 0
    accepted: int = 0
    in_flight: int = 0
    spent_usd: float = 0.0  # by the whole store
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line adds to a recipe."""

    limit: int | None = None  # requests asked in this run
    budget_usd: Decimal | None = None  # instead of the recipe's
    report: Callable[[Progress], None] | None = None  # called every few seconds


def default_store(recipe: Recipe) -> Path:
    """The store beside the recipe."""
    return recipe.folder / "harvest.db"


def teacher_terms(recipe: Recipe) -> terms.Terms:
    """The terms that bind the recipe's teacher.

    Raises:
        BadInput: a declared licence that the registry does not know.
    """
    declared = recipe.terms.get("teacher")
    where = f"{recipe.path}: terms.teacher"
    return terms.look_up(
        recipe.teacher.host, recipe.teacher.model, declared.model_dump() if declared else None, where=where
    )


async def collect(recipe: Recipe, store: Path | None = None, options: Options | None = None) -> Progress:
    """Ask the teacher everything the recipe plans and the store does not know yet.

    Args:
        recipe: what to ask.
        store: the database file; beside the recipe by default.
        options: limit, budget and progress.

    Raises:
        BadInput: recipe, seeds or templates are wrong, or the key's variable is not set.
        RefusedByTerms: the teacher's answers may not train a student.
        StoppedEarly: the budget is used up or the run was interrupted; running again goes on.
        TeacherUnusable: authentication, quota, unreachable; running again goes on.
        StoreUnusable: locked, unwritable, newer schema, corrupt.
    """
    options = options or Options()
    _require_budget_can_be_kept(recipe, options)
    binding = teacher_terms(recipe)
    terms.require(binding, teacher="teacher", where=f"{recipe.path}: teacher")
    key = openai_compat.api_key(recipe.teacher, where=str(recipe.path))
    with StoreWriter.open(store or default_store(recipe)) as writer:
        plan_id = ensure_plan(writer, recipe)
        run = Run(recipe, writer, plan_id, binding, options)
        try:
            await run.ask_everything(key)
        finally:
            run.rejudge()
        return run.progress


class Run:
    """One run over one plan."""

    def __init__(
        self, recipe: Recipe, store: StoreWriter, plan_id: int, binding: terms.Terms, options: Options
    ) -> None:
        self._recipe, self._store, self._plan_id, self._options = recipe, store, plan_id, options
        self._teacher = recipe.teacher
        self._price = recipe.teacher.known_price or FREE
        self._rules = Rules(recipe.rules)
        self._reader = StoreReader(store.engine)
        again = self._settle_killed_runs()
        self._id = store.begin_run(plan_id)
        self._teacher_id = store.teacher_id(
            name="teacher",
            provider="embedded" if self._teacher.embedded else _provider(self._teacher.host or ""),
            identity=teacher_identity(recipe),
            terms=asdict(binding),
            price=recipe.teacher.price and recipe.teacher.price.model_dump(mode="json"),
        )
        open_requests = store.count_pending(plan_id)
        to_ask = open_requests if options.limit is None else min(options.limit, open_requests)
        self.progress = Progress(recipe.name, to_ask, again)
        self._budget = Budget(_limit_nusd(recipe, options), store.spent_nusd())
        limits = recipe.teacher.limits
        self._limiter = Limiter(
            concurrency=limits.concurrency,
            requests_per_minute=limits.requests_per_minute,
            tokens_per_minute=limits.tokens_per_minute,
        )
        self._journal = Journal(store, self._judge_stored)
        self._queue: asyncio.Queue[Pending | None] = asyncio.Queue(maxsize=limits.concurrency)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending: set[asyncio.Task[None]] = set()  # between the send and the answer's being queued for the store
        self._stopped: HarvesterError | None = None

    def _settle_killed_runs(self) -> int:
        """Close runs that were killed: what they may have sent counts as spent. Returns how many requests that were."""
        total = 0
        for run_id, bodies in self._store.killed_runs():
            lost = sum(worst_case_nusd(self._price, body) for body in bodies)
            self._store.end_run(run_id, outcome=f"killed with at most {len(bodies)} in flight", lost_nusd=lost)
            total += len(bodies)
        return total

    # --- the run

    async def ask_everything(self, key: str | None) -> None:
        """Ask every open request, up to the limit; the run's end is written down however it comes."""
        started = time.monotonic()
        outcome = "killed"
        try:
            if self.progress.to_ask:
                async with self._connected(key) as client:
                    await self._ask_with(client)
            outcome = "stopped" if self._stopped else "done"
            if self._stopped:
                raise self._stopped
        finally:
            self.progress.seconds = time.monotonic() - started
            self.progress.spent_usd = usd(self._budget.spent_nusd)
            if outcome != "killed":
                self._store.end_run(self._id, outcome=outcome, seconds=self.progress.seconds)

    @asynccontextmanager
    async def _connected(self, key: str | None) -> AsyncIterator[OpenAICompatible]:
        async with contextlib.AsyncExitStack() as stack:
            teacher = self._teacher
            if teacher.embedded:
                server = embedded.running(teacher.model, slots=teacher.limits.concurrency, where=str(self._recipe.path))
                running = await stack.enter_async_context(server)
                teacher, key = teacher.model_copy(update={"base_url": running.base_url}), running.key
            yield await stack.enter_async_context(openai_compat.connect(teacher, key))

    async def _ask_with(self, client: OpenAICompatible) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._journal.run())
                ticker = group.create_task(self._report())
                permits = self._teacher.limits.concurrency
                workers = [
                    group.create_task(self._work(client))
                    for _ in range(min(permits * WORKERS_PER_PERMIT, self.progress.to_ask))
                ]
                feeder = group.create_task(self._feed(len(workers)))
                self._tasks = {feeder, *workers}
                with _on_interrupt(self._interrupt):
                    await asyncio.wait(self._tasks)
                ticker.cancel()
                await self._journal.close()
        except BaseExceptionGroup as errors:
            raise _first_cause(errors) from errors

    async def _feed(self, workers: int) -> None:
        """Hand open requests to the workers, each group of them written down as handed out before it is."""
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
            for chunk in _chunks(batch, self._queue.maxsize):
                await (await self._journal.put(HandedOut(self._id, chunk[-1].request_id)))
                for pending in chunk:
                    await self._queue.put(pending)
            after, left = batch[-1].request_id, left - len(batch)
        for _ in range(workers):
            await self._queue.put(None)

    async def _work(self, client: OpenAICompatible) -> None:
        me = asyncio.current_task()
        if me is None:
            raise AssertionError("a worker is a task")
        while not self._stopped and (pending := await self._queue.get()) is not None:
            try:
                await self._ask(client, pending, me)
            finally:
                self._sending.discard(me)

    # --- one request

    async def _ask(self, client: OpenAICompatible, pending: Pending, me: "asyncio.Task[None]") -> None:
        attempts = 0
        answered_before = self.progress.answered
        try:
            async for attempt in retrying(self._teacher.max_attempts):
                with attempt:
                    attempts += 1
                    await self._attempt(client, pending, attempts, me)
        except TryAgain as error:
            if error.decision.unreachable and self.progress.answered == answered_before:
                self._stop(TeacherUnusable(f"teacher: {error}; {self._how_to_go_on()}"))
            else:
                await self._fail(pending, str(error), attempts, again=True)
        except _GivenUp as error:
            if error.decision.stops_teacher:
                self._stop(TeacherUnusable(f"teacher: {error}; {self._how_to_go_on()}"))
            else:
                await self._fail(pending, str(error), attempts, again=False)
        except StoppedEarly as error:
            self._stop(error)

    async def _attempt(
        self, client: OpenAICompatible, pending: Pending, attempts: int, me: "asyncio.Task[None]"
    ) -> None:
        input_bytes, max_tokens = worst_case_tokens(pending.body)
        worst_nusd = worst_case_nusd(self._price, pending.body)
        async with (
            self._budget.reserve(worst_nusd) as held,
            self._limiter.permit(input_bytes // BYTES_PER_TOKEN + max_tokens) as permit,
        ):
            self._sending.add(me)
            outcome = await self._send(client, pending.body)
            decision = decide(outcome)
            if decision is None and isinstance(outcome, Received):
                usage = read_usage_of(outcome.body)
                held.cost_nusd = self._cost(usage, worst_nusd)
                permit.used_tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0) or permit.used_tokens
                await self._journal.put(
                    Replied(pending.request_id, self._teacher_id, self._id, outcome.body, held.cost_nusd, attempts)
                )
                self.progress.answered += 1
                return
            held.cost_nusd = worst_nusd if isinstance(decision, Retry) and decision.maybe_billed else 0
        self._sending.discard(me)
        if self._stopped:
            me.cancel()  # it would wait for its next attempt
        if held.cost_nusd:
            await self._journal.put(Lost(self._id, held.cost_nusd))
        raise TryAgain(decision) if isinstance(decision, Retry) else _GivenUp(decision)

    async def _send(self, client: OpenAICompatible, body: bytes) -> Received | Exception:
        self.progress.sent += 1
        self.progress.in_flight += 1
        try:
            return await client.send(body)
        except Exception as error:  # noqa: BLE001 - an attempt's end is data; `decide` re-raises what it does not know
            return error
        finally:
            self.progress.in_flight -= 1

    def _cost(self, usage: Usage, worst_nusd: int) -> int:
        """By usage; a reply that states none counts as the worst case."""
        if usage.input_tokens is None or usage.output_tokens is None:
            return worst_nusd
        return self._price.cost_nusd(usage.input_tokens, usage.output_tokens, usage.cached_tokens)

    async def _fail(self, pending: Pending, reason: str, attempts: int, *, again: bool) -> None:
        self.progress.failed += 1
        await self._journal.put(Unanswered(pending.request_id, reason, attempts, again))

    # --- stopping

    def _stop(self, error: HarvesterError) -> None:
        """Send nothing further; what is in flight is still waited for and stored."""
        if self._stopped is None:
            self._stopped = error
            for task in self._tasks - self._sending:
                if task is not asyncio.current_task():
                    task.cancel()

    def _interrupt(self) -> None:
        if self._stopped is None:
            self._stop(StoppedEarly(f"interrupted; {self._how_to_go_on()}"))
        else:
            for task in self._tasks:
                task.cancel()

    def _how_to_go_on(self) -> str:
        return f"everything answered is stored, go on with: harvester collect {self._recipe.path}"

    # --- after the store

    def _judge_stored(self, replied: Sequence[Replied]) -> list[Event]:
        """Outcomes of the rows that share these replies; runs in the store's thread."""
        rows = self._reader.rows_of_requests(self._plan_id, [event.request_id for event in replied])
        judged: list[Event] = [Judged(row.row_id, self._rules.digest, self._rules.judge(row)[1]) for row in rows]
        self.progress.accepted += sum(isinstance(event, Judged) and event.outcome.accepted for event in judged)
        return judged

    def rejudge(self) -> None:
        """Judge what other rules judged, or a kill left unjudged."""
        rejudge(self._store, self._plan_id, self._rules)

    async def _report(self) -> None:
        started = time.monotonic()
        while self._options.report:
            await asyncio.sleep(REPORT_EVERY_S)
            self.progress.seconds = time.monotonic() - started
            self.progress.spent_usd = usd(self._budget.spent_nusd)
            self._options.report(self.progress)


class _GivenUp(Exception):
    def __init__(self, decision: GiveUp | None) -> None:
        self.decision = decision or GiveUp("no decision")
        super().__init__(self.decision.reason)


def rejudge(store: StoreWriter, plan_id: int, rules: Rules) -> int:
    """Judge every stored reply of a plan that these rules have not judged; returns how many rows that were."""
    count = 0
    with StoreReader.open(store.path) as reader:
        for page in _pages(reader, plan_id, rules):
            store.apply(page)
            count += len(page)
    return count


def _pages(reader: StoreReader, plan_id: int, rules: Rules) -> Iterator[list[Event]]:
    page: list[Event] = []
    for row in reader.unjudged(plan_id, rules.digest):
        page.append(Judged(row.row_id, rules.digest, rules.judge(row)[1]))
        if len(page) == READ_AHEAD:
            yield page
            page = []
    if page:
        yield page


def _require_budget_can_be_kept(recipe: Recipe, options: Options) -> None:
    """A budget from the command line asks of the recipe what a budget in it asks."""
    if options.budget_usd is not None and (problem := recipe.budget_problem()):
        raise BadInput(f"{recipe.path}: {problem}")


def _limit_nusd(recipe: Recipe, options: Options) -> int | None:
    if options.budget_usd is not None:
        return int(options.budget_usd * NUSD)
    return int(recipe.budget.usd * NUSD) if recipe.budget else None


def _provider(host: str) -> str:
    return terms.provider_of(host) or host


def _chunks(items: Sequence[Pending], size: int) -> Iterator[Sequence[Pending]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


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
