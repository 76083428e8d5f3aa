"""What is open → batches, as far as limits and budgets go."""

from harvester.batching.addressing import Addressee
from harvester.batching.call import Call
from harvester.batching.sending import Sender
from harvester.bounds import caps, own_cap
from harvester.modes import BATCH
from harvester.records import count_of


class Maker:
    """Makes the batches of one call."""

    def __init__(self, call: Call, sender: Sender) -> None:
        """For the teachers that are asked in batches."""
        self._call, self._sender = call, sender
        self._too_large: set[str] = set()  # teachers of which that was said
        self.budget_spent: str | None = None  # why something open was not sent

    async def send_all(self) -> bool:
        """Make batches of what is open, as far as limit and budget go; whether there was any.

        Raises:
            Refused, Unavailable, StoreUnusable: as `Sender.send` does.
        """
        made, self.budget_spent, call = False, None, self._call
        for to in call.to.values():
            while call.modes[to.name] == BATCH and call.left > 0:
                batch = self._sender.write_down(to, left_nusd=self._left_nusd(to), limit=call.left)
                if batch is None:
                    self._note_what_is_left(to)
                    break
                made = True
                call.left -= batch.requests
                call.spent_nusd += batch.worst_nusd
                sent = await self._sender.send(batch, to)
                call.options.tell(
                    f"{to.name}: batch {sent.name}: {count_of(sent.requests, 'request')}",
                    event="batch_submitted",
                    teacher=to.name,
                    batch=sent.name,
                    requests=sent.requests,
                )
        return made

    def _left_nusd(self, to: Addressee) -> int | None:
        call = self._call
        every = [
            *caps(call.flow.recipe, call.options, call.store, call.spent_nusd),
            *own_cap(to.name, to.teacher, call.store),
        ]
        return min((cap.limit_nusd - cap.spent_nusd for cap in every), default=None)

    def _note_what_is_left(self, to: Addressee) -> None:
        if not self._sender.has_open(to):
            return
        if self._left_nusd(to) is None:
            if to.name not in self._too_large:
                line = f"{to.name}: what is larger than a batch's file may be is left to `collect`, one by one"
                self._call.options.tell(line)
            self._too_large.add(to.name)
            return
        self.budget_spent = (
            f"budget: what is left does not pay for the worst case of another request to {to.name}; raise it"
            f" (budget.usd or --budget, budget.run_usd, {to.name}.budget_usd) or wait for batches, and run again"
        )
