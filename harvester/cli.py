"""The command line: it only translates. Results go to stdout, talk to stderr."""

import asyncio
import json
import sys
import traceback
from collections.abc import Callable
from decimal import Decimal
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harvester import __version__
from harvester.errors import BadInput, HarvesterError, StoppedEarly

if TYPE_CHECKING:
    from harvester.collecting import Progress
    from harvester.recipe import Recipe

INTERRUPTED = "interrupted; run the same command again to go on"
SHOWN_REASONS = 5
BUG = "a bug in Harvester; please report it, with the lines above, to the project's issue tracker"

MOST_USD = 10**9


class Commands(click.Group):
    """A group whose Ctrl-C is one line; click itself would put an empty one before it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Raises:
            StoppedEarly: Ctrl-C.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise StoppedEarly(INTERRUPTED) from None


def _usable(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:  # noqa: ARG001 - click's
    """Refuse a path that no file can have, before anything is done for it."""
    try:
        if path is not None:
            path.exists()
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise BadInput(f"{parameter.opts[0]}: {str(path)[:80]!r}: {problem}; name another path") from None
    return path


def _usable_store(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    path = _usable(context, parameter, path)
    if path is not None and path.is_dir():
        raise BadInput(f"{parameter.opts[0]}: {str(path)!r} is a folder; name the database file, such as harvest.db")
    return path


PATH: Any = click.Path(path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
store_option = click.option("--store", type=PATH, callback=_usable_store, help="Database; default: beside the recipe.")
recipe_argument = click.argument("recipe", type=PATH, callback=_usable)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="harvester")
def cli() -> None:
    """Collect training data from a teacher model behind an API.

    Example: harvester init runs/orders && harvester collect runs/orders
    """


def main() -> None:
    """Entry point of the `harvester` command: every error is one line and its exit code."""
    try:
        cli(prog_name="harvester", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        say_error(f"{error.format_message()} (see `{context.command_path if context else 'harvester'} --help`)")
        sys.exit(2)
    except HarvesterError as error:
        say_error(str(error))
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        say_error(INTERRUPTED)
        sys.exit(StoppedEarly.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except Exception:  # noqa: BLE001 - the last door: whatever comes here is ours to answer for
        traceback.print_exc()
        say(f"harvester: {BUG}")
        sys.exit(1)


def say(line: str) -> None:
    """Talk, as opposed to results."""
    click.echo(line, err=True)


def say_error(message: str) -> None:
    """An error is one line, whatever a file's or a field's name has in it."""
    say(f"harvester: {' '.join(message.split())}")


def show(result: dict[str, Any], *, as_json: bool, text: Callable[[dict[str, Any]], str]) -> None:
    """Print a command's result for a program or for a person."""
    click.echo(json.dumps(result, ensure_ascii=False) if as_json else text(result))


