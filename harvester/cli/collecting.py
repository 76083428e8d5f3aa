"""collect: the one command that asks a teacher, and so the one that costs money."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harvester.cli import texts
from harvester.cli.base import as_json, load, recipe_argument, say, show, store_option, trust_option
from harvester.errors import BadInput, HarvesterError, StoppedEarly

if TYPE_CHECKING:
    from harvester.cli.event_log import EventLog
    from harvester.collecting import Progress
    from harvester.modes import Mode
    from harvester.recipe import Recipe, Teacher

SHOWN_REASONS = 5
MOST_USD = 10**9


@click.command(epilog="Example: harvester collect runs/orders --limit 20")
@recipe_argument
@store_option
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Ask at most so many requests in this run.")
@click.option(
    "--accept", metavar="N", type=click.IntRange(min=1), help="With N rows of train accepted, ask dev and test only."
)
@click.option("--batch", is_flag=True, help="Ask all in files by the provider's Batch API: cheaper, within a day.")
@click.option("--online", is_flag=True, help="Ask all one by one, whatever `mode` RECIPE states.")
@click.option("--no-wait", is_flag=True, help="With batches: send, take in what is done, and do not wait for the rest.")
@click.option("--budget", metavar="USD", help="Stop before the store has cost more than this.")
@click.option("--retry-failed", is_flag=True, help="Ask also what was refused for good before.")
@click.option("--trust", metavar="HOST", multiple=True, help="Let HOST have the key that RECIPE names for it; kept.")
@trust_option
@click.option("--yes", is_flag=True, help="Do not ask before spending money without a budget.")
@click.option("--log-json", is_flag=True, help="Tell on stderr what happens as JSON, an event a line.")
@click.option(
    "--metrics",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    help="Serve Prometheus metrics on 127.0.0.1 meanwhile; 0: any free port.",
)
@as_json
def collect(
    recipe: Path,
    store: Path | None,
    limit: int | None,
    accept: int | None,
    batch: bool,
    online: bool,
    no_wait: bool,
    budget: str | None,
    retry_failed: bool,
    trust: tuple[str, ...],
    yes: bool,
    log_json: bool,
    metrics: int | None,
    as_json: bool,
) -> None:
    """Ask the teacher what RECIPE plans and the store does not know; run again to go on."""
    import asyncio

    from harvester.batching.dispatch import collect as run
    from harvester.cli.event_log import EventLog, logging_to_the_end
    from harvester.cli.observing import observing
    from harvester.collecting import Options

    log = EventLog() if log_json else None
    with logging_to_the_end(log):
        loaded = load(recipe)
        mode = _mode(loaded, batch=batch, online=online, no_wait=no_wait)
        budget_usd = _money(budget)
        _ask_a_person(loaded, trust, mode, confirmed=yes or budget_usd is not None)
        with _telling_of_a_stop(log, as_json=as_json), observing(loaded.name, log, metrics) as observers:
            options = Options(
                limit=limit, accept=accept, budget_usd=budget_usd, retry_failed=retry_failed,
                report=observers.report, report_every_s=observers.report_every_s,
                say=observers.say, log=observers.log,
            )  # fmt: skip
            progress = asyncio.run(run(loaded, store, options, mode=mode, wait=not no_wait))
        result = asdict(progress) | _ending(loaded, store, progress, accept)
        if log:
            log.ended(result["ended"], 0, progress)
        else:
            _say_what_went_wrong(progress)
            _say_what_is_missing(progress, accept)
        show(result, as_json=as_json, text=lambda r: f"{texts.progress(progress)}\n{texts.ended(r, limit)}")


@contextmanager
def _telling_of_a_stop(log: "EventLog | None", *, as_json: bool) -> Iterator[None]:
    """What a run came to that was stopped: on stdout for programs, and what went wrong for people."""
    try:
        yield
    except HarvesterError as error:
        if error.progress is not None:  # else it stopped before asking
            if log is None:
                _say_what_went_wrong(error.progress)
            if as_json:
                show(asdict(error.progress), as_json=True, text=str)
        raise


def _mode(recipe: "Recipe", *, batch: bool, online: bool, no_wait: bool) -> "Mode | None":
    """How everybody is asked, whatever the recipe says; None where the recipe says it.

    Raises:
        BadInput: the options contradict each other, or the recipe.
    """
    from harvester.modes import BATCH, ONLINE, any_batches

    if batch and online:
        raise BadInput("--batch, --online: name one of them, or none to do as the recipe says")
    mode: Mode | None = BATCH if batch else ONLINE if online else None
    if no_wait and not any_batches(recipe, mode):
        raise BadInput("--no-wait: goes with batches only: add --batch, or state mode: batch in the recipe")
    return mode


def _ask_a_person(recipe: "Recipe", trusted: Sequence[str], mode: "Mode | None", *, confirmed: bool) -> None:
    """Who gets a key, and money without a bound: questions that are asked before anything is.

    Raises:
        BadInput: a key would go where nobody let it go.
        RefusedByTerms: nothing could be asked anyway.
        StoppedEarly: the answer is no.
    """
    from functools import partial

    from harvester import trusting

    ask = partial(click.confirm, err=True) if _on_terminal() else None
    for name, teacher in recipe.asked_teachers.items():
        trusting.require(teacher, where=recipe.where_teacher(name), trusted_now=trusted, ask=ask)
    if not confirmed:
        _confirm_cost(recipe, mode)


def _ending(recipe: "Recipe", store: Path | None, progress: "Progress", accept: int | None) -> dict[str, Any]:
    """Why a run ended (accept, batch, limit or done), what is left to ask, and what was dropped so far, by reason."""
    from harvester.status import ending

    left = ending(recipe, store)
    enough = accept is not None and (progress.accepted_rows or 0) >= accept
    why = "batch" if left["waiting_in_batches"] else "limit" if left["pending"] else "done"
    return {"ended": "accept" if enough else why, **left}


def _say_what_is_missing(progress: "Progress", accept: int | None) -> None:
    if accept is not None and (found := progress.accepted_rows or 0) < accept:
        say(f"{found} of {accept} rows accepted; add seeds or samples, raise --limit, or look at `harvester status`")


def _say_what_went_wrong(progress: "Progress") -> None:
    if progress.maybe_asked_again:
        say(f"a run was killed before: at most {progress.maybe_asked_again} requests were sent twice")
    for reason, count in sorted(progress.reasons.items(), key=lambda item: -item[1])[:SHOWN_REASONS]:
        say(f"{count} failed: {reason}")


def _confirm_cost(recipe: "Recipe", mode: "Mode | None") -> None:
    """Ask a person before money is spent without a bound; off a terminal nobody is there to answer.

    Raises:
        RefusedByTerms: nothing could be asked anyway.
        StoppedEarly: the answer is no.
    """
    if recipe.budget or not any(map(_costs, recipe.asked_teachers.values())) or not _on_terminal():
        return
    from harvester.collecting import require_terms
    from harvester.estimating import estimate

    require_terms(recipe)
    expected = estimate(recipe, mode)
    say(
        f"{recipe.name}: {expected.requests:,} requests in all, USD {texts.low_high(expected.usd)},"
        f" what is stored already included; no budget is stated (budget.usd, --budget)"
    )
    if not click.confirm("go on?", err=True):
        raise StoppedEarly("nothing was asked; state a budget, or run it again")


def _costs(teacher: "Teacher") -> bool:
    """Whether asking a teacher may cost money without a bound."""
    price = teacher.known_price
    return teacher.budget_usd is None and (price is None or max(price.input, price.output) > 0)


def _on_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _money(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except ArithmeticError:
        raise BadInput(f"--budget: {text[:80]!r} is not an amount in USD, such as 5.00") from None
    if not amount.is_finite() or amount < 0:
        raise BadInput(f"--budget: {text[:80]!r} is not an amount in USD, such as 5.00")
    if amount > MOST_USD:
        raise BadInput(f"--budget: {text[:80]!r} is more than {MOST_USD} USD; leave it out for no budget")
    return amount
