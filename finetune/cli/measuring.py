"""Commands that say what a student is worth."""

import json
from pathlib import Path
from typing import Any

import click


@click.command("evaluate", epilog="Example: finetune evaluate runs/orders/student")
@click.argument("run", type=click.Path(path_type=Path), help="A finished run's folder.")
@click.option("--dataset", type=click.Path(path_type=Path), help="Another dataset than the one trained on.")
@click.option(
    "--unfiltered",
    type=click.Path(path_type=Path),
    help="A run trained on `harvester export --unfiltered`: the control arm of that name.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many test prompts.")
@click.option("--instruction", help="For the arm base_instruction, in place of the recipe's.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Bound on each answer; from the data by default.")
@click.option("--usd-per-hour", type=click.FloatRange(min=0), help="What the machine costs; for the report's sums.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def evaluate_command(run: Path, as_json: bool, **options: Any) -> None:
    """Score base, teacher and student of RUN on the held-out prompts; writes RUN/report.html.

    Interrupted, it goes on from the answers that are there. Where no held-out row has a `reference`, it measures how
    likely base and student find the teacher's own answers instead, and writes RUN/heldout.json.
    """
    import torch  # noqa: F401 - before transformers, which would say in its own words that it is not there

    from finetune.evaluation import evaluate
    from finetune.reporting import nearness_table, table

    result = evaluate(run, **options)
    told = table if "arms" in result else nearness_table
    click.echo(json.dumps(result, ensure_ascii=False) if as_json else told(result))
