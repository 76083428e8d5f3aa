"""One run over one plan: lanes of workers → journal → what follows. It can be stopped or killed at any instant."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from harvester.binding import Binding, stated_price, teacher_id
from harvester.bounds import Part, caps
from harvester.budget import Budget
from harvester.errors import BadInput, StoppedEarly, TeacherUnusable
from harvester.feeding import Allowance
from harvester.flowing import Flow
from harvester.following import Following
from harvester.interrupting import on_interrupt
from harvester.lanes import Lane, Surroundings
from harvester.progress import Options, Progress
from harvester.recipe import Teacher
from harvester.reporting import Reporter
from harvester.store import StoreReader, StoreWriter
from harvester.store.journal import Journal
from harvester.store.writing import DONE, KILLED, STOPPED, Pending
from harvester.teachers import embedded, openai_compat
from harvester.teachers.openai_compat import Access, OpenAICompatible


class Run:
    """One run over one plan."""

    def __init__(
        self,
        flow: Flow,
        store: StoreWriter,
        bindings: Mapping[str, Binding],
        options: Options,
        part: Part | None = None,
    ) -> None:
        """Begin this run in the store.

        Args:
            flow: the plan that is asked, and the recipe whose teachers, limits and budget hold.
            store: has the plan.
            bindings: of every teacher that is asked, by name.
            options: limit, budget and progress.
            part: what it asks of the plan, where the same call has begun others before it; None: everything.
        """
        recipe, plan_id = flow.recipe, flow.plan_id
        self._recipe, self._store, self._plan_id, self._options = recipe, store, plan_id, options
        self._bindings = bindings
        again = store.uncertain(recipe.name)
        prices = {name: stated_price(teacher) for name, teacher in recipe.asked_teachers.items()}
        self._id = store.begin_run(plan_id, recipe.name, prices, retry_failed=options.retry_failed, reopen=part is None)
        is_open = part.count_open(store, plan_id) if part else store.count_pending(plan_id)
        self.progress = Progress(recipe.name, min(is_open, _most(options)), again)
        self._part = part or Part(frozenset(recipe.asked_teachers), frozenset())
        self._budget = Budget(store.spent_nusd(), list(caps(recipe, options, store, self._part.spent_nusd)))
        self._allowance = Allowance(_most(options), self._may_begin)
        reader = StoreReader(store.engine, store.path)
        counting = options.accept is not None
        following = Following(flow, reader, self.progress, count_accepted=counting)
        if counting:
            store.apply_with([], following.recount)
        self._journal = Journal(store, following, self._take, self._look_whether_all_is_done, self._stop)
        asked = self._part.online | self._part.left_over
        self._lanes = {name: self._lane(name, its) for name, its in recipe.asked_teachers.items() if name in asked}
        if self._enough:
            self.progress.to_ask = min(store.count_pending(plan_id, held_out=True), _most(options))
            self._keep_held_out()
        self._reporter = Reporter(self._id, self.progress, self._lanes, self._budget, options)
        self._group: asyncio.TaskGroup | None = None
        self._stopped: Exception | None = None
        self._main: asyncio.Task[Any] | None = None
        self._interrupted_early = False  # before there was anything to ask with
        self._server_ended: asyncio.Future[str] | None = None  # of the embedded teacher, with its last words

    def _begin(self, *, reopen: bool) -> int:
        prices = {name: stated_price(teacher) for name, teacher in self._recipe.asked_teachers.items()}
        again = self._options.retry_failed
        return self._store.begin_run(self._plan_id, self._recipe.name, prices, retry_failed=again, reopen=reopen)

    def _lane(self, name: str, teacher: Teacher) -> Lane:
        around = Surroundings(
            store=self._store,
            journal=self._journal,
            plan_id=self._plan_id,
            run_id=self._id,
            budget=self._budget,
            allowance=self._allowance,
            progress=self.progress,
            say=self._options.tell,
            how_to_go_on=self._how_to_go_on,
            stop=self._stop,
            rested=self._look_whether_all_is_done,
        )
        its_id = teacher_id(self._store, name, teacher, self._bindings[name])
        return Lane(name, teacher, its_id, around, left_over=name in self._part.left_over)

    @property
    def handed_out(self) -> int:
        """How many requests it began with."""
        return _most(self._options) - self._allowance.left

    async def ask_everything(self) -> None:
        """Ask every open request and what follows from it, up to the limit; its end is written down however it comes.

        Raises:
            StoppedEarly, TeacherUnusable: what stopped the run; what was in flight then is stored.
            StoreUnusable: the store can no longer be written.
        """
        outcome = KILLED
        self._options.tell(None, event="run_started", **self._reporter.bounds())
        self._main = asyncio.current_task()
        with on_interrupt(self._interrupt):  # until the end is written down
            try:
                if self.progress.to_ask:
                    async with self._connected() as clients:
                        await self._ask_with(clients)
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
                self._reporter.update()
                if outcome != KILLED:
                    self._store.apply([self._reporter.reported()])
                    self._store.end_run(self._id, outcome=outcome, seconds=self.progress.seconds)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[dict[str, OpenAICompatible]]:
        async with contextlib.AsyncExitStack() as stack:
            server = await self._embedded_server(stack)
            clients = {}
            for name, lane in self._lanes.items():
                teacher, access = lane.teacher, self._bindings[name].access
                if teacher.embedded and server:
                    teacher, access = teacher.model_copy(update={"base_url": server.base_url}), Access(server.key)
                clients[name] = await stack.enter_async_context(openai_compat.connect(teacher, access))
            yield clients

    async def _embedded_server(self, stack: AsyncExitStack) -> embedded.Running | None:
        """One server for every embedded teacher of the recipe."""
        lanes = [lane for lane in self._lanes.values() if lane.teacher.embedded]
        if not lanes:
            return None
        slots = max(lane.limiter.slots.size for lane in lanes)
        server = embedded.running(lanes[0].teacher.model, slots=slots, where=str(self._recipe.path))
        running = await stack.enter_async_context(server)
        self._server_ended = running.ended
        return running

    async def _ask_with(self, clients: Mapping[str, OpenAICompatible]) -> None:
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._journal.run())
                ticker = self._group.create_task(self._reporter.run(self._journal, self._stop))
                if self._server_ended:
                    self._server_ended.add_done_callback(self._server_died)
                for name, lane in self._lanes.items():
                    lane.start(clients[name], self._group)
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

    @property
    def _tasks(self) -> set[asyncio.Task[None]]:
        return {task for lane in self._lanes.values() for task in lane.tasks}

    # --- what follows from answers

    def _take(self, following: list[Pending]) -> None:
        """Hand requests that follow from stored answers to their lanes; with rows enough, those of dev and test."""
        if self._enough:
            self._keep_held_out()
            following = [pending for pending in following if pending.held_out]
        following = [pending for pending in following if pending.teacher in self._part.online]
        to_ask = self.progress.to_ask + len(following)
        self.progress.to_ask = min(to_ask, _most(self._options))
        for name, lane in self._lanes.items():
            lane.add([pending for pending in following if pending.teacher == name])

    @property
    def _enough(self) -> bool:
        wanted = self._options.accept
        return wanted is not None and (self.progress.accepted_rows or 0) >= wanted

    def _keep_held_out(self) -> None:
        for lane in self._lanes.values():
            lane.keep_held_out()

    def _may_begin(self) -> bool:
        """Whether one more planned request may be needed, if all that is under way becomes accepted rows.

        As many as the permits may be under way at any time: else few missing rows would be asked for one by one.
        """
        wanted = self._options.accept
        if wanted is None or self._enough:
            return True
        missing = wanted - (self.progress.accepted_rows or 0)
        lanes = [lane for lane in self._lanes.values() if not lane.stopped]
        under_way = self._journal.unsettled + sum(lane.under_way for lane in lanes)
        return under_way < max(missing, sum(lane.limiter.slots.size for lane in lanes))

    def _look_whether_all_is_done(self) -> None:
        """End the lanes once none of them has anything to ask, and no stored answer leads to more."""
        if self._journal.idle and all(lane.at_rest for lane in self._lanes.values()):
            for lane in self._lanes.values():
                lane.end()

    # --- stopping

    def _stop(self, error: Exception, of: Lane | None = None) -> None:
        """Send nothing further; where only one of several teachers is unusable, to that one."""
        if self._stopped is None:
            self._stopped = error
        others = [lane for lane in self._lanes.values() if lane is not of and not lane.stopped]
        if of and others and isinstance(error, TeacherUnusable):
            if not of.stopped:
                self._options.tell(
                    f"{error}; the other teachers are asked on",
                    event="teacher_stopped",
                    teacher=of.name,
                    why=str(error),
                )
                of.stop()
            return
        for lane in self._lanes.values():
            if not lane.stopped:
                lane.stop()

    def _server_died(self, last_words: "asyncio.Future[str]") -> None:
        if not last_words.cancelled():
            self._stop(TeacherUnusable(f"embedded teacher: ended: {last_words.result()}; {self._how_to_go_on()}"))

    def _interrupt(self) -> None:
        sending = sum(len(lane.sending) for lane in self._lanes.values())
        if self._group is None and self._main:
            self._interrupted_early = True
            self._main.cancel()
        elif not all(lane.stopped for lane in self._lanes.values()):
            if sending:
                line = f"waiting for {sending} answers in flight (again: leave at once)"
                self._options.tell(line, event="stopping", in_flight=sending)
            self._stop(StoppedEarly(f"interrupted; {self._how_to_go_on()}"))
        else:
            for task in self._tasks:
                task.cancel()

    def _how_to_go_on(self) -> str:
        again = "ask the same again" if "/" in self._recipe.name else self._recipe.how_to_collect
        return f"everything answered is stored, go on with: {again}"


def _most(options: Options) -> int:
    """Requests that a run may hand out."""
    return 2**63 if options.limit is None else options.limit


def _first_cause(errors: BaseExceptionGroup) -> BaseException:
    first = errors.exceptions[0]
    return _first_cause(first) if isinstance(first, BaseExceptionGroup) else first
