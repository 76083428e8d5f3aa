"""One teacher's part of a run: its limits, its connection, its workers and what they ask."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from harvester.adapting import Adapter
from harvester.asking import Answered, Asker, Counters, Hooks, Unanswerable
from harvester.bounds import own_cap, pacing
from harvester.budget import Budget
from harvester.errors import TeacherUnusable
from harvester.feeding import Allowance, Feeder
from harvester.limiter import Limiter
from harvester.noticing import count_reason, kind_of, notice, tell
from harvester.pace import Pace, Totals
from harvester.pricing import FREE, Price, usd
from harvester.progress import Progress, TeacherProgress
from harvester.recipe import Teacher
from harvester.saying import Say
from harvester.store import StoreWriter
from harvester.store.events import Lost, Replied, Unanswered
from harvester.store.journal import Journal
from harvester.store.writing import Pending
from harvester.teachers.openai_compat import OpenAICompatible

MOST_WORKERS_PER_PERMIT = 16
"""A worker whose request waits to be tried again holds no permit; so many may be made to keep the permits used."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the lanes of a run share."""

    store: StoreWriter
    journal: Journal
    plan_id: int
    run_id: int
    budget: Budget
    allowance: Allowance
    progress: Progress
    say: Say
    how_to_go_on: Callable[[], str]
    stop: Callable[[Exception, "Lane"], None]  # something went wrong in this lane
    rested: Callable[[], None]  # a worker has nothing to do any more


