"""Before anything is asked: init, recipes, teachers, check."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from harvester.cli import check_texts, texts
from harvester.cli.base import PATH, as_json, load, recipe_argument, show, trust_option, usable


def _complete_shipped(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:  # noqa: ARG001 - click's
    from harvester.starting import recipes as shipped

    return [CompletionItem(name) for name in shipped() if name.startswith(begun)]


@click.command(epilog="Example: harvester init runs/orders --recipe extract-orders")
@click.argument("name", type=PATH, callback=usable, help="The folder to make.")
@click.option(
    "--recipe",
    metavar="NAME",
    default="extract-orders",
    show_default=True,
    help="Which recipe to start from.",
    shell_complete=_complete_shipped,
)
@as_json
def init(name: Path, recipe: str, as_json: bool) -> None:
    """Make the folder NAME with a recipe to edit.

    Files that are there already stay; a folder that holds another recipe is refused.
    """
    from harvester.starting import init as make

    written = make(name, recipe)
    result = {"folder": str(name), "recipe": recipe, "written": [str(path) for path in written]}
    show(result, as_json=as_json, text=texts.init)


@click.command(epilog="Example: harvester recipes")
@as_json
def recipes(as_json: bool) -> None:
    """List the recipes that come with Harvester."""
    from harvester.starting import about
    from harvester.starting import recipes as shipped

    result = {"recipes": [{"name": name, "about": about(folder)} for name, folder in shipped().items()]}
    show(result, as_json=as_json, text=lambda r: "\n".join(f"{x['name']}: {x['about']}" for x in r["recipes"]))


@click.command(epilog="Example: harvester teachers")
@as_json
def teachers(as_json: bool) -> None:
    """List the providers and models that Harvester knows, and whether their answers may train a student."""
    from harvester.known import known

    show(known(), as_json=as_json, text=texts.teachers)


@click.command(epilog="Example: harvester check runs/orders")
@recipe_argument
@trust_option
@as_json
def check(recipe: Path, as_json: bool) -> None:
    """Validate RECIPE without any network: terms, three rendered prompts, requests, tokens, dollars."""
    from dataclasses import asdict

    from harvester.collecting import require_terms, teacher_terms
    from harvester.estimating import estimate
    from harvester.secrets_in_seeds import require_none

    loaded = load(recipe)
    binding, expected = teacher_terms(loaded), estimate(loaded)
    binds = {name: asdict(its) for name, its in binding.items()}
    show({**asdict(expected), "recipe": loaded.name, "terms": binds}, as_json=as_json, text=check_texts.check)
    require_terms(loaded)
    require_none(expected.secrets)
