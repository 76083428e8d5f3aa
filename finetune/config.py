"""What a run is made of: one frozen model per noun, saved with the run so that it can be repeated."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from finetune.errors import BadInput

EMBEDDED = "embedded"
"""The name that stands for the weights of Harvester's embedded teacher."""


Method = Literal["lora", "rslora", "dora", "qlora", "full"]
"""LoRA; rank-stabilised LoRA (arXiv 2312.03732); DoRA (arXiv 2402.09353); LoRA on a base in 4 bits (arXiv 2305.14314,
CUDA only); every weight."""
ADAPTER_RATE, FULL_RATE = 1e-3, 2e-5
PAIR_ADAPTER_RATE, PAIR_FULL_RATE = 5e-5, 1e-6
"""Of `dpo`, as in its paper (every weight: 1e-6). Its gradient is that of whole answers, not of a token's mean, and
nothing in it keeps the chosen answers likely: a faster student makes both of a pair unlikely and still does it well."""
DEFAULT_BETA = 0.1
DEFAULT_SOFT = "bucket"
"""The loss of rows with the teacher's probabilities where none is stated."""
ON_POLICY = frozenset({"reverse", "policy"})
"""Losses at what the student itself samples while it learns."""
DEFAULT_TOP, DEFAULT_NEW_TOKENS = 20, 256


class _Noun(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Lora(_Noun):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): W + alpha/rank · B A, with W frozen.

    rsLoRA divides by the root of the rank. Not used where every weight is trained.
    """

    rank: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[int, Field(ge=1)] = 32
    targets: tuple[str, ...] | None = None  # name endings of linear layers; None = every one but the output head

    @model_validator(mode="after")
    def _head_stays_frozen(self) -> Self:
        # The loss runs the plain head at the supervised positions only: an adapter on it would be bypassed.
        if self.targets is not None and any(name.split(".")[-1] == "lm_head" for name in self.targets):
            raise ValueError("lm_head cannot be a target; the output head stays frozen")
        return self


class Batching(_Noun):
    """How many rows go through the model together, and how long a row may be.

    A step learns from `batch_size` x `grad_accum` rows, packed or not: packing changes its cost, not what is learnt.
    """

    batch_size: Annotated[int, Field(ge=1)] = 4  # rows in one forward pass: sets the memory
    grad_accum: Annotated[int, Field(ge=1)] = 1  # forward passes in one optimiser step
    max_length: Annotated[int, Field(ge=2)] | None = None  # tokens of prompt and answer; None = 1024 or the context
    too_long: Literal["drop", "cut"] = "drop"  # longer rows: left out, or learnt without the answer's end
    packing: bool = True  # rows end to end instead of padded, up to batch_size x longest row in one pass

    @property
    def rows_per_step(self) -> int:
        """Rows that one optimiser step learns from."""
        return self.batch_size * self.grad_accum


class Optimiser(_Noun):
    """AdamW (Loshchilov & Hutter 2017, arXiv 1711.05101) with gradient clipping and a learning-rate schedule."""

    learning_rate: Annotated[float, Field(gt=0)] | None = None  # the peak; None = the method's and the loss's
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1  # of all steps


class Loss(_Noun):
    """What a step makes small (docs/design/014-soft-labels.md), and what of the teacher's probabilities it takes."""

    # auto: DEFAULT_SOFT, else hard; dpo: of pairs
    kind: Literal["auto", "hard", "topk", "bucket", "sampled", "chunks", "reverse", "policy", "dpo"] = "auto"
    tail_weight: Annotated[float, Field(ge=0, le=1)] | None = None  # of `sampled`; None = 1
    temperature: Annotated[float, Field(gt=0)] = 1.0  # of `bucket`
    hard_share: Annotated[float, Field(ge=0, le=1)] = 0.0  # λ: λ·hard + (1 - λ)·soft
    top: Annotated[int, Field(ge=1)] | None = None  # listed tokens, the likeliest; None = all, 20 with `reverse`
    max_new_tokens: Annotated[int, Field(ge=1)] | None = None  # of `reverse` and `policy`: sampled a row; None = 256
    beta: Annotated[float, Field(gt=0)] | None = None  # of `dpo`: the larger, the nearer to the base; None = 0.1

    @property
    def of_lists(self) -> str:
        """The kind that a row with the teacher's probabilities is learnt by."""
        return DEFAULT_SOFT if self.kind == "auto" else self.kind

    @property
    def on_policy(self) -> bool:
        """Whether it is of what the student samples."""
        return self.kind in ON_POLICY

    @property
    def listed(self) -> int:
        """How many tokens a teacher lists where the student samples; 0 where the sampled one is enough."""
        return (self.top or DEFAULT_TOP) if self.kind == "reverse" else 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.tail_weight is not None and self.kind != "sampled":
            raise ValueError("tail_weight is for the loss `sampled`; give --loss sampled or no --tail-weight")
        if self.temperature != 1 and self.kind not in {"auto", "bucket"}:
            raise ValueError("a temperature is for the loss `bucket`; give --loss bucket or no --temperature")
        soft = self.hard_share or self.top or self.temperature != 1
        if self.kind == "hard" and soft:
            raise ValueError("hard labels have no share, temperature or number of listed tokens; give another --loss")
        if self.on_policy and self.hard_share:
            raise ValueError(f"{self.kind} learns from what the student samples, which is no label; no --hard-share")
        if self.kind == "policy" and self.top:
            raise ValueError("policy looks at the sampled token alone; give --loss reverse or no --top")
        if not self.on_policy and self.max_new_tokens is not None:
            raise ValueError("max_new_tokens is for what a student samples; give --loss reverse or policy, or leave it")
        if self.kind == "dpo" and soft:
            raise ValueError("dpo learns from pairs: give no --hard-share, --temperature or --top, or another --loss")
        if self.beta is not None and self.kind != "dpo":
            raise ValueError("beta is for the loss `dpo`; give --loss dpo or no --beta")
        return self


