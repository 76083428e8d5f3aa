"""One request's life: reserve its worst case, wait for a permit, send, decide, and try again where that helps."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from harvester.adapting import Adapter
from harvester.budget import Budget, cost_nusd, worst_case_tokens
from harvester.errors import TeacherUnusable
from harvester.limiter import Limiter
from harvester.noticing import kind_of
from harvester.parsing import read_usage
from harvester.pricing import Price
from harvester.records import Json
from harvester.retry import GiveUp, Received, Reply, Retry, TryAgain, decide, retrying
from harvester.teachers.openai_compat import OpenAICompatible

BYTES_PER_TOKEN = 3
"""For pacing by tokens, where an estimate is enough: it is settled from the reply's usage."""
SHOWN_MODELS = 10


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole reply, paid for."""

    body: bytes
    decoded: Json
    cost_nusd: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Unanswerable:
    """No reply; `again` says whether another run could get one."""

    reason: str
    attempts: int
    again: bool


@dataclass(slots=True)
class Counters:
    """What was sent so far."""

    sent: int = 0  # attempts
    in_flight: int = 0
    answered: int = 0
    throttled: int = 0  # attempts that were refused for the teacher's limits
    broken: int = 0  # attempts that ended otherwise without an answer
    input_tokens: int = 0  # of answers, as their usage states them
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the asker's owner wants to know while a request lives."""

    sending: Callable[[bool], None]  # True: from now on the teacher may bill; False: nothing is under way any more
    lost: Callable[[int], None]  # nano-dollars perhaps billed for an answer that never came
    sleep: Callable[[float], Awaitable[None]]  # seconds until the next attempt; no permit is held


class Asker:
    """Asks one teacher, within its limits and the budget."""

    def __init__(
        self,
        client: OpenAICompatible,
        *,
        limiter: Limiter,
        adapter: Adapter,
        budget: Budget,
        price: Price,
        hooks: Hooks,
        name: str = "teacher",
    ) -> None:
        """An asker over a connected client; `name` is the recipe's for the teacher."""
        self._name = name
        self._client, self._limiter, self._adapter = client, limiter, adapter
        self._budget, self._price, self._hooks = budget, price, hooks
        self.counters = Counters()

    async def ask(self, body: bytes, max_attempts: int) -> Answered | Unanswerable:
        """Ask until there is an answer, a reason against one, or no attempt left.

        Raises:
            TeacherUnusable: true of every further request too: credentials, quota, unreachable.
            StoppedEarly: the budget does not pay for the request.
        """
        if why := self._adapter.gives_up:
            raise TeacherUnusable(f"{self._name}: {why}")
        attempts = 1
        answered_before = self.counters.answered
        try:
            try:
                reply, cost_nusd = await self._attempt(body)
            except TryAgain:
                # Tenacity's loop costs as much as all else that one request does here: only who needs it pays for it.
                async for attempt in retrying(max_attempts, self._hooks.sleep):
                    attempts = attempt.retry_state.attempt_number
                    with attempt:
                        if attempts == 1:
                            raise  # the attempt that was made
                        reply, cost_nusd = await self._attempt(body)
        except TryAgain as error:
            if error.decision.unreachable and self.counters.answered == answered_before:
                raise TeacherUnusable(f"{self._name}: {error}") from None
            return Unanswerable(str(error), attempts, again=True)
        except _GivenUp as error:
            if error.decision.stops_teacher:
                raise TeacherUnusable(f"{self._name}: {error}{await self._mend(error.decision)}") from None
            return Unanswerable(str(error), attempts, again=False)
        return Answered(reply.received.body, reply.decoded, cost_nusd, attempts)

    async def _attempt(self, body: bytes) -> tuple[Reply, int]:
        """One send. Returns the reply and its cost in nano-dollars; or raises what is to be done instead."""
        input_bytes, max_tokens = worst_case_tokens(body)
        worst_nusd = self._price.cost_nusd(input_bytes, max_tokens)
        async with (
            self._budget.reserve(worst_nusd) as held,
            self._limiter.permit(input_bytes // BYTES_PER_TOKEN + max_tokens) as permit,
        ):
            sent_at = self._limiter.clock.now()
            held.cost_nusd = worst_nusd
            self._hooks.sending(True)
            try:
                outcome = await self._send(body)
                decision = decide(outcome)
            except BaseException:  # cancelled, or a bug of ours: it is on its way, and will be billed
                self._hooks.lost(worst_nusd)
                raise
            if isinstance(decision, Reply):
                usage = read_usage(decision.decoded)
                held.cost_nusd = cost_nusd(self._price, usage, worst_nusd)
                permit.used_tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0) or permit.used_tokens
                self._adapter.answered(decision.received.headers, sent_at=sent_at)
                self.counters.answered += 1
                self.counters.input_tokens += usage.input_tokens or 0
                self.counters.output_tokens += usage.output_tokens or 0
                return decision, held.cost_nusd
            held.cost_nusd = worst_nusd if decision.maybe_billed else 0
            self._adapt(decision, outcome, sent_at)
            if isinstance(decision, Retry) and decision.unreachable:
                permit.used_tokens = 0  # it was not sent; what was refused may count against the limit
        if held.cost_nusd:
            self._hooks.lost(held.cost_nusd)
        self._hooks.sending(False)
        raise self._signal(decision)

    def _adapt(self, decision: Retry | GiveUp, outcome: Received | Exception, sent_at: float) -> None:
        headers = outcome.headers if isinstance(outcome, Received) else {}
        if isinstance(decision, Retry) and decision.throttled:
            self.counters.throttled += 1
        else:
            self.counters.broken += 1
        if isinstance(decision, GiveUp):
            self._adapter.answered(headers, sent_at=sent_at)  # the teacher lives, and this one passed its limits
        elif decision.throttled or decision.after_s is not None:
            self._adapter.throttled(headers, after_s=decision.after_s, sent_at=sent_at)
        else:
            reason = decision.reason if decision.unreachable else kind_of(decision.reason)
            self._adapter.failed(sent_at=sent_at, reason=reason)

    def _signal(self, decision: Retry | GiveUp) -> Exception:
        if isinstance(decision, GiveUp):
            return _GivenUp(decision)
        if why := self._adapter.gives_up:
            return TeacherUnusable(f"{self._name}: {why}; the last try: {decision.reason}")
        return TryAgain(decision)

    async def _mend(self, decision: GiveUp) -> str:
        """Where to look: for the key, or at what the teacher has where what was asked for is not there."""
        if decision.refused == "key":
            return f"; {self._client.key_used}"
        if decision.refused != "name":
            return ""
        names = await self._client.models()
        more = ", …" if len(names) > SHOWN_MODELS else ""
        if names:
            return f"; it has the models {', '.join(names[:SHOWN_MODELS])}{more}"
        return f"; asked was {self._client.url}: a base_url goes up to and including /v1 with most providers"

    async def _send(self, body: bytes) -> Received | Exception:
        self.counters.sent += 1
        self.counters.in_flight += 1
        try:
            return await self._client.send(body)
        except Exception as error:  # noqa: BLE001 - an attempt's end is data; `decide` re-raises what it does not know
            return error
        finally:
            self.counters.in_flight -= 1


class _GivenUp(Exception):
    """An attempt after which no other helps: a signal inside this file, as TryAgain is."""

    def __init__(self, decision: GiveUp) -> None:
        self.decision = decision
        super().__init__(decision.reason)
