"""What every command shares: the group, and the way out with its exit code."""

import os
import sys
import traceback

import click

from finetune.errors import BadInput, FinetuneError
from harvester.errors import HarvesterError

INTERRUPTED = 3
EXTRA = frozenset({"datasets", "gguf", "peft", "safetensors", "torch", "transformers"})
"""What `pip install 'harvester[finetune]'` brings."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def cli() -> None:
    """Train, measure and use a student on a dataset that `harvester export` wrote."""


def main() -> None:
    """Entry point: every expected failure is one line on stderr and the exit code of its kind."""
    # Before torch loads. On a shared machine, OpenMP threads that spin while they wait starve the ones that work; and
    # no tokenizer threads to be forked away from.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(_run())


def _run() -> int:
    try:
        cli(prog_name="finetune", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return BadInput.exit_code
    except click.ClickException as error:
        return _say(f"{error.format_message()} (see `finetune --help`)", BadInput.exit_code)
    except (FinetuneError, HarvesterError) as error:
        # What one process of a machine meets, all of them do: the first one tells, and its exit code counts. Another
        # that left with an error of its own would have it killed before it could.
        return _say(str(error), error.exit_code) if first_process() or _other_machine() else 0
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted; run the same command again to go on", INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - whatever is left is a bug, and the user must learn where to take it
        return _say_unforeseen(error)
    return 0


def first_process() -> bool:
    """Whether this process talks; under torchrun there are several."""
    return os.environ.get("RANK", "0") == "0"


def _other_machine() -> bool:
    return os.environ.get("GROUP_RANK", "0") != "0"


def _say_unforeseen(error: Exception) -> int:
    missing = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing in EXTRA:
        return _say(f"{missing} is not installed; run: pip install 'harvester[finetune]'", BadInput.exit_code)
    traceback.print_exception(error)
    return _say("this is a bug in finetune; please report it with the lines above at the project's issues", 1)


def _say(message: str, code: int) -> int:
    click.echo(f"finetune: {' '.join(message.split())}", err=True)
    return code
