"""Commands that put a student to use."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import click

from finetune.errors import BadInput
from harvester.records import half_pair


@click.command("generate", epilog="Example: finetune generate runs/orders/student 'Ann paid 12 dollars on May 3rd.'")
@click.argument("run", type=click.Path(path_type=Path), help="A finished run's folder.")
@click.argument("prompts", nargs=-1, metavar="PROMPT...", help="User messages.")
@click.option(
    "--input", "source", type=click.File(encoding="utf-8"), help='JSON Lines with "prompt" or "messages"; - is stdin.'
)
@click.option("--max-new-tokens", type=click.IntRange(min=1), default=256, help="Bound on each answer.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per prompt.")
def generate_command(
    run: Path, prompts: tuple[str, ...], source: TextIO | None, max_new_tokens: int, as_json: bool
) -> None:
    """Answer each PROMPT with the student of RUN (without any, the lines of stdin)."""
    for number, prompt in enumerate(prompts, start=1):
        _check(f"PROMPT {number}", prompt)
    asked: list[Any] = [*prompts, *(_read_prompts(source) if source else [])]
    if not prompts and not source:
        asked = [line.rstrip("\n") for _, line in _lines(sys.stdin) if line.strip()]
    if not asked:
        raise BadInput("generate: no prompt; give one as an argument, in --input or on stdin")

    import torch  # noqa: F401 - before transformers, which would say in its own words that it is not there

    from finetune.generation import generate

    for prompt, answer in zip(asked, generate(run, asked, max_new_tokens=max_new_tokens), strict=True):
        click.echo(json.dumps({"prompt": prompt, "answer": answer}, ensure_ascii=False) if as_json else answer)


@click.command("export", epilog="Example: finetune export runs/orders/student runs/orders/orders-135m")
@click.argument("run", type=click.Path(path_type=Path), help="A finished run's folder.")
@click.argument("out", type=click.Path(path_type=Path), help="The folder to write.")
@click.option("--name", help="The student's name on its card; by default that of the folder OUT.", show_default=False)
@click.option("--dataset", type=click.Path(path_type=Path), help="Where the run's dataset lies now, if it was moved.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def export_command(run: Path, out: Path, name: str | None, dataset: Path | None, as_json: bool) -> None:
    """Write the student of RUN as a Hugging Face model folder OUT: adapters merged in, tokenizer, model card."""
    from finetune.exporting import export

    done = export(run, out, name=name, dataset=dataset)
    facts = {"path": str(done.path), "name": done.name, "dtype": done.dtype, "bytes": done.bytes}
    size = f"{done.bytes / 1e6:.0f} MB, {done.dtype}"
    click.echo(json.dumps(facts) if as_json else f"{done.path}: {done.name}, {size}; what binds it: README.md")


def _read_prompts(source: TextIO) -> list[Any]:
    found = []
    for number, text in _lines(source):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            found.append(line["messages"] if "messages" in line else line["prompt"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f'{source.name}: line {number}: not a JSON object with "prompt" or "messages"') from error
        _check(f"{source.name}: line {number}", found[-1])
    return found


def _check(where: str, asked: Any) -> None:
    """Refuse what no chat template takes, before a model is loaded for it."""
    turns = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    listed = turns if isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns) else [{}]
    texts = [turn.get(key) for turn in listed for key in ("role", "content")]
    if not all(isinstance(text, str) for text in texts):
        raise BadInput(f'{where}: "prompt" is a text; "messages" is a list of {{"role", "content"}}, both texts')
    if not texts:
        raise BadInput(f"{where}: no message to answer; give one")
    if any(half_pair(text) for text in texts):
        raise BadInput(f"{where}: holds half of a surrogate pair, which is no text; mend its encoding")


def _lines(source: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Numbered lines of a text file, stdin too."""
    try:
        yield from enumerate(source, start=1)
    except UnicodeDecodeError as error:
        name = getattr(source, "name", "input")
        raise BadInput(f"{name}: not UTF-8 text: {error.reason} at byte {error.start}; save it as UTF-8") from None
