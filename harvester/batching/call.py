"""What the parts of one call of `collect` share while some of its teachers are asked in batches."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from harvester.batching.addressing import Addressee
from harvester.collecting import waiting_in_batches
from harvester.flowing import Flow
from harvester.modes import Mode
from harvester.progress import Options, Progress
from harvester.records import count_of
from harvester.store import StoreWriter, batches
from harvester.store.batches import Batch

Sleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Call:
    """The plan that is asked, who is asked how, and how far it is."""

    store: StoreWriter
    flow: Flow
    modes: Mapping[str, Mode]  # of every teacher that a step asks
    to: Mapping[str, Addressee]  # those with batches, now or from before
    options: Options
    sleep: Sleep
    override: Mode | None  # the command's word on how everybody is asked
    progress: Progress
    left: int  # requests that may still be asked
    spent_nusd: int = 0  # of `budget.run_usd`: worst cases of the batches it made, and what it asked one by one

    def live(self) -> list[Batch]:
        """The recipe's batches that have no end."""
        return self.store.apply_with([], lambda connection: batches.live(connection, self.flow.recipe.name))

    def count_waiting(self) -> int:
        """How many requests wait in batches."""
        return waiting_in_batches(self.store, self.flow.plan_id)

    def how_to_go_on(self) -> str:
        """What to run, for messages."""
        command = self.flow.recipe.how_to_collect + (f" --{self.override}" if self.override else "")
        waits = f"{count_of(self.count_waiting(), 'request')} in batches, which go on"
        return f"{waits}; take them in with: {command}"
