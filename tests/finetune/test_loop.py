import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from finetune import checkpoint, runs
from finetune.checkpoint import Progress
from finetune.config import RunConfig, make_config
from finetune.errors import BadInput, Stopped
from finetune.loop import Loop, accumulate
from finetune.objective import make_objective
from finetune.rendering import Example, Renderer
from finetune.schedule import factor
from finetune.student import prepare, trainable


def config(*, method: str = "lora", dtype: str = "float32", **settings: Any) -> RunConfig:
    """A small run; each setting goes to the noun that has it."""
    nouns: dict[str, Any] = {
        "lora": {"rank": 2, "alpha": 4},
        "batching": {"batch_size": 2},
        "optimiser": {"learning_rate": 0.02},
        "training": {"epochs": 2, "checkpoint_every": 100},
        "compute": {"dtype": dtype},
    }
    for name, value in settings.items():
        next(nouns[noun] for noun in nouns if name in RunConfig.model_fields[noun].annotation.model_fields)[name] = (
            value
        )
    return make_config({"method": method, **nouns})


@pytest.fixture
def examples(renderer: Renderer) -> list[Example]:
    return [
        renderer.example(
            [{"role": "user", "content": "ask " + "x" * (7 * number % 23)}], str(number) * (1 + number % 5)
        )
        for number in range(11)
    ]


@pytest.fixture
def make_loop(tiny_folder: Path, examples: list[Example], tmp_path: Path) -> Callable[..., Loop]:
    def make(settings: RunConfig, name: str = "run", dev: Sequence[Example] = ()) -> Loop:
        settings = settings.model_copy(update={"model": str(tiny_folder)})
        base, model = prepare(settings)
        (tmp_path / name).mkdir(exist_ok=True)
        return Loop(make_objective(model, base, settings), examples, dev, settings, tmp_path / name)

    return make


CLOCKS = {"seconds", "tokens_per_s", "total_tokens_per_s", "memory_mb"}


def never() -> bool:
    return False


def losses_of(loop: Loop) -> list[float]:
    return [line["loss"] for line in runs.read_lines(loop.folder / runs.METRICS) if "loss" in line]


def same_weights(one: Loop, other: Loop) -> bool:
    others = trainable(other.objective.model)
    for name, weight in trainable(one.objective.model).items():
        torch.testing.assert_close(weight, others[name], rtol=1e-3, atol=1e-4)
    return True


def grad_of(weight: torch.nn.Parameter) -> torch.Tensor:
    assert weight.grad is not None
    return weight.grad


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: grad_of(weight).clone() for name, weight in trainable(model).items()}


