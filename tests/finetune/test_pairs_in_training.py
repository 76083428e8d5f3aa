"""Training on pairs, on the tiny model: what is learnt, and that nothing else but the pairs decides it."""

# ruff: noqa: N806 - shape suffixes

import json
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import Command, make_pair, make_row, write_dataset, write_pairs

from finetune import evaluate, export, runs, training
from finetune.config import RunConfig, make_config
from finetune.distributed import World
from finetune.errors import BadInput, Stopped
from finetune.loop import Loop, accumulate
from finetune.objective import PairObjective, make_objective
from finetune.preference import Choice, Pair, rendered
from finetune.reference import with_reference
from finetune.rendering import Example, Renderer
from finetune.runs import read_facts
from finetune.student import prepare, trainable
from finetune.training import train

CLOCKS = {"seconds", "tokens_per_s", "total_tokens_per_s", "memory_mb"}
BETA = 0.5


def config(model: Path, *, method: str = "lora", **nouns: dict[str, Any]) -> RunConfig:
    """A small run on pairs; what is given goes over what is usual here."""
    usual: dict[str, dict[str, Any]] = {
        "loss": {"kind": "dpo", "beta": BETA},
        "lora": {"rank": 2, "alpha": 4},
        "batching": {"batch_size": 2},
        "optimiser": {"learning_rate": 0.02},
        "training": {"checkpoint_every": 100},
        "compute": {"dtype": "float32"},
    }
    merged = {noun: fields | nouns.get(noun, {}) for noun, fields in usual.items()}
    return make_config({"model": str(model), "method": method, **merged})


@pytest.fixture
def choices() -> list[Choice]:
    """Of ragged lengths; some answers share their beginning, some questions come twice."""
    return [
        Choice(
            ({"role": "user", "content": "ask " + "x" * (7 * number % 5)},),
            "yes" + str(number) * (1 + number % 4),
            ("yes" if number % 3 else "no") + "z" * (5 * number % 7),
        )
        for number in range(11)
    ]


@pytest.fixture
def pairs(renderer: Renderer, choices: list[Choice]) -> list[Pair]:
    return rendered(choices, renderer, 200).pairs


def objective_of(settings: RunConfig, *, moved: float = 0.0) -> PairObjective:
    base, model = prepare(settings)
    objective = make_objective(model, base, settings)
    assert isinstance(objective, PairObjective)
    with torch.no_grad():
        for weight in trainable(model).values() if moved else []:
            weight.add_(moved)  # B starts at 0, where A has no gradient
    return objective


def told(objective: PairObjective, settings: RunConfig, pairs: Sequence[Pair]) -> list[Pair]:
    return with_reference(objective, pairs, settings.batching, World(), sharded=False)


def log_prob(model: Any, example: Example) -> torch.Tensor:
    """Of the answer, by transformers' own logits of this row alone."""
    logits_TV = model(input_ids=torch.tensor([example.ids])).logits[0].double()
    start = len(example.ids) - example.supervised
    answer = torch.tensor(example.ids[start:])
    return logits_TV[start - 1 : -1].log_softmax(1).gather(1, answer[:, None]).sum()


@pytest.mark.parametrize("packing", [True, False])
def test_it_is_the_formula_on_the_model_s_own_logits_in_value_and_gradient(
    packing: bool, tiny_folder: Path, pairs: list[Pair]
) -> None:
    settings = config(tiny_folder, batching={"packing": packing})
    objective = objective_of(settings)
    pairs = told(objective, settings, pairs)
    with torch.no_grad():
        for weight in trainable(objective.model).values():
            weight.add_(0.05)
    found = []
    base, plain = prepare(settings)
    with torch.no_grad():
        for mine, theirs in zip(trainable(plain).values(), trainable(objective.model).values(), strict=True):
            mine.copy_(theirs)
        with plain.disable_adapter():
            reference = [log_prob(base.model, pair.chosen) - log_prob(base.model, pair.rejected) for pair in pairs]
    assert [pair.reference for pair in pairs] == pytest.approx([float(margin) for margin in reference], abs=1e-4)
    total = torch.zeros((), dtype=torch.float64)
    for pair, before in zip(pairs, reference, strict=True):
        margin = log_prob(plain, pair.chosen) - log_prob(plain, pair.rejected)
        total = total - torch.log(torch.sigmoid(BETA * (margin - before)))
    total.backward()  # type: ignore[no-untyped-call]
    sums_M = objective.sums(pairs)
    sums_M[0].backward()  # type: ignore[no-untyped-call]
    assert sums_M[0].item() == pytest.approx(total.item(), rel=1e-5)
    found = [[weight.grad for weight in trainable(model).values()] for model in (objective.model, plain)]
    for grad, expected in zip(*found, strict=True):
        torch.testing.assert_close(grad, expected, rtol=1e-3, atol=1e-5)


