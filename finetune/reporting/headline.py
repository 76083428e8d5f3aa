"""What was found, in sentences that need no table; what speaks against the student comes first."""

from finetune.intervals import Interval
from finetune.reporting.report import Arm, Difference, Gap, Report
from finetune.reporting.words import GAP, number, percent, points, points_span, span


def warnings(report: Report) -> list[str]:
    """Why the student should not be used, or its score not be believed; empty where all is well."""
    return [text for text in (_against_base(report), _dev(report), _overlap(report)) if text]


def verdict(report: Report) -> list[str]:
    """How many prompts each got right, and how much the student gained."""
    student, teacher, base = (report.arms.get(arm) for arm in ("student", "teacher", "base"))
    if student is None:
        return ["No student was evaluated."]
    said = [_right(student, teacher, base)]
    lead = _lead(report)
    if lead is not None and lead.interval is not None and lead.interval[0] > 0:
        said.append(f"It is {number(100 * lead.value, 1)} points better than the base model ({_sure(lead.interval)}).")
    if teacher is not None and base is not None:
        said.append(_recovered(report.gap_recovered))
    return said


def gap(found: Gap | None) -> str:
    """The share recovered with its interval, or why it is not given."""
    if found is None:
        return "not recorded"
    if found.value is None:
        return f"not given: {found.refusal or 'no reason was recorded'}"
    return f"{percent(found.value)} (95{GAP}% interval {span(found.interval)})"


def in_words(found: Difference) -> str:
    """What a difference and its interval mean."""
    if found.interval is None:
        return found.refusal or "how sure it is was not recorded"
    if found.interval[0] > 0:
        return "better"
    return "worse" if found.interval[1] < 0 else "cannot be told apart"


def _lead(report: Report) -> Difference | None:
    found = (one for one in report.differences or () if (one.arm, one.than) == ("student", "base"))
    return next(found, None)


def _against_base(report: Report) -> str | None:
    lead = _lead(report)
    if lead is None:
        return None
    if lead.interval is None:
        why = lead.refusal or "how sure the difference is was not recorded"
        return f"Whether the student is better than its base model cannot be said: {why}."
    low, high = lead.interval
    if low > 0:
        return None
    if high < 0:
        less = f"{number(-100 * lead.value, 1)} points ({_sure(lead.interval)})"
        return f"The student is worse than its base model, by {less}: use the base model instead."
    found = f"the difference is {points(lead.value)} points, and its {_sure(lead.interval)} includes 0"
    return f"The student is not shown to be better than its base model: {found}."


def _dev(report: Report) -> str | None:
    before, after = report.run.dev_loss_before, report.run.dev_loss
    if before is None or (after is not None and after <= before):
        return None
    now = "no number any more" if after is None else f"{after:.3g}"
    losses = f"the loss was {before:.3g} before and is {now} after (in nats; lower is better)"
    return f"Training made it worse on the dev split: {losses}. Try a lower learning rate, fewer epochs or more rows."


def _overlap(report: Report) -> str | None:
    found = report.overlap
    if found is None or not found.prompts:
        return None
    seen = f"{found.prompts} of the {found.of} held-out prompts were also in the training data"
    return f"{seen}, so the student's score is too good to be believed."


def _right(student: Arm, teacher: Arm | None, base: Arm | None) -> str:
    others = [
        f"{name} {_count(arm, bare=arm.n == student.n)}"
        for name, arm in (("the teacher", teacher), ("the base model", base))
        if arm is not None
    ]
    rest = f"; {', '.join(others)}" if others else ""
    return f"The student answers {_count(student)} held-out prompts right{rest}."


def _count(arm: Arm, *, bare: bool = False) -> str:
    right = arm.score * arm.n
    if abs(right - round(right)) > 1e-6:  # noqa: PLR2004 - several samples of a prompt share its weight
        return percent(arm.score) if bare else f"{percent(arm.score)} of {arm.n}"
    return f"{round(right)}" if bare else f"{round(right)} of {arm.n}"


def _recovered(found: Gap | None) -> str:
    if found is None:
        return "How much of the teacher's lead it recovered was not recorded."
    if found.value is None:
        reason = found.refusal or "no reason was recorded"
        return f"How much of the teacher's lead it recovered cannot be said: {reason}."
    sure = f" (95{GAP}% interval {span(found.interval, 0)})" if found.interval else ""
    return f"It recovered {percent(found.value, 0)}{sure} of the teacher's lead over the base model."


def _sure(interval: Interval) -> str:
    return f"95{GAP}% interval {points_span(interval)}"
