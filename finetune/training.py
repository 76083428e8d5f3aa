"""From a dataset to a run: everything around the loop."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finetune import adapters, claiming, identity, runs, soft_labels, student
from finetune.checkpoint import Progress
from finetune.config import RunConfig
from finetune.data import Dataset, open_dataset, say
from finetune.distributed import CPU, World, join
from finetune.errors import BadInput
from finetune.loop import Loop
from finetune.mishaps import clear
from finetune.objective import Objective, make_objective
from finetune.on_policy import OnPolicy
from finetune.rendering import Example, Rendered, Renderer
from finetune.sharding import shard
from finetune.shards import gathered
from finetune.soft_labels import Taught
from finetune.stopping import stop_on_signals
from finetune.student import Base, prepare
from finetune.teacher_address import TeacherAddress
from finetune.teacher_scores import Teacher

MAX_LENGTH = 1024
"""Tokens of a row where nothing else is stated, and the model's context is no shorter."""
QUANTILES = 20


def train(
    dataset: str | Path,
    out: str | Path,
    config: RunConfig | None = None,
    *,
    teacher: TeacherAddress | None = None,
    tensorboard: bool = False,
) -> runs.Facts:
    """Trains a student on a dataset folder into a run folder; goes on where an interrupted run stopped.

    Under torchrun every process calls it, and they train one student.

    Args:
        dataset: a folder that `harvester export` wrote.
        out: the run's folder; one that holds the same run is resumed, or left alone if it is finished.
        config: what to train and how.
        teacher: a server that scores what the student samples, for the losses `reverse` and `policy`.
        tensorboard: write RUN/tensorboard too.

    Returns:
        The finished run's facts (also in run.json).

    Raises:
        BadInput: the dataset, the model, the teacher or the run folder cannot be used.
        Stopped: interrupted; the state is stored.
        TeacherUnusable: the teacher's server cannot be asked.
    """
    started, config, folder = time.monotonic(), config or RunConfig(), Path(out)
    _require_teacher(config, teacher)
    with join() as world, _held(folder, world):
        data = world.by_each(lambda: open_dataset(Path(dataset)))
        world.agree({"configuration": config.sha256(), "dataset": data.sha256})
        facts = world.by_first(lambda: claiming.inspect(folder, config, data))
        if facts.status == "trained":
            say(f"{folder}: already trained")
            return facts
        loaded = world.by_each(lambda: _load(data, config, world, teacher))
        world.agree({"base model": loaded.sha256, "teacher": loaded.scored_by.get("model", "")})
        if loaded.sharded:
            shard(loaded.objective, world.device)
        loop = Loop(
            loaded.objective,
            loaded.rendered.require(),
            loaded.dev,
            config,
            folder,
            world,
            tensorboard=tensorboard,
            source=loaded.source,
        )
        facts = world.by_first(lambda: claiming.claim(folder, facts, config, data, loaded.sha256, loaded.scored_by))
        loading_s = time.monotonic() - started
        with stop_on_signals() as stop:
            done = loop.run(stop)
        _save(loaded, config, folder, world)
        facts = facts.model_copy(update=_outcome(loop, done, loading_s) | _shape(loaded, config))
        world.by_first(lambda: runs.write_facts(folder, facts))
    return facts


def told(facts: runs.Facts) -> str:
    """A finished run in one line: how far it came, why it ended there and whether that was worth it."""
    parts = [f"trained, {facts.steps} steps in {facts.train_minutes:.1f} min with loading"]
    if facts.ended_by != "epochs":
        parts.append(f"ended by --{facts.ended_by.replace('_', '-')}")
    if facts.best_step is not None:
        parts.append(f"best at step {facts.best_step}")
    if facts.dev_loss is not None:
        parts.append(f"dev loss {facts.dev_loss:.3f}")
    if facts.got_worse:
        parts.append(
            f"worse than the {facts.dev_loss_before:.3f} before training: "
            "give a lower --learning-rate or fewer --epochs"
        )
    return ", ".join(parts)