def test_accumulation_of_ragged_pairs_is_one_batch_packed_or_padded(tiny_folder: Path, pairs: list[Pair]) -> None:
    found = []
    for packing in (True, False):
        settings = config(tiny_folder, batching={"packing": packing})
        with_them = told(objective_of(settings), settings, pairs)[:8]
        for split in ([with_them], [[pair] for pair in with_them], [with_them[:5], with_them[5:]]):
            objective = objective_of(settings, moved=0.05)
            means = accumulate(objective, split, len(with_them))
            grads = [weight.grad for weight in trainable(objective.model).values()]
            found.append((means, grads))
    for means, grads in found[1:]:
        assert means == pytest.approx(found[0][0], rel=1e-4)
        for grad, expected in zip(grads, found[0][1], strict=True):
            torch.testing.assert_close(grad, expected, rtol=1e-3, atol=1e-5)


def test_of_no_pairs_the_sums_are_0_and_the_gradient_is_none_or_0(tiny_folder: Path) -> None:
    for packing in (True, False):
        objective = objective_of(config(tiny_folder, batching={"packing": packing}), moved=0.05)
        sums_M = objective.sums([])
        assert sums_M.tolist() == [0, 0, 0]
        sums_M[0].backward()  # type: ignore[no-untyped-call]
        assert not any(weight.grad is not None and weight.grad.any() for weight in trainable(objective.model).values())


def make_loop(settings: RunConfig, pairs: Sequence[Pair], folder: Path, dev: Sequence[Pair] = ()) -> Loop:
    folder.mkdir(exist_ok=True)
    objective = objective_of(settings)
    known = told(objective, settings, [*pairs, *dev])
    return Loop(objective, known[: len(pairs)], known[len(pairs) :], settings, folder)


def never() -> bool:
    return False


def lines_of(loop: Loop) -> list[dict[str, Any]]:
    lines = runs.read_lines(loop.folder / runs.METRICS)
    return [{name: value for name, value in line.items() if name not in CLOCKS} for line in lines]


