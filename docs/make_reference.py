"""Writes the pages of docs/reference that follow from the code: `make reference`. A test holds them to it.

Both packages' commands with their exit codes, the dataset's columns, a run's settings. What a column or a setting means
stands in reference_words.py; one without a meaning is an error.
"""

# ruff: noqa: INP001 - a script beside the pages it writes

import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
import click
import pyarrow as pa
from pydantic import BaseModel

import reference_words as words  # isort: skip - beside this script
from finetune import errors as finetune_errors
from finetune.cli import cli as finetune_cli
from finetune.config import RunConfig
from harvester import errors as harvester_errors
from harvester.cli import cli as harvester_cli
from harvester.exporting.schema import SCHEMA
from harvester.meanings import FAMILIES, REASONS, meaning

FOLDER = Path(__file__).parent / "reference"
Coded = type[harvester_errors.HarvesterError] | type[finetune_errors.FinetuneError]

HARVESTER_CODED: Sequence[Coded] = (
    harvester_errors.BadInput, harvester_errors.StoppedEarly, harvester_errors.RefusedByTerms,
    harvester_errors.TeacherUnusable, harvester_errors.StoreUnusable,
)  # fmt: skip
FINETUNE_CODED: Sequence[Coded] = (
    finetune_errors.BadInput, finetune_errors.Stopped, finetune_errors.RefusedByTerms, harvester_errors.TeacherUnusable
)  # fmt: skip


def pages() -> dict[str, str]:
    """File name → text of every page."""
    return {
        "commands.md": _commands(
            words.HARVESTER_HEAD, "harvester", harvester_cli, words.HARVESTER_BUG, HARVESTER_CODED, words.COMPLETION
        ),
        "finetune.md": _commands(words.FINETUNE_HEAD, "finetune", finetune_cli, words.FINETUNE_BUG, FINETUNE_CODED),
        "dataset.md": dataset(SCHEMA, words.COLUMNS),
        "settings.md": settings(RunConfig, words.SETTINGS),
    }


def _commands(head: str, name: str, group: click.Command, bug: str, coded: Sequence[Coded], *more: str) -> str:
    context = click.Context(group, info_name=name, **group.context_settings)
    commands = [_section(full, command, context) for full, command in walk(name, group)]
    rows = "".join(f"| {kind.exit_code} | {_one_line(kind.__doc__)} |\n" for kind in coded)
    codes = f"## Exit codes\n\n| code | meaning |\n|---|---|\n{bug}{rows}"
    return "\n".join([head, *commands, codes, *more]).rstrip() + "\n"


def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its full name."""
    if isinstance(command, click.Group):
        for inner in sorted(command.commands):
            yield from walk(f"{name} {inner}", command.commands[inner])
    else:
        yield name, command


def _section(name: str, command: click.Command, parent: click.Context) -> str:
    with click.Context(command, parent, info_name=name) as context:
        usage = " ".join([name, *command.collect_usage_pieces(context)])
        options = [record for one in command.get_params(context) if (record := one.get_help_record(context))]
    lines = [f"## {name}", "", f"    {usage}", "", _paragraphs(command.help), "", "| | |", "|---|---|"]
    lines += [f"| `{_cell(option)}` | {_cell(text)} |" for option, text in options if text]
    example = _one_line(command.epilog).removeprefix("Example: ")
    return "\n".join([*lines, "", f"Example: `{example}`", ""])


def dataset(schema: pa.Schema, meanings: dict[str, str]) -> str:
    """The page about a dataset's columns.

    Raises:
        KeyError: a column has no meaning.
    """
    rows = [f"| `{field.name}` | {_arrow(field.type)} | {_cell(meanings[field.name])} |" for field in schema]
    columns = "\n".join([words.DATASET_HEAD, "| column | type | meaning |", "|---|---|---|", *rows])
    return f"{columns}\n\n{words.REASONS_HEAD}{_reasons()}"


def _reasons() -> str:
    """Every reason of `harvester.meanings`, as a table's lines.

    Raises:
        KeyError: it is not known what follows a family's colon.
    """
    families = [f"{family}:{words.REST[family]}" for family in FAMILIES]
    return "".join(f"| `{one}` | {_cell(meaning(one, frozenset()))} |\n" for one in [*REASONS, *families])


def _arrow(kind: pa.DataType) -> str:
    """An Arrow type in words."""
    if pa.types.is_list(kind):
        return f"list of {_arrow(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(f"{one.name}: {_arrow(one.type)}" for one in kind) + "}"
    return str(kind)


def settings(config: type[BaseModel], meanings: dict[str, str]) -> str:
    """The page about a run's settings.

    Raises:
        KeyError: a setting has no meaning.
    """
    flags = _flags(finetune_cli.commands["train"])
    rows = [
        f"| `{name}` | {flags.get(name.rsplit('.', 1)[-1], '')} | {_allowed(field)} | `{_shown(field.default)}` |"
        f" {_cell(meanings[name])} |"
        for name, field in _fields(config)
    ]
    return "\n".join(
        [words.SETTINGS_HEAD, "| setting | option | takes | default | meaning |", "|---|---|---|---|---|", *rows, ""]
    )


def _fields(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{before}{name}.")
        else:
            yield f"{before}{name}", field


def _flags(command: click.Command) -> dict[str, str]:
    options = [one for one in command.params if isinstance(one, click.Option)]
    return {one.name: f"`{'/'.join([*one.opts, *one.secondary_opts])}`" for one in options if one.name}


def _allowed(field: Any) -> str:
    """What a setting takes."""
    kinds, bounds = _parts(field.annotation, list(field.metadata))
    choices = [f"`{value}`" for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
    names = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    plain = [names.get(kind, "list of texts") for kind in kinds if get_origin(kind) is not Literal]
    return " ".join([", ".join([*choices, *plain]), ", ".join(bounds)]).strip()


def _parts(kind: Any, metadata: list[Any]) -> tuple[list[Any], list[str]]:
    """The types that a field takes, null aside, and its bounds."""
    if get_origin(kind) in (types.UnionType, Union):
        inner = [_parts(one, metadata) for one in get_args(kind) if one is not type(None)]
        return [one for kinds, _ in inner for one in kinds], inner[0][1]
    if hasattr(kind, "__metadata__"):
        field = kind.__metadata__[0]
        return _parts(kind.__origin__, [*metadata, *field.metadata])
    signs: dict[type, Callable[[Any], str]] = {
        annotated_types.Ge: lambda one: f"≥ {one.ge}",
        annotated_types.Gt: lambda one: f"> {one.gt}",
        annotated_types.Lt: lambda one: f"< {one.lt}",
        annotated_types.Le: lambda one: f"≤ {one.le}",
    }
    return [kind], [signs[type(one)](one) for one in metadata]


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("  ", " ").replace("|", "\\|")


def _paragraphs(text: str | None) -> str:
    return "\n\n".join(_one_line(part) for part in inspect.cleandoc(text or "").split("\n\n"))


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def main() -> None:
    """Writes every page."""
    for page, text in pages().items():
        (FOLDER / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
