import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import safetensors.torch
import torch
from toys import make_row, make_told_row, told_of, write_dataset

from finetune import claiming, runs, training
from finetune.config import RunConfig, make_config
from finetune.data import open_dataset
from finetune.errors import BadInput, Stopped
from finetune.objective import Objective
from finetune.rendering import Renderer
from finetune.student import load_student
from finetune.training import train


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
        "harvester.json",
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


def test_a_run_of_a_version_with_fewer_settings_is_still_the_same_run(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = make_config({"model": str(tiny_folder), "training": {"max_steps": 1}})
    train(toy_dataset, tmp_path / "run", settings)
    stored = json.loads((tmp_path / "run" / runs.CONFIG).read_text())
    del stored["loss"]
    (tmp_path / "run" / runs.CONFIG).write_text(json.dumps(stored))
    facts = json.loads((tmp_path / "run" / runs.FACTS).read_text())
    (tmp_path / "run" / runs.FACTS).write_text(json.dumps(facts | {"config_sha256": "of fewer settings"}))
    train(toy_dataset, tmp_path / "run", settings)
    assert "already trained" in capsys.readouterr().err


def test_a_command_that_failed_before_the_first_step_does_not_claim_the_folder(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    wrong = make_config({"model": str(tiny_folder), "batching": {"max_length": 3}, "training": {"max_steps": 1}})
    with pytest.raises(BadInput, match="no supervised token is left"):
        train(toy_dataset, tmp_path / "run", wrong)
    mended = make_config({"model": str(tiny_folder), "training": {"max_steps": 1}})
    assert train(toy_dataset, tmp_path / "run", mended).status == "trained"


@pytest.mark.parametrize(
    "wrong", [{"batching": {"max_length": 3}}, {"batching": {"max_length": 9999}}, {"model": "no/where"}], ids=str
)
def test_a_refused_training_leaves_nothing_that_was_not_there(
    wrong: dict[str, object], toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    for out in (tmp_path / "mine", tmp_path / "made" / "for" / "it"):
        with pytest.raises(BadInput):
            train(toy_dataset, out, make_config({"model": str(tiny_folder)} | wrong))
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "toy"}
    assert not list((tmp_path / "mine").iterdir())


def test_a_run_whose_base_changed_is_not_gone_on_with(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Path(shutil.copytree(tiny_folder, tmp_path / "model"))
    settings = make_config({"model": str(model), "training": {"max_steps": 3}})
    with monkeypatch.context() as patch:
        patch.setattr(training, "stop_on_signals", lambda: nullcontext(lambda: True))
        with pytest.raises(Stopped):
            train(toy_dataset, tmp_path / "run", settings)
    assert runs.read_facts(tmp_path / "run").base_sha256
    before = (model / "model.safetensors").read_bytes()
    tensors = safetensors.torch.load_file(model / "model.safetensors")
    tensors["model.norm.weight"] += 1
    safetensors.torch.save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match=rf"{tmp_path / 'run'}: holds a run on other weights of .*give another --out"):
        train(toy_dataset, tmp_path / "run", settings)
    (model / "model.safetensors").write_bytes(before)
    assert train(toy_dataset, tmp_path / "run", settings).steps == 3


def test_what_a_killed_save_left_goes_when_the_run_goes_on(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in (".adapter-a1b2c3_4", ".weights-abcdefgh"):
        (run / name / "new").mkdir(parents=True)
    for name in (".run.json-abcdefgh", ".config.json-abcdefgh"):
        (run / name).write_text("{")
    train(toy_dataset, run, settings_for(tiny_folder))
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]


def test_a_hidden_file_of_the_user_s_stays_and_makes_it_no_run(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / ".adapter-notes").write_text("mine")
    with pytest.raises(BadInput, match="exists and is not a run"):
        train(toy_dataset, run, settings_for(tiny_folder))
    assert (run / ".adapter-notes").read_text() == "mine"


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


def settings_for(model: Path, **nouns: object) -> RunConfig:
    return make_config({"model": str(model), "training": {"max_steps": 1}} | nouns)


def test_rows_that_are_cut_are_said(tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = write_dataset(tmp_path / "d", {"train": [make_row(1), make_row(2, answer="a" * 60)]})
    facts = train(dataset, tmp_path / "run", settings_for(tiny_folder, batching={"max_length": 64, "too_long": "cut"}))
    assert facts.rows["train"] == 2
    assert facts.cut["rows"] == 1
    assert f"1 of 2 rows cut, {facts.cut['tokens']} tokens of answers lost" in capsys.readouterr().err
    prompt = len("user\nquestion\n" + "assistant\n") + 3  # bytes, and the marks around them
    assert facts.cut["tokens"] == prompt + 60 + 1 - 64


def test_rows_longer_than_the_model_s_context_are_refused_or_left_out(tmp_path: Path, tiny_folder: Path) -> None:
    dataset = write_dataset(tmp_path / "d", {"train": [make_row(1), make_row(2, prompt="x" * 600)]})
    with pytest.raises(BadInput, match=r"--max-length 513: .* has a context of 512 tokens; give no more"):
        train(dataset, tmp_path / "run", settings_for(tiny_folder, batching={"max_length": 513}))
    facts = train(dataset, tmp_path / "run", settings_for(tiny_folder))
    assert facts.dropped == {"prompt alone fills 512 tokens": 1}


def test_patience_needs_a_dev_split(tmp_path: Path, tiny_folder: Path) -> None:
    dataset = write_dataset(tmp_path / "d", {"train": [make_row(1)]})
    with pytest.raises(BadInput, match=r"--patience: .* has no split dev"):
        train(dataset, tmp_path / "run", settings_for(tiny_folder, training={"max_steps": 1, "patience": 1}))


def test_a_second_process_in_the_same_run_is_refused(toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> None:
    with claiming.held(tmp_path / "run"):
        code = (
            "import sys; from finetune.training import train; from finetune.errors import BadInput\n"
            "try: train(sys.argv[1], sys.argv[2])\nexcept BadInput as error: print(error)"
        )
        command = [sys.executable, "-c", code, str(toy_dataset), str(tmp_path / "run")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "another process trains into it; wait for it" in done.stdout
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_saved_student_answers_as_the_trained_one(
    method: str, toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    settings = settings_for(tiny_folder, method=method, optimiser={"learning_rate": 0.01}, compute={"dtype": "float32"})
    facts = train(toy_dataset, tmp_path / "run", settings)
    assert (tmp_path / "run" / ("weights" if method == "full" else "adapter")).is_dir()
    base, model = load_student(tmp_path / "run", settings)
    rows = open_dataset(toy_dataset).split("dev")
    examples = Renderer(base.tokenizer, base.stop_ids).rows(rows, 512).examples
    loss = Objective(model, base).loss(examples).item() / sum(example.supervised for example in examples)
    assert loss == pytest.approx(facts.dev_loss, rel=1e-5)


def seen_tokens(run: Path) -> dict[str, int]:
    """As the curve tells it, step by step."""
    steps = [line for line in runs.read_lines(run / runs.METRICS) if "loss" in line]
    return {"supervised": sum(line["tokens"] for line in steps), "total": sum(line["total_tokens"] for line in steps)}


def test_what_was_learnt_from_counts_over_sittings_and_epochs(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_config({"model": str(tiny_folder), "training": {"epochs": 3, "max_steps": 14}})
    stops = iter([False] * 7 + [True])
    with monkeypatch.context() as patch:
        patch.setattr(training, "stop_on_signals", lambda: nullcontext(lambda: next(stops)))
        with pytest.raises(Stopped):
            train(toy_dataset, tmp_path / "run", settings)
    facts = train(toy_dataset, tmp_path / "run", settings)
    assert facts.seen == {"rows": facts.seen["rows"], **seen_tokens(tmp_path / "run")}
    assert 44 < facts.seen["rows"] < 66  # two epochs of 22, and some of the third


def test_a_student_that_got_worse_is_said_to_be(tiny_folder: Path, tmp_path: Path) -> None:
    splits = {"train": [make_row(n, answer="1") for n in range(22)], "dev": [make_row(99, answer="zzzz")]}
    settings = settings_for(tiny_folder, optimiser={"learning_rate": 0.02}, training={"epochs": 2})
    facts = train(write_dataset(tmp_path / "d", splits), tmp_path / "run", settings)
    looks = [line["dev_loss"] for line in runs.read_lines(tmp_path / "run" / runs.METRICS) if "dev_loss" in line]
    assert (facts.dev_loss_before, facts.dev_loss) == (looks[0], looks[-1])
    assert f"worse than the {looks[0]:.3f} before training: give a lower --learning-rate" in training.told(facts)


def test_the_last_line_says_how_it_ended_and_how_well(toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> None:
    facts = train(toy_dataset, tmp_path / "run", settings_for(tiny_folder, optimiser={"learning_rate": 0.01}))
    assert facts.dev_loss is not None
    minutes = f"{facts.train_minutes:.1f} min with loading"
    assert training.told(facts) == f"trained, 1 steps in {minutes}, ended by --max-steps, dev loss {facts.dev_loss:.3f}"
    early = facts.model_copy(update={"ended_by": "patience", "best_step": 4, "dev_loss": None})
    assert training.told(early) == f"trained, 1 steps in {minutes}, ended by --patience, best at step 4"
    assert "ended by" not in training.told(facts.model_copy(update={"ended_by": "epochs"}))


def test_facts_say_what_the_rows_were_like(toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> None:
    facts = train(toy_dataset, tmp_path / "run", settings_for(tiny_folder))
    assert facts.tokens["supervised"] < facts.tokens["total"]
    answers = [len(str(n)) * (1 + n % 3) + 1 for n in range(22)]  # bytes, and the end of turn
    assert facts.tokens["supervised"] == sum(answers)
    assert facts.lengths["answer"][0] == min(answers)
    assert facts.lengths["answer"][-1] == max(answers) == facts.longest_answer
    assert facts.lengths["answer"] == sorted(facts.lengths["answer"])
    assert facts.seen == {"rows": 4, **{name: seen_tokens(tmp_path / "run")[name] for name in ("supervised", "total")}}
    assert (facts.packed, facts.device, facts.processes, facts.ended_by) == (True, "cpu", 1, "max_steps")


def test_qlora_without_a_gpu_is_one_clear_line(toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(BadInput, match="--method qlora: needs a CUDA GPU"):
        train(toy_dataset, tmp_path / "run", settings_for(tiny_folder, method="qlora"))


SOFT = {"batching": {"batch_size": 2}, "training": {"epochs": 2, "checkpoint_every": 3}}


@pytest.fixture
def told_dataset(tmp_path: Path) -> Path:
    """Ragged rows with the teacher's probabilities, three of other tokens, two without, one with another row's."""
    rows = [make_told_row(n, prompt="ask " + "x" * (n % 7), answer="abc" * (1 + n % 3)) for n in range(9)]
    rows[2::3] = [row | {"logprobs": told_of("abc" * 3, seed=n, joined=[1, 5])} for n, row in enumerate(rows[2::3])]
    rows += [make_row(20), make_row(21), make_told_row(22, answer="ab") | {"logprobs": told_of("ba")}]
    dev = [make_row(100 + n, prompt=f"dev {n}", answer=str(n)) for n in range(3)]
    return write_dataset(tmp_path / "told", {"train": rows, "dev": dev}, picked=False)


@pytest.mark.parametrize("kind", ["auto", "topk", "bucket", "sampled", "chunks"])
def test_a_run_learns_from_the_teacher_s_probabilities_and_says_what_they_are(
    told_dataset: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    settings = make_config({"model": str(tiny_folder), "loss": {"kind": kind}, **SOFT})
    facts = train(told_dataset, tmp_path / "run", settings)
    assert facts.soft["rows"] == 9
    assert facts.soft["hard_rows"] == {"no_logprobs": 2, "other_text": 1}
    assert 0 < facts.soft["rest"] < 1
    said = capsys.readouterr().err
    assert "train: 9 of 12 rows have the teacher's probabilities" in said
    assert "2 rows no_logprobs, 1 row other_text: learnt by their answers alone" in said
    losses = [line["loss"] for line in runs.read_lines(tmp_path / "run" / runs.METRICS) if "loss" in line]
    assert sum(losses[len(losses) // 2 :]) < sum(losses[: len(losses) // 2])  # the same rows again


def test_another_loss_learns_something_else(told_dataset: Path, tiny_folder: Path, tmp_path: Path) -> None:
    students = {}
    for kind in ("hard", "topk", "bucket", "sampled", "chunks"):
        settings = make_config({"model": str(tiny_folder), "loss": {"kind": kind}, **SOFT})
        train(told_dataset, tmp_path / kind, settings)
        students[kind] = safetensors.torch.load_file(tmp_path / kind / runs.ADAPTER / "adapter_model.safetensors")
    kinds = list(students)
    for place, one in enumerate(kinds):
        for other in kinds[place + 1 :]:
            assert any(not torch.equal(students[one][name], students[other][name]) for name in students[one])


@pytest.mark.parametrize("kind", ["sampled", "chunks"])
def test_with_probabilities_too_stopping_and_going_on_is_the_same_to_the_bit(
    told_dataset: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    settings = make_config({"model": str(tiny_folder), "loss": {"kind": kind}, **SOFT})
    train(told_dataset, tmp_path / "whole", settings)
    stops = iter([False, False, False, True])
    monkeypatch.setattr(training, "stop_on_signals", lambda: nullcontext(lambda: next(stops)))
    with pytest.raises(Stopped):
        train(told_dataset, tmp_path / "halves", settings)
    monkeypatch.setattr(training, "stop_on_signals", lambda: nullcontext(lambda: False))
    train(told_dataset, tmp_path / "halves", settings)
    weights = [
        safetensors.torch.load_file(tmp_path / run / runs.ADAPTER / "adapter_model.safetensors")
        for run in ("whole", "halves")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"kind": "hard", "top": 3}, "hard labels have no share"),
        ({"kind": "bucket", "tail_weight": 0.5}, "tail_weight is for the loss `sampled`"),
        ({"kind": "topk", "temperature": 2.0}, "a temperature is for the loss `bucket`"),
        ({"kind": "bucket", "hard_share": 1.5}, "less than or equal to 1"),
    ],
)
def test_losses_that_make_no_sense_are_refused(loss: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make_config({"loss": loss})
