"""What a run did and may do, as Prometheus takes it: names in base units, and as many labels as a recipe has parts."""

import time
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from harvester.noticing import kind_of
from harvester.progress import Progress, TeacherProgress

WAITS = ("concurrency", "tokens", "requests", "teacher", "budget", "retry")
"""For what a request waits; each is there from the beginning, so that a rate has something to start from."""
Sample = tuple[tuple[str, ...], float]
"""(values of the labels, value)."""


class Metrics(Collector):
    """The metrics of one run, of the last progress that it reported; read by other threads at any time."""

    every_s = 1.0

    def __init__(self, recipe: str) -> None:
        """For a run that begins now."""
        self.registry = CollectorRegistry(auto_describe=True)
        self._started_at = time.time()
        self._recipe = recipe
        self._progress = Progress(recipe, 0)
        self.registry.register(self)

    def report(self, progress: Progress) -> None:
        """Take over how far the run is."""
        self._progress = deepcopy(progress)  # the run goes on to change its own

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        yield InfoMetricFamily("harvester_run", "What runs.", {"recipe": self._recipe})
        yield _gauge("harvester_run_start_time_seconds", "When the run began, in seconds since 1970.", self._started_at)
        progress = self._progress
        yield from _of_the_run(progress)
        yield from _of_money(progress)
        yield from _of_teachers(progress.teachers)
        yield from _of_limits(progress.teachers)


def _of_the_run(progress: Progress) -> Iterator[Metric]:
    left = max(0, progress.to_ask - progress.answered - progress.failed)
    states = {"pending": left, "answered": progress.answered, "failed": progress.failed}
    yield _gauges("harvester_requests", "Requests of this run.", ["state"], _each(states))
    reasons: dict[str, int] = {}
    for reason, count in progress.reasons.items():
        reasons[kind_of(reason)] = reasons.get(kind_of(reason), 0) + count
    yield _counters("harvester_requests_failed", "Requests given up, by reason.", ["reason"], _each(reasons))
    yield _counters("harvester_rows_answered", "Rows that have an answer, by step.", ["step"], _each(progress.steps))
    accepted = [((), float(progress.accepted))]
    yield _counters("harvester_rows_accepted", "Rows whose answer is accepted.", [], accepted)
    finished = _each(progress.finish_reasons)
    yield _counters("harvester_answers", "Answers, by how the teacher says they ended.", ["finish_reason"], finished)
    waiting = progress.waiting.get("batch", 0)
    yield _gauge("harvester_batch_waiting_requests", "Requests that wait in batches at their provider.", waiting)


def _of_money(progress: Progress) -> Iterator[Metric]:
    yield _gauge("harvester_store_spent_dollars", "What the store has cost in all.", progress.spent_usd)
    yield _gauge("harvester_reserved_dollars", "Held beside it, in flight and in batches.", progress.reserved_usd)
    limits = [((_budget(field),), one.limit_usd) for field, one in progress.budgets.items()]
    yield _gauges("harvester_budget_dollars", "Sums that must not be passed.", ["budget"], limits)
    gone = [((_budget(field),), one.spent_usd) for field, one in progress.budgets.items()]
    yield _gauges("harvester_budget_spent_dollars", "What is gone of each of them.", ["budget"], gone)


def _of_teachers(teachers: dict[str, TeacherProgress]) -> Iterator[Metric]:
    sent, tokens, waiting = list[Sample](), list[Sample](), list[Sample]()
    for name, its in teachers.items():
        outcomes = {"answered": its.answered, "throttled": its.throttled, "error": its.broken}
        sent += [((name, outcome), count) for outcome, count in outcomes.items()]
        tokens += [((name, "input"), its.input_tokens), ((name, "output"), its.output_tokens)]
        waiting += [((name, what), its.waiting.get(what, 0)) for what in WAITS]
    yield _counters("harvester_attempts", "Requests sent and ended, each try.", ["teacher", "outcome"], sent)
    yield _counters("harvester_tokens", "Tokens of answers, as their usage states.", ["teacher", "direction"], tokens)
    spent = [((name,), its.spent_usd) for name, its in teachers.items()]
    yield _counters("harvester_spent_dollars", "What this run has cost.", ["teacher"], spent)
    in_flight = [((name,), float(its.in_flight)) for name, its in teachers.items()]
    yield _gauges("harvester_in_flight_requests", "Requests that are on their way.", ["teacher"], in_flight)
    yield _gauges("harvester_waiting_requests", "Requests that wait.", ["teacher", "reason"], waiting)


def _of_limits(teachers: dict[str, TeacherProgress]) -> Iterator[Metric]:
    """Limits are per second, as `rate()` is; a teacher whose limit is neither told nor found has none."""
    limits: tuple[tuple[str, str, Callable[[TeacherProgress], float | None]], ...] = (
        (
            "limit_requests_per_second",
            "Limit of requests, told or found.",
            lambda its: _a_second(its.requests_per_minute),
        ),
        ("limit_tokens_per_second", "Limit, told or found.", lambda its: _a_second(its.tokens_per_minute)),
        ("limit_concurrent_requests", "So many requests may be on their way at once.", lambda its: its.concurrency),
        ("paused_seconds", "How much longer the teacher asks to wait.", lambda its: its.paused_s),
        ("circuit_open", "1 where nothing but failures come and it is only probed.", lambda its: its.circuit_open),
    )
    for metric, meaning, limit_of in limits:
        found = {name: limit_of(its) for name, its in teachers.items()}
        known = [((name,), float(limit)) for name, limit in found.items() if limit is not None]
        yield _gauges(f"harvester_{metric}", meaning, ["teacher"], known)


def _a_second(per_minute: float | None) -> float | None:
    return None if per_minute is None else per_minute / 60


def _budget(field: str) -> str:
    """`budget.usd or --budget` → `budget.usd`."""
    return field.split(maxsplit=1)[0]


def _each(counts: dict[str, int]) -> list[Sample]:
    return [((name,), float(count)) for name, count in counts.items()]


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _gauges(name: str, meaning: str, labels: list[str], samples: Iterable[Sample]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counters(name: str, meaning: str, labels: list[str], samples: Iterable[Sample]) -> Metric:
    """The library adds `_total` to the name."""
    family = CounterMetricFamily(name, meaning, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
