import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from toys import Command, make_llama, make_row, write_dataset

from finetune import evaluate, runs, train
from finetune.answers import Lines, Shelf
from finetune.config import make_config
from finetune.errors import BadInput
from finetune.reporting import table
from finetune.scoring import summarise


def read_answers(folder: Path) -> dict[str, Lines]:
    """The kept answers by arm, partial ones left out."""
    paths = [path for path in sorted(folder.glob("*.jsonl")) if path.suffixes == [".jsonl"]]
    return {path.stem: runs.read_lines(path) for path in paths if path.stem != "prompts"}


@pytest.fixture
def run_folder(toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> Path:
    train(toy_dataset, tmp_path / "run", make_config({"model": str(tiny_folder), "training": {"max_steps": 1}}))
    return tmp_path / "run"


def test_arms_are_scored_and_recomputable_from_the_answers(run_folder: Path) -> None:
    result = evaluate(run_folder, max_new_tokens=4)
    assert result["arms"].keys() == {"base", "base_instruction", "teacher", "student"}
    assert {arm["n"] for arm in result["arms"].values()} == {6}
    # 6 prompts, two of them answered right once and wrong once.
    assert result["arms"]["teacher"]["score"] == pytest.approx(5 / 6)
    assert result["usd"] == 0.25
    assert result["minutes"].keys() == {"collect", "train", "evaluate"}
    assert result == json.loads((run_folder / "report.json").read_text())
    again = summarise(read_answers(run_folder / "answers"))
    assert again == {name: result[name] for name in ("arms", "differences", "gap_recovered")}


def test_the_base_arm_is_the_base_not_the_student(toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> None:
    """Trained hard enough that base and student answer differently."""
    settings = {
        "model": str(tiny_folder),
        "optimiser": {"learning_rate": 0.05},
        "training": {"epochs": 5},
    }
    train(toy_dataset, tmp_path / "run", make_config(settings))
    evaluate(tmp_path / "run", max_new_tokens=6)
    answers = read_answers(tmp_path / "run" / "answers")
    untrained = tmp_path / "untrained"
    train(toy_dataset, untrained, make_config(settings | {"optimiser": {"learning_rate": 1e-30}}))
    evaluate(untrained, max_new_tokens=6)
    still = read_answers(untrained / "answers")

    def texts(lines: Lines) -> list[str]:
        return [line["answer"] for line in lines]

    assert texts(answers["base"]) == texts(still["student"]) == texts(still["base"])
    assert texts(answers["student"]) != texts(answers["base"])
    assert texts(answers["base_instruction"]) != texts(answers["base"])


def test_no_instruction_skips_the_arm_and_says_so(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {"train": [make_row(1)], "test": [make_row(2, reference="x")]}
    dataset = write_dataset(tmp_path / "d", rows, instruction=None)
    train(dataset, tmp_path / "run", make_config({"model": str(tiny_folder), "training": {"max_steps": 1}}))
    assert "base_instruction" in evaluate(tmp_path / "run", instruction="Say x.", max_new_tokens=2)["arms"]
    capsys.readouterr()
    assert "base_instruction" not in evaluate(tmp_path / "run", max_new_tokens=2)["arms"]
    assert "base_instruction: skipped" in capsys.readouterr().err
    capsys.readouterr()
    assert "base_instruction" in evaluate(tmp_path / "run", instruction="Say x.", max_new_tokens=2)["arms"]
    assert "base_instruction: answers of before are kept" in capsys.readouterr().err


def test_an_unfinished_run_is_refused(run_folder: Path) -> None:
    facts = run_folder / "run.json"
    facts.write_text(facts.read_text().replace('"trained"', '"unfinished"'))
    with pytest.raises(BadInput, match="training is not finished"):
        evaluate(run_folder)


def test_the_table_shows_arms_gap_overlap_and_price(run_folder: Path) -> None:
    text = table(evaluate(run_folder, max_new_tokens=2))
    assert "teacher               6   83.3 %" in text
    assert "gap recovered: " in text
    assert "test prompts also in train: 0 of 6" in text
    assert "teacher's answers: 0.2500 USD" in text


def test_the_answers_keep_all_that_a_score_needs(run_folder: Path) -> None:
    evaluate(run_folder, max_new_tokens=4)
    prompts = runs.read_lines(run_folder / "answers" / "prompts.jsonl")
    assert [line["seed_id"] for line in prompts] == [f"seed{200 + n}" for n in range(6)]
    assert prompts[0]["messages"] == [{"role": "user", "content": "test 0"}]
    answers = read_answers(run_folder / "answers")
    assert {len(lines) for arm, lines in answers.items() if arm != "teacher"} == {6}
    keys = {"seed_id", "sample", "answer", "reference", "passed", "reason", "fields", "finished", "tokens"}
    assert all(line.keys() == keys for lines in answers.values() for line in lines)
    assert all(0 < line["tokens"] <= 4 for line in answers["student"])


def test_fields_are_scored_apart(tmp_path: Path, tiny_folder: Path) -> None:
    answers = ['{"name": "Ann", "amount": 1}', '{"name": "Bob", "amount": 1}', "no JSON"]
    test = [
        make_row(n, prompt=f"p{n}", answer=answer, reference={"name": "Ann", "amount": 1})
        for n, answer in enumerate(answers)
    ]
    dataset = write_dataset(tmp_path / "d", {"train": [make_row(9)], "test": test})
    train(dataset, tmp_path / "run", make_config({"model": str(tiny_folder), "training": {"max_steps": 1}}))
    teacher = evaluate(tmp_path / "run", max_new_tokens=2)["arms"]["teacher"]
    assert {name: (found["n"], round(3 * found["score"])) for name, found in teacher["fields"].items()} == {
        "name": (3, 1),
        "amount": (3, 2),
    }
    assert round(3 * teacher["score"]) == 1


def test_answers_are_made_again_only_where_something_changed(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = evaluate(run_folder, max_new_tokens=4)
    stamps = {path.name: path.stat().st_mtime_ns for path in (run_folder / "answers").glob("*.json")}
    capsys.readouterr()
    again = evaluate(run_folder, max_new_tokens=4, instruction="Other.")
    said = capsys.readouterr().err
    assert "base: answers of before are kept" in said
    assert "student: answers of before are kept" in said
    assert "base_instruction: answers of before are made anew, as instruction changed" in said
    after = {path.name: path.stat().st_mtime_ns for path in (run_folder / "answers").glob("*.json")}
    assert {name for name in stamps if stamps[name] != after[name]} == {"base_instruction.json"}
    assert again["arms"]["student"] == first["arms"]["student"]
    capsys.readouterr()
    evaluate(run_folder, max_new_tokens=5)
    said = capsys.readouterr().err
    assert "student: answers of before are made anew, as max_new_tokens changed" in said
    assert "are kept" not in said


def test_kept_answers_are_judged_anew(run_folder: Path) -> None:
    first = evaluate(run_folder, max_new_tokens=4)
    path = run_folder / "answers" / "student.jsonl"
    before = path.read_text()
    path.write_text(before.replace('"passed": false', '"passed": true'))  # as an older judge may have found
    assert path.read_text() != before
    assert evaluate(run_folder, max_new_tokens=4)["arms"] == first["arms"]
    assert path.read_text() == before


@pytest.mark.parametrize("damage", ["no JSON\n", "", '{"seed_id": "another"}\n'])
def test_damaged_answers_are_made_anew(run_folder: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = evaluate(run_folder, max_new_tokens=4)
    for name in ("student.jsonl", "base.partial.jsonl"):
        (run_folder / "answers" / name).write_text(damage)
    (run_folder / "answers" / "base.json").write_text("[")
    capsys.readouterr()
    assert evaluate(run_folder, max_new_tokens=4)["arms"] == first["arms"]
    said = capsys.readouterr().err
    assert "student: answers of before are made anew, as their file is damaged" in said
    assert "base_instruction: answers of before are kept" in said


def test_an_adapter_used_at_another_scale_answers_anew(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(run_folder, max_new_tokens=4)
    path = run_folder / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lora_alpha": 999}))
    capsys.readouterr()
    evaluate(run_folder, max_new_tokens=4)
    assert "student: answers of before are made anew, as student_sha256 changed" in capsys.readouterr().err


def test_a_damaged_adapter_is_one_clear_line(run_folder: Path, finetune: Command) -> None:
    (run_folder / "adapter" / "adapter_model.safetensors").write_bytes(b"no weights")
    code, out, err = finetune("evaluate", run_folder)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "adapter cannot be loaded" in err


def test_an_interrupted_evaluation_keeps_the_answers_that_are_there(
    run_folder: Path, finetune: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = evaluate(run_folder, max_new_tokens=4)
    for path in (run_folder / "answers").iterdir():
        path.unlink()
    monkeypatch.setattr("finetune.generation.BATCH_SIZE", 2)
    monkeypatch.setattr("finetune.generation.greedy_batches.__kwdefaults__", {"batch_size": 2, "label": ""})
    add, added = Shelf.add, []

    def interrupt(self: Shelf, arm: str, found: Any, seconds: float) -> None:
        add(self, arm, found, seconds)
        added.append(arm)
        if added == ["base", "base", "base", "base_instruction"]:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "add", interrupt)
        code, _, err = finetune("evaluate", run_folder, "--max-new-tokens", 4)
    assert code == 3
    assert "run the same command again to go on" in err
    code, out, err = finetune("evaluate", run_folder, "--max-new-tokens", 4, "--json")
    assert code == 0, err
    assert "base: answers of before are kept" in err
    assert "base_instruction: going on after 2 of 6 answers" in err
    found = json.loads(out)
    assert {name: found[name] for name in ("arms", "differences")} == {
        name: whole[name] for name in ("arms", "differences")
    }
    assert not list((run_folder / "answers").glob("*.partial.*"))


def test_the_control_trained_on_unfiltered_rows_is_an_arm(
    run_folder: Path, tmp_path: Path, tiny_folder: Path, toy_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"model": str(tiny_folder), "optimiser": {"learning_rate": 0.05}, "training": {"epochs": 4}}
    train(toy_dataset, tmp_path / "control", make_config(settings))
    found = evaluate(run_folder, max_new_tokens=4, unfiltered=tmp_path / "control")
    assert "its dataset was filtered too" in capsys.readouterr().err
    assert found["arms"]["unfiltered"]["n"] == 6
    assert [one["than"] for one in found["differences"]] == ["base", "base_instruction", "teacher", "unfiltered"]
    answers = read_answers(run_folder / "answers")
    assert [line["answer"] for line in answers["unfiltered"]] != [line["answer"] for line in answers["student"]]
    own = evaluate(tmp_path / "control", max_new_tokens=4)
    assert own["arms"]["student"] == found["arms"]["unfiltered"]
    capsys.readouterr()
    assert "unfiltered" not in evaluate(run_folder, max_new_tokens=4)["arms"]
    assert "unfiltered: not asked for; its answers of before stay" in capsys.readouterr().err
    assert "Student, unfiltered" not in (run_folder / "report.html").read_text()
    again = evaluate(run_folder, max_new_tokens=4, unfiltered=tmp_path / "control")
    assert again["arms"]["unfiltered"] == found["arms"]["unfiltered"]
    assert "unfiltered: answers of before are kept" in capsys.readouterr().err


def test_a_control_on_another_base_is_refused(run_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("run.json", "config.json"):
        (other / name).write_text((run_folder / name).read_text().replace("tiny-model", "another-model"))
    with pytest.raises(BadInput, match=r"--unfiltered .*differs in its rows only"):
        evaluate(run_folder, unfiltered=other)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_refused_has_changed_nothing(run_folder: Path, tmp_path: Path) -> None:
    evaluate(run_folder, max_new_tokens=4)
    before = files_of(run_folder)
    with pytest.raises(BadInput, match="--unfiltered"):
        evaluate(run_folder, limit=1, unfiltered=run_folder)
    with pytest.raises(BadInput, match="nowhere"):
        evaluate(run_folder, limit=1, unfiltered=tmp_path / "nowhere")
    (run_folder / "adapter").rename(tmp_path / "adapter")
    with pytest.raises(BadInput, match="adapter: the student's weights are not there"):
        evaluate(run_folder, limit=1)
    (tmp_path / "adapter").rename(run_folder / "adapter")
    assert files_of(run_folder) == before


def test_a_report_never_stands_beside_answers_that_it_was_not_made_of(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(run_folder, max_new_tokens=4)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Shelf, "write_prompts", stop)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run_folder, max_new_tokens=4, limit=1)
    assert not (run_folder / "report.json").exists()
    assert not (run_folder / "report.html").exists()
    assert len(runs.read_lines(run_folder / "answers" / "prompts.jsonl")) == 6


def change_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file({name: value * 1.5 for name, value in weights.items()}, path, {"format": "pt"})


@pytest.fixture
def run_on_own_base(toy_dataset: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A run and its base, which a test may change."""
    base = make_llama(tmp_path / "base")
    train(toy_dataset, tmp_path / "run", make_config({"model": str(base), "training": {"max_steps": 1}}))
    return tmp_path / "run", base


def test_answers_of_a_base_that_changed_since_are_not_kept(
    run_on_own_base: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run, base = run_on_own_base
    facts = runs.read_facts(run)
    runs.write_facts(run, facts.model_copy(update={"base_sha256": None}))  # as runs of before have it
    evaluate(run, max_new_tokens=4)
    change_weights(base)
    capsys.readouterr()
    evaluate(run, max_new_tokens=4)
    said = capsys.readouterr().err
    for arm in ("base", "base_instruction", "student"):
        assert f"{arm}: answers of before are made anew, as base_sha256 changed" in said


def test_a_base_that_is_not_the_one_trained_on_is_refused(run_on_own_base: tuple[Path, Path]) -> None:
    run, base = run_on_own_base
    evaluate(run, max_new_tokens=4)
    change_weights(base)
    before = files_of(run)
    with pytest.raises(BadInput, match=r"its base model .*base changed since the training"):
        evaluate(run, max_new_tokens=4)
    assert files_of(run) == before


def test_a_second_evaluation_of_a_run_is_refused_and_a_killed_one_leaves_no_lock(
    run_folder: Path, finetune: Command
) -> None:
    evaluate(run_folder, max_new_tokens=4)
    before = files_of(run_folder)
    code = (
        "import sys, time; from pathlib import Path; from finetune.answers import Shelf\n"
        "with Shelf(Path(sys.argv[1])).held(): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, run_folder], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        status, out, err = finetune("evaluate", run_folder, "--max-new-tokens", 4)
        other.kill()
    assert (status, out) == (2, "")
    assert err == f"finetune: {run_folder}: another process evaluates it; wait for it to end\n"
    assert files_of(run_folder) == before
    assert finetune("evaluate", run_folder, "--max-new-tokens", 4)[0] == 0


def test_a_file_where_answers_belong_is_one_clear_line(run_folder: Path) -> None:
    (run_folder / "answers").write_text("")
    with pytest.raises(BadInput, match="answers: cannot be made"):
        evaluate(run_folder, max_new_tokens=4)


@pytest.mark.parametrize(
    "damage",
    [
        b"\0" * 30 + b"\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b"[1]\n" * 6,
        b'{"seed_id": "seed200", "sample": 0, "answer": 5, "finished": true, "tokens": 1}\n' * 6,
    ],
)
def test_answers_damaged_in_any_way_are_made_anew(run_folder: Path, damage: bytes) -> None:
    first = evaluate(run_folder, max_new_tokens=4)
    made_with = (run_folder / "answers" / "student.json").read_bytes()
    (run_folder / "answers" / "student.jsonl").write_bytes(damage)
    (run_folder / "answers" / "base.json").write_bytes(damage)
    head = json.dumps({"made_with": json.loads(made_with)["made_with"]})
    (run_folder / "answers" / "student.partial.jsonl").write_bytes(head.encode() + b"\n" + damage)
    (run_folder / "answers" / "base_instruction.json").write_bytes(
        made_with.replace(b'"seconds": ', b'"seconds": [], "x": ')
    )
    again = evaluate(run_folder, max_new_tokens=4)
    assert {name: again[name] for name in ("arms", "differences")} == {
        name: first[name] for name in ("arms", "differences")
    }


def test_the_run_itself_is_no_control(run_folder: Path) -> None:
    with pytest.raises(BadInput, match=r"--unfiltered .* is RUN itself"):
        evaluate(run_folder, unfiltered=run_folder)


def test_a_student_of_which_every_weight_was_trained_is_measured_against_its_base(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path, run_folder: Path
) -> None:
    settings = {"optimiser": {"learning_rate": 0.01}, "training": {"epochs": 3}, "method": "full"}
    train(toy_dataset, tmp_path / "full", make_config({"model": str(tiny_folder)} | settings))
    evaluate(tmp_path / "full", max_new_tokens=4)
    evaluate(run_folder, max_new_tokens=4)
    full, lora = (read_answers(folder / "answers") for folder in (tmp_path / "full", run_folder))
    assert [line["answer"] for line in full["base"]] == [line["answer"] for line in lora["base"]]
    assert [line["answer"] for line in full["student"]] != [line["answer"] for line in full["base"]]


def test_the_report_says_what_the_data_was_and_what_it_cost(run_folder: Path) -> None:
    found = evaluate(run_folder, max_new_tokens=4, usd_per_hour=2.0)
    data = found["data"]
    assert data["rows"] == {"train": 22, "dev": 4, "test": 8}
    assert data["learnt_from"].keys() == {"rows", "of", "passes", "supervised", "total"}
    assert data["learnt_from"]["of"] == 22
    assert data["dev_rows"] == 4
    assert found["cost"]["harvest"]["value"] == 0.25
    hours = (found["minutes"]["collect"] + found["minutes"]["train"]) / 60
    assert found["cost"]["machine"]["value"] == pytest.approx(2.0 * hours)
    assert found["cost"]["break_even"]["value"] is None
    assert (run_folder / "report.html").read_text().startswith("<!doctype html>")