@contextmanager
def _held(folder: Path, world: World) -> Iterator[None]:
    """The run's folder, by the first process for all of them."""
    with ExitStack() as stack:
        world.by_first(lambda: stack.enter_context(claiming.held(folder)))
        yield


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What training needs of one process."""

    base: Base
    sha256: str  # of the base
    objective: Objective
    rendered: Rendered
    taught: Taught
    dev: list[Example]
    sharded: bool
    source: OnPolicy | None  # None: the examples are the rows as they are

    @property
    def scored_by(self) -> dict[str, str]:
        """The teacher of what the student samples."""
        return {} if self.source is None else {"model": self.source.teacher.model, "url": self.source.teacher.url}


def _require_teacher(config: RunConfig, teacher: TeacherAddress | None) -> None:
    if config.loss.on_policy and teacher is None:
        raise BadInput(f"--loss {config.loss.kind}: a teacher must score what the student samples; give --teacher URL")
    if teacher is not None and not config.loss.on_policy:
        raise BadInput("--teacher: only what the student samples is scored; give --loss reverse, or no --teacher")


def _load(data: Dataset, config: RunConfig, world: World, address: TeacherAddress | None) -> _Loaded:
    sharded = config.method == "full" and world.size > 1
    if sharded and address is not None:
        raise BadInput(f"--loss {config.loss.kind}: not with --method full on several GPUs; take adapters, or one GPU")
    teacher = None if address is None else _teacher(address)
    base, model = prepare(config, device=CPU if sharded else None)
    longest = _longest(base, config, teacher)
    rendered, dev = _render(base, data, config, longest)
    rendered.require()
    _tell_what_is_missing(rendered, len(data.split("train")))
    taught = soft_labels.teach(rendered, base, config.loss, data.notes)
    for line in soft_labels.told(taught, config.loss):
        say(line)
    rendered = replace(rendered, examples=taught.examples)
    objective = make_objective(model, base, config, world.device)
    if config.batching.packing and not objective.packing:
        say(f"{config.model}: packed rows would see each other in this architecture; rows are padded instead")
    source = None
    if teacher is not None:
        asked = base.tokenizer.decode(rendered.examples[0].ids)  # with the marks of the chat template
        teacher.require_same_tokens(base.tokenizer, [asked])
        source = OnPolicy(objective, base, teacher, rendered.examples, config, world, longest)
    return _Loaded(base, identity.digest(config.model), objective, rendered, taught, dev, sharded, source)


def _teacher(address: TeacherAddress) -> Teacher:
    from finetune.teacher_client import Client  # noqa: PLC0415 - the SDK takes a second

    return Teacher(Client(address), address.model)


def _longest(base: Base, config: RunConfig, teacher: Teacher | None) -> int:
    """Tokens that a row may have: by what is stated, the model's context, and the teacher's."""
    stated, context = config.batching.max_length, base.context or sys.maxsize
    if stated is not None and stated > context:
        raise BadInput(
            f"--max-length {stated}: {config.model} has a context of {context} tokens; give no more than that"
        )
    longest = stated or min(MAX_LENGTH, context)
    return longest if teacher is None or teacher.longest is None else min(longest, teacher.longest)


def _render(base: Base, data: Dataset, config: RunConfig, most: int) -> tuple[Rendered, list[Example]]:
    cut = config.batching.too_long == "cut"
    renderer = Renderer(base.tokenizer, base.stop_ids)
    dev = renderer.rows(data.splits.get("dev") or [], most, cut=cut).examples
    if config.training.patience is not None and not dev:
        raise BadInput(f"--patience: {data.path} has no split dev to look at; give the recipe a `dev` file")
    return renderer.rows(data.split("train"), most, cut=cut), dev


def _save(loaded: _Loaded, config: RunConfig, folder: Path, world: World) -> None:
    model, full = loaded.objective.model, config.method == "full"
    weights = gathered(model.state_dict().items(), keep=world.first) if full else {}
    target = folder / (runs.WEIGHTS if full else runs.ADAPTER)

    def write() -> None:
        with clear(target):
            student.save_weights(loaded.base, weights, target) if full else adapters.save_adapter(model, target)

    world.by_first(write)


def _tell_what_is_missing(rendered: Rendered, rows: int) -> None:
    for reason, count in rendered.dropped.items():
        say(f"train: {count} of {rows} rows left out: {reason}")
    if rendered.cut_rows:
        lost = f"{rendered.cut_tokens} tokens of answers"
        say(f"train: {rendered.cut_rows} of {rows} rows cut, {lost} lost; see --max-length")


def _outcome(loop: Loop, done: Progress, loading_s: float) -> dict[str, Any]:
    return {
        "status": "trained",
        "steps": done.step,
        "ended_by": loop.ended_by,
        "best_step": done.best_step,
        "train_loss": loop.train_loss,
        "dev_loss": loop.dev_loss,
        "dev_loss_before": done.loss_before,
        "seen": loop.seen(done),
        "train_minutes": (loading_s + done.seconds) / 60,
        "packed": loop.objective.packing,
        "device": loop.objective.device.type,
        "processes": loop.world.size,
    }


def _shape(loaded: _Loaded, config: RunConfig) -> dict[str, Any]:
    """What the rows to learn from are like, in the student's tokens."""
    rendered, examples = loaded.rendered, loaded.rendered.examples
    return {
        "dtype": student.dtype_name(loaded.base.model.dtype),
        "rows": {"train": len(examples), "dev": len(loaded.dev)},
        "dropped": rendered.dropped,
        "soft": loaded.taught.facts(config.loss),
        "cut": {"rows": rendered.cut_rows, "tokens": rendered.cut_tokens},
        "longest_answer": max(example.supervised for example in examples),
        "tokens": {
            "supervised": sum(example.supervised for example in examples),
            "total": sum(len(example.ids) for example in examples),
        },
        "lengths": {
            "prompt": _quantiles([len(example.ids) - example.supervised for example in examples]),
            "answer": _quantiles([example.supervised for example in examples]),
        },
    }


def _quantiles(values: list[int]) -> list[int]:
    ordered = sorted(values)
    return [ordered[round(place / QUANTILES * (len(ordered) - 1))] for place in range(QUANTILES + 1)]
