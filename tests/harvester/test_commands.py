"""All commands alike: an example in the help, --json, completion in a shell."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from harvester import cli

ROOT = Path(__file__).parents[2]


def commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for inner, one in command.commands.items():
            yield from commands(f"{name} {inner}", one)


ALL = dict(commands("harvester", cli.cli))


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_an_example_in_its_help(name: str, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "argv", [*name.split(), "--help"])
    cli.main()
    out = capsys.readouterr().out
    assert f"Usage: {name}" in out
    assert f"Example: {name} " in f"{out.rstrip()} "


@pytest.mark.parametrize("name", [name for name, command in ALL.items() if not isinstance(command, click.Group)])
def test_every_command_takes_json_and_explains_every_parameter(name: str) -> None:
    parameters = {parameter.name: parameter for parameter in ALL[name].params}
    assert "as_json" in parameters
    for parameter in parameters.values():
        assert parameter.help, f"{name}: {parameter.name} has no help"  # type: ignore[attr-defined]


def complete(words: str, folder: Path) -> list[str]:
    """What bash is given for the last of these words."""
    done = subprocess.run(
        [sys.executable, "-m", "harvester"],
        env={
            **os.environ,
            "_HARVESTER_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("harvester co", ["plain,collect"]),
        ("harvester collect --retr", ["plain,--retry-failed"]),
        ("harvester collect ", ["plain,mine", "plain,runs/a b", "plain,runs/orders"]),
        ("harvester collect runs/o", ["plain,runs/orders"]),
        ("harvester trace 1f --recipe mi", ["plain,mine"]),
        ("harvester status ru[", ["file,ru["]),
        ("harvester init x --recipe ext", ["plain,extract-orders"]),
    ],
)
def test_a_shell_completes_commands_options_and_recipes(tmp_path: Path, words: str, found: list[str]) -> None:
    for name in ("runs/orders", "runs/a b", "mine"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "recipe.yaml").touch()
    (tmp_path / "runs" / "no-recipe").mkdir()
    assert complete(words, tmp_path) == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_completion(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harvester"],
        env={**os.environ, "_HARVESTER_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"_HARVESTER_COMPLETE={shell}_complete" in done.stdout
    assert f"_HARVESTER_COMPLETE={shell}_source harvester" in (ROOT / "docs/reference/commands.md").read_text()
