"""What the pages of docs/reference say that no code says: their heads, and what columns and settings mean."""

# ruff: noqa: INP001 - beside the pages it is for

HARVESTER_HEAD = """\
# Commands

Written by `make reference`; a test holds it to the commands. The other package's: [finetune](finetune.md).

Results go to stdout, everything else to stderr: on a terminal `collect` draws a bar there, elsewhere it writes a line
every few seconds. `NO_COLOR=1` takes the colours away. Every command has `--json` (the result as one line of JSON) and
`--help` with an example. Ctrl-C stops cleanly and says how to go on; a second one leaves at once.
"""

FINETUNE_HEAD = """\
# finetune

Written by `make reference`; a test holds it to the commands. The other package's: [harvester](commands.md). What the
options of `train` set is told at more length in [settings](settings.md), what a run's folder holds in [run](run.md).

Results go to stdout, everything else to stderr. Every command has `--json` and `--help` with an example. Ctrl-C stops
after the step or the answers under way and stores them; the same command goes on from there.

## Several GPUs

`torchrun` starts one process for each GPU, and all of them train one student:

```bash
torchrun --nproc-per-node 4 -m finetune train runs/orders/dataset --out runs/orders/student
```

A step learns from the same rows and writes the same losses as one process does, so a run may go on with another number
of GPUs. One process talks and writes the files. The other commands run in one process.
"""

HARVESTER_BUG = """\
| 0 | Done. Failed rows are counted; a reached `--limit` is done. |
| 1 | A bug in Harvester, with its traceback and where to report it. |
"""

FINETUNE_BUG = """\
| 0 | Done. |
| 1 | A bug in finetune, with its traceback and where to report it. |
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

DATASET_HEAD = """\
# The dataset

Written by `make reference` from the schema; a test holds it to that. `harvester export RECIPE OUT` writes

