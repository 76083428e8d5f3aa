"""The loop of a call that has batches: look at them, make others, ask the rest one by one, wait."""

import asyncio
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from harvester.batching.call import Call
from harvester.batching.making import Maker
from harvester.batching.one_by_one import OneByOne
from harvester.batching.polling import Polling
from harvester.batching.sending import Sender
from harvester.binding import Binding
from harvester.bounds import caps, reserved_nusd
from harvester.errors import StoppedEarly, TeacherUnusable
from harvester.interrupting import on_interrupt
from harvester.pricing import usd

T = TypeVar("T")


class Rounds:
    """One call, from its first look to its end."""

    def __init__(self, call: Call, run_id: int, bindings: Mapping[str, Binding]) -> None:
        """Batches are made in the store's run `run_id`; each harvest, and each time others are asked, is another."""
        self._call, self._run_id = call, run_id
        plan_id, recipe = call.flow.plan_id, call.flow.recipe.name
        self._sender = Sender(call.store, plan_id=plan_id, recipe=recipe, run_id=run_id, sleep=call.sleep)
        self._maker = Maker(call, self._sender)
        self._polling = Polling(call)
        self._others = OneByOne(call, bindings)
        self._started = time.monotonic()
        self._main: asyncio.Task[Any] | None = None
        self._interrupted = False

    async def run(self, *, wait: bool) -> int:
        """Go on until nothing is left to ask or to wait for; returns how many requests wait in batches.

        Raises:
            BadInput, StoppedEarly, TeacherUnusable, StoreUnusable: as `collect_in_batches` does.
        """
        self._main = asyncio.current_task()
        self._tell_beginning()
        try:
            await self._until_interrupted(wait=wait)
        except (TeacherUnusable, StoppedEarly) as error:
            self._count()
            error.progress = self._call.progress
            raise
        return self._count()

    def _tell_beginning(self) -> None:
        self._count()
        call = self._call
        every = caps(call.flow.recipe, call.options, call.store, call.spent_nusd)
        call.options.tell(
            None,
            event="run_started",
            run=self._run_id,
            recipe=call.flow.recipe.name,
            teachers=list(call.to),
            to_ask=call.progress.to_ask,
            spent_usd=call.progress.spent_usd,
            budgets_usd={cap.field: usd(cap.limit_nusd) for cap in every},
        )

    async def _until_interrupted(self, *, wait: bool) -> None:
        try:
            await self._go_on(wait=wait)
        except asyncio.CancelledError:
            if not self._interrupted or self._main is None:
                raise
            self._main.uncancel()
            raise StoppedEarly(f"interrupted; {self._call.how_to_go_on()}") from None

    async def _go_on(self, *, wait: bool) -> None:
        await self._hearing(self._finish_sending())
        while True:
            changed = await self._hearing(self._exchange())
            if await self._others.ask():
                continue  # what they answered may lead to more
            if not self._polling.waited_for() or not wait:
                break
            self._report()
            await self._hearing(self._pause(changed=changed))
        self._raise_what_is_left()

    async def _finish_sending(self) -> None:
        """Send the batches that an earlier call wrote down, and did not come so far as to send."""
        for batch in self._call.live():
            if batch.batch_id is None:
                await self._sender.send(batch, self._polling.addressee(batch))

    async def _exchange(self) -> bool:
        """Take in what is done and send what is open; whether there was any."""
        changed = await self._polling.look_at_all()
        return await self._maker.send_all() or changed

    async def _pause(self, *, changed: bool) -> None:
        await self._call.sleep(self._polling.patience.next_wait_s(changed=changed))

    async def _hearing(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns, with Ctrl-C ending the call and leaving its batches. A `Run` hears Ctrl-C itself."""
        with on_interrupt(self._interrupt):
            return await work

    def _interrupt(self) -> None:
        if self._main:
            self._interrupted = True
            self._main.cancel()

    def _raise_what_is_left(self) -> None:
        if given_up := self._polling.patience.given_up:
            names = {batch.id: batch.name for batch in self._call.live()}
            left = "; ".join(f"batch {names[one]}: {why}" for one, why in given_up.items())
            raise TeacherUnusable(f"{left}; nothing is lost, {self._call.how_to_go_on()}")
        if self._maker.budget_spent:
            raise StoppedEarly(self._maker.budget_spent)

    # --- how far it is

    def _report(self) -> None:
        self._count()
        if self._call.options.report:
            self._call.options.report(self._call.progress)

    def _count(self) -> int:
        """Bring the progress up to date; returns how many requests wait in batches."""
        call = self._call
        progress, waiting = call.progress, call.count_waiting()
        progress.spent_usd = usd(call.store.spent_nusd())
        progress.reserved_usd = usd(reserved_nusd(call.store))
        progress.seconds = time.monotonic() - self._started
        progress.waiting = {"batch": waiting} if waiting else {}
        left = min(call.left, call.store.count_pending(call.flow.plan_id))
        progress.to_ask = progress.answered + progress.failed + waiting + left
        return waiting
