"""Looks at batches that are under way: takes in those that ended, and gives up those that never will."""

from datetime import UTC, datetime

from harvester.batching.addressing import Addressee
from harvester.batching.api import Refused, Unavailable
from harvester.batching.call import Call
from harvester.batching.harvesting import Harvester
from harvester.batching.taking import Ended, Harvest
from harvester.batching.told import CANCELLED, CANCELLING, ENDED, EXPIRED, Told
from harvester.batching.waiting import Patience
from harvester.errors import BadInput, TeacherUnusable
from harvester.store import batches
from harvester.store.batches import Batch

GONE = 404


class Polling:
    """Looks at the batches of one call's recipe."""

    def __init__(self, call: Call) -> None:
        """Those of the call's own making, and those of earlier ones."""
        self._call = call
        self.patience = Patience()

    def waited_for(self) -> list[Batch]:
        """Batches that have no end, and are still looked at."""
        return [batch for batch in self._call.live() if batch.id not in self.patience.given_up]

    async def look_at_all(self) -> bool:
        """Look at every batch that has no end; whether one of them changed.

        Raises:
            TeacherUnusable: a provider refuses to say, or a strict teacher's answers name another model.
            BadInput: a batch's teacher is another one now.
            StoreUnusable: the store can no longer be written.
        """
        changed = False
        for batch in self.waited_for():
            try:
                changed = await self._look_at(batch) or changed
            except (Unavailable, Refused) as error:
                if isinstance(error, Refused) and error.status != GONE:
                    raise
                self.patience.missed(batch.id, str(error))
        return changed

    async def _look_at(self, batch: Batch) -> bool:
        of = self.addressee(batch)
        if batch.batch_id is None:
            return False
        told = await of.api.retrieve(batch.batch_id)
        if told.status != batch.status:
            self._note(batch, told)
        if told.status in ENDED:
            await self._take_in(batch, told, of)
        elif told.status != CANCELLING and _is_stuck(batch, told, of):
            return await self._give_up(batch, of)
        self.patience.heard(batch.id)
        return told.status != batch.status or told.status in ENDED

    async def _take_in(self, batch: Batch, told: Told, of: Addressee) -> None:
        call = self._call
        given_up = told.status == EXPIRED or (told.status == CANCELLED and batch.given_up)
        ended = Ended(batch, told, of, leaves_over=given_up and of.teacher.batch.requeue_online)
        harvest = await Harvester(call.store, call.flow, call.progress, call.options.tell).take_in(ended)
        call.options.tell(
            _harvested(batch, told.status, harvest),
            event="batch_ended",
            teacher=batch.teacher,
            batch=batch.name,
            status=told.status,
            **harvest.result,
        )
        if harvest.stops:
            raise TeacherUnusable(f"{harvest.stops}; {call.how_to_go_on()}")

    async def _give_up(self, batch: Batch, of: Addressee) -> bool:
        """Have a batch cancelled that is past its window, where the recipe says so; whether it was."""
        late = f"it is past its window of {of.terms.window}, and may never end"
        if not of.teacher.batch.requeue_online:
            self.patience.give_up(
                batch.id,
                f"{late}; cancel it (harvester batch cancel {batch.name}) and run again, or state"
                f" {of.name}.batch.requeue_online: true to have its rest asked online, at the usual price",
            )
            return False
        self._call.store.apply_with([], lambda connection: batches.give_up(connection, batch.id))
        try:
            told = await of.api.cancel(batch.batch_id or "")
        except Refused as error:
            raise Unavailable(f"{late}, and cannot be cancelled: {error}") from None
        self._note(batch, told)
        line = f"{of.name}: batch {batch.name}: {late}; it is cancelled, and what it leaves is asked online"
        self._call.options.tell(line, event="batch_given_up", teacher=of.name, batch=batch.name, status=told.status)
        return True

    def _note(self, batch: Batch, told: Told) -> None:
        self._call.store.apply_with([], lambda connection: batches.note(connection, batch.id, status=told.status))

    def addressee(self, batch: Batch) -> Addressee:
        """Who a batch was sent to.

        Raises:
            BadInput: the recipe has another one under that name now.
        """
        call = self._call
        to = call.to.get(batch.teacher)
        if to is None or not call.store.same_provider(to.teacher_id, batch.teacher_id):
            raise BadInput(
                f"{call.flow.recipe.path}: batch {batch.name} was sent to another address than its teacher"
                f" {batch.teacher} has now; put it back, or: harvester batch cancel {batch.name} --forget"
            )
        return to


def _is_stuck(batch: Batch, told: Told, of: Addressee) -> bool:
    """Whether a batch is past its window by the provider's clock, and by ours: either of them may be wrong."""
    most_hours = of.terms.window_hours + of.teacher.batch.grace_hours
    ours = datetime.now(UTC) - datetime.fromisoformat(batch.created_at)
    return told.age_hours is not None and min(told.age_hours, ours.total_seconds() / 3600) > most_hours


def _harvested(batch: Batch, status: str, harvest: Harvest) -> str:
    parts = [f"{harvest.answered} answered"]
    parts += [f"{count} {what}" for what, count in harvest.result.items() if count and what != "answered"]
    return f"{batch.teacher}: batch {batch.name} {status}: {', '.join(parts)}"
