from typing import Any

import pytest

from finetune.likelihood import Likelihood, Measured
from finetune.nearness import NO_TEACHER, summarise
from finetune.reporting import nearness_table


def row(seed: int, base: float, student: float, teacher: float | None = None, **more: Any) -> Measured:
    """An answer of 10 bytes and 4 tokens, whose end takes each model 1 nat more."""
    models = {
        "base": Likelihood(base, 1.0, 5, more.get("divergence"), more.get("agreement")),
        "student": Likelihood(student, 1.0, 5, more.get("divergence"), more.get("agreement")),
    }
    if teacher is not None:
        models["teacher"] = Likelihood(teacher, more.get("end", 1.0), 4 + ("end" not in more))
    return Measured(f"row{seed}", f"seed{seed}", 10, models)


def rows(prompts: int = 8) -> list[Measured]:
    return [row(n, 29.0 + n, 19.0 + n / 2, 9.0 + n / 3, divergence=0.5, agreement=0.75) for n in range(prompts)]


def whole(found: dict[str, Any]) -> dict[str, Any]:
    counts = {"measured": 8, "left_out": {"empty answer": 1}, "with_lists": 8, "with_teacher": 8}
    return {"rows": counts, "overlap": {"prompts": 0, "of": 8}} | found


def test_means_are_per_byte_and_token_with_the_end_of_the_turn() -> None:
    models = summarise([row(1, 29.0, 19.0, 9.0)])["models"]
    assert [models[name]["nats_per_byte"]["mean"] for name in models] == [3.0, 2.0, 1.0]
    assert [models[name]["nats_per_token"]["mean"] for name in models] == [6.0, 4.0, 2.0]
    assert models["base"]["divergence"] is models["teacher"]["agreement"] is None


def test_each_prompt_weighs_the_same() -> None:
    found = summarise([row(1, 9.0, 9.0), row(1, 19.0, 9.0), row(2, 29.0, 9.0)])
    assert found["models"]["base"]["nats_per_byte"] == {"n": 2, "mean": pytest.approx(2.25), "interval": None}


def test_differences_are_paired_by_prompt() -> None:
    found = {(one["measure"], one["than"]): one for one in summarise(rows())["differences"]}
    assert found.keys() == {
        *((name, "base") for name in ("nats_per_byte", "nats_per_token", "divergence", "agreement")),
        ("nats_per_byte", "teacher"),
    }
    apart = found["nats_per_byte", "base"]
    assert apart["value"] == pytest.approx(sum(-1 - n / 20 for n in range(8)) / 8)
    assert apart["interval"][0] < apart["value"] < apart["interval"][1] < -1
    assert found["divergence", "base"]["interval"] == [0, 0]


def test_too_few_prompts_have_no_interval() -> None:
    found = summarise(rows(5))
    assert found["models"]["base"]["nats_per_byte"]["interval"] is None
    assert {one["interval"] for one in found["differences"]} == {None}
    assert "5 prompts are too few" in found["differences"][0]["refusal"]
    assert "5 prompts are too few" in found["gap_closed"]["refusal"]


def test_the_gap_is_the_teacher_s_lead_in_nats_per_byte() -> None:
    gap = summarise([*rows(), row(99, 500.0, 500.0)])["gap_closed"]  # the last one's teacher is not known
    lines = (29, 1), (19, 1 / 2), (9, 1 / 3)
    base, student, teacher = ([start + n * slope for n in range(8)] for start, slope in lines)
    assert gap["n"] == 8
    assert gap["value"] == pytest.approx((sum(base) - sum(student)) / (sum(base) - sum(teacher)))
    assert gap["interval"][0] < gap["value"] < gap["interval"][1]


def test_an_end_of_turn_that_the_teacher_s_api_did_not_list_is_left_out_of_all_three() -> None:
    found = summarise([row(n, 30.0 + n, 20.0, 10.0, end=None) for n in range(8)])
    (apart,) = [one for one in found["differences"] if one["than"] == "teacher"]
    assert apart["value"] == pytest.approx(1.0)
    assert found["models"]["student"]["nats_per_byte"]["mean"] == pytest.approx(2.1)
    assert found["models"]["teacher"]["nats_per_token"]["mean"] == pytest.approx(2.5)


def test_without_the_teacher_s_likelihood_there_is_no_gap() -> None:
    found = summarise([row(n, 30.0, 20.0) for n in range(8)])
    assert found["gap_closed"] == {"n": 0, "value": None, "refusal": NO_TEACHER}
    assert {one["than"] for one in found["differences"]} == {"base"}
    assert f"gap closed: not given: {NO_TEACHER}" in nearness_table(whole(found))


def test_an_agreement_s_interval_stays_a_share() -> None:
    shares = [1.0] * 9 + [0.4]
    found = summarise([row(n, 1.0, 1.0, agreement=share, divergence=0.0) for n, share in enumerate(shares)])
    assert found["models"]["base"]["agreement"]["interval"][1] == 1.0


def test_the_lines_tell_what_was_found() -> None:
    text = nearness_table(whole(summarise(rows())))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0].startswith("the teacher's answers to held-out prompts: 8 rows, 8 with lists that compare, 8 with")
    assert "left out: 1 row: empty answer" in lines
    assert any(line.startswith("nats per byte student 8 2.1750 ") for line in lines)
    (apart,) = [line for line in lines if line.startswith("nats per byte student - base 8 -1.1750 ")]
    assert apart.endswith(" better")
    assert "divergence student - base 8 +0.0000 +0.0000 to +0.0000 cannot be told apart" in lines
    assert any(line.startswith("gap closed: 52.6 % (95 % interval ") for line in lines)
    assert "WARNING" not in text


@pytest.mark.parametrize(
    ("rows", "warning"),
    [
        (
            [row(n, 20.0, 21.0 + n) for n in range(8)],
            "the student finds the teacher's answers less likely than its base does",
        ),
        (
            [row(n, 20.0, 19.0 + 2 * (n % 2)) for n in range(8)],
            "the student is not shown to be nearer to the teacher than its base is",
        ),
        ([row(n, 20.0, 10.0) for n in range(5)], "with so few prompts it cannot be said whether"),
    ],
)
def test_a_student_that_is_not_better_is_warned_of(rows: list[Measured], warning: str) -> None:
    assert f"WARNING: {warning}" in nearness_table(whole(summarise(rows)))


def test_prompts_seen_in_training_are_warned_of() -> None:
    found = whole(summarise(rows())) | {"overlap": {"prompts": 2, "of": 8}}
    assert "WARNING: 2 of the 8 held-out prompts were also in the training data" in nearness_table(found)


def test_more_agreement_is_better() -> None:
    low, high = (Likelihood(1.0, 1.0, 2, 0.5, share) for share in (0.5, 0.75))
    found = summarise([Measured(f"row{n}", f"seed{n}", 1, {"base": low, "student": high}) for n in range(8)])
    (line,) = [line for line in nearness_table(whole(found)).splitlines() if "agreement" in line and " - " in line]
    assert line.endswith("better")
