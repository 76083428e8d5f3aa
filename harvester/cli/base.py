"""What every command shares: the group, the way out with its exit code, common arguments, talking and showing."""

import contextlib
import glob
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from harvester import __version__
from harvester.errors import BadInput, HarvesterError, StoppedEarly

if TYPE_CHECKING:
    from harvester.recipe import Recipe

INTERRUPTED = "interrupted; run the same command again to go on"
BUG = "a bug in Harvester; please report it, with the lines above, to the project's issue tracker"


class _ReaderGoneError(Exception):
    """Whoever read our stdout has left (`| head`); click would take that for a failure."""


class Commands(click.Group):
    """A group whose Ctrl-C is one line; click itself would put an empty one before it."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the arguments; `--help` already writes here."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError:
            raise _ReaderGoneError from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Raises:
            StoppedEarly: Ctrl-C.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise StoppedEarly(INTERRUPTED) from None
        except BrokenPipeError:
            raise _ReaderGoneError from None


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: harvester init runs/orders && harvester collect runs/orders",
)
@click.version_option(__version__, prog_name="harvester")
def cli() -> None:
    """Collect training data from a teacher model behind an API."""


def main() -> None:
    """Entry point of the `harvester` command: every error is one line and its exit code."""
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a file's name may be no text
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
    except _ReaderGoneError:
        _drop_output()
        sys.exit(0)
    except Exception:  # noqa: BLE001 - the last door: whatever comes here is ours to answer for
        traceback.print_exc()
        say(f"harvester: {BUG}")
        sys.exit(1)


def _drop_output() -> None:
    """What is still buffered has nowhere to go, and Python would try once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


STEERING = re.compile(r"[^\n\t\x20-\x7e\xa0-\U0010ffff]")


def say(line: str) -> None:
    """Talk, as opposed to results; that nobody listens any more stops no work."""
    with contextlib.suppress(OSError):
        click.echo(tame(line), err=True)


def tame(text: str) -> str:
    """A text with the characters spelt out that would move a terminal's cursor or change its colours."""
    return STEERING.sub(lambda found: repr(found.group())[1:-1], text)


def say_error(message: str) -> None:
    """An error is one line, whatever a file's or a field's name has in it."""
    say(f"harvester: {' '.join(message.split())}")


def show(result: dict[str, Any], *, as_json: bool, text: Callable[[dict[str, Any]], str]) -> None:
    """Print a command's result for a program or for a person.

    Raises:
        BadInput: stdout cannot be written, because its disk is full for example.
    """
    unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    try:
        click.echo(json.dumps(result, ensure_ascii=not unicode) if as_json else _coloured(tame(text(result))))
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        raise BadInput(f"stdout: cannot be written: {error.strerror}; send the result elsewhere") from None


def _coloured(text: str) -> str:
    """Warnings in red; click takes colours out where nobody would see them."""
    return "\n".join(click.style(line, fg="red") if line.startswith("WARNING: ") else line for line in text.split("\n"))


# --- arguments


def usable(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:  # noqa: ARG001 - click's
    """Refuse a path that no file can have, before anything is done for it."""
    try:
        if path is not None:
            path.exists()
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise BadInput(f"{parameter.opts[0]}: {str(path)[:80]!r}: {problem}; name another path") from None
    return path


def usable_store(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse what cannot be a database file."""
    path = usable(context, parameter, path)
    if path is not None and path.is_dir():
        raise BadInput(f"{parameter.opts[0]}: {str(path)!r} is a folder; name the database file, such as harvest.db")
    return path


def complete_recipe(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:  # noqa: ARG001 - click's
    """Folders of recipes that begin so, up to two deep; any file where there is none."""
    begun_glob = glob.escape(begun)
    found: Sequence[str] = [
        path
        for depth in ("", "/*")
        for path in glob.glob(f"{begun_glob}*{depth}/recipe.yaml")  # noqa: PTH207 - as typed
    ]
    folders = sorted(path.removesuffix("/recipe.yaml") for path in found)
    return [CompletionItem(folder) for folder in folders] or [CompletionItem(begun, type="file")]


PATH: Any = click.Path(path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
store_option = click.option("--store", type=PATH, callback=usable_store, help="Database; default: beside the recipe.")
_RECIPE: Any = {"type": PATH, "callback": usable, "shell_complete": complete_recipe}
recipe_argument = click.argument("recipe", help="A recipe's folder, or its file.", **_RECIPE)
recipe_if_several = click.argument(
    "recipe", help="A recipe's folder, or its file; may be left out where there is only one.", required=False, **_RECIPE
)

row_argument = click.argument("row", help="A row_id of the dataset, or its beginning.")
whose_store = click.option("--recipe", help="Whose store; may be left out where there is only one.", **_RECIPE)


def load(path: Path) -> "Recipe":
    """The recipe that the command under way names."""
    from harvester.recipe import Recipe

    return Recipe.load(path, trust=bool(click.get_current_context().meta.get(TRUST)))


TRUST = "harvester.trust_recipe"


def _trusts(context: click.Context, parameter: click.Parameter, trusted: bool) -> None:  # noqa: ARG001 - click's
    context.meta[TRUST] = trusted


trust_option = click.option(
    "--trust-recipe",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_trusts,
    help="Run the code that RECIPE brings (the verifier `python`); read it first.",
)


def only_recipe() -> Path:
    """The recipe that a command need not name.

    Raises:
        BadInput: there is none, or several.
    """
    if Path("recipe.yaml").is_file():
        return Path("recipe.yaml")
    found = sorted(Path("runs").glob("*/recipe.yaml"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(path.parent) for path in found)
    raise BadInput(f"which recipe? name one of: {names}" if found else "no recipe here; name its folder")
