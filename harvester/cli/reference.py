"""docs/reference/commands.md, written from the commands themselves: `python -m harvester.cli.reference > that file`."""

import sys
from collections.abc import Iterator

import click

from harvester import errors
from harvester.cli.base import cli

HEAD = """\
# Commands

Written by `python -m harvester.cli.reference`; a test holds it to the commands.

Results go to stdout, everything else to stderr: on a terminal `collect` draws a bar there, elsewhere it writes a line
every few seconds. `NO_COLOR=1` takes the colours away. Every command has `--json` (the result as one line of JSON) and
`--help` with an example. Ctrl-C stops cleanly and says how to go on; a second one leaves at once.
"""

CODES = """\
## Exit codes

| code | meaning |
|---|---|
| 0 | Done. Failed rows are counted; a reached `--limit` is done. |
| 1 | A bug in Harvester, with its traceback and where to report it. |
"""

COMPLETION = """\
## Shell completion

Commands, options and the folders of recipes are completed once your shell has loaded what Harvester prints for it:

| shell | line | in |
|---|---|---|
| bash (4.4 or newer) | `eval "$(_HARVESTER_COMPLETE=bash_source harvester)"` | `~/.bashrc` |
| zsh | `eval "$(_HARVESTER_COMPLETE=zsh_source harvester)"` | `~/.zshrc` |
| fish | `_HARVESTER_COMPLETE=fish_source harvester \\| source` | `~/.config/fish/completions/harvester.fish` |
"""

CODED = (
    errors.BadInput, errors.StoppedEarly, errors.RefusedByTerms, errors.TeacherUnusable, errors.StoreUnusable
)  # fmt: skip


def reference() -> str:
    """The whole page, in Markdown."""
    codes = "".join(f"| {kind.exit_code} | {_one_line(kind.__doc__)} |\n" for kind in CODED)
    commands = [_section(name, command) for name, command in _walk("harvester", cli)]
    return "\n".join([HEAD, *commands, CODES + codes, COMPLETION]).rstrip() + "\n"


def _walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its full name."""
    if isinstance(command, click.Group):
        for inner in sorted(command.commands):
            yield from _walk(f"{name} {inner}", command.commands[inner])
    else:
        yield name, command


def _section(name: str, command: click.Command) -> str:
    with click.Context(command, info_name=name, help_option_names=["-h", "--help"]) as context:
        usage = " ".join([name, *command.collect_usage_pieces(context)])
        options = [record for one in command.get_params(context) if (record := one.get_help_record(context))]
    lines = [f"## {name}", "", f"    {usage}", "", _one_line(command.help), "", "| | |", "|---|---|"]
    lines += [f"| `{option}` | {_cell(text)} |" for option, text in options]
    example = _one_line(command.epilog).removeprefix("Example: ")
    return "\n".join([*lines, "", f"Example: `{example}`", ""])


def _cell(text: str) -> str:
    return text.replace("  ", " ").replace("|", "\\|")


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    sys.stdout.write(reference())
