import pytest

from finetune.answers import Lines
from finetune.scoring import summarise


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
    low, high = found["gap_recovered"]["interval"]
    assert low == pytest.approx(1, abs=0.2)
    assert high == pytest.approx(1, abs=0.25)


def test_differences_are_paired_and_say_what_than() -> None:
    answers = {"base": lines([0] * 20), "teacher": lines([1] * 20), "student": lines([1, 0] * 10)}
    found = {one["than"]: one for one in summarise(answers)["differences"]}
    assert found.keys() == {"base", "teacher"}
    assert found["base"]["value"] == 0.5
    assert found["teacher"]["value"] == -0.5
    low, high = found["base"]["interval"]
    assert 0.2 < low < 0.5 < high < 0.75
    assert found["teacher"]["interval"] == [pytest.approx(-high), pytest.approx(-low)]


def test_a_handful_of_prompts_has_no_interval_of_a_difference_and_says_why() -> None:
    found = summarise({"base": lines([0] * 5), "teacher": lines([1] * 5), "student": lines([1] * 5)})
    assert [one["interval"] for one in found["differences"]] == [None, None]
    assert "5 prompts are too few" in found["differences"][0]["refusal"]


def test_lengths_are_of_the_answers_that_have_one() -> None:
    answers = [{**line, "tokens": tokens} for line, tokens in zip(lines([1] * 5), [9, 1, 5, None, 3], strict=True)]
    found = summarise({"base": lines([0] * 5), "teacher": lines([1] * 5), "student": answers})["arms"]
    assert found["student"]["answer_tokens"] == {"median": 5, "p95": 9}
    assert found["teacher"]["answer_tokens"] is None
