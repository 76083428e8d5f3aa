"""What a student costs and when it pays: every number with its unit and the sum behind it."""

from dataclasses import dataclass
from typing import Any

POINTS = 100
"""Of a score: one is a hundredth."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What the sums are made of."""

    harvest_usd: float
    minutes: dict[str, float]  # collect, train, evaluate
    usd_per_hour: float | None  # of the machine; None where nobody said
    teacher_usd: float | None  # per answer, mean over the held-out prompts
    student_s: float | None  # per answer, as measured
    lead: float  # score of student - base, in [-1, 1]
    lead_is_clear: bool  # its interval is above 0


def bill(spent: Spent) -> dict[str, Any]:
    """The report's `cost`: name → value, unit, and the sum it comes from or the reason there is none."""
    hours, rate = sum(spent.minutes[part] for part in ("collect", "train")) / 60, spent.usd_per_hour
    machine = None if rate is None else hours * rate
    total = spent.harvest_usd + (machine or 0.0)
    priced = "the machine's price, which is not given" if machine is None else f"{machine:.6f}"
    return {
        "harvest": _item(spent.harvest_usd, "USD", "as the teacher's answers were billed"),
        "machine": _item(machine, "USD", _told(rate, f"{hours:.3f} h of collecting and training x {rate} USD/h")),
        "student_to_be": _item(total, "USD", f"{spent.harvest_usd:.6f} + {priced}"),
        **_answers(spent),
        "break_even": _break_even(spent, total),
        **_per_point(spent, total, hours),
    }


def _answers(spent: Spent) -> dict[str, Any]:
    teacher, student = spent.teacher_usd, _student_usd(spent)
    each = None if spent.student_s is None else round(spent.student_s, 6)
    told = _told(spent.usd_per_hour, f"{each} s x {spent.usd_per_hour} USD/h ÷ 3600 x 1,000")
    return {
        "teacher_per_1000_answers": _item(
            None if teacher is None else 1000 * teacher, "USD", "mean of the held-out answers' own cost x 1,000"
        ),
        "student_seconds_per_1000_answers": _item(
            None if spent.student_s is None else 1000 * spent.student_s, "s", "measured in this evaluation, in batches"
        ),
        "student_per_1000_answers": _item(None if student is None else 1000 * student, "USD", told),
    }


def _break_even(spent: Spent, total: float) -> dict[str, Any]:
    teacher, student = spent.teacher_usd, _student_usd(spent)
    if not teacher:
        return _item(None, "answers", "none: the teacher's answers cost nothing that was recorded")
    if student is None:
        return _item(None, "answers", _told(spent.usd_per_hour, "none: the student's speed was not measured"))
    if student >= teacher:
        return _item(
            None, "answers", f"none: an answer of the student costs {student:.6f} USD, the teacher's {teacher:.6f}"
        )
    return _item(total / (teacher - student), "answers", f"{total:.6f} ÷ ({teacher:.8f} - {student:.8f})")


def _per_point(spent: Spent, total: float, hours: float) -> dict[str, Any]:
    if not spent.lead_is_clear:
        why = "none: the student is not clearly better than its base"
        return {"usd_per_point": _item(None, "USD", why), "hours_per_point": _item(None, "h", why)}
    points = POINTS * spent.lead
    without = "; the machine's price is not given" if spent.usd_per_hour is None else ""
    return {
        "usd_per_point": _item(total / points, "USD", f"{total:.6f} ÷ {points:.1f} points over base{without}"),
        "hours_per_point": _item(hours / points, "h", f"{hours:.3f} ÷ {points:.1f} points over base"),
    }


def _student_usd(spent: Spent) -> float | None:
    """Of one answer."""
    if spent.usd_per_hour is None or spent.student_s is None:
        return None
    return spent.student_s * spent.usd_per_hour / 3600


def _told(rate: float | None, text: str) -> str:
    return "not given: say what the machine costs with --usd-per-hour" if rate is None else text


def _item(value: float | None, unit: str, how: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "how": how}
