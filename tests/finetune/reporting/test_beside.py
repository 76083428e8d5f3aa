"""`finetune compare` of runs whose answers could not be scored."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from folders import edit, make_prose_run, make_run
from toys import Command

from finetune.likelihood import Likelihood, Measured
from finetune.unbounded import student_t


def row(number: int, nats: float, *, sample: int = 0, tokens: int = 5, **more: Any) -> Measured:
    """An answer of 10 bytes; the base takes 40 nats for it."""
    student = Likelihood(nats, more.get("end", 1.0), tokens, more.get("divergence"), more.get("agreement"))
    models = {"base": Likelihood(40.0, 1.0, 5), "student": student}
    return Measured(f"row{number}-{sample}", f"seed{number}", 10, models)


def first_rows(**more: Any) -> list[Measured]:
    return [*(row(n, 20.0 + n, **more) for n in range(8)), row(7, 47.0, sample=1, **more)]


def second_rows(**more: Any) -> list[Measured]:
    return [*(row(n, 18.0 + n / 2, **more) for n in range(8)), row(7, 24.5, sample=1, **more)]


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return make_prose_run(tmp_path / "a" / "student", first_rows())


def compared(finetune: Command, *folders: Path) -> dict[str, Any]:
    code, out, err = finetune("compare", *folders, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_students_are_compared_in_pairs_by_prompt(first: Path, tmp_path: Path, finetune: Command) -> None:
    second = make_prose_run(tmp_path / "b" / "student", second_rows(), config={"lora.rank": 64})
    found = compared(finetune, first, second)
    assert [one["name"] for one in found["runs"]] == ["a", "b"]
    assert [one["same_answers"] for one in found["runs"]] == [True, True]
    assert found["settings"] == {"lora.rank": [16, 64]}
    ours = [(19.0 + n / 2) / 10 for n in range(7)] + [(22.5 + 25.5) / 20]
    theirs = [(21.0 + n) / 10 for n in range(7)] + [(28.0 + 48.0) / 20]
    apart = [mine - other for mine, other in zip(ours, theirs, strict=True)]
    half = student_t(7) * stdev(apart) / 8**0.5
    (change,) = found["changes"]
    assert (change["run"], change["than"], change["same_tokens"], change["refusal"]) == ("b", "a", True, None)
    by_byte, by_token = change["differences"]
    assert by_byte.pop("interval") == pytest.approx([fmean(apart) - half, fmean(apart) + half])
    assert by_byte == {
        "measure": "nats_per_byte",
        "n": 8,
        "value": pytest.approx(fmean(apart)),
        "refusal": None,
        "verdict": "better",
    }
    assert by_token["value"] == pytest.approx(2 * fmean(apart))  # 10 bytes are 5 tokens
    assert found["runs"][1]["student"]["nats_per_byte"]["mean"] == pytest.approx(fmean(ours))
    assert found["runs"][1]["student"]["divergence"] is None


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([row(n, 18.0) for n in range(8)], "better"),
        ([row(n, 40.0) for n in range(8)], "worse"),
        ([row(n, 20.0 + n + (-1) ** n) for n in range(8)], "cannot be told apart"),
    ],
)
def test_the_table_says_in_words_which_is_better(
    rows: list[Measured], verdict: str, tmp_path: Path, finetune: Command
) -> None:
    runs = [make_prose_run(tmp_path / "a", first_rows()[:8]), make_prose_run(tmp_path / "b", rows)]
    code, out, err = finetune("compare", *runs)
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert any(line.startswith("nats per byte a 8 2.4500 ") for line in lines)
    (apart,) = [line for line in lines if line.startswith("nats per byte b - a 8 ")]
    assert apart.endswith(verdict)


def test_a_handful_of_prompts_is_too_few(tmp_path: Path, finetune: Command) -> None:
    rows = first_rows()[:5], second_rows()[:5]
    both = [make_prose_run(tmp_path / name, some) for name, some in zip("ab", rows, strict=True)]
    assert "5 prompts are too few" in finetune("compare", *both)[1]
    (change,) = compared(finetune, *both)["changes"]
    assert (change["differences"][0]["interval"], change["differences"][0]["verdict"]) == (None, "too few prompts")


def test_lists_are_compared_over_the_answers_for_which_both_have_them(tmp_path: Path, finetune: Command) -> None:
    lists = {"divergence": 0.5, "agreement": 0.5}, {"divergence": 0.25, "agreement": 0.75}
    with_lists = make_prose_run(tmp_path / "a", first_rows(**lists[0]))
    some = [*second_rows(**lists[1])[:7], *second_rows()[7:]]
    found = compared(finetune, with_lists, make_prose_run(tmp_path / "b", some))["changes"][0]["differences"]
    said = {one["measure"]: (one["n"], one["value"], one["verdict"]) for one in found}
    assert said["divergence"] == (7, -0.25, "better")
    assert said["agreement"] == (7, 0.25, "better")


def test_other_tokens_compare_by_byte_alone(first: Path, tmp_path: Path, finetune: Command) -> None:
    other = make_prose_run(tmp_path / "b" / "student", second_rows(tokens=3, divergence=0.5))
    (change,) = compared(finetune, first, other)["changes"]
    assert change["same_tokens"] is False
    assert [one["measure"] for one in change["differences"]] == ["nats_per_byte"]
    out = finetune("compare", first, other)[1]
    assert "student of b - student of a: by byte alone, as they cut the answers into other tokens" in out


def test_an_end_of_turn_that_one_was_not_asked_for_is_left_out_of_both(tmp_path: Path, finetune: Command) -> None:
    whole = make_prose_run(tmp_path / "a", [row(n, 20.0) for n in range(8)])
    cut = make_prose_run(tmp_path / "b", [row(n, 19.0, end=None, tokens=4) for n in range(8)])
    (change,) = compared(finetune, whole, cut)["changes"]
    assert change["same_tokens"] is True
    assert [one["value"] for one in change["differences"]] == pytest.approx([-0.1, -0.25])


@pytest.mark.parametrize("rows", [second_rows()[:-1], [replace(second_rows()[0], size=11), *second_rows()[1:]]])
def test_other_answers_are_shown_and_not_compared(
    rows: list[Measured], first: Path, tmp_path: Path, finetune: Command
) -> None:
    runs = first, make_prose_run(tmp_path / "b", second_rows()), make_prose_run(tmp_path / "c", rows)
    found = compared(finetune, *runs)
    assert [one["same_answers"] for one in found["runs"]] == [True, True, False]
    assert [len(change["differences"]) for change in found["changes"]] == [2, 0]
    code, out, _ = finetune("compare", *runs)
    assert code == 0
    assert "student of c - student of a/student: not comparable: not the same answers were measured" in out


def test_prompts_seen_in_training_are_warned_of(first: Path, tmp_path: Path, finetune: Command) -> None:
    other = make_prose_run(tmp_path / "b" / "student", second_rows())
    edit(other / "heldout.json", lambda found: found["overlap"].update(prompts=2, of=8))
    out = finetune("compare", first, other)[1]
    assert "WARNING: b: 2 of the 8 held-out prompts were also in the training data" in out


def refused(finetune: Command, *arguments: Any) -> str:
    code, out, err = finetune("compare", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def test_scored_and_unscored_runs_are_told_from_each_other(first: Path, tmp_path: Path, finetune: Command) -> None:
    err = refused(finetune, first, make_run(tmp_path / "b" / "student"), make_prose_run(tmp_path / "c", second_rows()))
    assert "compare: b/student scored, a/student, c not (no `reference`): scores do not compare with likelihoods" in err


def test_a_run_with_both_is_compared_by_what_the_others_have(first: Path, tmp_path: Path, finetune: Command) -> None:
    both, scored = make_run(tmp_path / "both"), make_run(tmp_path / "scored")
    for name in ("heldout.json", "heldout.jsonl"):
        (both / name).write_bytes((first / name).read_bytes())
    assert "differences" in compared(finetune, both, first)["changes"][0]
    assert "differences" not in compared(finetune, both, scored)["changes"][0]


def test_what_cannot_be_compared_is_one_clear_line(first: Path, tmp_path: Path, finetune: Command) -> None:
    assert "name at least two runs, each once" in refused(finetune, first, first)
    assert "name a folder that `finetune train --out` wrote" in refused(finetune, first, tmp_path / "nowhere")
    other = make_prose_run(tmp_path / "b", second_rows())
    assert "the page is of scores" in refused(finetune, first, other, "--out", tmp_path / "page.html")
    (other / "heldout.json").unlink()
    assert f"heldout.json: missing; run `finetune evaluate {other}` first" in refused(finetune, first, other)


def without_student(text: str) -> str:
    return text.replace('"student"', '"pupil"', 1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[:-9], "has not the 9 answers that heldout.json tells of"),
        (lambda _: "", "has not the 9 answers that heldout.json tells of"),
        (lambda text: text + text[: text.index("\n") + 1].replace("row0-0", "row9-0"), "has not the 9 answers"),
        (lambda text: text.replace('"size": 10', '"size": 0', 1), "line 1: size: Input should be greater than 0"),
        (lambda text: text.replace("18.0", "NaN", 1), "line 1: models.student.nats: Input should be a finite number"),
        (lambda text: text.replace('"tokens": 5', '"tokens": 1'), "line 1: models.student: missing or without a token"),
        (without_student, "line 1: models.student: missing or without a token"),
        (lambda text: "[]\n" + text, "line 1: not an object"),
        (lambda text: "{\n" + text, "not JSON Lines"),
        (lambda text: text.replace("seed0", "\udc80", 1), "not JSON Lines"),
    ],
)
def test_a_damaged_file_is_one_clear_line(
    damage: Callable[[str], str], said: str, first: Path, tmp_path: Path, finetune: Command
) -> None:
    other = make_prose_run(tmp_path / "b", second_rows())
    path = other / "heldout.jsonl"
    path.write_text(damage(path.read_text()), encoding="utf-8", errors="surrogateescape")
    err = refused(finetune, first, other)
    assert f"{path}: " in err
    assert said in err
    assert err.rstrip().endswith(f"run `finetune evaluate {other}` again")


def test_a_run_from_before_answers_were_kept_is_one_clear_line(first: Path, tmp_path: Path, finetune: Command) -> None:
    other = make_prose_run(tmp_path / "b", second_rows())
    (other / "heldout.jsonl").unlink()
    assert f"heldout.jsonl: missing; run `finetune evaluate {other}` again" in refused(finetune, first, other)
