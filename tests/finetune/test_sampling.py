"""The student's own answers, against a plain forward pass over each."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from finetune.config import RunConfig, make_config
from finetune.objective import Objective, make_objective
from finetune.sampling import Prompt, sample
from finetune.student import Base, prepare, trainable


def config(folder: Path, **more: object) -> RunConfig:
    return make_config({"model": str(folder), "compute": {"dtype": "float32"}, **more})


@pytest.fixture
def student(tiny_folder: Path) -> tuple[Objective, Base]:
    settings = config(tiny_folder)
    base, model = prepare(settings)
    with torch.no_grad():
        for weight in trainable(model).values():
            weight.add_(0.05)  # B starts at 0, where the adapter says nothing
    return make_objective(model, base, settings), base


def prompts(*texts: str, room: int = 12) -> list[Prompt]:
    return [Prompt(tuple(2 + byte % 250 for byte in text.encode()), room, text) for text in texts]


def test_its_logarithms_are_those_of_a_plain_pass(student: tuple[Objective, Base]) -> None:
    objective, base = student
    asked = prompts("a", "a longer prompt", "and one more")
    for prompt, answer in zip(asked, sample(objective, base, asked), strict=True):
        ids = (*prompt.ids, *answer.ids)
        with torch.no_grad():
            logits = objective.model(input_ids=torch.tensor([ids]), segments=(len(ids),), use_cache=False).logits
        log_q = logits[0, len(prompt.ids) - 1 : -1].log_softmax(1)
        wanted = log_q.gather(1, torch.tensor(answer.ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(answer.log_q), wanted, rtol=1e-4, atol=1e-4)


def test_an_answer_depends_on_its_key_and_not_on_its_neighbours(student: tuple[Objective, Base]) -> None:
    objective, base = student
    asked = prompts("a", "a longer prompt", "and one more")
    together = [answer.ids for answer in sample(objective, base, asked)]
    assert [sample(objective, base, [prompt])[0].ids for prompt in asked] == together
    assert [answer.ids for answer in sample(objective, base, asked[::-1])] == together[::-1]
    other = [Prompt(prompt.ids, prompt.room, "another") for prompt in asked]
    assert [answer.ids for answer in sample(objective, base, other)] != together


def test_it_draws_from_the_whole_distribution(student: tuple[Objective, Base]) -> None:
    objective, base = student
    ids = prompts("what")[0].ids
    found = sample(objective, base, [Prompt(ids, 1, str(number)) for number in range(2000)])
    with torch.no_grad():
        logits = objective.model(input_ids=torch.tensor([ids]), segments=(len(ids),), use_cache=False).logits
    q = logits[0, -1].double().softmax(0)
    counts = Counter(answer.ids[0] for answer in found)
    drawn = torch.tensor([counts[token] for token in range(len(q))], dtype=torch.float64)
    # Pearson's statistic over tokens that are expected at least 5 times, the others together.
    often = q * len(found) >= 5
    expected, seen = (torch.cat([x[often], x[~often].sum()[None]]) for x in (q * len(found), drawn))
    statistic = ((seen - expected) ** 2 / expected).sum()
    assert len(expected) > 20
    assert statistic < len(expected) + 4 * (2 * len(expected)) ** 0.5  # four standard deviations


def test_each_ends_at_its_room_or_with_its_turn(student: tuple[Objective, Base]) -> None:
    objective, base = student
    asked = [Prompt(prompt.ids, 1 + number % 40, str(number)) for number, prompt in enumerate(prompts("a") * 200)]
    found = sample(objective, base, asked)
    assert {answer.ended for answer in found} == {True, False}
    for prompt, answer in zip(asked, found, strict=True):
        assert len(answer.ids) == len(answer.log_q)
        assert answer.ended == (answer.ids[-1] in base.stop_ids)
        assert not any(token in base.stop_ids for token in answer.ids[:-1])
        assert len(answer.ids) <= prompt.room
        assert answer.ended or len(answer.ids) == prompt.room


def test_none_goes_beyond_the_context(student: tuple[Objective, Base]) -> None:
    objective, base = student
    assert base.context == 512
    asked = [Prompt((5,) * 505, 7, "long"), *prompts("short", room=20)]
    assert [
        len(answer.ids) <= prompt.room for prompt, answer in zip(asked, sample(objective, base, asked), strict=True)
    ]
    assert sample(objective, base, []) == []


def test_the_model_goes_on_learning_as_before(student: tuple[Objective, Base]) -> None:
    objective, base = student
    objective.train()
    implementation = base.model.config._attn_implementation
    sample(objective, base, prompts("a", "bc"))
    assert objective.training
    assert objective.model.training
    assert base.model.config._attn_implementation == implementation


@pytest.mark.parametrize("method", ["dora", "full"])
def test_every_method_samples(method: str, tiny_folder: Path) -> None:
    settings = config(tiny_folder, method=method, compute={"dtype": "bfloat16", "gradient_checkpointing": True})
    base, model = prepare(settings)
    objective = make_objective(model, base, settings).train()
    assert all(answer.ids for answer in sample(objective, base, prompts("a", "bc")))