def example(line: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command's help its example."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        function.__doc__ = f"{function.__doc__}\n\n    Example: {line}\n"
        return wraps(function)(function)

    return add


@cli.command()
@click.argument("name", type=PATH, callback=_usable)
@click.option("--recipe", default="extract-orders", show_default=True, help="Which recipe to start from.")
@as_json
@example("harvester init runs/orders --recipe extract-orders")
def init(name: Path, recipe: str, as_json: bool) -> None:
    """Make the folder NAME with a recipe to edit; files that are there already stay."""
    from harvester.starting import init as make

    written = make(name, recipe)
    result = {"folder": str(name), "recipe": recipe, "written": [str(path) for path in written]}
    show(result, as_json=as_json, text=lambda r: f"{r['folder']}: {len(r['written'])} files written")


@cli.command()
@as_json
@example("harvester recipes")
def recipes(as_json: bool) -> None:
    """List the recipes that come with Harvester."""
    from harvester.starting import about
    from harvester.starting import recipes as all_recipes

    result = {"recipes": [{"name": name, "about": about(folder)} for name, folder in all_recipes().items()]}
    show(result, as_json=as_json, text=lambda r: "\n".join(f"{x['name']}: {x['about']}" for x in r["recipes"]))


@cli.command()
@recipe_argument
@as_json
@example("harvester check runs/orders")
def check(recipe: Path, as_json: bool) -> None:
    """Validate RECIPE without any network: terms, three rendered prompts, requests, tokens, dollars."""
    from dataclasses import asdict

    from harvester import terms
    from harvester.collecting import teacher_terms
    from harvester.estimating import estimate

    loaded = _load(recipe)
    binding, expected = teacher_terms(loaded), estimate(loaded)
    show({**asdict(expected), "recipe": loaded.name, "terms": asdict(binding)}, as_json=as_json, text=_check_text)
    terms.require(binding, teacher="teacher", where=f"{loaded.path}: teacher")


@cli.command()
@recipe_argument
@store_option
@click.option("--limit", type=click.IntRange(min=1), help="Ask at most so many requests in this run.")
@click.option("--budget", type=str, help="Stop before the store has cost more than this many USD.")
@click.option("--retry-failed", is_flag=True, help="Ask also what was refused for good before.")
@as_json
@example("harvester collect runs/orders --limit 20")
def collect(
    recipe: Path, store: Path | None, limit: int | None, budget: str | None, retry_failed: bool, as_json: bool
) -> None:
    """Ask the teacher what RECIPE plans and the store does not know; run again to go on."""
    from dataclasses import asdict

    from harvester.collecting import Options
    from harvester.collecting import collect as run

    loaded = _load(recipe)
    options = Options(
        limit=limit,
        budget_usd=_money(budget),
        retry_failed=retry_failed,
        report=lambda progress: say(progress_line(progress)),
        say=say,
    )
    try:
        progress = asyncio.run(run(loaded, store, options))
    except HarvesterError as error:
        if error.progress is not None:  # else it stopped before asking
            _say_what_went_wrong(error.progress)
            if as_json:
                show(asdict(error.progress), as_json=True, text=str)
        raise
    _say_what_went_wrong(progress)
    show(asdict(progress), as_json=as_json, text=lambda _: progress_line(progress))


def _say_what_went_wrong(progress: "Progress") -> None:
    if progress.maybe_asked_again:
        say(f"a run was killed before: at most {progress.maybe_asked_again} requests were sent twice")
    for reason, count in sorted(progress.reasons.items(), key=lambda item: -item[1])[:SHOWN_REASONS]:
        say(f"{count} failed: {reason}")


@cli.command()
@click.argument("recipe", type=PATH, callback=_usable, required=False)
@store_option
@as_json
@example("harvester status runs/orders --json")
def status(recipe: Path | None, store: Path | None, as_json: bool) -> None:
    """What is stored, spent, waited for and failed; RECIPE may be left out where there is only one."""
    from harvester.status import status as look

    show(look(_load(recipe or _only_recipe()), store), as_json=as_json, text=_status_text)


@cli.command()
@recipe_argument
@click.argument("out", type=PATH, callback=_usable)
@store_option
@click.option("--unfiltered", is_flag=True, help="Write rejected answers into train too.")
@as_json
@example("harvester export runs/orders runs/orders/dataset")
def export(recipe: Path, out: Path, store: Path | None, unfiltered: bool, as_json: bool) -> None:
    """Write what is collected so far as a Hugging Face dataset into the folder OUT."""
    from harvester.exporting import export as write

    exported = write(_load(recipe), out, store=store, unfiltered=unfiltered)
    result = {
        "path": str(exported.path),
        "rows": dict(exported.rows),
        "dropped": dict(exported.dropped),
        "waiting": exported.waiting,
    }
    show(result, as_json=as_json, text=_export_text)


@cli.command()
@recipe_argument
@store_option
@as_json
@example("harvester parse runs/orders")
def parse(recipe: Path, store: Path | None, as_json: bool) -> None:
    """Read and verify RECIPE's stored replies anew, with the rules it states now; asks nobody."""
    from harvester.collecting import parse as replay

    loaded = _load(recipe)
    result = {"recipe": loaded.name, "judged": replay(loaded, store)}
    show(result, as_json=as_json, text=lambda r: f"{r['recipe']}: {r['judged']} rows judged")


@cli.command()
@click.argument("store", type=PATH, callback=_usable_store)
@as_json
@example("harvester verify runs/orders/harvest.db")
def verify(store: Path, as_json: bool) -> None:
    """Re-hash STORE: every reply against its SHA-256, every request against its key."""
    from dataclasses import asdict

    from harvester.auditing import audit
    from harvester.errors import StoreUnusable

    found = audit(store)
    show(asdict(found), as_json=as_json, text=lambda r: _verify_text(store, r))
    if found.problems:
        raise StoreUnusable(
            f"{store}: {len(found.problems)} problems; restore a copy, or collect what is damaged again"
        )


@cli.command()
@click.argument("row")
@click.option("--recipe", type=PATH, callback=_usable, help="Whose store; may be left out where there is only one.")
@store_option
@as_json
@example("harvester trace 1f3a --recipe runs/orders")
def trace(row: str, recipe: Path | None, store: Path | None, as_json: bool) -> None:
    """Where ROW (a row_id or its beginning) comes from: seed, prompt, raw reply, teacher, terms, recipe of that day."""
    from harvester.auditing import trace as follow
    from harvester.collecting import default_store

    path = store or default_store(_load(recipe or _only_recipe()))
    show(follow(path, row), as_json=as_json, text=_trace_text)


@cli.group()
def teacher() -> None:
    """Teachers that Harvester runs itself."""


@teacher.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; default: a free one.")
@click.option("--slots", type=click.IntRange(1, 64), default=4, show_default=True, help="Requests answered at once.")
@as_json
@example("harvester teacher serve --port 8808")
def serve(port: int, slots: int, as_json: bool) -> None:
    """Serve the embedded teacher on loopback until Ctrl-C; prints its address and the key it asks for."""
    from harvester.teachers.embedded import serve_forever

    serve_forever(
        port=port,
        slots=slots,
        ready=lambda url, key: show(
            {"base_url": url, "api_key": key}, as_json=as_json, text=lambda r: f"{r['base_url']}  key: {r['api_key']}"
        ),
    )


def _load(path: Path) -> "Recipe":
    from harvester.recipe import Recipe

    return Recipe.load(path)


def _only_recipe() -> Path:
    if Path("recipe.yaml").is_file():
        return Path("recipe.yaml")
    found = sorted(Path("runs").glob("*/recipe.yaml"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(path.parent) for path in found)
    raise BadInput(f"which recipe? name one of: {names}" if found else "no recipe here; name its folder")


def _money(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except ArithmeticError:
        raise BadInput(f"--budget: {text!r} is not an amount in USD, such as 5.00") from None
    if not amount.is_finite() or amount < 0:
        raise BadInput(f"--budget: {text!r} is not an amount in USD, such as 5.00")
    if amount > MOST_USD:
        raise BadInput(f"--budget: {text[:80]!r} is more than {MOST_USD} USD; leave it out for no budget")
    return amount


def progress_line(progress: "Progress") -> str:
    """One line on a collecting run."""
    if not progress.to_ask:
        return f"{progress.recipe}: nothing to ask, every request of the recipe is answered or has failed for good"
    waiting = ", ".join(f"{count} for {what}" for what, count in progress.waiting.items())
    waiting = f", waiting: {waiting}" if waiting else ""
    rate = progress.answered / progress.seconds if progress.seconds else 0.0
    return (
        f"{progress.recipe}: {progress.answered} of {progress.to_ask} answered, {progress.accepted} rows accepted, "
        f"{progress.failed} failed, {progress.in_flight} in flight, {rate:.1f}/s, ${progress.spent_usd:.4f}{waiting}"
    )


def _check_text(result: dict[str, Any]) -> str:
    lines = []
    for number, prompt in enumerate(result["prompts"], start=1):
        lines.append(f"--- prompt {number}")
        lines += [f"[{message['role']}] {message['content']}" for message in prompt]
    binding = result["terms"]
    lines += [
        "---",
        f"{result['recipe']}: {result['seeds']} seeds, {result['requests']} requests",
        f"input tokens: {_range(result['input_tokens'])}; output tokens: {_range(result['output_tokens'])}",
        f"USD: {_range(result['usd'])}",
        f"terms: {binding['verdict']} ({binding['id']}; {binding['source']})",
        *(f"  obligation: {text}" for text in binding["obligations"]),
    ]
    return "\n".join(lines)


def _range(low_high: tuple[float, float] | None) -> str:
    if low_high is None:
        return "unknown (state teacher.price and sampling.max_tokens)"
    low, high = (f"{value:.4f}" if isinstance(value, float) else f"{value:,}" for value in low_high)
    return f"{low} to {high}"


def _status_text(result: dict[str, Any]) -> str:
    requests = ", ".join(f"{count} {state}" for state, count in result["requests"].items())
    lines = [f"{result['recipe']} ({result['store']}): requests: {requests or 'none'}; ${result['usd']:.4f}"]
    for split, of_split in result["splits"].items():
        lines.append(f"  {split}: {of_split['rows']} rows, {of_split['accepted']} accepted")
        lines += [f"    {count} dropped: {reason}" for reason, count in of_split["dropped"].items()]
    if result["judged_by_other_rules"]:
        lines.append(f"  {result['judged_by_other_rules']} rows were judged by other rules; see `harvester parse`")
    lines += [f"  {count} failed: {reason}" for reason, count in result["failures"].items()]
    return "\n".join(lines)


def _verify_text(store: Path, result: dict[str, Any]) -> str:
    counts = ", ".join(f"{result[name]} {name}" for name in ("requests", "replies", "rows"))
    head = f"{store}: {counts}; SQLite {result['sqlite']}; {len(result['problems'])} problems"
    return "\n".join([head, *(f"  {problem}" for problem in result["problems"])])


def _trace_text(result: dict[str, Any]) -> str:
    lines = [f"{name}: {result[name]}" for name in ("row_id", "recipe", "step", "split", "sample", "seed", "reference")]
    lines += [f"[{message['role']}] {message['content']}" for message in result["body"]["messages"]]
    request, reply = result["request"], result["reply"]
    lines.append(f"request {request['key']}: {request['state']} after {request['attempts']} attempts")
    if reply:
        lines += [f"{name}: {reply[name]}" for name in ("received_at", "usd", "teacher", "terms", "price", "raw")]
    elif request["reason"]:
        lines.append(f"reason: {request['reason']}")
    return "\n".join([*lines, f"planned at {result['planned_at']} from:", result["recipe_text"]])


def _export_text(result: dict[str, Any]) -> str:
    rows = ", ".join(f"{count} {split}" for split, count in result["rows"].items()) or "no rows"
    lines = [f"{result['path']}: {rows}"]
    lines += [f"  {count} left out: {reason}" for reason, count in sorted(result["dropped"].items())]
    if result["waiting"]:
        lines.append(f"  {result['waiting']} rows have no answer yet")
    return "\n".join(lines)
