"""What every command shares: the group, and the way out with its exit code."""

import os
import signal
import sys
import traceback

import click

from finetune.errors import TELLS, TOLD, BadInput, FinetuneError, Stopped
from finetune.mishaps import mishap
from harvester.errors import HarvesterError, how_to_install

INTERRUPTED = "interrupted; run the same command again to go on"
EXTRA = frozenset(
    {"datasets", "gguf", "httpx2", "huggingface_hub", "openai", "peft", "safetensors", "torch", "transformers"}
)
"""What the extra `finetune` brings."""


class Commands(click.Group):
    """A group whose Ctrl-C is one line; click itself would put an empty one before it."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command.

        Raises:
            Stopped: Ctrl-C.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Stopped(INTERRUPTED) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def cli() -> None:
    """Train, measure and use a student on a dataset that `harvester export` wrote."""


def main() -> None:
    """Entry point: every expected failure is one line on stderr and the exit code of its kind."""
    # Before torch loads. On a shared machine, OpenMP threads that spin while they wait starve the ones that work; and
    # no tokenizer threads to be forked away from.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    code = _run()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # All is written. Seen: the threads of a process group that is still referred to end the interpreter, as it
        # leaves, by `terminate`, and torchrun takes that for a failure of the run.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _run() -> int:
    try:
        cli(prog_name="finetune", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return BadInput.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "finetune"
        return _say(f"{error.format_message()} (see `{where} --help`)", BadInput.exit_code)
    except click.ClickException as error:
        return _say(f"{error.format_message()} (see `finetune --help`)", BadInput.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _say_interrupted()
    except Exception as error:  # noqa: BLE001 - whatever comes here, the user must learn what to do about it
        return _say_interrupted() if _came_of_ctrl_c(error) else _say_error(error)
    return 0


def first_process() -> bool:
    """Whether this process gives the result; under torchrun there are several."""
    return os.environ.get("RANK", "0") == "0"


def _first_of_machine() -> bool:
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _say_interrupted() -> int:
    # Whoever is in a hurry presses it several times; the next one would end this line with a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # After `python -m`, Python would end itself with the signal if Ctrl-C came within an exec of a text, as in making a
    # dataclass, though it was caught; its run_eval_code_obj takes that back at the next exec.
    exec("")  # noqa: S102
    return _say(INTERRUPTED, Stopped.exit_code) if _first_of_machine() else Stopped.exit_code


def _came_of_ctrl_c(error: BaseException | None) -> bool:
    """Whether a Ctrl-C is behind an error: a library that was interrupted may make another one of it."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _say_error(error: Exception) -> int:
    # One process of a machine tells, and its exit code counts: another that left with a code of its own might have it
    # killed by torchrun before it could. Before the processes know of each other they all meet the same.
    notes = getattr(error, "__notes__", ())
    if TOLD in notes or (TELLS not in notes and not _first_of_machine()):
        return 0
    found = mishap(error) or error
    if isinstance(found, FinetuneError | HarvesterError):
        return _say(str(found), found.exit_code)
    return _say_unforeseen(found)


def _say_unforeseen(error: Exception) -> int:
    missing = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing in EXTRA:
        return _say(f"{missing} is not installed; {how_to_install('finetune')}", BadInput.exit_code)
    traceback.print_exception(error)
    return _say("this is a bug in finetune; please report it with the lines above at the project's issues", 1)


def _say(message: str, code: int) -> int:
    click.echo(f"finetune: {' '.join(message.split())}", err=True)
    return code
