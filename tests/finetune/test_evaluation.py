import json
from pathlib import Path

import pytest
from toys import make_row, write_dataset

from finetune import evaluate, train
from finetune.config import make_config
from finetune.data import open_dataset
from finetune.errors import BadInput
from finetune.evaluation import Lines, heldout_prompts, overlap, read_answers, summarise
from finetune.report import table


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
    assert again == {"arms": result["arms"], "gap_recovered": result["gap_recovered"]}


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


def lines(passed: list[int]) -> Lines:
    return [{"seed_id": str(n), "passed": bool(flag), "finished": True} for n, flag in enumerate(passed)]


def test_gap_is_given_or_refused_with_the_reason() -> None:
    clear = summarise({"base": lines([0] * 40), "teacher": lines([1] * 40), "student": lines([1, 0] * 20)})
    assert clear["gap_recovered"]["value"] == 0.5
    assert clear["gap_recovered"].keys() == {"value", "interval"}
    none = summarise({"base": lines([0, 1] * 5), "teacher": lines([1, 0] * 5), "student": lines([1] * 10)})
    assert none["gap_recovered"]["value"] is None
    assert "includes 0" in none["gap_recovered"]["refusal"]


def test_several_samples_weigh_as_one_prompt() -> None:
    teacher = [*lines([1, 0]), {"seed_id": "0", "passed": False, "finished": True}]
    found = summarise({"base": lines([0, 0]), "teacher": teacher, "student": lines([0, 0])})
    assert (found["arms"]["teacher"]["n"], found["arms"]["teacher"]["score"]) == (2, 0.25)


def test_prompts_are_paired_by_seed_whatever_the_order() -> None:
    base, teacher = lines([0] * 30), lines([1, 0] * 15)
    found = summarise({"base": base, "teacher": teacher[::-1], "student": teacher})
    assert found["gap_recovered"]["interval"] == [1.0, 1.0]


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
    assert "base_instruction" not in read_answers(tmp_path / "run" / "answers")


def test_overlap_ignores_case_and_spaces(tmp_path: Path) -> None:
    train_rows = [make_row(1, prompt="Hello  World"), make_row(2, prompt="other")]
    test_rows = [make_row(3, prompt="hello world\n", reference=1), make_row(4, prompt="hello", reference=1)]
    data = open_dataset(write_dataset(tmp_path / "d", {"train": train_rows, "test": test_rows}))
    assert overlap(data, heldout_prompts(data, None)) == {"prompts": 1, "of": 2}


def test_limit_takes_prompts_with_all_their_answers(toy_dataset: Path) -> None:
    prompts = heldout_prompts(open_dataset(toy_dataset), 2)
    assert [len(prompt.teacher) for prompt in prompts] == [2, 2]


def test_a_test_row_without_reference_is_named(tmp_path: Path) -> None:
    data = open_dataset(write_dataset(tmp_path / "d", {"train": [make_row(1)], "test": [make_row(2)]}))
    with pytest.raises(BadInput, match="row row2-0: column 'reference' is null"):
        heldout_prompts(data, None)


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
    assert "cost: 0.2500 USD" in text
