"""From a dataset to a run: everything around the loop."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import adapters, claiming, identity, runs, student
from finetune.checkpoint import Progress
from finetune.config import RunConfig
from finetune.data import Dataset, open_dataset, say
from finetune.distributed import CPU, World, join
from finetune.errors import BadInput
from finetune.loop import Loop
from finetune.material import Material, material
from finetune.metrics import SAMPLED
from finetune.mishaps import clear
from finetune.objective import Objective, PairObjective, make_objective
from finetune.on_policy import OnPolicy
from finetune.preference import Learnt, Pair
from finetune.reference import with_reference
from finetune.rendering import Example
from finetune.sharding import shard
from finetune.shards import gathered
from finetune.stopping import stop_on_signals
from finetune.student import Base, prepare
from finetune.teacher_address import TeacherAddress
from finetune.teacher_scores import Teacher

MAX_LENGTH = 1024
"""Tokens of a row where nothing else is stated, and the model's context is no shorter."""


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
        train_on, dev = _with_reference(loaded, config, world)
        loop = Loop(
            loaded.objective, train_on, dev, config, folder, world, tensorboard=tensorboard, source=loaded.source
        )
        facts = world.by_first(lambda: claiming.claim(folder, facts, config, data, loaded.sha256, loaded.scored_by))
        loading_s = time.monotonic() - started
        with stop_on_signals() as stop:
            done = loop.run(stop)
        _save(loaded, config, folder, world)
        facts = facts.model_copy(update=_outcome(loop, done, loading_s) | _of_material(loaded))
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
    if "dev_reward_accuracy" in facts.rewards:
        parts.append(f"{facts.rewards['dev_reward_accuracy']:.0%} of its pairs right")
        parts.append(f"margin {facts.rewards['dev_reward_margin']:.3f}")
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
    material: Material
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
    teacher = None if address is None else _teacher(address, config)
    base, model = prepare(config, device=CPU if sharded else None)
    longest = _longest(base, config, teacher)
    found = material(data, base, config, longest)
    objective = make_objective(model, base, config, world.device)
    if config.batching.packing and not objective.packing:
        say(f"{config.model}: packed rows would see each other in this architecture; rows are padded instead")
    source = None
    if teacher is not None:
        rows = [row for row in found.train if isinstance(row, Example)]
        teacher.require_same_tokens(base.tokenizer, [base.tokenizer.decode(rows[0].ids)])  # with the template's marks
        source = OnPolicy(objective, base, teacher, rows, config, world, longest)
    return _Loaded(base, identity.digest(config.model), objective, found, sharded, source)


def _teacher(address: TeacherAddress, config: RunConfig) -> Teacher:
    from finetune.teacher_client import Client  # noqa: PLC0415 - the SDK takes a second

    teacher = Teacher(Client(address), address.model)
    teacher.require_scores(listed := config.loss.listed)
    more = f", with {listed} listed at each token" if listed else ""
    say(f"{teacher.url}: {teacher.model} scores what the student samples{more}")
    return teacher


def _longest(base: Base, config: RunConfig, teacher: Teacher | None) -> int:
    """Tokens that a row may have: by what is stated, the model's context, and the teacher's."""
    stated, context = config.batching.max_length, base.context or sys.maxsize
    if stated is not None and stated > context:
        raise BadInput(
            f"--max-length {stated}: {config.model} has a context of {context} tokens; give no more than that"
        )
    longest = stated or min(MAX_LENGTH, context)
    return longest if teacher is None or teacher.longest is None else min(longest, teacher.longest)


def _with_reference(loaded: _Loaded, config: RunConfig, world: World) -> tuple[Sequence[Learnt], Sequence[Learnt]]:
    """What train and dev hold; pairs with what the base says of them, so before any weight is trained or restored."""
    train_on, dev = loaded.material.train, loaded.material.dev
    if not isinstance(loaded.objective, PairObjective):
        return train_on, dev
    pairs = [pair for pair in (*train_on, *dev) if isinstance(pair, Pair)]
    say(f"asking the base for the log-probabilities of {len(pairs)} pairs")
    pairs = with_reference(loaded.objective, pairs, config.batching, world, sharded=loaded.sharded)
    return pairs[: len(train_on)], pairs[len(train_on) :]


def _save(loaded: _Loaded, config: RunConfig, folder: Path, world: World) -> None:
    model, full = loaded.objective.model, config.method == "full"
    weights = gathered(model.state_dict().items(), keep=world.first) if full else {}
    target = folder / (runs.WEIGHTS if full else runs.ADAPTER)

    def write() -> None:
        with clear(target):
            student.save_weights(loaded.base, weights, target) if full else adapters.save_adapter(model, target)

    world.by_first(write)


def _outcome(loop: Loop, done: Progress, loading_s: float) -> dict[str, Any]:
    return {
        "status": "trained",
        "steps": done.step,
        "ended_by": loop.ended_by,
        "best_step": done.best_step,
        "train_loss": loop.means.get("loss"),
        "dev_loss": loop.means.get("dev_loss"),
        "rewards": {name: mean for name, mean in loop.means.items() if "reward" in name},
        "sampled": {name: loop.means[name] for name in SAMPLED if name in loop.means},
        "dev_loss_before": done.loss_before,
        "seen": loop.seen(done),
        "train_minutes": (loading_s + done.seconds) / 60,
        "packed": loop.objective.packing,
        "device": loop.objective.device.type,
        "processes": loop.world.size,
    }


def _of_material(loaded: _Loaded) -> dict[str, Any]:
    return {"dtype": student.dtype_name(loaded.base.model.dtype), **loaded.material.facts}
