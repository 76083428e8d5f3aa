"""Students that learn from what they say themselves, as a teacher behind real HTTP scores it."""

# ruff: noqa: N806 - shape suffixes

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from teachers import KEY, fake, teacher
from toys import Command, make_llama, make_row, make_tokenizer, write_dataset

from finetune import checkpoint, runs, training
from finetune.config import EMBEDDED, RunConfig, make_config
from finetune.errors import BadInput, Stopped
from finetune.rendering import Renderer
from finetune.runs import Facts
from finetune.serving.served import Served, load
from finetune.student import load_student
from finetune.teacher_address import TeacherAddress
from finetune.teacher_scores import Teacher
from finetune.training import train
from harvester.errors import TeacherUnusable

CLOCKS = re.compile(r".*_s|seconds|memory_mb")
PROMPTS = [f"ask {number} {'x' * (number % 5)}" for number in range(12)]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_TOKEN", KEY)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = make_llama(tmp_path_factory.mktemp("teacher"), seed=7, max_position_embeddings=512, initializer_range=0.15)
    return load(str(folder), name="teacher", dtype="float32")


@pytest.fixture(scope="module")
def address(served: Served) -> Iterator[TeacherAddress]:
    with teacher(served) as server:
        yield TeacherAddress(server.base_url, key_env="TEACHER_TOKEN")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rows = [make_row(number, prompt=prompt, answer="so") for number, prompt in enumerate(PROMPTS)]
    return write_dataset(tmp_path / "dataset", {"train": rows, "dev": [make_row(100, prompt="dev", answer="so")]})


@pytest.fixture
def config(tiny_folder: Path) -> RunConfig:
    return settings(tiny_folder)


def settings(folder: Path, *, kind: str = "reverse", epochs: int = 2, **more: Any) -> RunConfig:
    loss = {"kind": kind, "max_new_tokens": 6} | more.pop("loss", {})
    nouns: dict[str, Any] = {
        "batching": {"batch_size": 4},
        "optimiser": {"learning_rate": 0.02},
        "compute": {"dtype": "float32"},
    }
    return make_config(
        {"model": str(folder), "loss": loss, "training": {"epochs": epochs, "checkpoint_every": 2}, **nouns, **more}
    )


def divergence(run: Path, served: Served, *, trained: bool) -> float:
    """KL(q‖p) of what is said first, mean over the prompts, from both models' weights."""
    base, model = load_student(run, RunConfig.model_validate_json((run / runs.CONFIG).read_text()))
    renderer, found = Renderer(base.tokenizer, base.stop_ids), []
    for prompt in PROMPTS:
        ids = torch.tensor([renderer.prompt_ids([{"role": "user", "content": prompt}])])
        with torch.no_grad():
            if trained:
                log_q_V = model(input_ids=ids).logits[0, -1].double().log_softmax(0)
            else:
                with model.disable_adapter():
                    log_q_V = model(input_ids=ids).logits[0, -1].double().log_softmax(0)
            log_p_V = served.base.model(input_ids=ids).logits[0, -1].double().log_softmax(0)
        found.append(float((log_q_V.exp() * (log_q_V - log_p_V)).sum()))
    return sum(found) / len(found)


def curve(run: Path) -> list[dict[str, Any]]:
    lines = runs.read_lines(run / runs.METRICS)
    return [{name: value for name, value in line.items() if not CLOCKS.fullmatch(name)} for line in lines]


@pytest.mark.parametrize(("kind", "epochs", "left"), [("reverse", 8, 0.6), ("policy", 16, 0.85)])
def test_the_divergence_from_the_teacher_falls(
    kind: str, epochs: int, left: float, tiny_folder: Path, dataset: Path, served: Served, address: TeacherAddress,
    tmp_path: Path,
) -> None:  # fmt: skip
    run = tmp_path / "run"
    train(dataset, run, settings(tiny_folder, kind=kind, epochs=epochs), teacher=address)
    before, after = (divergence(run, served, trained=trained) for trained in (False, True))
    assert after < left * before


