"""Which rows' probabilities are taken, which loss they allow, and what is said of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import CHATML, PURE, make_row, make_told_row, told_of, write_dataset

from finetune import soft_labels
from finetune.config import Loss
from finetune.data import Dataset, open_dataset
from finetune.errors import BadInput
from finetune.rendering import Rendered, Renderer
from finetune.soft_labels import Taught, asked_for, teach, told
from finetune.student import Base
from finetune.tails import WITHOUT_MORE
from harvester.profiles import profiles

Taking = Callable[..., Taught]


@pytest.fixture
def taking(tmp_path: Path, base: Base, renderer: Renderer) -> Taking:
    """Rows → what is taught with a loss."""

    def take(*rows: dict[str, Any], loss: Loss | None = None, most: int = 500, picked: bool = False) -> Taught:
        folder = tmp_path / f"data-{len(list(tmp_path.iterdir()))}"
        data = open_dataset(write_dataset(folder, {"train": list(rows)}, picked=picked))
        return teach(rendered(data, renderer, most), base, loss or Loss(kind="sampled"), data.notes)

    return take


def rendered(data: Dataset, renderer: Renderer, most: int) -> Rendered:
    return renderer.rows(data.split("train"), most, cut=True)


def test_every_row_has_its_own_probabilities(taking: Taking) -> None:
    taught = taking(*(make_told_row(number, answer=f"answer {number}") for number in range(6)))
    assert (taught.rows, taught.hard_rows, taught.other_tokens, taught.no_tail) == (6, {}, 0, None)
    for number, example in enumerate(taught.examples):
        assert example.soft is not None
        said = told_of(f"answer {number}", seed=number)
        np.testing.assert_allclose(example.soft.logp_NK[0], sorted(said[0]["top"]["logprob"], reverse=True), rtol=1e-6)
        assert example.soft.sampled_N.tolist() == list(example.labels[-example.supervised :])


def test_probabilities_that_are_another_row_s_are_not_learnt(taking: Taking) -> None:
    stranger = make_told_row(2, answer="two") | {"logprobs": told_of("one")}
    taught = taking(make_told_row(1, answer="one"), stranger, make_row(3))
    assert taught.rows == 1
    assert taught.hard_rows == {"other_text": 1, "no_logprobs": 1}
    assert [example.soft is not None for example in taught.examples] == [True, False, False]
    assert "1 row no_logprobs, 1 row other_text: learnt by their answers alone" in "\n".join(told(taught, Loss()))


def test_a_row_whose_last_white_space_was_stripped_is_learnt_up_to_there(taking: Taking) -> None:
    taught = taking(make_told_row(1, answer="one") | {"logprobs": told_of("one\n\n")})
    assert (taught.rows, taught.hard_rows, taught.other_tokens) == (1, {}, 0)
    assert taught.examples[0].soft is not None
    assert (taught.examples[0].soft.ids_NK >= 0).any(1).tolist() == [True] * 3 + [False]


def test_the_mean_of_what_was_not_listed_is_told(taking: Taking) -> None:
    row = make_told_row(1, answer="abc")
    taught = taking(row)
    expected = np.mean([1 - np.exp(token["top"]["logprob"]).sum() for token in row["logprobs"]])
    assert taught.rest == pytest.approx(expected, abs=1e-6)
    assert taught.listed == len(row["logprobs"])
    assert f"{taught.rest:.4f} on average (R)" in told(taught, Loss())[0]


def test_a_row_that_was_cut_keeps_what_was_said_of_its_beginning(taking: Taking) -> None:
    row = make_told_row(1, prompt="q", answer="abcdefghij")
    whole = taking(row).examples[0]
    assert whole.soft is not None
    length = len(whole.ids) - 4
    shorter = taking(row, most=length).examples[0]
    assert shorter.soft is not None
    assert len(shorter.ids) == length
    np.testing.assert_array_equal(shorter.soft.ids_NK, whole.soft.ids_NK[:-4])


def test_a_template_that_says_something_else_gets_no_probabilities(base: Base, tmp_path: Path) -> None:
    base.tokenizer.chat_template = CHATML.replace("message['content']", "message['content'][::-1]")
    row = make_told_row(1, prompt="q", answer="abcdefghija")
    data = open_dataset(write_dataset(tmp_path / "data", {"train": [row]}, picked=False))
    renderer = Renderer(base.tokenizer, base.stop_ids)
    whole = len(rendered(data, renderer, 500).examples[0].ids)
    for most in (500, whole - 1):  # whole, and without the end of its turn
        with pytest.raises(BadInput, match="1 row other_text"):
            teach(rendered(data, renderer, most), base, Loss(kind="bucket"), data.notes)


def test_what_the_template_has_a_student_say_first_has_its_label(base: Base, tmp_path: Path) -> None:
    base.tokenizer.chat_template = (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
        "{% if message['role'] == 'assistant' %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
        "{{ message['content'] + '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"
    )
    data = open_dataset(write_dataset(tmp_path / "data", {"train": [make_told_row(1, answer="abc")]}, picked=False))
    renderer = Renderer(base.tokenizer, base.stop_ids)
    (example,) = teach(rendered(data, renderer, 500), base, Loss(kind="bucket"), data.notes).examples
    assert example.soft is not None
    listed = (example.soft.ids_NK >= 0).any(1).tolist()
    assert example.supervised > len("abc") + 1
    assert listed == [False] * (example.supervised - 4) + [True] * 4


def test_of_other_tokens_it_is_told_how_many_are_learnt_by_the_likelihood_of_pieces(taking: Taking) -> None:
    other = make_told_row(1, answer="abcdef") | {"logprobs": told_of("abcdef", joined=[1, 3])}
    chunks = taking(other, make_told_row(2), loss=Loss(kind="chunks"))
    assert (chunks.rows, chunks.other_tokens) == (2, 1)
    assert chunks.chunks >= 1
    assert chunks.in_chunks >= 4
    assert (
        f"cut alike, and {chunks.in_chunks} tokens by the likelihood of {chunks.chunks} pieces"
        in told(chunks, Loss())[1]
    )
    assert chunks.facts(Loss(kind="chunks"))["in_chunks"] == chunks.in_chunks
    bucket = taking(other, make_told_row(2), loss=Loss(kind="bucket"))
    assert (bucket.other_tokens, bucket.chunks) == (1, 0)
    assert told(bucket, Loss())[1].endswith("cut alike")
    assert "as tokens of the student's had" in told(bucket, Loss())[0]


def test_hard_labels_look_at_no_probabilities(taking: Taking) -> None:
    assert taking(make_told_row(1), loss=Loss(kind="hard")).examples[0].soft is None


def test_a_dataset_without_probabilities_is_learnt_by_its_answers_unless_they_are_asked_for(
    tmp_path: Path, base: Base, renderer: Renderer
) -> None:
    data = open_dataset(write_dataset(tmp_path / "data", {"train": [make_row(1)]}))
    taught = teach(rendered(data, renderer, 500), base, Loss(), data.notes)
    assert told(taught, Loss()) == []
    with pytest.raises(BadInput, match=r"--loss bucket: the dataset has no logprobs; collect with `logprobs: 20`"):
        teach(rendered(data, renderer, 500), base, Loss(kind="bucket"), data.notes)


def test_where_no_row_s_probabilities_fit_it_is_refused_or_told(tmp_path: Path, base: Base, renderer: Renderer) -> None:
    rows = [make_told_row(1, answer="one") | {"logprobs": told_of("two")}]
    data = open_dataset(write_dataset(tmp_path / "data", {"train": rows}))
    with pytest.raises(BadInput, match=r"--loss topk: no row's logprobs spell its answer \(1 row other_text\)"):
        teach(rendered(data, renderer, 500), base, Loss(kind="topk"), data.notes)
    taught = teach(rendered(data, renderer, 500), base, Loss(), data.notes)
    assert told(taught, Loss()) == ["train: 1 row other_text: learnt by their answers alone"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"temperature": 0.7}, "temperature: 0.7, not 1"),
        ({"temperature": None}, "temperature: None"),
        ({"top_p": 0.9}, "top_p: 0.9"),
        ({"top_k": 40}, "top_k: 40"),
        ({"top_k": -1}, None),
        ({"min_p": 0.05}, "min_p: 0.05"),
        ({"frequency_penalty": 0.1}, "frequency_penalty: 0.1"),
        ({"repeat_penalty": 1.1}, "repeat_penalty: 1.1"),
        ({"repeat_penalty": 1.0, "presence_penalty": 0}, None),
    ],
)
def test_only_an_answer_sampled_from_the_teacher_itself_corrects_the_tail(
    taking: Taking, change: dict[str, Any], reason: str | None
) -> None:
    taught = taking(make_told_row(1) | {"sampling": json.dumps(PURE | change)})
    example = taught.examples[0]
    assert example.soft is not None
    assert (example.soft.sampled_N >= 0).any() == (reason is None)
    lines = "\n".join(told(taught, Loss(kind="sampled")))
    assert (reason or "") in lines
    assert ("so what is not listed is learnt as with --loss bucket" in lines) == (reason is not None)


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k", "min_p"])
def test_what_is_not_stated_is_the_server_s_own_choice(taking: Taking, name: str) -> None:
    sampling = {key: value for key, value in PURE.items() if key != name}
    taught = taking(make_told_row(1) | {"sampling": json.dumps(sampling)})
    assert f"does not state {name}" in str(taught.no_tail)


def test_an_api_without_top_k_and_min_p_need_not_state_them(taking: Taking) -> None:
    sampling = json.dumps({"temperature": 1, "top_p": 1, "logprobs": True, "top_logprobs": 5})
    assert taking(make_told_row(1) | {"sampling": sampling, "provider": "openai"}).no_tail is None


def test_those_apis_are_the_ones_that_harvester_knows_to_be_without() -> None:
    assert {one.id for one in profiles().values() if not one.samplers} == WITHOUT_MORE


def test_picked_answers_are_no_sample_unless_the_rejected_are_there_too(
    taking: Taking, tmp_path: Path, base: Base, renderer: Renderer
) -> None:
    assert "picked by a check" in str(taking(make_told_row(1), picked=True).no_tail)
    data = open_dataset(tmp_path / "data-0")
    unfiltered = data.notes.model_copy(update={"unfiltered": True})
    assert teach(rendered(data, renderer, 500), base, Loss(kind="sampled"), unfiltered).no_tail is None


@pytest.mark.parametrize(
    ("reason", "looks"),
    [
        ("length", True),
        ("curate:repetition", True),
        ("person:rejected", True),
        ("under_min_score", True),
        ("older", False),
        ("terms:forbidden", False),
        ("failed: HTTP 400", False),
        ("draft:failed: HTTP 400", False),
    ],
)
def test_where_answers_were_left_out_the_others_are_no_sample(
    taking: Taking, tmp_path: Path, base: Base, renderer: Renderer, reason: str, looks: bool
) -> None:
    taking(make_told_row(1))
    data = open_dataset(tmp_path / "data-0")
    notes = data.notes.model_copy(update={"dropped": {reason: 3}})
    found = teach(rendered(data, renderer, 500), base, Loss(kind="sampled"), notes).no_tail
    assert (found is not None) is looks
    assert found is None or reason in found


def test_where_long_answers_are_left_out_here_the_others_are_no_sample(
    tmp_path: Path, base: Base, renderer: Renderer
) -> None:
    rows = [make_told_row(1, answer="a"), make_told_row(2, answer="a" * 60)]
    data = open_dataset(write_dataset(tmp_path / "data", {"train": rows}, picked=False))
    most = len(renderer.example(data.split("train")[1].prompt, "a" * 60).ids) - 1
    for cut, reason in ((False, "longer than"), (True, "None")):
        taken = renderer.rows(data.split("train"), most, cut=cut)
        assert reason in str(teach(taken, base, Loss(kind="sampled"), data.notes).no_tail)


def test_where_a_person_wrote_an_answer_the_others_are_no_sample(taking: Taking) -> None:
    edited = make_told_row(2) | {"logprobs": None, "sampling": json.dumps(PURE | {"logprobs": 20})}
    taught = taking(make_told_row(1), edited, loss=Loss(kind="sampled"))
    assert "as an answer does that a person edited" in told(taught, Loss(kind="sampled"))[-1]
    assert "edited" in str(taught.facts(Loss(kind="sampled"))["no_tail"])
    assert "no_tail" not in taught.facts(Loss(kind="bucket"))


def test_of_another_tokenizer_it_is_told_what_learns_more(taking: Taking) -> None:
    other = make_told_row(1, answer="abcdef") | {"logprobs": told_of("abcdef", joined=[1, 3])}
    assert "--loss chunks learns" in told(taking(other), Loss())[-1]
    assert "--loss chunks" not in str(told(taking(other, make_told_row(2), make_told_row(3)), Loss()))


@pytest.mark.parametrize("option", [{"hard_share": 0.3}, {"top": 3}, {"temperature": 2.0}])
def test_options_of_soft_labels_are_not_ignored_where_there_are_none(
    tmp_path: Path, base: Base, renderer: Renderer, option: dict[str, Any]
) -> None:
    data = open_dataset(write_dataset(tmp_path / "data", {"train": [make_row(1)]}))
    with pytest.raises(BadInput, match="the dataset has no logprobs"):
        teach(rendered(data, renderer, 500), base, Loss(**option), data.notes)


def test_prompts_that_share_a_seed_share_their_luck(taking: Taking) -> None:
    def row(number: int, prompt: str, seed: int) -> dict[str, Any]:
        return make_told_row(number, prompt=prompt) | {"sampling": json.dumps(PURE | {"seed": seed})}

    assert "several prompts were sampled with the seed 7" in str(taking(row(1, "a", 7), row(2, "b", 7)).no_tail)
    assert taking(row(1, "a", 7), row(2, "b", 8), row(3, "a", 7)).no_tail is None


def test_what_may_change_the_distribution_is_not_let_pass(taking: Taking) -> None:
    for name, value in (("response_format", {"type": "json_object"}), ("logit_bias", {"5": 1}), ("mirostat", 2)):
        taught = taking(make_told_row(1) | {"sampling": json.dumps(PURE | {name: value})})
        assert f"`sampling` has {name}, which may change" in str(taught.no_tail)


def test_of_a_list_that_may_hold_the_sampled_token_less_is_taken(taking: Taking) -> None:
    plain = taking(make_told_row(1), loss=Loss(kind="bucket")).examples[0]
    other = taking(make_told_row(1) | {"provider": "vllm"}, loss=Loss(kind="bucket")).examples[0]
    assert plain.soft is not None
    assert other.soft is not None
    assert (plain.soft.ids_NK.shape[1], other.soft.ids_NK.shape[1]) == (5, 3)
    np.testing.assert_array_equal(other.soft.ids_NK, plain.soft.ids_NK[:, :3])


@pytest.mark.parametrize(
    ("sampling", "most"),
    [
        ({"logprobs": True, "top_logprobs": 20}, 20),
        ({"logprobs": 5}, 5),
        ({"logprobs": True}, None),
        ({"top_logprobs": 0, "logprobs": True}, 0),
        (None, None),
    ],
)
def test_how_many_tokens_were_asked_for(sampling: Any, most: int | None) -> None:
    assert asked_for(sampling) == most


def test_fewer_listed_tokens_may_be_taken(taking: Taking) -> None:
    example = taking(make_told_row(1), loss=Loss(kind="bucket", top=2)).examples[0]
    assert example.soft is not None
    assert example.soft.ids_NK.shape[1] == 2


def test_a_student_whose_tokens_cannot_be_spelt_learns_by_the_answers_unless_asked_otherwise(
    taking: Taking, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(tokenizer: Any) -> None:
        raise BadInput("no bytes")

    monkeypatch.setattr(soft_labels.Vocabulary, "of", refuse)
    assert taking(make_told_row(1), loss=Loss()).hard_rows == {"tokens_without_bytes": 1}
