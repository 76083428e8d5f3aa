"""The command line; commands only translate. torch and friends are imported by the command that needs them."""

import json
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import click

from finetune.errors import BadInput, FinetuneError
from harvester.errors import HarvesterError

INTERRUPTED = 3
EXTRA = frozenset({"datasets", "gguf", "peft", "safetensors", "torch", "transformers"})
"""What `pip install 'harvester[finetune]'` brings."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def cli() -> None:
    """Train, measure and use a student on a dataset that `harvester export` wrote."""


@cli.command("train", epilog="Example: finetune train runs/orders/dataset --out runs/orders/student")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The run's folder; the same run is resumed."
)
@click.option("--model", help="`embedded` (default), a local folder or a hub id.")
@click.option("--epochs", type=int, help="Passes over the train split.")
@click.option("--max-steps", type=int, help="Stop after so many optimiser steps.")
@click.option("--learning-rate", type=float, help="Peak learning rate.")
@click.option("--batch-size", type=int, help="Rows in one forward pass.")
@click.option("--grad-accum", type=int, help="Forward passes in one optimiser step.")
@click.option("--rank", type=int, help="LoRA rank; alpha is twice the rank.")
@click.option("--max-length", type=int, help="Longer rows, in tokens, are left out.")
@click.option("--seed", type=int, help="Of the adapter's start and the order of rows.")
@click.option("--json", "as_json", is_flag=True, help="Print the run's facts as JSON.")
def train_command(dataset: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Train a LoRA student on DATASET."""
    from finetune.config import make_config

    given = {name: value for name, value in options.items() if value is not None}
    fields: dict[str, Any] = {noun: {} for noun in ("lora", "batching", "optimiser", "training")}
    for noun, names in (
        ("batching", ("batch_size", "grad_accum", "max_length")),
        ("optimiser", ("learning_rate",)),
        ("training", ("epochs", "max_steps", "seed")),
    ):
        fields[noun] = {name: given[name] for name in names if name in given}
    if "rank" in given:
        fields["lora"] = {"rank": given["rank"], "alpha": 2 * given["rank"]}
    if "model" in given:
        fields["model"] = given["model"]
    config = make_config(fields)

    from finetune.loop import train

    facts = train(dataset, out, config)
    if as_json:
        click.echo(facts.model_dump_json())
    else:
        dev = "" if facts.dev_loss is None else f", dev loss {facts.dev_loss:.3f}"
        click.echo(f"{out}: trained, {facts.steps} steps in {facts.train_minutes:.1f} min{dev}")


@cli.command("evaluate", epilog="Example: finetune evaluate runs/orders/student")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--dataset", type=click.Path(path_type=Path), help="Another dataset than the one trained on.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many test prompts.")
@click.option("--instruction", help="For the arm base_instruction, in place of the recipe's.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Bound on each answer; from the data by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def evaluate_command(run: Path, as_json: bool, **options: Any) -> None:
    """Score base, teacher and student of RUN on the held-out prompts."""
    from finetune.evaluation import evaluate
    from finetune.report import table

    result = evaluate(run, **options)
    click.echo(json.dumps(result, ensure_ascii=False) if as_json else table(result))


@cli.command("generate", epilog="Example: finetune generate runs/orders/student 'Ann paid 12 dollars on May 3rd.'")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("prompts", nargs=-1, metavar="PROMPT...")
@click.option(
    "--input", "source", type=click.File(encoding="utf-8"), help='JSON Lines with "prompt" or "messages"; - is stdin.'
)
@click.option("--max-new-tokens", type=click.IntRange(min=1), default=256, help="Bound on each answer.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per prompt.")
def generate_command(
    run: Path, prompts: tuple[str, ...], source: TextIO | None, max_new_tokens: int, as_json: bool
) -> None:
    """Answer each PROMPT with the student of RUN (without any, the lines of stdin)."""
    asked: list[Any] = [*prompts, *(_read_prompts(source) if source else [])]
    if not prompts and not source:
        asked = [line.rstrip("\n") for _, line in _lines(sys.stdin) if line.strip()]
    if not asked:
        raise BadInput("generate: no prompt; give one as an argument, in --input or on stdin")

    from finetune.generation import generate

    for prompt, answer in zip(asked, generate(run, asked, max_new_tokens=max_new_tokens), strict=True):
        click.echo(json.dumps({"prompt": prompt, "answer": answer}, ensure_ascii=False) if as_json else answer)


def _read_prompts(source: TextIO) -> list[Any]:
    found = []
    for number, text in _lines(source):
        try:
            line = json.loads(text)
            found.append(line["messages"] if "messages" in line else line["prompt"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f'{source.name}: line {number}: not a JSON object with "prompt" or "messages"') from error
    return found


def _lines(source: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Numbered lines of a text file, stdin too."""
    try:
        yield from enumerate(source, start=1)
    except UnicodeDecodeError as error:
        name = getattr(source, "name", "input")
        raise BadInput(f"{name}: not UTF-8 text: {error.reason} at byte {error.start}; save it as UTF-8") from None


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
        return _say(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted; run the same command again to go on", INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - whatever is left is a bug, and the user must learn where to take it
        return _say_unforeseen(error)
    return 0


def _say_unforeseen(error: Exception) -> int:
    missing = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing in EXTRA:
        return _say(f"{missing} is not installed; run: pip install 'harvester[finetune]'", BadInput.exit_code)
    traceback.print_exception(error)
    return _say("this is a bug in finetune; please report it with the lines above at the project's issues", 1)


def _say(message: str, code: int) -> int:
    click.echo(f"finetune: {' '.join(message.split())}", err=True)
    return code