class Lane:
    """Asks one teacher what a plan asks of it."""

    def __init__(
        self, name: str, teacher: Teacher, teacher_id: int, around: Surroundings, *, left_over: bool = False
    ) -> None:
        """A lane; it asks once it is `connected`. With `left_over`, it asks only what batches left over."""
        self.name, self.teacher, self._teacher_id, self._around = name, teacher, teacher_id, around
        self._price: Price = teacher.known_price or FREE
        self.limiter: Limiter
        self._adapter: Adapter
        self.limiter, self._adapter = pacing(teacher, partial(around.say, teacher=name))
        self._budget = Budget(caps=own_cap(name, teacher, around.store), within=around.budget)
        self._feeder = Feeder(
            around.store,
            around.journal,
            plan_id=around.plan_id,
            teacher=name,
            allowance=around.allowance,
            on_empty=around.rested,
            left_over=left_over,
        )
        self._asker: Asker | None = None
        self._group: asyncio.TaskGroup | None = None
        self.tasks: set[asyncio.Task[None]] = set()  # feeder and workers
        self.sending: set[asyncio.Task[None]] = set()  # between the send and the answer's being queued for the store
        self.asleep = 0  # workers whose request waits for its next attempt
        self._busy = 0  # workers that have a request
        self._failed = 0  # requests
        self._pace = Pace()
        self.stopped = False

    # --- its life

    def start(self, client: OpenAICompatible, group: asyncio.TaskGroup) -> None:
        """Begin to ask, in tasks of a group."""
        hooks = Hooks(sending=self._mark_sending, lost=self._lost, sleep=self._sleep)
        self._asker = Asker(
            client,
            limiter=self.limiter,
            adapter=self._adapter,
            budget=self._budget,
            price=self._price,
            hooks=hooks,
            name=self.name,
        )
        self._group = group
        self.tasks.add(group.create_task(self._feed()))
        self._staff()

    def add(self, following: list[Pending]) -> None:
        """Take requests that follow from stored answers."""
        self._feeder.add(following)
        self._staff()

    def keep_held_out(self) -> None:
        """Ask, from now on, only what is asked for dev and test."""
        self._feeder.keep_held_out()

    @property
    def under_way(self) -> int:
        """Requests that are in flight, or were led to by answers and wait for a worker."""
        return 0 if self.stopped else self._busy - self.asleep + self._feeder.following

    @property
    def at_rest(self) -> bool:
        """Whether it asks nothing, and knows of nothing to ask."""
        return self.stopped or (not self._busy and self._feeder.empty)

    def end(self) -> None:
        """Nothing more comes."""
        self._feeder.end()

    def stop(self) -> None:
        """Send nothing further; what is in flight is still waited for and stored."""
        self.stopped = True
        self._feeder.end()
        for task in self.tasks - self.sending:
            if task is not asyncio.current_task():
                task.cancel()

    @property
    def budget(self) -> Budget:
        """Of this teacher alone, within the run's."""
        return self._budget

    def look(self) -> TeacherProgress:
        """What it did so far and may do now; each look is also a point to measure the pace from."""
        limiter, now = self.limiter, self.limiter.clock.now()
        its = self._asker.counters if self._asker else Counters()
        self._pace.note(now, Totals(its.sent, its.answered + self._failed, its.input_tokens + its.output_tokens))
        waiting = {**limiter.waiting, "budget": self._budget.waiting, "retry": self.asleep}
        return TeacherProgress(
            sent=its.sent,
            answered=its.answered,
            throttled=its.throttled,
            broken=its.broken,
            failed=self._failed,
            in_flight=its.in_flight,
            waiting={what: count for what, count in waiting.items() if count},
            input_tokens=its.input_tokens,
            output_tokens=its.output_tokens,
            spent_usd=usd(self._budget.spent_nusd),
            per_minute=self._pace.per_minute,
            requests_per_minute=_known(self._adapter.requests_per_minute),
            tokens_per_minute=_known(limiter.tokens.per_minute),
            concurrency=limiter.slots.size,
            paused_s=round(max(0.0, limiter.requests.held_until - now), 1),
            circuit_open=self._adapter.circuit_open,
        )

    async def _feed(self) -> None:
        try:
            await self._feeder.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, what is in flight is stored first
            self._around.stop(error, self)

    # --- workers

    def _staff(self) -> None:
        """Have as many workers awake as there are permits."""
        permits = self.limiter.slots.size
        workers = len(self.tasks) - 1
        wanted = min(permits + self.asleep, MOST_WORKERS_PER_PERMIT * permits, self._around.progress.to_ask)
        if self._group and not self.stopped:
            for _ in range(wanted - workers):
                self.tasks.add(self._group.create_task(self._work()))

    async def _work(self) -> None:
        if self._asker is None:
            raise AssertionError("workers start after the asker")
        while not self.stopped and (pending := await self._next()) is not None:
            self._busy += 1
            try:
                await self._ask(self._asker, pending)
            finally:
                self._mark_sending(False)
                self._busy -= 1
                self._around.rested()

    async def _next(self) -> Pending | None:
        """The next request, once what is answered is on disk but for a group."""
        await self._around.journal.room()
        try:
            return await self._feeder.next()
        except Exception as error:  # noqa: BLE001 - as in `_feed`
            self._around.stop(error, self)
            return None

    async def _ask(self, asker: Asker, pending: Pending) -> None:
        around = self._around
        try:
            result = await asker.ask(pending.body, self.teacher.max_attempts)
        except TeacherUnusable as error:
            around.stop(TeacherUnusable(f"{error}; {around.how_to_go_on()}"), self)
        except Exception as error:  # noqa: BLE001 - a budget's end or a bug of ours: what is in flight is stored first
            around.stop(error, self)
        else:
            if isinstance(result, Answered):
                self._keep(pending, result)
            else:
                self._fail(pending, result)

    def _fail(self, pending: Pending, why: Unanswerable) -> None:
        around = self._around
        self._failed += 1
        around.progress.failed += 1
        count_reason(around.progress, why.reason)
        around.journal.put(Unanswered(pending.request_id, why.reason, why.attempts, again=why.again))
        around.say(
            None,
            event="request_failed",
            teacher=self.name,
            request=pending.request_id,
            reason=kind_of(why.reason),
            attempts=why.attempts,
            again=why.again,
        )

    def _keep(self, pending: Pending, result: Answered) -> None:
        around = self._around
        noticed = notice(pending.body, result.decoded, self.teacher)
        around.journal.put(
            Replied(
                pending.request_id,
                self._teacher_id,
                around.run_id,
                result.body,
                result.cost_nusd,
                result.attempts,
                teacher=self.name,
                other_model=noticed.other_model,
                lacks_logprobs=noticed.lacks_logprobs,
                decoded=result.decoded,
            )
        )
        self._staff()
        if stops := tell(noticed, self.name, self.teacher, around.progress, around.say):
            around.stop(TeacherUnusable(f"{stops}; {around.how_to_go_on()}"), self)

    def _mark_sending(self, sending: bool) -> None:
        me = asyncio.current_task()
        if me is not None:
            (self.sending.add if sending else self.sending.discard)(me)
            if self.stopped and not sending:
                me.cancel()  # it would wait for its next attempt, or for the next request

    def _lost(self, cost_nusd: int) -> None:
        self._around.journal.put(Lost(self._around.run_id, cost_nusd, self.name))

    async def _sleep(self, seconds: float) -> None:
        self.asleep += 1
        self._staff()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.asleep -= 1


def _known(limit: float) -> float | None:
    return None if math.isinf(limit) else round(limit, 1)