- `OUT/data/train-*.parquet`, `dev-*`, `test-*`: the splits; one without seeds is absent,
- `OUT/harvester.json`: how it was made and what binds it, for programs
  ([its fields](../design/005-dataset.md#harvesterjson)),
- `OUT/README.md`: the card, for people and for the hub.

With `--format` the rows are in other files, for other trainers: [formats](../how-to/formats.md).

`datasets.load_dataset("OUT")` opens it as it is. `train` and `dev` hold accepted rows (with `--unfiltered`, `train`
holds the rejected ones too). `test` holds every answer to every held-out seed, accepted or not, so that the teacher's
own score is honest; several rows of it may share a `seed_id`. All splits have the same columns:
"""

REASONS_HEAD = """\
## Why a row is not for training

`drop_reason`, and what `harvester status`, `harvester export` and harvester.json count. In a recipe of several steps
the name of an earlier step may come first: `ask:length`. `length` is about the limit `max_tokens`, `verify:length`
about the verifier of that name.

| reason | meaning |
|---|---|
"""

REST = {
    "verify": "CHECK",
    "curate": "REASON",
    "person": "rejected",
    "terms": "VERDICT",
    "failed": " REASON",
    "render": "STEP",
    "of": "STEP",
}
"""What follows the colon in a reason of each family."""

COLUMNS = {
    "messages": "The student's view; the assistant's message is the last.",
    "tools": "JSON; null where no tools were offered.",
    "reasoning": "What the teacher thought before it answered; null where the API gave nothing.",
    "logprobs": "One entry for each token of the answer, natural logarithms, as the API gave them; null without."
    " Where they cannot be known, `bytes` are null and a token's own logarithm is -9999.",
    "sampling": "JSON: the parameters of the request, as sent.",
    "row_id": "Names the row; `harvester trace` takes it.",
    "request_key": "SHA-256 of everything that can change the answer; rows that share a reply share it.",
    "seed_id": "Names the seed; samples of one seed share it.",
    "seed": "JSON: the seed without its reference.",
    "sample": "Number of the sample, from 0.",
    "step": "The recipe's step that asked.",
    "recipe": "The recipe's name.",
    "teacher": "The teacher's name in the recipe.",
    "model": "The model, as the reply named it.",
    "provider": "Who answered, as the profile or the reply names it.",
    "terms": "What binds the answer: one entry for each teacher that had a hand in it.",
    "finish_reason": "Why the answer ended, as the API said: `stop`, `length`, …",
    "prompt_tokens": "Tokens of the request, from `usage`; null without.",
    "completion_tokens": "Tokens of the answer, from `usage`; null without.",
    "cost_usd": "Price of the reply in USD.",
    "score": "A judge's score; null without one.",
    "checks": "What each verifier said; `params` is JSON.",
    "accepted": "Whether the reply is sound and every check passed.",
    "drop_reason": "Why the row is not for training; null where it is.",
    "reference": "JSON: the right answer, which nobody was shown; scores the split `test`. Null without.",
    "collected_at": "When the reply was stored.",
}

SETTINGS_HEAD = """\
# Settings of a run

Written by `make reference` from `finetune.config.RunConfig`; a test holds it to that. `RUN/config.json` holds all of
them; a run with other settings goes into another folder. In Python:

```python
from finetune.config import make_config

config = make_config({"method": "lora", "training": {"epochs": 3}})
assert config.lora.rank == 16
```

`finetune.train(dataset, run, config)` takes it. Settings without an option are for Python only.
"""

SETTINGS = {
    "model": "The base: `embedded`, a local folder or a hub id.",
    "method": "LoRA, rank-stabilised LoRA, DoRA, LoRA on a base in 4 bits (CUDA only), or every weight.",
    "lora.rank": "Rank of the adapters. `--rank` sets alpha to twice as much.",
    "lora.alpha": "The adapter's output is scaled by alpha / rank (rsLoRA: by alpha / √rank).",
    "lora.targets": "Name endings of the linear layers that get adapters; null: every one but the output head.",
    "batching.batch_size": "Rows in one forward pass; sets the memory.",
    "batching.grad_accum": "Forward passes in one optimiser step.",
    "batching.max_length": "Tokens of prompt and answer; null: 1024, or the model's context where it is shorter.",
    "batching.too_long": "Longer rows are left out, or learnt without their answer's end.",
    "batching.packing": "Rows lie end to end instead of being padded. Changes the cost, not what is learnt.",
    "optimiser.learning_rate": "Its peak; null: 1e-3 for adapters, 2e-5 for every weight; 5e-5 and 1e-6 with `dpo`.",
    "optimiser.weight_decay": "AdamW's.",
    "optimiser.clip_norm": "Bound on the gradient's norm.",
    "optimiser.schedule": "How the learning rate goes down after its peak.",
    "optimiser.warmup_fraction": "Share of all steps in which the learning rate climbs to its peak.",
    "loss.kind": "Learn the answers (hard), or the teacher's probabilities; auto: bucket where a row has any, else"
    " hard; reverse, policy: what the student samples, as a teacher scores it; dpo: pairs of answers.",
    "loss.tail_weight": "Of the token that the teacher sampled outside its list, with `sampled`; null: 1.",
    "loss.temperature": "At which the listed tokens are compared, with `bucket`.",
    "loss.hard_share": "λ of λ · hard + (1 - λ) · soft.",
    "loss.top": "Take so many of the tokens that the teacher listed, the likeliest; null: all, 20 with `reverse`.",
    "loss.max_new_tokens": "Bound on what the student samples for a row, with `reverse` and `policy`; null: 256.",
    "loss.beta": "β of `dpo`: the larger, the nearer the student stays to its base; null: 0.1.",
    "training.epochs": "Passes over the split `train`.",
    "training.max_steps": "Ends earlier than `epochs` says; null: it does not.",
    "training.max_minutes": "Bound over all sittings; the schedule ends with it. Null: none.",
    "training.seed": "Of the adapter's start and the rows' order.",
    "training.checkpoint_every": "Optimiser steps between checkpoints.",
    "training.dev_every": "Optimiser steps between looks at the split `dev`; null: each epoch.",
    "training.patience": "Looks without a better dev loss before it ends with the best weights; null: it does not.",
    "compute.dtype": "Number type to compute in; auto: bfloat16 where the machine multiplies it, else float32.",
    "compute.gradient_checkpointing": "Activations are computed again instead of kept: less memory, a third more time.",
}