def test_accumulation_of_ragged_rows_is_one_batch(make_loop: Callable[..., Loop], examples: list[Example]) -> None:
    tokens, found = sum(example.supervised for example in examples[:8]), []
    for packing in (True, False):
        for split in ([examples[:8]], [[example] for example in examples[:8]], [examples[:5], examples[5:8]]):
            loop = make_loop(config(packing=packing))
            with torch.no_grad():
                for weight in trainable(loop.objective.model).values():
                    weight.add_(0.05)  # B starts at 0, where A has no gradient
            loss = accumulate(loop.objective, split, tokens)
            found.append((loss, gradients(loop.objective.model)))
    for loss, grads in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-5)
        for name, grad in grads.items():
            torch.testing.assert_close(grad, found[0][1][name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("packing", [True, False])
def test_one_by_eight_and_eight_by_one_train_the_same_student(make_loop: Callable[..., Loop], packing: bool) -> None:
    one = make_loop(config(batch_size=8, packing=packing), "a")
    eight = make_loop(config(batch_size=1, grad_accum=8, packing=packing), "b")
    one.run(never)
    eight.run(never)
    assert same_weights(one, eight)


@pytest.mark.parametrize(
    "changed",
    [{"packing": False}, {"gradient_checkpointing": True}, {"gradient_checkpointing": True, "packing": False}],
    ids=str,
)
def test_what_saves_time_or_memory_changes_nothing_that_is_learnt(
    make_loop: Callable[..., Loop], changed: dict[str, Any]
) -> None:
    plain, other = make_loop(config(), "a"), make_loop(config(**changed), "b")
    plain.run(never)
    other.run(never)
    assert same_weights(plain, other)
    assert losses_of(other) == pytest.approx(losses_of(plain), rel=1e-4)


def test_bfloat16_computes_the_same_but_for_rounding(make_loop: Callable[..., Loop]) -> None:
    wide, narrow = make_loop(config(), "a"), make_loop(config(dtype="bfloat16"), "b")
    wide.run(never)
    narrow.run(never)
    assert {weight.dtype for weight in trainable(narrow.objective.model).values()} == {torch.float32}
    assert losses_of(narrow) == pytest.approx(losses_of(wide), rel=0.05)


@pytest.mark.parametrize("method", ["lora", "rslora", "dora", "full"])
def test_every_method_learns(make_loop: Callable[..., Loop], method: str) -> None:
    loop = make_loop(config(method=method, epochs=4, learning_rate=0.01))
    loop.run(never)
    losses = losses_of(loop)
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def test_full_training_computes_in_bfloat16_on_float32_weights(make_loop: Callable[..., Loop]) -> None:
    wide, narrow = (
        make_loop(config(method="full", dtype=dtype, learning_rate=1e-3), dtype) for dtype in ("float32", "bfloat16")
    )
    wide.run(never)
    narrow.run(never)
    assert {weight.dtype for weight in narrow.objective.model.parameters()} == {torch.float32}
    assert losses_of(narrow) == pytest.approx(losses_of(wide), rel=0.05)
    assert losses_of(narrow) != losses_of(wide)


@pytest.mark.parametrize("after", [3, 6, 8])  # 6 steps an epoch: in the middle, at the end, in the second
def test_stopping_and_going_on_is_the_same_to_the_bit(
    make_loop: Callable[..., Loop], examples: list[Example], after: int
) -> None:
    whole = make_loop(config(), "whole", dev=examples[:3])
    whole.run(never)
    countdown = iter([False] * (after - 1) + [True])
    with pytest.raises(Stopped, match=f"after step {after} of 12; run the same command again"):
        make_loop(config(), "parts", dev=examples[:3]).run(lambda: next(countdown))
    rest = make_loop(config(), "parts", dev=examples[:3])
    assert rest.run(never).step == 12
    for name, weight in trainable(whole.objective.model).items():
        assert torch.equal(weight, trainable(rest.objective.model)[name])
    timeless = [
        [{key: value for key, value in line.items() if key not in CLOCKS} for line in lines]
        for lines in (runs.read_lines(loop.folder / runs.METRICS) for loop in (whole, rest))
    ]
    assert timeless[0] == timeless[1]


def test_steps_after_the_checkpoint_are_done_and_written_once(make_loop: Callable[..., Loop]) -> None:
    loop = make_loop(config(checkpoint_every=2, max_steps=4))
    loop.run(never)
    with (loop.folder / runs.METRICS).open("a") as file:  # as after a kill: one step too many, one line cut short
        file.write('{"step": 5, "loss": 1.0}\n{"step": 6, "lo')
    make_loop(config(checkpoint_every=2, max_steps=4)).run(never)
    assert [line["step"] for line in runs.read_lines(loop.folder / runs.METRICS)] == [1, 2, 3, 4]


def test_it_learns_and_measures(make_loop: Callable[..., Loop], examples: list[Example]) -> None:
    loop = make_loop(config(epochs=6), dev=examples)
    loop.run(never)
    lines = runs.read_lines(loop.folder / runs.METRICS)
    dev = [line["dev_loss"] for line in lines if "dev_loss" in line]
    assert len(dev) == 7  # before the first step and after each epoch
    assert dev[-1] < 0.7 * dev[0]
    step = next(line for line in lines if "loss" in line)
    assert step["learning_rate"] == pytest.approx(0.02 * factor(0, total=36, warmup=3, kind="cosine"))
    assert step.keys() == CLOCKS | {"step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "total_tokens"}


def test_gradients_are_clipped(make_loop: Callable[..., Loop], monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make_loop(config(max_steps=1))
    norms = []
    step = loop.optimiser.step

    def spy() -> None:
        norms.append(
            torch.cat([grad_of(weight).flatten() for weight in trainable(loop.objective.model).values()]).norm().item()
        )
        step()

    monkeypatch.setattr(loop.optimiser, "step", spy)
    loop.run(never)
    before = runs.read_lines(loop.folder / runs.METRICS)[0]["grad_norm"]
    assert before > 1.0
    assert norms[0] == pytest.approx(1.0, rel=1e-4)


def test_checkpoint_progress_is_plain_json(make_loop: Callable[..., Loop]) -> None:
    loop = make_loop(config(max_steps=1))
    loop.run(never)
    newest = checkpoint.latest(loop.folder / runs.CHECKPOINTS)
    assert newest is not None
    facts = json.loads((newest / "progress.json").read_text())
    assert facts.keys() == {field.name for field in dataclasses.fields(Progress)} | {"sha256"}


def test_it_ends_with_the_minutes_and_the_schedule_with_it(make_loop: Callable[..., Loop]) -> None:
    loop = make_loop(config(epochs=500, max_minutes=0.01), dev=())
    done = loop.run(never)
    assert (loop.ended_by, done.step < loop.total) == ("max_minutes", True)
    assert done.seconds >= 0.6
    rates = [line["learning_rate"] for line in runs.read_lines(loop.folder / runs.METRICS)]
    assert max(rates) == pytest.approx(0.02, rel=0.1)
    assert rates[-1] < 0.1 * max(rates)
    assert checkpoint.latest(loop.folder / runs.CHECKPOINTS) is not None


def test_it_ends_early_with_the_best_weights(make_loop: Callable[..., Loop], examples: list[Example]) -> None:
    settings = config(epochs=40, learning_rate=0.3, schedule="constant", patience=2, dev_every=3)
    loop = make_loop(settings, dev=examples[:3])
    done = loop.run(never)
    looks = {
        line["step"]: line["dev_loss"] for line in runs.read_lines(loop.folder / runs.METRICS) if "dev_loss" in line
    }
    del looks[0]
    assert loop.ended_by == "patience"
    assert done.best_step == min(looks, key=lambda step: looks[step])
    assert sorted(looks)[-2:] == [done.best_step + 3, done.best_step + 6]
    # The weights are those of that step: the dev split gives its loss again.
    loop.objective.eval()
    with torch.no_grad():
        again = loop.objective.loss(examples[:3]).item() / sum(example.supervised for example in examples[:3])
    assert again == pytest.approx(looks[done.best_step], rel=1e-5)


def test_early_stopping_goes_on_as_if_never_interrupted(
    make_loop: Callable[..., Loop], examples: list[Example]
) -> None:
    settings = config(epochs=40, learning_rate=0.3, schedule="constant", patience=3, dev_every=2, checkpoint_every=5)
    whole = make_loop(settings, "whole", dev=examples[:3]).run(never)
    countdown = iter([False] * 6 + [True])
    with pytest.raises(Stopped):
        make_loop(settings, "parts", dev=examples[:3]).run(lambda: next(countdown))
    rest = make_loop(settings, "parts", dev=examples[:3])
    done = rest.run(never)
    assert (done.step, done.best_step, done.best_loss) == (whole.step, whole.best_step, whole.best_loss)


def test_a_loss_that_is_no_number_ends_it_and_keeps_the_last_checkpoint(make_loop: Callable[..., Loop]) -> None:
    loop = make_loop(config(checkpoint_every=2, learning_rate=0.02))
    step = loop._step

    def poisoned(progress: checkpoint.Progress) -> Any:
        if progress.step == 3:
            with torch.no_grad():
                next(iter(trainable(loop.objective.model).values())).fill_(torch.inf)
        return step(progress)

    loop._step = poisoned  # type: ignore[method-assign]
    with pytest.raises(BadInput, match=r"step 4: a loss of nan .*lower --learning-rate or --dtype float32") as caught:
        loop.run(never)
    assert "\n" not in str(caught.value)
    newest = checkpoint.latest(loop.folder / runs.CHECKPOINTS)
    assert newest is not None
    assert newest.name == "step-00000002"


@pytest.mark.parametrize("patience", [None, 3])
def test_an_update_that_destroys_the_weights_is_refused_and_the_last_checkpoint_stays(
    make_loop: Callable[..., Loop], examples: list[Example], patience: int | None
) -> None:
    dev = [] if patience is None else examples[:3]
    loop = make_loop(config(checkpoint_every=2, max_steps=4, dev_every=1, patience=patience), dev=dev)
    update, done = loop.optimiser.step, []

    def destroy() -> None:
        update()
        done.append(True)
        if len(done) == 4:  # the last one
            with torch.no_grad():
                next(iter(trainable(loop.objective.model).values())).view(-1)[0] = torch.inf

    loop.optimiser.step = destroy  # type: ignore[method-assign, assignment]
    with pytest.raises(BadInput, match=r"step 4: a student with weights .*lower --learning-rate .*another --out"):
        loop.run(never)
    assert [path.name for path in loop.checkpoints.glob("step-*")] == ["step-00000002"]
    assert not (loop.checkpoints / "best-00000004").exists()


@pytest.mark.parametrize("step", [0, 3])
def test_a_dev_loss_that_is_no_number_ends_it_and_is_never_the_best(
    make_loop: Callable[..., Loop], examples: list[Example], step: int
) -> None:
    loop = make_loop(config(checkpoint_every=1, dev_every=1, patience=2), dev=examples[:3])
    measure, looks = loop.objective.loss, []

    def poisoned(rows: Sequence[Example]) -> torch.Tensor:
        loss = measure(rows)
        if loop.objective.training:
            return loss
        looks.append(loss)
        return loss * torch.nan if len(looks) > step * len(loop._passes(examples[:3])) else loss

    loop.objective.loss = poisoned  # type: ignore[method-assign]
    with pytest.raises(BadInput, match=rf"step {step}: a loss of nan on the dev split .*lower --learning-rate"):
        loop.run(never)
    assert {path.name for path in loop.checkpoints.glob("step-*")} == ({"step-00000002"} if step else set())
    assert not (loop.checkpoints / "best-00000003").exists()


def test_tensorboard_gets_every_number(make_loop: Callable[..., Loop], examples: list[Example]) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    loop = make_loop(config(max_steps=3))
    loop = Loop(loop.objective, examples, examples[:2], loop.config, loop.folder, tensorboard=True)
    loop.run(never)
    events = reading.EventAccumulator(str(loop.folder / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3]
    assert [event.step for event in events.Scalars("dev_loss")] == [0, 3]
