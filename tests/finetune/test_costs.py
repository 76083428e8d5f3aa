from dataclasses import replace

import pytest

from finetune.costs import Spent, bill

SPENT = Spent(
    harvest_usd=6.0,
    minutes={"collect": 30.0, "train": 60.0, "evaluate": 5.0},
    usd_per_hour=2.0,
    teacher_usd=0.001,
    student_s=0.36,
    lead=0.5,
    lead_is_clear=True,
)


def value(spent: Spent, name: str) -> float | None:
    found: float | None = bill(spent)[name]["value"]
    return found


def test_the_sums_are_those_that_are_shown() -> None:
    assert value(SPENT, "machine") == pytest.approx(3.0)
    assert value(SPENT, "student_to_be") == pytest.approx(9.0)
    assert value(SPENT, "student_per_1000_answers") == pytest.approx(0.2)
    assert value(SPENT, "teacher_per_1000_answers") == pytest.approx(1.0)
    assert value(SPENT, "break_even") == pytest.approx(9.0 / 0.0008)
    assert value(SPENT, "usd_per_point") == pytest.approx(9.0 / 50)
    assert value(SPENT, "hours_per_point") == pytest.approx(1.5 / 50)


def test_each_sum_is_written_out_with_what_its_numbers_are() -> None:
    how = {name: item["how"] for name, item in bill(SPENT).items()}
    assert how["machine"] == "(0.500 h collecting + 1.000 h training) x 2.0 USD an hour"
    assert how["student_to_be"] == "6.0000 USD for the teacher's answers + 3.0000 USD for the machine"
    assert how["student_per_1000_answers"] == "360.0 s ÷ 3,600 x 2.0 USD an hour"
    assert how["break_even"] == (
        "9.0000 USD for making the student ÷ "
        "(0.00100000 USD an answer of the teacher - 0.00020000 USD one of the student)"
    )
    assert how["usd_per_point"] == "9.0000 USD for making the student ÷ 50.0 points more than the base"
    assert how["hours_per_point"] == "1.500 h of collecting and training ÷ 50.0 points more than the base"


@pytest.mark.parametrize(
    ("changed", "name", "reason"),
    [
        ({"teacher_usd": 0.0}, "break_even", "never: asking the teacher costs nothing"),
        ({"teacher_usd": None}, "break_even", "never: asking the teacher costs nothing"),
        ({"usd_per_hour": None}, "break_even", "--usd-per-hour"),
        ({"usd_per_hour": None}, "machine", "--usd-per-hour"),
        (
            {"student_s": 36.0},
            "break_even",
            "never: an answer of the student costs 0.0200 USD, one of the teacher 0.00",
        ),
        ({"lead_is_clear": False}, "usd_per_point", "not clearly better than its base"),
    ],
)
def test_what_is_not_given_says_why(changed: dict[str, float | None], name: str, reason: str) -> None:
    item = bill(replace(SPENT, **changed))[name]
    assert item["value"] is None
    assert reason in item["how"]


def test_sums_without_the_machine_s_price_say_so() -> None:
    found = bill(replace(SPENT, usd_per_hour=None))
    assert found["student_to_be"] == {
        "value": 6.0,
        "unit": "USD",
        "how": "6.0000 USD for the teacher's answers; the machine's price is not given: say what the machine costs "
        "with --usd-per-hour",
    }
    assert found["usd_per_point"]["value"] == pytest.approx(6.0 / 50)
    assert found["usd_per_point"]["how"].endswith("with --usd-per-hour")
