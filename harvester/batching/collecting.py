"""`collect --batch`: what is open goes to the providers in files; what comes back is taken in as it comes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from harvester.batching.addressing import Addressee, addressee, require_batches
from harvester.batching.api import BatchAPI, Refused, Unavailable, connected
from harvester.batching.harvesting import Harvester
from harvester.batching.sending import Sender
from harvester.batching.taking import Ended, Harvest
from harvester.batching.told import ENDED
from harvester.batching.waiting import Patience
from harvester.bounds import caps, own_cap, reserved_nusd
from harvester.catching_up import catch_up
from harvester.collecting import prepared, waiting_in_batches
from harvester.errors import BadInput, StoppedEarly, TeacherUnusable
from harvester.flowing import Flow
from harvester.foreseeing import require_student_fits
from harvester.interrupting import on_interrupt
from harvester.planning import ensure_plan
from harvester.pricing import usd
from harvester.progress import Options, Progress
from harvester.recipe import Recipe
from harvester.records import count_of
from harvester.running import Binding
from harvester.store import StoreWriter, batches
from harvester.store.batches import Batch
from harvester.store.writing import DONE

Sleep = Callable[[float], Awaitable[None]]
GONE = 404


@dataclass(slots=True)
class Result:
    """How far collecting in batches came."""

    progress: Progress
    waiting: int = 0  # requests in batches that have no end


async def collect_in_batches(
    recipe: Recipe,
    store: Path | None = None,
    options: Options | None = None,
    *,
    wait: bool = True,
    sleep: Sleep = asyncio.sleep,
) -> Result:
    """Ask everything that a recipe plans and the store does not know, in batches.

    Args:
        recipe: what to ask.
        store: the database file; beside the recipe by default.
        options: limit, budget, and who is told what.
        wait: until all batches are taken in; else it returns once they are made.
        sleep: how it waits.

    Raises:
        BadInput, RefusedByTerms, StoreUnusable: as `collect` does.
        StoppedEarly: the budget is used up or it was interrupted; batches go on, and running again takes them in.
        TeacherUnusable: a provider refuses, or what it has cannot be fetched now; running again goes on.
    """
    options = options or Options()
    if options.accept is not None:
        raise BadInput("--accept: a batch cannot be stopped at so many rows; leave --batch or --accept out")
    require_student_fits(recipe)
    require_batches(recipe, recipe.asked_teachers, options.tell)
    with prepared(recipe, store, options, lambda writer: ensure_plan(writer, recipe)) as (writer, flow, bindings):
        try:
            async with _addressees(writer, recipe, bindings, sleep) as to:
                return await _Collecting(writer, flow, to, options, sleep).run(wait=wait)
        finally:
            catch_up(writer, flow)  # what a kill left unjudged


@asynccontextmanager
async def _addressees(
    store: StoreWriter, recipe: Recipe, bindings: Mapping[str, Binding], sleep: Sleep
) -> AsyncIterator[dict[str, Addressee]]:
    async with AsyncExitStack() as stack:
        found = {}
        for name, teacher in recipe.asked_teachers.items():
            api: BatchAPI = await stack.enter_async_context(
                connected(name, teacher, bindings[name].access, sleep=sleep)
            )
            found[name] = addressee(store, name, teacher, bindings[name], api)
        yield found


class _Collecting:
    """One call of `collect_in_batches`."""

    def __init__(
        self, store: StoreWriter, flow: Flow, to: Mapping[str, Addressee], options: Options, sleep: Sleep
    ) -> None:
        self._store, self._flow, self._to, self._options, self._sleep = store, flow, to, options, sleep
        self._recipe = flow.recipe
        self._say = options.tell
        self._run_id = store.begin_run(
            flow.plan_id,
            self._recipe.name,
            {name: teacher.price and teacher.price.model_dump(mode="json") for name, teacher in
             self._recipe.asked_teachers.items()},
            retry_failed=options.retry_failed,
        )  # fmt: skip
        store.end_run(self._run_id, outcome=DONE)  # each harvest is a run of its own
        self.progress = Progress(self._recipe.name, 0)
        self._started = time.monotonic()
        self._sender = Sender(store, plan_id=flow.plan_id, recipe=self._recipe.name, run_id=self._run_id, sleep=sleep)
        self._harvester = Harvester(store, flow, self.progress, self._say)
        self._left = 2**63 if options.limit is None else options.limit
        self._made_nusd = 0  # worst case of what this call has made
        self._patience = Patience()
        self._budget_spent: str | None = None
        self._too_large: set[str] = set()  # teachers of which that was said

    async def run(self, *, wait: bool) -> Result:
        main, interrupted = asyncio.current_task(), False

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            if main:
                main.cancel()

        with on_interrupt(interrupt):
            try:
                self._begin()
                await self._go_on(wait=wait)
            except asyncio.CancelledError:
                if not interrupted or main is None:
                    raise
                main.uncancel()
                raise StoppedEarly(f"interrupted; {self._how_to_go_on()}") from None
            except (TeacherUnusable, StoppedEarly) as error:
                error.progress = self.progress
                raise
            finally:
                waiting = self._count()
        return Result(self.progress, waiting)

    def _begin(self) -> None:
        self._count()
        told = {cap.field: usd(cap.limit_nusd) for cap in caps(self._recipe, self._options, self._store)}
        self._options.tell(
            None, event="run_started", run=self._run_id, recipe=self._recipe.name, teachers=list(self._to),
            to_ask=self.progress.to_ask, spent_usd=self.progress.spent_usd, budgets_usd=told,
        )  # fmt: skip

    async def _go_on(self, *, wait: bool) -> None:
        for batch in self._live():
            if batch.batch_id is None:  # an earlier run did not come that far
                await self._sender.send(batch, self._addressee(batch))
        while True:
            changed = await self._look_at_all()
            changed = await self._send_all() or changed
            live = [batch for batch in self._live() if batch.id not in self._patience.given_up]
            if not live or not wait:
                break
            self._report()
            await self._sleep(self._patience.next_wait_s(changed=changed))
        self._raise_what_is_left()

    # --- making batches

    async def _send_all(self) -> bool:
        """Make batches of what is open, as far as limit and budget go; whether there was any."""
        made, self._budget_spent = False, None
        for to in self._to.values():
            while self._left > 0:
                batch = self._sender.write_down(to, left_nusd=self._left_nusd(to), limit=self._left)
                if batch is None:
                    self._note_what_is_left(to)
                    break
                made = True
                self._left -= batch.requests
                self._made_nusd += batch.worst_nusd
                sent = await self._sender.send(batch, to)
                self._say(
                    f"{to.name}: batch {sent.name}: {count_of(sent.requests, 'request')}",
                    event="batch_submitted", teacher=to.name, batch=sent.name, requests=sent.requests,
                )  # fmt: skip
        return made

    def _left_nusd(self, to: Addressee) -> int | None:
        every = [
            *caps(self._recipe, self._options, self._store),
            *own_cap(to.name, to.teacher, self._store),
        ]
        # The cap of a run knows nothing of what was spent before it.
        gone = [cap.spent_nusd if cap.field != "budget.run_usd" else self._made_nusd for cap in every]
        return min((cap.limit_nusd - spent for cap, spent in zip(every, gone, strict=True)), default=None)

    def _note_what_is_left(self, to: Addressee) -> None:
        if self._store.pending(self._flow.plan_id, after=0, limit=1, teacher=to.name):
            if self._left_nusd(to) is None:
                if to.name not in self._too_large:
                    self._say(f"{to.name}: what is larger than a batch's file may be is left to `collect`, one by one")
                self._too_large.add(to.name)
                return
            self._budget_spent = (
                f"budget: what is left does not pay for the worst case of another request to {to.name}; raise it"
                f" (budget.usd or --budget, budget.run_usd, {to.name}.budget_usd) or wait for batches, and run again"
            )

    # --- looking at them

    async def _look_at_all(self) -> bool:
        """Look at every batch that has no end; whether one of them changed."""
        changed = False
        for batch in self._live():
            if batch.id in self._patience.given_up:
                continue
            try:
                changed = await self._look_at(batch) or changed
            except (Unavailable, Refused) as error:
                if isinstance(error, Refused) and error.status != GONE:
                    raise
                self._patience.missed(batch.id, str(error))
            else:
                self._patience.heard(batch.id)
        return changed

    async def _look_at(self, batch: Batch) -> bool:
        of = self._addressee(batch)
        if batch.batch_id is None:
            return False
        told = await of.api.retrieve(batch.batch_id)
        if told.status != batch.status:
            self._store.apply_with([], lambda connection: batches.note(connection, batch.id, status=told.status))
        if told.status not in ENDED:
            return told.status != batch.status
        harvest = await self._harvester.take_in(Ended(batch, told, of))
        self._say(
            _harvested(batch, told.status, harvest),
            event="batch_ended", teacher=batch.teacher, batch=batch.name, status=told.status, **harvest.result,
        )  # fmt: skip
        if harvest.stops:
            raise TeacherUnusable(f"{harvest.stops}; {self._how_to_go_on()}")
        return True

    def _addressee(self, batch: Batch) -> Addressee:
        to = self._to.get(batch.teacher)
        if to is None or not self._same(to, batch):
            raise BadInput(
                f"{self._recipe.path}: batch {batch.name} was sent to another address than its teacher"
                f" {batch.teacher} has now; put it back, or: harvester batch cancel {batch.name} --forget"
            )
        return to

    def _same(self, to: Addressee, batch: Batch) -> bool:
        return self._store.same_provider(to.teacher_id, batch.teacher_id)

    # --- the end

    def _raise_what_is_left(self) -> None:
        if self._patience.given_up:
            names = {batch.id: batch.name for batch in self._live()}
            left = "; ".join(f"batch {names[one]}: {why}" for one, why in self._patience.given_up.items())
            raise TeacherUnusable(f"{left}; nothing is lost, {self._how_to_go_on()}")
        if self._budget_spent:
            raise StoppedEarly(self._budget_spent)

    def _live(self) -> list[Batch]:
        return self._store.apply_with([], lambda connection: batches.live(connection, self._recipe.name))

    def _how_to_go_on(self) -> str:
        waits = f"{count_of(waiting_in_batches(self._store, self._flow.plan_id), 'request')} in batches, which go on"
        return f"{waits}; take them in with: {self._recipe.how_to_collect} --batch"

    def _report(self) -> None:
        self._count()
        if self._options.report:
            self._options.report(self.progress)

    def _count(self) -> int:
        """Bring the progress up to date; returns how many requests wait in batches."""
        progress, waiting = self.progress, waiting_in_batches(self._store, self._flow.plan_id)
        progress.spent_usd = usd(self._store.spent_nusd())
        progress.reserved_usd = usd(reserved_nusd(self._store))
        progress.seconds = time.monotonic() - self._started
        progress.waiting = {"batch": waiting} if waiting else {}
        left = min(self._left, self._store.count_pending(self._flow.plan_id))
        progress.to_ask = progress.answered + progress.failed + waiting + left
        return waiting


def _harvested(batch: Batch, status: str, harvest: Harvest) -> str:
    parts = [f"{harvest.answered} answered"]
    parts += [f"{count} {what}" for what, count in harvest.result.items() if count and what != "answered"]
    return f"{batch.teacher}: batch {batch.name} {status}: {', '.join(parts)}"
