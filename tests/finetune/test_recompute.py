"""examples/recompute_scores.py agrees with the report of a real run, and notices whatever was changed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from toys import make_row, write_dataset

from finetune import evaluate, runs, train
from finetune.config import make_config

SCRIPT = Path(__file__).parents[2] / "examples" / "recompute_scores.py"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A teacher with two samples of some prompts, right in one field, both or none; references of three kinds."""
    folder = tmp_path_factory.mktemp("recompute")
    test = []
    for n in range(12):
        answers = [{"name": "Ann", "amount": n}, {"name": "Ann", "amount": n + n % 2}, {"name": "Bob"}]
        for sample in range(1 + n % 2):
            answer = json.dumps(answers[(n + sample) % 3])
            test.append(
                make_row(n, prompt=f"p{n}", answer=answer, reference={"name": "Ann", "amount": n}, sample=sample)
            )
    test.append(make_row(50, prompt="p50", answer="Zo\u0065\u0308  x", reference="Zo\u00eb x"))
    twice = '{"a": 1, "a": 1}'  # refused, though the last one would be right
    test.append(make_row(52, prompt="p52", answer=twice, reference={"a": 1}))
    line_ends = "one\u2028two\x85three"
    test.append(make_row(53, prompt="p53", answer=line_ends, reference=line_ends))
    test.append(make_row(51, prompt="p51", answer="[1, 2.0]", reference=[1, 2]))
    dataset = write_dataset(folder / "d", {"train": [make_row(99)], "test": test})
    train(dataset, folder / "run", make_config({"model": str(tiny_folder), "training": {"max_steps": 1}}))
    evaluate(folder / "run", max_new_tokens=3)
    return folder / "run"


def recompute(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), *more], capture_output=True, text=True, check=False
    )


def test_an_independent_script_comes_to_the_same_numbers(run_folder: Path) -> None:
    done = recompute(run_folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("all agree\n")
    assert "OK      teacher, field amount: interval" in done.stdout


def test_an_answer_changed_afterwards_is_noticed(run_folder: Path) -> None:
    path = run_folder / "answers" / "teacher.jsonl"
    before = path.read_text()
    lines = runs.read_lines(path)
    wrong = next(line for line in lines if not line["passed"])
    wrong["answer"] = json.dumps(wrong["reference"])
    path.write_text(runs.dump_lines(lines))
    done = recompute(run_folder)
    path.write_text(before)
    assert done.returncode == 1
    assert "DIFFERS teacher: verdicts that differ: report 0, here 1" in done.stdout
    assert "DIFFERS teacher: score" in done.stdout


def test_verdicts_changed_with_the_score_are_noticed_unless_they_are_trusted(run_folder: Path) -> None:
    path = run_folder / "answers" / "student.jsonl"
    before = path.read_text()
    path.write_text(before.replace('"passed": false', '"passed": true'))
    told, trusted = recompute(run_folder), recompute(run_folder, "--trust-passed")
    path.write_text(before)
    assert "DIFFERS student: verdicts that differ" in told.stdout
    assert "DIFFERS student: score" not in told.stdout  # the answers themselves still say what the report says
    assert "DIFFERS student: score: report 0.000000, here 1.000000" in trusted.stdout
    assert (told.returncode, trusted.returncode) == (1, 1)
    assert recompute(run_folder, "--trust-passed").returncode == 0


def test_a_run_that_is_not_evaluated_or_damaged_is_one_line(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"arms": {"base": {}}}')
    for folder, problem in (
        (tmp_path / "nowhere", "report.json: No such file"),
        (tmp_path, "base.jsonl: No such file"),
    ):
        done = recompute(folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        assert problem in done.stderr
        assert f"run `finetune evaluate {folder}` first" in done.stderr
    path = run_folder / "answers" / "student.jsonl"
    before = path.read_text()
    path.write_text("[1]\n")
    done = recompute(run_folder)
    path.write_text(before)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "is damaged" in done.stderr


def test_an_interval_made_narrower_is_noticed(run_folder: Path) -> None:
    path = run_folder / "report.json"
    before = path.read_text()
    report = json.loads(before)
    report["differences"][0]["interval"] = [0.0, 0.0]
    path.write_text(json.dumps(report))
    done = recompute(run_folder)
    path.write_text(before)
    assert done.returncode == 1
    assert "DIFFERS student - base: interval" in done.stdout


def test_an_answer_taken_away_is_noticed(run_folder: Path) -> None:
    path = run_folder / "answers" / "student.jsonl"
    before = path.read_text()
    path.write_text(before.partition("\n")[2])
    done = recompute(run_folder)
    path.write_text(before)
    assert done.returncode == 1
    assert "DIFFERS student: answers every prompt" in done.stdout
    assert not done.stderr
