import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import Command

from finetune import generate, train
from finetune.adapters import add_lora
from finetune.config import Lora, make_config
from finetune.errors import BadInput
from finetune.generation import greedy
from finetune.loop import accumulate
from finetune.objective import Objective
from finetune.rendering import Renderer
from finetune.student import Base, load_base, trainable


def ask(renderer: Renderer, words: str) -> tuple[int, ...]:
    return renderer.prompt_ids([{"role": "user", "content": words}])


PROMPTS = ["a", "what is " + "x" * 30, "bb", "tell me " * 5, "c"]


def test_left_padded_batches_answer_as_one_by_one(base: Base, renderer: Renderer) -> None:
    prompts = [ask(renderer, words) for words in PROMPTS]
    together = greedy(base.model, base, renderer, prompts, max_new_tokens=12, batch_size=5)
    alone = [greedy(base.model, base, renderer, [prompt], max_new_tokens=12)[0] for prompt in prompts]
    assert together == alone
    assert len({answer.text for answer in together}) > 1  # else the padding could not show


def test_batches_keep_the_prompts_order(base: Base, renderer: Renderer) -> None:
    prompts = [ask(renderer, words) for words in PROMPTS]
    small = greedy(base.model, base, renderer, prompts, max_new_tokens=6, batch_size=2)
    assert small == greedy(base.model, base, renderer, prompts, max_new_tokens=6, batch_size=5)


def test_the_end_is_learnt_though_pad_is_eos_and_generation_halts(base: Base, renderer: Renderer) -> None:
    assert base.pad_id == base.stop_ids[0]
    examples = [renderer.example([{"role": "user", "content": words}], "yes") for words in ("a", "b" * 20)]
    model = add_lora(base.model, Lora(rank=8, alpha=16), seed=0)
    prompts = [ask(renderer, "a"), ask(renderer, "b" * 20)]
    assert not any(answer.finished for answer in greedy(model.eval(), base, renderer, prompts, max_new_tokens=30))
    optimiser = torch.optim.AdamW(trainable(model).values(), lr=0.02)
    objective = Objective(model, base, packing=False)  # generating goes on with the model's own attention
    for _ in range(40):
        accumulate(objective, [examples], sum(example.supervised for example in examples))
        optimiser.step()
        optimiser.zero_grad()
    for answer in greedy(model, base, renderer, prompts, max_new_tokens=30):
        assert (answer.text, answer.finished) == ("yes", True)


def test_the_repository_s_sampling_habits_do_not_leak_in(
    base: Base, renderer: Renderer, tiny_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_folder, tmp_path / "habits")
    habits = {"do_sample": True, "temperature": 5.0, "repetition_penalty": 9.0, "eos_token_id": base.stop_ids[0]}
    (tmp_path / "habits" / "generation_config.json").write_text(json.dumps(habits))
    other = load_base(str(tmp_path / "habits"), torch.float32)
    prompts = [ask(renderer, words) for words in PROMPTS]
    plain = greedy(base.model, base, renderer, prompts, max_new_tokens=12)
    assert greedy(other.model, other, renderer, prompts, max_new_tokens=12) == plain


def test_an_answer_cut_at_the_limit_says_so(base: Base, renderer: Renderer) -> None:
    answer = greedy(base.model, base, renderer, [ask(renderer, "a")], max_new_tokens=1)[0]
    assert not answer.finished


def test_a_prompt_that_fills_the_context_is_answered_with_nothing(
    base: Base, renderer: Renderer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert base.context == 512
    answer = greedy(base.model, base, renderer, [ask(renderer, "x" * 600)], max_new_tokens=4)[0]
    assert (answer.text, answer.finished, answer.tokens) == ("", False, 0)
    assert "1 of 1 prompts fill the model's context of 512 tokens: no answer" in capsys.readouterr().err


def test_the_context_bounds_an_answer_and_not_its_neighbours(base: Base, renderer: Renderer) -> None:
    short, nearly, nearer = ask(renderer, "a"), ask(renderer, "a" * 470), ask(renderer, "a" * 480)
    answers = greedy(base.model, base, renderer, [nearer, short, nearly], max_new_tokens=40)
    assert [answer.tokens for answer in answers] == [512 - len(nearer), 40, 512 - len(nearly)]
    assert answers[1] == greedy(base.model, base, renderer, [short], max_new_tokens=40)[0]


def test_a_batch_that_a_gpu_s_memory_does_not_hold_is_halved(
    base: Base, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [ask(renderer, words) for words in PROMPTS]
    plain = greedy(base.model, base, renderer, prompts, max_new_tokens=6)
    answer, most = base.model.generate, 2

    def generate_in_little_memory(**given: Any) -> Any:
        if len(given["input_ids"]) > most:
            raise torch.cuda.OutOfMemoryError
        return answer(**given)

    monkeypatch.setattr(base.model, "generate", generate_in_little_memory)
    assert greedy(base.model, base, renderer, prompts, max_new_tokens=6) == plain
    most = 0
    with pytest.raises(BadInput, match="does not hold one prompt"):
        greedy(base.model, base, renderer, prompts, max_new_tokens=6)


def test_tokens_are_counted_with_the_one_that_ends_the_turn(base: Base, renderer: Renderer) -> None:
    answer = greedy(base.model, base, renderer, [ask(renderer, "a")], max_new_tokens=7)[0]
    assert answer.tokens == 7
    assert not answer.finished


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ("x" * 600, "prompt 1: .* tokens, and the model's context is 512"),
        ([], "prompt 1: nothing awaits an answer"),
        (
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
            "prompt 1: nothing awaits an answer",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(run_folder: Path, prompt: Any, problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        generate(run_folder, [prompt])


@pytest.fixture
def run_folder(toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> Path:
    train(toy_dataset, tmp_path / "run", make_config({"model": str(tiny_folder), "training": {"max_steps": 1}}))
    return tmp_path / "run"


def test_a_run_answers_text_and_conversations_alike(run_folder: Path) -> None:
    turns = [{"role": "user", "content": "ask xx"}]
    one, two = generate(run_folder, ["ask xx", turns], max_new_tokens=5)
    assert one == two


def test_the_command_reads_arguments_files_and_prints_json_lines(
    run_folder: Path, tmp_path: Path, finetune: Command
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"prompt": "ask"}\n{"messages": [{"role": "user", "content": "ask"}]}\n')
    code, out, err = finetune("generate", run_folder, "ask", "--input", source, "--max-new-tokens", 4, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0, err
    assert [line["prompt"] for line in lines] == ["ask", "ask", [{"role": "user", "content": "ask"}]]
    assert len({line["answer"] for line in lines}) == 1


def test_a_line_that_is_no_prompt_is_named(run_folder: Path, tmp_path: Path, finetune: Command) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"prompt": "ask"}\n{"text": "x"}\n')
    code, out, err = finetune("generate", run_folder, "--input", source)
    assert (code, out) == (2, "")
    assert "in.jsonl: line 2: not a JSON object" in err
