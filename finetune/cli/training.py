"""Commands that teach a student."""

from pathlib import Path
from typing import Any

import click

OF_NOUN = {
    "lora": ("rank",),
    "batching": ("batch_size", "grad_accum", "max_length", "too_long", "packing"),
    "loss": ("kind", "tail_weight", "temperature", "hard_share", "top", "max_new_tokens", "beta"),
    "optimiser": ("learning_rate", "weight_decay", "schedule"),
    "training": ("epochs", "max_steps", "max_minutes", "dev_every", "patience", "checkpoint_every", "seed"),
    "compute": ("dtype", "gradient_checkpointing"),
}
POSITIVE = click.IntRange(min=1)
ABOVE_0 = click.FloatRange(min=0, min_open=True)


@click.command("train", epilog="Example: finetune train runs/orders/dataset --out runs/orders/student")
@click.argument("dataset", type=click.Path(path_type=Path), help="A folder that `harvester export` wrote.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The run's folder; the same run is resumed."
)
@click.option("--model", show_default="embedded", help="`embedded`, a local folder or a hub id.")
@click.option(
    "--method",
    type=click.Choice(["lora", "rslora", "dora", "qlora", "full"]),
    show_default="lora",
    help="Adapters, adapters on a base in 4 bits (qlora, CUDA only), or every weight.",
)
@click.option(
    "--loss",
    "kind",
    type=click.Choice(["auto", "hard", "topk", "bucket", "sampled", "chunks", "reverse", "policy", "dpo"]),
    show_default="auto",
    help="Learn the answers (hard) or the teacher's own probabilities; auto: these where the dataset has any. With "
    "reverse or policy the student answers the prompts itself, and --teacher scores that. dpo learns from pairs of a "
    "better and a worse answer.",
)
@click.option("--teacher", metavar="URL", help="Server that scores what the student samples: vLLM, finetune serve.")
@click.option("--teacher-model", metavar="NAME", show_default="its only one", help="Of the server's models.")
@click.option(
    "--teacher-key-env", metavar="NAME", help="Variable that holds the server's key; without it none is sent."
)
@click.option("--max-new-tokens", type=POSITIVE, show_default="256", help="Bound on what the student samples a row.")
@click.option("--tail-weight", type=click.FloatRange(0, 1), show_default="1", help="Of the sampled tail, with sampled.")
@click.option("--temperature", type=ABOVE_0, show_default="1", help="At which listed tokens are compared, with bucket.")
@click.option("--hard-share", type=click.FloatRange(0, 1), show_default="0", help="Of hard labels in the mix.")
@click.option(
    "--top", type=POSITIVE, show_default="all, 20 with reverse", help="Take so many of the tokens a teacher lists."
)
@click.option("--beta", type=ABOVE_0, show_default="0.1", help="With dpo: the larger, the nearer to the base.")
@click.option("--rank", type=POSITIVE, show_default="16", help="Of the adapters; alpha is twice the rank.")
@click.option("--epochs", type=POSITIVE, show_default="2", help="Passes over the train split.")
@click.option("--max-steps", type=POSITIVE, help="End after so many optimiser steps.")
@click.option(
    "--max-minutes",
    type=ABOVE_0,
    help="End after so many minutes of steps and looks at dev, loading not counted; the learning rate ends with them.",
)
@click.option("--patience", type=POSITIVE, help="End after so many looks at dev without a better loss, with the best.")
@click.option("--dev-every", type=POSITIVE, show_default="each epoch", help="Steps between looks at dev.")
@click.option("--learning-rate", type=ABOVE_0, show_default="1e-3, full 2e-5; dpo 5e-5, 1e-6", help="Its peak.")
@click.option(
    "--schedule", type=click.Choice(["cosine", "linear", "constant"]), show_default="cosine", help="After it."
)
@click.option("--weight-decay", type=click.FloatRange(min=0), show_default="0", help="AdamW's.")
@click.option("--batch-size", type=POSITIVE, show_default="4", help="Rows in one forward pass: sets the memory.")
@click.option("--grad-accum", type=POSITIVE, show_default="1", help="Forward passes in one optimiser step.")
@click.option("--max-length", type=click.IntRange(min=2), show_default="1024", help="Tokens of prompt and answer.")
@click.option(
    "--too-long",
    type=click.Choice(["drop", "cut"]),
    show_default="drop",
    help="Longer rows are left out, or learnt without their answer's end.",
)
@click.option("--packing/--no-packing", default=None, show_default="packing", help="Rows end to end instead of padded.")
@click.option("--dtype", type=click.Choice(["auto", "bfloat16", "float32"]), show_default="auto", help="To compute in.")
@click.option("--gradient-checkpointing", is_flag=True, default=None, help="Less memory, about a third more time.")
@click.option("--checkpoint-every", type=POSITIVE, show_default="10", help="Steps between checkpoints.")
@click.option(
    "--seed", type=click.IntRange(min=0), show_default="0", help="Of the adapter's start and the rows' order."
)
@click.option("--tensorboard", is_flag=True, help="Write RUN/tensorboard too (extra `tensorboard`).")
@click.option("--json", "as_json", is_flag=True, help="Print the run's facts as JSON.")
def train_command(
    dataset: Path,
    out: Path,
    tensorboard: bool,
    as_json: bool,
    teacher: str | None,
    teacher_model: str | None,
    teacher_key_env: str | None,
    **options: Any,
) -> None:
    """Train a student on DATASET.

    Several GPUs: torchrun --nproc-per-node 4 -m finetune train … trains one student on all of them.
    """
    from finetune.config import make_config

    given = {name: value for name, value in options.items() if value is not None}
    fields: dict[str, Any] = {
        noun: {name: given[name] for name in names if name in given} for noun, names in OF_NOUN.items()
    }
    if "rank" in given:
        fields["lora"]["alpha"] = 2 * given["rank"]
    fields |= {name: given[name] for name in ("model", "method") if name in given}
    config = make_config(fields)

    import torch  # noqa: F401 - before transformers, which would say in its own words that it is not there

    from finetune.cli.base import first_process
    from finetune.teacher_address import TeacherAddress
    from finetune.training import told, train

    if teacher is None and (teacher_model or teacher_key_env):
        raise click.UsageError("--teacher-model and --teacher-key-env are of a --teacher; give its URL")
    address = None if teacher is None else TeacherAddress(teacher, teacher_model, teacher_key_env)
    facts = train(dataset, out, config, teacher=address, tensorboard=tensorboard)
    if not first_process():
        return
    if as_json:
        click.echo(facts.model_dump_json())
    else:
        click.echo(f"{out}: {told(facts)}")
