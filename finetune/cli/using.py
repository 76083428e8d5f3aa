"""Commands that put a student to use."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import click

from finetune.errors import BadInput


@click.command("generate", epilog="Example: finetune generate runs/orders/student 'Ann paid 12 dollars on May 3rd.'")
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
