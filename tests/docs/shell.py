"""Command lines of the pages, read by the commands' own parsers; nothing is run. A helper, not a test."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from finetune.cli import cli as finetune
from harvester.cli import cli as harvester

GROUPS: dict[str, click.Command] = {"harvester": harvester, "finetune": finetune}
ENDS = {"|", "&&", ";", ">"}


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of ours in a shell's text, from `harvester` or `finetune` on."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = next((place for place, word in enumerate(words) if word in ENDS), len(words))
            yield from ours(words[:end])
            words = words[end + 1 :]


def ours(words: list[str]) -> Iterator[list[str]]:
    while words and "=" in words[0] and words[0].split("=")[0].isidentifier():
        words = words[1:]  # a variable for this command
    if words and words[0] == "torchrun":
        words = ["finetune", *words[words.index("finetune") + 1 :]] if words[-1:] and "finetune" in words else ["?"]
    if words and words[0] in GROUPS:
        yield words


def parse(words: list[str]) -> str:
    """Reads a command line as the command would; its full name.

    Raises:
        click.UsageError: no such command, option or value.
    """
    name, rest = words[0], words[1:]
    command = GROUPS[name]
    while isinstance(command, click.Group):
        if not rest or rest[0] not in command.commands:
            raise click.UsageError(f"{name}: no command {rest[:1]}")
        command, name, rest = command.commands[rest[0]], f"{name} {rest[0]}", rest[1:]
    for word in rest:
        if word.endswith(".jsonl"):
            Path(word).touch()  # what an option opens
    command.make_context(name, rest).close()
    return name
