"""Commands that teach a student."""

from pathlib import Path
from typing import Any

import click


@click.command("train", epilog="Example: finetune train runs/orders/dataset --out runs/orders/student")
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
