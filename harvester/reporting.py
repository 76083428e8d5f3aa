"""How far a run is: put together from its lanes, told to who asked for it, and written into the store now and then."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict

from harvester.budget import Budget
from harvester.lanes import Lane
from harvester.pricing import usd
from harvester.progress import REPORT_EVERY_S, BudgetProgress, Options, Progress
from harvester.records import Json
from harvester.store.events import Reported
from harvester.store.journal import Journal


class Reporter:
    """Keeps the progress of one run up to date."""

    def __init__(
        self, run_id: int, progress: Progress, lanes: Mapping[str, Lane], budget: Budget, options: Options
    ) -> None:
        """For a run that begins now."""
        self._run_id, self._progress, self._lanes, self._budget = run_id, progress, lanes, budget
        self._options = options
        self._started = time.monotonic()
        self._written_at = -math.inf

    async def run(self, journal: Journal, stop: Callable[[Exception], None]) -> None:
        """Report every `Options.report_every_s`, until cancelled; `stop` hears where the caller's own report fails."""
        self.update()
        self._write(journal)
        while True:
            await asyncio.sleep(self._options.report_every_s)
            self.update()
            self._write(journal)
            try:
                if self._options.report:
                    self._options.report(self._progress)
            except Exception as error:  # noqa: BLE001 - the caller's own: what is in flight is stored first
                stop(error)
                return

    def _write(self, journal: Journal) -> None:
        """For those who look at the store meanwhile; often enough for a person."""
        now = time.monotonic()
        if now - self._written_at >= REPORT_EVERY_S:
            self._written_at = now
            journal.put(self.reported())

    def reported(self) -> Reported:
        """The progress as the store keeps it."""
        return Reported(self._run_id, asdict(self._progress))

    def update(self) -> None:
        """Bring the progress up to date."""
        progress, lanes = self._progress, self._lanes.values()
        progress.seconds = time.monotonic() - self._started
        progress.spent_usd = usd(self._budget.spent_nusd)
        progress.reserved_usd = usd(self._budget.reserved_nusd)
        progress.budgets = {
            cap.field: BudgetProgress(usd(cap.limit_nusd), usd(budget.gone_nusd(cap)))
            for budget in (self._budget, *(lane.budget for lane in lanes))
            for cap in budget.caps
        }
        progress.teachers = {lane.name: lane.look() for lane in lanes}
        its = progress.teachers.values()
        progress.waiting = dict(sum((Counter(one.waiting) for one in its), Counter[str]()))
        progress.sent = sum(one.sent for one in its)
        progress.in_flight = sum(one.in_flight for one in its)
        progress.answered = sum(one.answered for one in its)

    def bounds(self) -> dict[str, Json]:
        """What the run is to do, and within what."""
        return {
            "run": self._run_id,
            "recipe": self._progress.recipe,
            "teachers": list(self._lanes),
            "to_ask": self._progress.to_ask,
            "maybe_asked_again": self._progress.maybe_asked_again,
            "spent_usd": usd(self._budget.spent_nusd),
            "budgets_usd": {cap.field: usd(cap.limit_nusd) for cap in self._budget.caps},
        }
