"""`finetune evaluate` where no held-out row can be scored."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from toys import Command, make_row, make_told_row, told_of, write_dataset

from finetune import train
from finetune.config import make_config

PROSE = ["abc", "bad cab", "a fig", "headache", "bee", "cage 2", "jade", "big idea"]


def row(number: int, answer: str, *, told: bool, prompt: str = "say") -> dict[str, Any]:
    """The teacher had 0.5 nats of doubt about each token that it said."""
    doubt = [token | {"logprob": -0.5} for token in told_of(answer, seed=number)]
    asked = {"prompt": f"{prompt} {number}", "answer": answer}
    return make_told_row(number, **asked, logprobs=doubt) if told else make_row(number, **asked)


def prose(folder: Path, *, told: bool = True, overlap: int = 0, learnt: Sequence[str] = PROSE) -> Path:
    """The student may learn from other prompts what the held-out answers are like."""
    rows = [row(n, learnt[n % len(learnt)], told=told) for n in range(24)]
    test = [row(100 + n, answer, told=told, prompt="tell") for n, answer in enumerate(PROSE)]
    test += [row(100, "bad", told=told, prompt="tell") | {"row_id": "row100-1", "sample": 1}]
    rows += [row(100 + n, "seen", told=told, prompt="Tell ") for n in range(overlap)]
    return write_dataset(folder / "prose", {"train": rows, "test": test})


def run_on(data: Path, tiny_folder: Path, rate: float = 0.01, **settings: Any) -> Path:
    config = {"model": str(tiny_folder), "optimiser": {"learning_rate": rate}, "training": {"epochs": 4}} | settings
    train(data, data.parent / "run", make_config(config))
    return data.parent / "run"


PAGE = (Path(__file__).parents[2] / "docs/reference/run.md").read_text()


@pytest.fixture
def run(tmp_path: Path, tiny_folder: Path) -> Path:
    return run_on(prose(tmp_path), tiny_folder)


def without_minutes(path: Path) -> dict[str, Any]:
    return {name: value for name, value in json.loads(path.read_text()).items() if name != "minutes"}


def test_a_student_of_prose_is_measured_against_its_teacher(run: Path, finetune: Command) -> None:
    code, out, err = finetune("evaluate", run)
    assert code == 0, err
    assert "the teacher's answers to held-out prompts: 9 rows, 9 with lists that compare, 9 with" in out
    assert "gap closed: " in out
    assert "not given" not in out
    assert "test prompts also in train: 0 of 8" in out
    assert "WARNING" not in out
    found = json.loads((run / "heldout.json").read_text())
    base, student, teacher = (found["models"][model]["nats_per_byte"]["mean"] for model in found["models"])
    assert base > student > teacher
    assert teacher == pytest.approx((sum(0.5 * (1 + 1 / len(said)) for said in PROSE[1:]) + 0.5 * (1 + 1 / 3)) / 8)
    assert found["gap_closed"]["value"] == pytest.approx((base - student) / (base - teacher))
    assert found["models"]["student"]["divergence"]["mean"] < found["models"]["base"]["divergence"]["mean"]
    assert {one["n"] for one in found["differences"]} == {8}
    assert found["run"]["steps"] == 24
    assert sorted(path.name for path in run.iterdir() if path.name in {"answers", "report.json"}) == []


def test_the_same_is_printed_as_json_and_comes_out_again(run: Path, finetune: Command) -> None:
    code, out, err = finetune("evaluate", run, "--json")
    assert code == 0, err
    assert json.loads(out) == json.loads((run / "heldout.json").read_text())
    first = without_minutes(run / "heldout.json")
    assert finetune("evaluate", run)[0] == 0
    assert without_minutes(run / "heldout.json") == first


def test_without_probabilities_the_cross_entropy_is_told_alone(
    tmp_path: Path, tiny_folder: Path, finetune: Command
) -> None:
    run = run_on(prose(tmp_path, told=False), tiny_folder)
    code, out, err = finetune("evaluate", run)
    assert code == 0, err
    assert "9 rows, 0 with lists that compare, 0 with the teacher's own likelihood" in out
    assert "gap closed: not given: no answer has the log-probabilities of all its teacher's tokens" in out
    assert "nats per byte   student - base" in out
    assert "divergence" not in out
    models = json.loads((run / "heldout.json").read_text())["models"]
    assert models["teacher"] == dict.fromkeys(models["teacher"])


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_student_that_learnt_nothing_is_not_said_to_be_nearer(
    method: str, tmp_path: Path, tiny_folder: Path, finetune: Command
) -> None:
    run = run_on(prose(tmp_path), tiny_folder, 1e-30, method=method)
    code, out, _ = finetune("evaluate", run)
    assert code == 0
    assert "WARNING: the student is not shown to be nearer to the teacher than its base is" in out
    models = json.loads((run / "heldout.json").read_text())["models"]
    assert models["student"] == models["base"]


def test_a_student_that_training_spoilt_is_warned_of(tmp_path: Path, tiny_folder: Path, finetune: Command) -> None:
    run = run_on(prose(tmp_path, told=False, learnt=["ZZZZ"]), tiny_folder, 0.05)
    assert "WARNING: the student finds the teacher's answers less likely than its base" in finetune("evaluate", run)[1]


def test_every_weight_trained_is_measured_against_the_base(
    tmp_path: Path, tiny_folder: Path, run: Path, finetune: Command
) -> None:
    full = run_on(prose(tmp_path / "full"), tiny_folder, method="full")
    for one in (run, full):
        assert finetune("evaluate", one)[0] == 0
    mine, theirs = (json.loads((one / "heldout.json").read_text())["models"] for one in (full, run))
    assert mine["base"] == theirs["base"]
    assert mine["student"]["nats_per_byte"]["mean"] < mine["base"]["nats_per_byte"]["mean"]


def test_prompts_that_were_trained_on_are_warned_of(tmp_path: Path, tiny_folder: Path, finetune: Command) -> None:
    run = run_on(prose(tmp_path, overlap=2), tiny_folder)
    out = finetune("evaluate", run)[1]
    assert "test prompts also in train: 2 of 8" in out
    assert "WARNING: 2 of the 8 held-out prompts were also in the training data" in out


def test_few_prompts_have_no_interval(run: Path, finetune: Command) -> None:
    out = finetune("evaluate", run, "--limit", 3)[1]
    assert "held-out prompts: 4 rows" in out
    assert "gap closed: not given: 3 prompts are too few" in out
    assert "WARNING: with so few prompts it cannot be said" in out


@pytest.mark.parametrize(
    "option", [("--instruction", "Be brief."), ("--max-new-tokens", 5), ("--unfiltered", "."), ("--usd-per-hour", 0)]
)
def test_what_is_of_scores_is_refused(run: Path, finetune: Command, option: tuple[str, Any]) -> None:
    code, out, err = finetune("evaluate", run, *option)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{option[0]}: is of answers that are scored, and no held-out row of" in err
    assert not (run / "heldout.json").exists()


def test_where_no_answer_can_be_measured_it_is_one_clear_line(
    tmp_path: Path, tiny_folder: Path, finetune: Command
) -> None:
    test = [make_row(1, answer=""), make_row(2, answer="a" * 600)]
    data = write_dataset(tmp_path / "long", {"train": [make_row(9)], "test": test})
    code, out, err = finetune("evaluate", run_on(data, tiny_folder))
    assert (code, out) == (2, "")
    assert "no answer can be measured (1 empty answer, 1 longer than 512 tokens)" in err.splitlines()[-1]


def test_a_page_of_scores_is_refused_with_what_there_is(run: Path, finetune: Command) -> None:
    assert finetune("evaluate", run)[0] == 0
    code, out, err = finetune("report", run)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no `reference`, so no answers were scored; heldout.json says what was measured" in err


def test_two_students_are_compared_by_the_answers_that_both_were_measured_on(
    tmp_path: Path, tiny_folder: Path, run: Path, finetune: Command
) -> None:
    other = run_on(prose(tmp_path / "unlearnt"), tiny_folder, 1e-30)
    for one in (run, other):
        assert finetune("evaluate", one)[0] == 0
    code, out, err = finetune("compare", run, other, "--json")
    assert code == 0, err
    (change,) = json.loads(out)["changes"]
    assert change["same_tokens"] is True
    assert [one["measure"] for one in change["differences"]][:3] == ["nats_per_byte", "nats_per_token", "divergence"]
    first, second = (json.loads((one / "heldout.json").read_text())["models"]["student"] for one in (run, other))
    for one in change["differences"]:
        assert one["value"] == pytest.approx(second[one["measure"]]["mean"] - first[one["measure"]]["mean"])
    assert change["differences"][0]["verdict"] == "worse"


def test_the_reference_names_every_field(run: Path, finetune: Command) -> None:
    assert finetune("evaluate", run)[0] == 0
    found = json.loads((run / "heldout.json").read_text())
    page = PAGE.split("\n## heldout.json\n")[1].split("\n## ")[0]
    fields, measures = (re.findall(r"^\| (`.*?) \| (.*) \|$", part, re.MULTILINE) for part in page.split("| measure |"))
    told = {name.split(".")[0]: text for cell, text in fields for name in re.findall(r"`([^`]+)`", cell)}
    assert told.keys() == found.keys()
    assert [cell.strip("`") for cell, _ in measures] == list(found["models"]["base"])
    assert set(found["rows"]) == set(re.findall(r"`(\w+)`", told["rows"]))
    for one in (*found["differences"], found["gap_closed"], found["models"]["base"]["agreement"]):
        name = "differences" if "than" in one else "gap_closed" if "value" in one else "models"
        assert set(one) <= set(re.findall(r"`(\w+)`", told[name]))


def test_each_answer_s_numbers_are_kept_and_give_the_means_again(run: Path, finetune: Command) -> None:
    assert finetune("evaluate", run)[0] == 0
    lines = [json.loads(line) for line in (run / "heldout.jsonl").read_text().splitlines()]
    assert [line["row_id"] for line in lines] == ["row100-0", "row100-1", *(f"row{101 + n}-0" for n in range(7))]
    by_seed: dict[str, list[float]] = {}
    for line in lines:
        mine = line["models"]["student"]
        by_seed.setdefault(line["seed_id"], []).append((mine["nats"] + mine["end_nats"]) / line["size"])
    mean = json.loads((run / "heldout.json").read_text())["models"]["student"]["nats_per_byte"]["mean"]
    assert sum(sum(values) / len(values) for values in by_seed.values()) / 8 == pytest.approx(mean)
    told = set(re.findall(r"`(\w+)`", PAGE.split("\n## heldout.jsonl\n")[1]))
    assert told == {*lines[0], *lines[0]["models"], *lines[0]["models"]["base"]}


def test_a_teacher_with_other_tokens_is_a_floor_all_the_same(
    tmp_path: Path, tiny_folder: Path, finetune: Command
) -> None:
    train_rows = [row(n, answer, told=False) for n, answer in enumerate(PROSE)]
    test = [row(100 + n, answer, told=True) | {"logprobs": two_at_once(answer)} for n, answer in enumerate(PROSE)]
    run = run_on(write_dataset(tmp_path / "other", {"train": train_rows, "test": test}), tiny_folder)
    code, out, err = finetune("evaluate", run)
    assert code == 0, err
    assert "8 rows, 0 with lists that compare, 8 with the teacher's own likelihood" in out
    assert "not given" not in out
    assert "divergence" not in out


def two_at_once(answer: str) -> list[dict[str, Any]]:
    """The answer's first two bytes are one token."""
    return [token | {"logprob": -0.5} for token in told_of(answer, joined=[0])]


def test_the_model_card_tells_it(run: Path, finetune: Command, tmp_path: Path) -> None:
    assert finetune("evaluate", run)[0] == 0
    assert finetune("export", run, tmp_path / "model")[0] == 0
    text = (tmp_path / "model" / "README.md").read_text()
    assert "No answer was scored: the held-out prompts have no right one." in text
    mean = json.loads((run / "heldout.json").read_text())["models"]["student"]["nats_per_byte"]["mean"]
    assert f"| nats per byte | student | 8 | {mean:.4f} | " in text
    assert "- gap closed: " in text


def test_a_damaged_file_is_one_clear_line(run: Path, finetune: Command, tmp_path: Path) -> None:
    (run / "heldout.json").write_text('{"rows": 3}')
    code, out, err = finetune("export", run, tmp_path / "model")
    assert (code, out) == (2, "")
    assert "heldout.json: rows: " in err
    assert err.rstrip().endswith(f"run `finetune evaluate {run}` again")