class Training(_Noun):
    """How long to train, and how often to look."""

    epochs: Annotated[int, Field(ge=1)] = 2
    max_steps: Annotated[int, Field(ge=1)] | None = None  # ends earlier than `epochs` says
    max_minutes: Annotated[float, Field(gt=0)] | None = (
        None  # ends earlier, over all sittings; the schedule ends with it
    )
    seed: Annotated[int, Field(ge=0)] = 0
    checkpoint_every: Annotated[int, Field(ge=1)] = 10  # steps
    dev_every: Annotated[int, Field(ge=1)] | None = None  # steps between looks at the dev split; None = each epoch
    patience: Annotated[int, Field(ge=1)] | None = None  # looks without a better dev loss before it ends with the best


class Compute(_Noun):
    """How the model is held and computed."""

    dtype: Literal["auto", "bfloat16", "float32"] = "auto"  # auto: bfloat16 where the machine multiplies it
    gradient_checkpointing: bool = False  # less memory for activations, a third more time


class RunConfig(_Noun):
    """Everything that decides what a run computes, apart from the dataset's bytes."""

    model: str = EMBEDDED  # `embedded`, a local folder or a hub id
    method: Method = "lora"
    lora: Lora = Lora()
    batching: Batching = Batching()
    optimiser: Optimiser = Optimiser()
    loss: Loss = Loss()
    training: Training = Training()
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _whole_pairs(self) -> Self:
        if self.loss.kind == "dpo" and self.batching.too_long == "cut":
            raise ValueError("dpo compares whole answers: give no --too-long cut, or another --loss")
        return self

    @property
    def learning_rate(self) -> float:
        """The peak learning rate."""
        adapters, full = (PAIR_ADAPTER_RATE, PAIR_FULL_RATE) if self.loss.kind == "dpo" else (ADAPTER_RATE, FULL_RATE)
        return self.optimiser.learning_rate or (full if self.method == "full" else adapters)

    def sha256(self) -> str:
        """Hex digest of the configuration's JSON."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def make_config(fields: Mapping[str, Any]) -> RunConfig:
    """A validated configuration from nested plain values.

    Raises:
        BadInput: a field is unknown or its value is out of range.
    """
    return _validated("configuration", lambda: RunConfig.model_validate(fields))


def read_config(path: Path) -> RunConfig:
    """The configuration saved in a run.

    Raises:
        BadInput: the file is missing or does not hold a configuration.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; name a folder that `finetune train --out` wrote") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: damaged: not UTF-8 text; train into another folder") from error
    return _validated(str(path), lambda: RunConfig.model_validate_json(text))


def _validated(source: str, build: Any) -> RunConfig:
    try:
        config: RunConfig = build()
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(all)"
        raise BadInput(f"{source}: {field}: {first['msg'].removeprefix('Value error, ')}") from error
    return config
