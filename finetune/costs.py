"""What a student costs and when it pays: every number with its unit and the sum behind it."""

from dataclasses import dataclass
from typing import Any

POINTS = 100
"""Of a score: one is a hundredth."""
_NOT_GIVEN = "not given: say what the machine costs with --usd-per-hour"


@dataclass(frozen=True, slots=True)
class Spent:
    """What the sums are made of."""

    harvest_usd: float
    minutes: dict[str, float]  # collect, train, evaluate
    usd_per_hour: float | None  # of the machine; None where nobody said
    teacher_usd: float | None  # per answer, mean over the held-out prompts
    student_s: float  # per answer, as measured
    lead: float  # score of student - base, in [-1, 1]
    lead_is_clear: bool  # its interval is above 0


def bill(spent: Spent) -> dict[str, Any]:
    """The report's `cost`: name → value, unit, and the sum it comes from or the reason there is none."""
    collect, train = (spent.minutes[part] / 60 for part in ("collect", "train"))
    hours, rate = collect + train, spent.usd_per_hour
    machine = None if rate is None else hours * rate
    total = spent.harvest_usd + (machine or 0.0)
    added = f" + {_usd(machine)} for the machine" if machine is not None else f"; the machine's price is {_NOT_GIVEN}"
    return {
        "harvest": _item(spent.harvest_usd, "USD", "all answers that the teacher was asked for, as they were billed"),
        "machine": _item(
            machine, "USD", _told(rate, f"({collect:.3f} h collecting + {train:.3f} h training) x {rate} USD an hour")
        ),
        "student_to_be": _item(total, "USD", f"{_usd(spent.harvest_usd)} for the teacher's answers{added}"),
        **_answers(spent),
        "break_even": _break_even(spent, total),
        **_per_point(spent, total, hours),
    }


def _answers(spent: Spent) -> dict[str, Any]:
    teacher, student, each_s = spent.teacher_usd, _student_usd(spent), spent.student_s
    return {
        "teacher_per_1000_answers": _item(
            None if teacher is None else 1000 * teacher,
            "USD",
            "not recorded in the dataset"
            if teacher is None
            else f"{_usd(teacher)}, the mean price of its answers to the held-out prompts, x 1,000",
        ),
        "student_seconds_per_1000_answers": _item(
            1000 * each_s, "s", f"{each_s:.4f} s, the mean of this evaluation, which asks many at once, x 1,000"
        ),
        "student_per_1000_answers": _item(
            None if student is None else 1000 * student,
            "USD",
            _told(spent.usd_per_hour, f"{1000 * each_s:.1f} s ÷ 3,600 x {spent.usd_per_hour} USD an hour"),
        ),
    }


def _break_even(spent: Spent, total: float) -> dict[str, Any]:
    teacher, student = spent.teacher_usd, _student_usd(spent)
    if not teacher:
        return _item(None, "answers", "never: asking the teacher costs nothing that was recorded")
    if student is None:
        return _item(None, "answers", _NOT_GIVEN)
    if student >= teacher:
        how = f"never: an answer of the student costs {_usd(student)}, one of the teacher {_usd(teacher)}"
        return _item(None, "answers", how)
    saved = f"({_usd(teacher)} an answer of the teacher - {_usd(student)} one of the student)"
    return _item(total / (teacher - student), "answers", f"{_usd(total)} for making the student ÷ {saved}")


def _per_point(spent: Spent, total: float, hours: float) -> dict[str, Any]:
    if not spent.lead_is_clear:
        why = "none: the student is not clearly better than its base"
        return {"usd_per_point": _item(None, "USD", why), "hours_per_point": _item(None, "h", why)}
    points = POINTS * spent.lead
    without = f"; the machine's price is {_NOT_GIVEN}" if spent.usd_per_hour is None else ""
    gained = f"{points:.1f} points more than the base"
    return {
        "usd_per_point": _item(total / points, "USD", f"{_usd(total)} for making the student ÷ {gained}{without}"),
        "hours_per_point": _item(hours / points, "h", f"{hours:.3f} h of collecting and training ÷ {gained}"),
    }


def _student_usd(spent: Spent) -> float | None:
    """Of one answer."""
    return None if spent.usd_per_hour is None else spent.student_s * spent.usd_per_hour / 3600


def _told(rate: float | None, text: str) -> str:
    return _NOT_GIVEN if rate is None else text


def _usd(value: float) -> str:
    return f"{value:,.{4 if value == 0 or value >= 0.01 else 8}f} USD"  # noqa: PLR2004 - a cent


def _item(value: float | None, unit: str, how: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "how": how}
