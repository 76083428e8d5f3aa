import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import make_row, write_dataset

from finetune import checkpoint, runs
from finetune.config import RunConfig, make_config
from finetune.errors import BadInput, Stopped
from finetune.loop import Loop, accumulate, stop_on_signals, train
from finetune.rendering import Example, Renderer
from finetune.schedule import factor
from finetune.student import add_lora, load_base, trainable


def config(**training: object) -> RunConfig:
    batching = {name: training.pop(name) for name in ("batch_size", "grad_accum") if name in training}
    return make_config(
        {
            "lora": {"rank": 2, "alpha": 4},
            "batching": {"batch_size": 2} | batching,
            "optimiser": {"learning_rate": 0.02},
            "training": {"epochs": 2, "checkpoint_every": 100} | training,
        }
    )


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
        base = load_base(str(tiny_folder), torch.float32)
        model = add_lora(base.model, settings.lora, seed=settings.training.seed)
        (tmp_path / name).mkdir(exist_ok=True)
        return Loop(
            model=model, examples=examples, dev=dev, pad_id=base.pad_id, config=settings, folder=tmp_path / name
        )

    return make


def never() -> bool:
    return False


def grad_of(weight: torch.nn.Parameter) -> torch.Tensor:
    assert weight.grad is not None
    return weight.grad


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: grad_of(weight).clone() for name, weight in trainable(model).items()}


def test_accumulation_of_ragged_rows_is_one_batch(make_loop: Callable[..., Loop], examples: list[Example]) -> None:
    found = []
    for split in ([examples[:8]], [[example] for example in examples[:8]], [examples[:5], examples[5:8]]):
        loop = make_loop(config())
        with torch.no_grad():
            for weight in trainable(loop.model).values():
                weight.add_(0.05)  # B starts at 0, where A has no gradient
        loss, tokens = accumulate(loop.model, split, loop.pad_id)
        found.append((loss, tokens, gradients(loop.model)))
    for loss, tokens, grads in found[1:]:
        assert tokens == found[0][1] == sum(example.supervised for example in examples[:8])
        assert loss == pytest.approx(found[0][0], rel=1e-5)
        for name, grad in grads.items():
            torch.testing.assert_close(grad, found[0][2][name], rtol=1e-4, atol=1e-6)


def test_one_by_eight_and_eight_by_one_train_the_same_student(make_loop: Callable[..., Loop]) -> None:
    one, eight = make_loop(config(batch_size=8), "a"), make_loop(config(batch_size=1, grad_accum=8), "b")
    one.run(never)
    eight.run(never)
    for name, weight in trainable(one.model).items():
        torch.testing.assert_close(weight, trainable(eight.model)[name], rtol=1e-3, atol=1e-4)


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
    for name, weight in trainable(whole.model).items():
        assert torch.equal(weight, trainable(rest.model)[name])
    timeless = [
        [{key: value for key, value in line.items() if key != "tokens_per_s"} for line in lines]
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
    assert step.keys() == {"step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "tokens_per_s"}


def test_gradients_are_clipped(make_loop: Callable[..., Loop], monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make_loop(config(max_steps=1))
    norms = []
    step = loop.optimiser.step

    def spy() -> None:
        norms.append(torch.cat([grad_of(weight).flatten() for weight in trainable(loop.model).values()]).norm().item())
        step()

    monkeypatch.setattr(loop.optimiser, "step", spy)
    loop.run(never)
    before = runs.read_lines(loop.folder / runs.METRICS)[0]["grad_norm"]
    assert before > 1.0
    assert norms[0] == pytest.approx(1.0, rel=1e-4)


def test_the_first_signal_is_a_wish_and_the_second_an_order() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_train_writes_a_run_and_leaves_a_finished_one_alone(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = make_config({"model": str(tiny_folder), "training": {"max_steps": 2}})
    facts = train(toy_dataset, tmp_path / "run", settings)
    assert (facts.status, facts.steps, facts.rows) == ("trained", 2, {"train": 22, "dev": 4})
    assert facts.longest_answer == 7  # "20" three times, and the end of turn
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "adapter",
        "checkpoints",
        "config.json",
        "metrics.jsonl",
        "run.json",
    }
    stamp = (tmp_path / "run" / "metrics.jsonl").stat().st_mtime_ns
    assert train(toy_dataset, tmp_path / "run", settings) == facts
    assert (tmp_path / "run" / "metrics.jsonl").stat().st_mtime_ns == stamp
    assert "already trained" in capsys.readouterr().err


def test_another_configuration_or_dataset_in_the_folder_is_refused(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    settings = make_config({"model": str(tiny_folder), "training": {"max_steps": 1}})
    train(toy_dataset, tmp_path / "run", settings)
    other = make_config({"model": str(tiny_folder), "training": {"max_steps": 2}})
    with pytest.raises(BadInput, match=r"training\.max_steps 1 \(now 2\); give another --out"):
        train(toy_dataset, tmp_path / "run", other)
    second = write_dataset(tmp_path / "second", {"train": [make_row(1)]})
    with pytest.raises(BadInput, match=r"run on another dataset .*give another --out"):
        train(second, tmp_path / "run", settings)


def test_a_command_that_failed_before_the_first_step_does_not_claim_the_folder(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    wrong = make_config({"model": str(tiny_folder), "batching": {"max_length": 3}, "training": {"max_steps": 1}})
    with pytest.raises(BadInput, match="no supervised token is left"):
        train(toy_dataset, tmp_path / "run", wrong)
    mended = make_config({"model": str(tiny_folder), "training": {"max_steps": 1}})
    assert train(toy_dataset, tmp_path / "run", mended).status == "trained"


def test_a_folder_that_is_no_run_is_left_alone(toy_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match="exists and is not a run"):
        train(toy_dataset, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_rows_left_out_are_said(tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [make_row(1), make_row(2, answer="")]
    dataset = write_dataset(tmp_path / "d", {"train": rows})
    facts = train(dataset, tmp_path / "run", make_config({"model": str(tiny_folder), "training": {"max_steps": 1}}))
    assert facts.dropped == {"empty answer": 1}
    assert "1 of 2 rows left out: empty answer" in capsys.readouterr().err


def test_checkpoint_progress_is_plain_json(make_loop: Callable[..., Loop]) -> None:
    loop = make_loop(config(max_steps=1))
    loop.run(never)
    newest = checkpoint.latest(loop.folder / runs.CHECKPOINTS)
    assert newest is not None
    assert json.loads((newest / "progress.json").read_text()).keys() == {"step", "seconds", "sha256"}