@pytest.mark.parametrize(
    "changed",
    [
        {"packing": False},
        {"batch_size": 1, "grad_accum": 8},
        {"batch_size": 1, "grad_accum": 8, "packing": False},
    ],
    ids=str,
)
def test_how_a_step_is_cut_into_passes_changes_nothing_that_is_learnt(
    changed: dict[str, Any], tiny_folder: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    usual = {"batch_size": 8, "grad_accum": 1, "packing": True} | ({"batch_size": 8} if "grad_accum" in changed else {})
    one = make_loop(config(tiny_folder, batching=usual), pairs, tmp_path / "a")
    other = make_loop(config(tiny_folder, batching=usual | changed), pairs, tmp_path / "b")
    one.run(never)
    other.run(never)
    for mine, theirs in zip(lines_of(one), lines_of(other), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    weights = trainable(other.objective.model)
    for name, weight in trainable(one.objective.model).items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-4)


def test_both_answers_of_a_pair_are_in_one_pass_and_each_pair_comes_once_an_epoch(
    tiny_folder: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    measure = PairObjective._run

    def spy(self: PairObjective, rows: Sequence[Example]) -> torch.Tensor:
        if torch.is_grad_enabled():
            seen.append(list(rows))
        return measure(self, rows)

    monkeypatch.setattr(PairObjective, "_run", spy)
    make_loop(config(tiny_folder, training={"epochs": 1}), pairs, tmp_path / "run").run(never)
    mates = [(rows[place], rows[place + 1]) for rows in seen for place in range(0, len(rows), 2)]
    assert sorted(mates, key=str) == sorted(((pair.chosen, pair.rejected) for pair in pairs), key=str)


@pytest.mark.parametrize("after", [3, 6, 8])  # 6 steps an epoch: in the middle, at the end, in the second
@pytest.mark.parametrize("method", ["lora", "full"])
def test_stopping_and_going_on_is_the_same_to_the_bit(
    method: str, after: int, tiny_folder: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    settings = config(tiny_folder, method=method, optimiser={"learning_rate": 0.01})
    whole = make_loop(settings, pairs, tmp_path / "whole", dev=pairs[:3])
    whole.run(never)
    countdown = iter([False] * (after - 1) + [True])
    with pytest.raises(Stopped):
        make_loop(settings, pairs, tmp_path / "parts", dev=pairs[:3]).run(lambda: next(countdown))
    rest = make_loop(settings, pairs, tmp_path / "parts", dev=pairs[:3])
    assert rest.run(never).step == 12
    weights = trainable(rest.objective.model)
    assert all(torch.equal(weight, weights[name]) for name, weight in trainable(whole.objective.model).items())
    assert lines_of(whole) == lines_of(rest)
    assert whole.means == rest.means


@pytest.mark.parametrize("method", ["lora", "dora", "full"])
def test_chosen_answers_get_likelier_beside_rejected_ones(
    method: str, tiny_folder: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    rate = 1e-3 if method == "full" else 0.01
    settings = config(tiny_folder, method=method, optimiser={"learning_rate": rate}, training={"epochs": 6})
    loop = make_loop(settings, pairs, tmp_path / "run", dev=pairs)
    known = [pair for pair in loop.dev if isinstance(pair, Pair)]
    loop.run(never)
    first, *_, last = [line for line in lines_of(loop) if "dev_loss" in line]
    assert first == pytest.approx(
        {
            "step": 0,
            "dev_loss": math.log(2),
            "dev_reward_accuracy": first["dev_reward_accuracy"],
            "dev_reward_margin": 0,
        },
        abs=1e-5,
    )
    assert last["dev_reward_accuracy"] > 0.9
    assert last["dev_reward_margin"] > 0.5
    objective = loop.objective.eval()
    assert isinstance(objective, PairObjective)
    with torch.no_grad():
        margins = objective.margins(known).tolist()
    gained = [margin - pair.reference for margin, pair in zip(margins, known, strict=True)]
    assert BETA * sum(gained) / len(gained) == pytest.approx(last["dev_reward_margin"], rel=1e-3)


def test_a_tie_is_half_right(tiny_folder: Path, pairs: list[Pair]) -> None:
    objective, five = objective_of(config(tiny_folder)).eval(), pairs[:5]
    with torch.no_grad():
        margins = objective.margins(five).tolist()
        known = [
            replace(pair, reference=margin + by)
            for pair, margin, by in zip(five, margins, [0.0, 1.0, 0.0, -1.0, -1.0], strict=True)
        ]
        assert float(objective.sums(known)[1]) == 3


def test_before_training_no_answer_is_preferred(tiny_folder: Path, pairs: list[Pair], tmp_path: Path) -> None:
    loop = make_loop(config(tiny_folder), pairs, tmp_path / "run", dev=pairs[:3])
    loop.run(never)
    look, first, *_ = lines_of(loop)
    assert (look["dev_reward_accuracy"], first["reward_accuracy"]) == (0.5, 0.5)


def test_the_reference_of_a_fresh_adapter_is_that_of_the_base_without_it(tiny_folder: Path, pairs: list[Pair]) -> None:
    settings = config(tiny_folder)
    objective = objective_of(settings)
    fresh = [pair.reference for pair in told(objective, settings, pairs)]
    with torch.no_grad():
        for weight in trainable(objective.model).values():
            weight.add_(0.05)
    with objective.model.disable_adapter():
        assert [pair.reference for pair in told(objective, settings, pairs)] == pytest.approx(fresh, abs=1e-4)
    trained = [pair.reference for pair in told(objective, settings, pairs)]
    assert trained != pytest.approx(fresh, abs=1e-2)


def test_a_base_without_numbers_is_refused_before_the_run(tiny_folder: Path, pairs: list[Pair]) -> None:
    settings = config(tiny_folder)
    objective = objective_of(settings)
    with torch.no_grad():
        objective.model.get_base_model().model.norm.weight.fill_(torch.nan)
    with pytest.raises(BadInput, match="no finite log-probability; give --dtype float32"):
        told(objective, settings, pairs)


# The whole command


@pytest.fixture
def paired_dataset(tmp_path: Path) -> Path:
    """Rows as ever, and pairs, of which two cannot be learnt from."""
    test = [make_row(200 + n, prompt=f"test {n}", answer=str(n), reference=n) for n in range(6)]
    dataset = write_dataset(tmp_path / "paired", {"train": [make_row(n) for n in range(3)], "test": test})
    train_on = [
        make_pair(n, prompt=f"ask {n}", chosen="y" * (1 + n % 3), rejected="no" * (1 + n % 4)) for n in range(9)
    ]
    train_on += [make_pair(10, rejected=""), make_pair(11, chosen="same", rejected="same")]
    dev = [make_pair(100 + n, prompt=f"dev {n}", chosen="y", rejected="no") for n in range(3)]
    return write_pairs(dataset, {"train": train_on, "dev": dev, "test": dev})


def test_the_command_trains_a_student_that_the_other_commands_take(
    paired_dataset: Path, tiny_folder: Path, tmp_path: Path, finetune: Command
) -> None:
    run = tmp_path / "run"
    options = ("--out", run, "--loss", "dpo", "--beta", 0.2, "--model", tiny_folder, "--learning-rate", 0.01, "--json")
    code, out, err = finetune("train", paired_dataset, *options)
    assert code == 0, err
    facts = json.loads(out)
    assert (facts["rows"], facts["steps"]) == ({"train": 9, "dev": 3}, 6)
    assert facts["dropped"] == {"empty answer": 1, "both answers have the same tokens": 1}
    assert "train: 1 of 11 pairs left out: empty answer" in err
    assert "9 pairs, 6 steps of 4 pairs, packed" in err
    assert facts["longest_answer"] == 4  # of the chosen ones, the end of turn included
    assert facts["seen"]["rows"] == 18
    assert facts["dev_loss"] < facts["dev_loss_before"] == pytest.approx(math.log(2))
    names = {f"{split}reward_{what}" for split in ("", "dev_") for what in ("accuracy", "margin")}
    assert facts["rewards"].keys() == names
    rewards = facts["rewards"]
    of_dev = f"dev loss {facts['dev_loss']:.3f}, {rewards['dev_reward_accuracy']:.0%} of its pairs right"
    assert f"{of_dev}, margin {rewards['dev_reward_margin']:.3f}" in training.told(read_facts(run))
    steps = [line for line in runs.read_lines(run / runs.METRICS) if "loss" in line]
    assert facts["rewards"]["reward_margin"] == steps[-1]["reward_margin"] > 0
    assert evaluate(run, max_new_tokens=2)["arms"].keys() == {"base", "base_instruction", "teacher", "student"}
    assert finetune("generate", run, "ask 1", "--max-new-tokens", 2)[0] == 0
    export(run, tmp_path / "shipped" / "toy", name="toy")
    assert "nats per pair" in (tmp_path / "shipped" / "toy" / "README.md").read_text()


def test_early_stopping_keeps_the_rewards_of_the_weights_it_keeps(
    paired_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    settings = config(
        tiny_folder,
        optimiser={"learning_rate": 1.0, "schedule": "constant"},
        training={"patience": 2, "dev_every": 1, "epochs": 30},
    )
    facts = train(paired_dataset, tmp_path / "run", settings)
    assert facts.ended_by == "patience"
    looks = {line["step"]: line for line in runs.read_lines(tmp_path / "run" / runs.METRICS) if "dev_loss" in line}
    assert facts.best_step is not None
    assert facts.rewards["dev_reward_margin"] == looks[facts.best_step]["dev_reward_margin"]
    assert facts.dev_loss == looks[facts.best_step]["dev_loss"]


def test_a_run_goes_on_against_the_base_it_began_with(
    paired_dataset: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tiny_folder, method="full")
    whole = train(paired_dataset, tmp_path / "whole", settings)
    stops = iter([False, True])
    with monkeypatch.context() as patch:
        patch.setattr(training, "stop_on_signals", lambda: nullcontext(lambda: next(stops)))
        with pytest.raises(Stopped):
            train(paired_dataset, tmp_path / "parts", settings)
    parts = train(paired_dataset, tmp_path / "parts", settings)
    assert (parts.rewards, parts.train_loss, parts.dev_loss) == (whole.rewards, whole.train_loss, whole.dev_loss)


def test_a_dataset_without_pairs_is_refused_and_nothing_is_left(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"put `export: \{preference: true\}` into the recipe"):
        train(toy_dataset, tmp_path / "run", config(tiny_folder))
    assert not (tmp_path / "run").exists()


def test_patience_needs_pairs_of_dev(tiny_folder: Path, tmp_path: Path) -> None:
    rows = {"train": [make_row(1)], "dev": [make_row(2)]}
    dataset = write_pairs(write_dataset(tmp_path / "d", rows), {"train": [make_pair(1)]})
    with pytest.raises(BadInput, match=r"--patience: .* has no split dev"):
        train(dataset, tmp_path / "run", config(tiny_folder, training={"patience": 1}))


def test_other_pairs_are_not_gone_on_with(paired_dataset: Path, tiny_folder: Path, tmp_path: Path) -> None:
    train(paired_dataset, tmp_path / "run", config(tiny_folder))
    for file in (paired_dataset / "preference").iterdir():
        file.unlink()
    (paired_dataset / "preference").rmdir()
    write_pairs(paired_dataset, {"train": [make_pair(1)]})
    with pytest.raises(BadInput, match="holds a run on another dataset"):
        train(paired_dataset, tmp_path / "run", config(tiny_folder))
    assert read_facts(tmp_path / "run").status == "trained"