@pytest.mark.parametrize("kind", ["reverse", "policy"])
@pytest.mark.parametrize("after", [1, 3])
def test_stopping_and_going_on_is_the_same_to_the_bit(
    kind: str, after: int, tiny_folder: Path, dataset: Path, address: TeacherAddress, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    config = settings(tiny_folder, kind=kind)
    whole = train(dataset, tmp_path / "whole", config, teacher=address)
    looks = iter([False] * (after - 1) + [True])
    with monkeypatch.context() as patch:
        patch.setattr("finetune.training.stop_on_signals", lambda: contextlib.nullcontext(lambda: next(looks)))
        with pytest.raises(Stopped):
            train(dataset, tmp_path / "parts", config, teacher=address)
    parts = train(dataset, tmp_path / "parts", config, teacher=address)
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    assert (parts.seen, parts.sampled) == (whole.seen, whole.sampled)


def weights(run: Path) -> bytes:
    return (run / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize("kind", ["reverse", "policy"])
@pytest.mark.parametrize(
    "changed",
    [
        {"batching": {"packing": False}},
        {"method": "dora"},
        {"compute": {"dtype": "float32", "gradient_checkpointing": True}},
    ],
    ids=str,
)
def test_however_it_is_computed_it_is_the_same(
    kind: str, changed: dict[str, Any], tiny_folder: Path, dataset: Path, address: TeacherAddress, tmp_path: Path
) -> None:
    train(dataset, tmp_path / "plain", settings(tiny_folder, kind=kind, epochs=1), teacher=address)
    train(dataset, tmp_path / "other", settings(tiny_folder, kind=kind, epochs=1, **changed), teacher=address)
    plain, other = (next(line for line in curve(tmp_path / run) if "loss" in line) for run in ("plain", "other"))
    assert other["reverse_kl"] == pytest.approx(plain["reverse_kl"], rel=1e-3)
    assert other["loss"] == pytest.approx(plain["loss"], rel=1e-3)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_in_bfloat16_what_was_sampled_is_learnt_but_for_rounding(
    method: str, tiny_folder: Path, dataset: Path, address: TeacherAddress, tmp_path: Path
) -> None:
    config = settings(
        tiny_folder, kind="policy", method=method, compute={"dtype": "bfloat16"}, optimiser={"learning_rate": 1e-3}
    )
    train(dataset, tmp_path / "run", config, teacher=address)
    for line in curve(tmp_path / "run"):
        assert "loss" not in line or line["loss"] == pytest.approx(line["reverse_kl"], rel=0.05)


def test_each_step_s_metrics_tell_of_what_was_sampled(
    config: RunConfig, dataset: Path, address: TeacherAddress, tmp_path: Path
) -> None:
    facts = train(dataset, tmp_path / "run", config, teacher=address)
    lines = [line for line in runs.read_lines(tmp_path / "run" / runs.METRICS) if "loss" in line]
    assert len(lines) == 6
    for line in lines:
        assert line["reverse_kl"] > 0
        assert 1 <= line["answer_tokens"] <= 6
        assert 0 <= line["ended"] <= 1
        assert line["tokens"] == pytest.approx(4 * line["answer_tokens"])
        assert 0 < line["sampling_s"] + line["scoring_s"] < line["seconds"]
    assert facts.sampled == {name: lines[-1][name] for name in ("reverse_kl", "answer_tokens", "ended")}
    assert facts.seen["rows"] == 24
    assert facts.seen["supervised"] == sum(line["tokens"] for line in lines)
    assert facts.seen["total"] == sum(line["total_tokens"] for line in lines)


def test_policy_s_loss_is_the_divergence_that_was_sampled(
    tiny_folder: Path, dataset: Path, address: TeacherAddress, tmp_path: Path
) -> None:
    # At each step the student is still the one that sampled: the ratio is 1 but for rounding.
    train(dataset, tmp_path / "run", settings(tiny_folder, kind="policy"), teacher=address)
    for line in curve(tmp_path / "run"):
        assert "loss" not in line or line["loss"] == pytest.approx(line["reverse_kl"], rel=1e-4)


def test_the_dev_loss_is_that_of_the_dataset_s_answers(
    tiny_folder: Path, dataset: Path, address: TeacherAddress, tmp_path: Path
) -> None:
    sampled = train(dataset, tmp_path / "a", settings(tiny_folder), teacher=address)
    hard = train(dataset, tmp_path / "b", make_config({"model": str(tiny_folder), "compute": {"dtype": "float32"}}))
    assert sampled.dev_loss_before == pytest.approx(hard.dev_loss_before)
    assert sampled.dev_loss != hard.dev_loss


def test_the_run_notes_who_scored_and_never_the_key(
    config: RunConfig, dataset: Path, address: TeacherAddress, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    facts = train(dataset, run, config, teacher=address)
    assert facts.scored_by == {"model": "teacher", "url": address.url}
    for path in run.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


def test_a_run_goes_on_with_the_teacher_that_it_began_with(
    config: RunConfig, dataset: Path, served: Served, address: TeacherAddress, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr("finetune.training.stop_on_signals", lambda: contextlib.nullcontext(lambda: True))
        with pytest.raises(Stopped):
            train(dataset, tmp_path / "run", config, teacher=address)
    other = dataclasses.replace(served, name="another")
    with teacher(other) as server, pytest.raises(BadInput, match=r"that teacher scored \(now another\)"):
        train(dataset, tmp_path / "run", config, teacher=TeacherAddress(server.base_url, key_env="TEACHER_TOKEN"))
    with teacher(served) as server:  # elsewhere
        train(dataset, tmp_path / "run", config, teacher=TeacherAddress(server.base_url, key_env="TEACHER_TOKEN"))


def test_a_teacher_that_goes_away_ends_the_run_and_its_checkpoint_stays(
    config: RunConfig, dataset: Path, served: Served, address: TeacherAddress, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asked = []
    score = Teacher.score

    def until_the_fourth(self: Teacher, *given: Any) -> Any:
        asked.append(given)
        if len(asked) == 5:  # the first one is no step's
            raise TeacherUnusable("--teacher: gone")
        return score(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Teacher, "score", until_the_fourth)
        with pytest.raises(TeacherUnusable):
            train(dataset, tmp_path / "parts", config, teacher=address)
    newest = checkpoint.latest(tmp_path / "parts" / runs.CHECKPOINTS)
    assert newest is not None
    assert newest.name == "step-00000002"
    train(dataset, tmp_path / "parts", config, teacher=address)
    train(dataset, tmp_path / "whole", config, teacher=address)
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")


def test_another_tokenizer_is_refused_before_anything_is_written(
    config: RunConfig, dataset: Path, tmp_path: Path
) -> None:
    folder = make_llama(tmp_path / "other")
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["12", "ask"])
    tokenizer.save_pretrained(folder)
    with (
        teacher(load(str(folder), dtype="float32")) as server,
        pytest.raises(BadInput, match="another tokenizer than the student"),
    ):
        train(dataset, tmp_path / "run", config, teacher=TeacherAddress(server.base_url, key_env="TEACHER_TOKEN"))
    assert not (tmp_path / "run").exists()


def test_a_server_that_gives_no_prompt_logprobs_is_refused(config: RunConfig, dataset: Path, tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    with (
        fake(
            tokenize=lambda body: {"tokens": tokenizer(body["prompt"], add_special_tokens=False)["input_ids"]},
            completions=lambda body: {"choices": [{"index": n, "text": ""} for n in range(len(body["prompt"]))]},
        ) as server,
        pytest.raises(BadInput, match="no prompt_logprobs of every token in its reply; use vLLM or `finetune serve`"),
    ):
        train(dataset, tmp_path / "run", config, teacher=TeacherAddress(server.url))


def test_more_listed_tokens_than_the_teacher_gives_are_refused_before_weights_are_loaded(
    tiny_folder: Path, dataset: Path, address: TeacherAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(training, "prepare", prepare)
    with pytest.raises(BadInput, match=r"/v1/completions: HTTP 400: prompt_logprobs: .* no larger --top than it lists"):
        train(dataset, tmp_path / "run", settings(tiny_folder, loss={"top": 21}), teacher=address)
    with pytest.raises(AssertionError):
        train(dataset, tmp_path / "run", settings(tiny_folder, loss={"top": 20}), teacher=address)
    assert not (tmp_path / "run").exists()


def test_prompts_that_the_teacher_s_context_does_not_hold_are_left_out(
    config: RunConfig, dataset: Path, tmp_path: Path
) -> None:
    folder = make_llama(tmp_path / "short", max_position_embeddings=32)
    with teacher(load(str(folder), dtype="float32")) as server:
        address = TeacherAddress(server.base_url, key_env="TEACHER_TOKEN")
        facts = train(dataset, tmp_path / "run", config, teacher=address)
    assert facts.rows["train"] > 0
    assert facts.dropped["longer than 31 tokens"] > 0
    assert facts.rows["train"] + sum(facts.dropped.values()) == len(PROMPTS)


def test_a_teacher_and_its_loss_belong_together(config: RunConfig, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"--loss reverse: a teacher must score .* give --teacher URL"):
        train(dataset, tmp_path / "run", config)
    with pytest.raises(BadInput, match=r"--teacher: .* give --loss reverse"):
        train(dataset, tmp_path / "run", teacher=TeacherAddress("http://127.0.0.1:1"))


@pytest.mark.parametrize(
    "loss",
    [
        {"kind": "reverse", "hard_share": 0.5},
        {"kind": "reverse", "temperature": 2.0},
        {"kind": "policy", "top": 5},
        {"kind": "bucket", "max_new_tokens": 5},
        {"kind": "reverse", "max_new_tokens": 0},
    ],
    ids=str,
)
def test_settings_that_would_do_nothing_are_refused(loss: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="configuration: loss"):
        make_config({"loss": loss})


def test_the_command_line_takes_it_all(
    finetune: Command, tiny_folder: Path, dataset: Path, address: TeacherAddress, tmp_path: Path
) -> None:
    more = ("--teacher", address.url, "--teacher-model", "teacher", "--teacher-key-env", "TEACHER_TOKEN")
    bounds = ("--max-new-tokens", 3, "--top", 4, "--max-steps", 1, "--json")
    code, out, err = finetune(
        "train", dataset, "--out", tmp_path / "run", "--model", tiny_folder, "--loss", "reverse", *more, *bounds
    )
    assert code == 0
    facts = Facts.model_validate(json.loads(out))
    assert facts.scored_by["model"] == "teacher"
    assert err.count(f"{address.url}: teacher scores what the student samples, with 4 listed at each token\n") == 1
    assert f"{1 - facts.sampled['ended']:.0%} unfinished" in err
    code, _, err = finetune("train", dataset, "--out", tmp_path / "other", "--teacher-model", "teacher")
    assert code == 2
    assert "give its URL" in err


def test_a_teacher_with_the_student_s_own_weights_has_nothing_to_teach(
    tiny_folder: Path, dataset: Path, tmp_path: Path
) -> None:
    with teacher(load(str(tiny_folder), dtype="float32")) as server:
        address = TeacherAddress(server.base_url, key_env="TEACHER_TOKEN")
        for kind in ("reverse", "policy"):
            train(dataset, tmp_path / kind, settings(tiny_folder, kind=kind), teacher=address)
            first = next(line for line in curve(tmp_path / kind) if "loss" in line)
            assert abs(first["reverse_kl"]) < 1e-4
            assert abs(first["loss"]) < 1e-4
            assert first["grad_norm"] < 1e-3


@pytest.mark.slow
def test_the_embedded_model_has_nothing_to_teach_itself(dataset: Path, tmp_path: Path) -> None:
    with teacher(load(EMBEDDED, dtype="float32")) as server:
        address = TeacherAddress(server.base_url, key_env="TEACHER_TOKEN")
        config = settings(Path(EMBEDDED), training={"max_steps": 1})
        train(dataset, tmp_path / "run", config, teacher=address)
    [first] = [line for line in curve(tmp_path / "run") if "loss" in line]
    assert abs(first["reverse_kl"]) < 1e-3
    assert abs(first["loss"]) < 1e-3


@pytest.mark.slow
def test_two_processes_sample_and_learn_as_one_does(
    tiny_folder: Path, dataset: Path, address: TeacherAddress, tmp_path: Path
) -> None:
    # 12 rows in steps of 5: the last step has 2, one for each process.
    for processes in (1, 2):
        done = run_process(processes, address, dataset, "--out", tmp_path / str(processes), "--model", tiny_folder)
        assert done.returncode == 0, done.stderr
    one, two = curve(tmp_path / "1"), curve(tmp_path / "2")
    assert len(one) == len(two)
    for mine, theirs in zip(one, two, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3)
    assert runs.read_facts(tmp_path / "2").seen == runs.read_facts(tmp_path / "1").seen


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(
    tiny_folder: Path, dataset: Path, address: TeacherAddress, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run_process(1, address, dataset, "--out", whole, "--model", tiny_folder).returncode == 0
    killed = run_process(1, address, dataset, "--out", parts, "--model", tiny_folder, patch=tmp_path / "patch")
    assert killed.returncode == -signal.SIGKILL
    rest = run_process(1, address, dataset, "--out", parts, "--model", tiny_folder)
    assert "going on after step 2 of 6" in rest.stderr
    assert weights(parts) == weights(whole)


KILLED_IN_THE_FOURTH = """
import os, signal
from finetune import on_policy
was = on_policy.OnPolicy.examples
def examples(self, step, rows):
    found = was(self, step, rows)
    return os.kill(os.getpid(), signal.SIGKILL) if step == 3 else found
on_policy.OnPolicy.examples = examples
"""


def run_process(
    processes: int, address: TeacherAddress, *arguments: object, patch: Path | None = None
) -> subprocess.CompletedProcess[str]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(torchrun if processes > 1 else []), "-m", "finetune", "train", *map(str, arguments)]
    command += ["--loss", "reverse", "--teacher", address.url, "--teacher-key-env", "TEACHER_TOKEN"]
    command += ["--max-new-tokens", "6", "--batch-size", "5", "--checkpoint-every", "2", "--dtype", "float32"]
    paths = [str(Path(__file__).parents[2])]
    if patch is not None:
        patch.mkdir()
        (patch / "sitecustomize.py").write_text(KILLED_IN_THE_FOURTH)
        paths.insert(0, str(patch))
    environment = os.environ | {"PYTHONPATH": ":".join(paths), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=200)
