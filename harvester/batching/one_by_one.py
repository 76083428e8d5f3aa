"""What of a plan is asked one by one beside its batches: other teachers, and what batches left over."""

from collections.abc import Mapping
from dataclasses import replace

from harvester.batching.call import Call
from harvester.binding import Binding
from harvester.bounds import Part
from harvester.errors import StoppedEarly, TeacherUnusable
from harvester.modes import ONLINE
from harvester.progress import Options, Progress, together
from harvester.running import Run


class OneByOne:
    """Asks one by one in a call that has batches, too."""

    def __init__(self, call: Call, bindings: Mapping[str, Binding]) -> None:
        """With the bindings of every teacher that a step asks."""
        self._call, self._bindings = call, bindings

    async def ask(self) -> bool:
        """Ask what is open now, with what follows from it; whether there was any.

        Raises:
            StoppedEarly, TeacherUnusable, StoreUnusable: as `Run.ask_everything` does; batches go on.
        """
        call, part = self._call, self._part()
        if not call.left or not part.count_open(call.store, call.flow.plan_id):
            return False
        before, spent_nusd = call.progress, call.store.spent_nusd()
        run = Run(call.flow, call.store, self._bindings, self._options(before), part)
        try:
            await run.ask_everything()
        except (StoppedEarly, TeacherUnusable) as error:
            if not call.live():
                raise
            raise type(error)(f"{error}; {call.how_to_go_on()}") from None
        finally:
            call.progress = together(before, run.progress)
            call.left -= run.handed_out
            call.spent_nusd += call.store.spent_nusd() - spent_nusd
        return run.handed_out > 0

    def _part(self) -> Part:
        call = self._call
        online = frozenset(name for name, mode in call.modes.items() if mode == ONLINE)
        requeued = frozenset(name for name, to in call.to.items() if to.teacher.batch.requeue_online)
        return Part(online, requeued - online, call.spent_nusd)

    def _options(self, before: Progress) -> Options:
        """Those of the call, with what is left of its limit, and a report of the whole call."""
        options, report = self._call.options, self._call.options.report
        return replace(
            options,
            limit=None if options.limit is None else self._call.left,
            report=report and (lambda now: report(together(before, now))),
        )
