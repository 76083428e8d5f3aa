"""heldout.json as lines that people read on a terminal."""

from collections.abc import Iterator
from typing import Any

from finetune.nearness import AGREEMENT, BYTE
from finetune.reporting.headline import gap
from finetune.reporting.heldout import Apart, Heldout, make_heldout
from finetune.reporting.report import Interval
from finetune.reporting.words import ascii_spaces
from harvester.records import count_of

TITLES = {
    "nats_per_byte": "nats per byte",
    "nats_per_token": "nats per token",
    "divergence": "divergence",
    "agreement": "agreement",
}
ALIKE, TOO_FEW = "cannot be told apart", "too few prompts"
WARNINGS = {
    "worse": "the student finds the teacher's answers less likely than its base does: use the base instead",
    ALIKE: "the student is not shown to be nearer to the teacher than its base is",
    TOO_FEW: "with so few prompts it cannot be said whether the student is nearer to the teacher than its base is",
}


def nearness_table(result: dict[str, Any]) -> str:
    """Each measure of each model, the differences, the share of the gap, and what speaks against it."""
    found = make_heldout(result)
    said = nearness_warnings(found)
    return ascii_spaces("\n".join([*_lines(found), *([""] if said else []), *(f"WARNING: {text}" for text in said)]))


def nearness_cells(found: Heldout) -> Iterator[tuple[str, str, str, str, str]]:
    """What, of whom, over how many prompts, its mean and how sure that is."""
    for measure, title in TITLES.items():
        for model, measures in found.models.items():
            if (one := measures.get(measure)) is not None:
                yield title, model, str(one.n), f"{one.mean:.4f}", mean_span(one.interval)
        for apart in found.differences:
            if apart.measure == measure:
                yield title, f"{apart.arm} - {apart.than}", str(apart.n), f"{apart.value:+.4f}", apart_span(apart)


def nearness_notes(found: Heldout) -> list[str]:
    """What was measured, how much of the gap is closed, and whether the student has seen the prompts."""
    rows, closed = found.rows, gap(found.gap_closed)
    of = "" if found.gap_closed.value is None else " of the nats per byte that the base has more than the teacher"
    compared = f"{rows.with_lists} with lists that compare, {rows.with_teacher} with the teacher's own likelihood"
    return [
        f"the teacher's answers to held-out prompts: {count_of(rows.measured, 'row')}, {compared}",
        *(f"left out: {count_of(count, 'row')}: {reason}" for reason, count in rows.left_out.items()),
        f"gap closed: {closed}{of}",
        f"test prompts also in train: {found.overlap.prompts} of {found.overlap.of}",
    ]


def nearness_warnings(found: Heldout) -> list[str]:
    """What speaks against the student, or against the measurement."""
    lead = next((one for one in found.differences if (one.measure, one.than) == (BYTE, "base")), None)
    words = in_words(lead) if lead else TOO_FEW
    said = [WARNINGS[words]] if words in WARNINGS else []
    if found.overlap.prompts:
        seen = f"{found.overlap.prompts} of the {found.overlap.of} held-out prompts were also in the training data"
        said.append(f"{seen}, so the student looks better than it is")
    return said


def _lines(found: Heldout) -> Iterator[str]:
    *measured, closed, overlap = nearness_notes(found)
    yield from measured
    yield ""
    yield f"{'measure':<16}{'of':<20}{'n':>5}{'mean':>10}   95 % interval"
    for title, name, n, value, sure in nearness_cells(found):
        yield f"{title:<16}{name:<20}{n:>5}{value:>10}   {sure}"
    yield from ("", closed, overlap)


def mean_span(interval: Interval | None) -> str:
    """A mean's interval."""
    return f"none: {TOO_FEW}" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def apart_span(one: Apart) -> str:
    """A difference's interval and what it says, or why there is none."""
    if one.interval is None:
        return one.refusal or TOO_FEW
    low, high = one.interval
    return f"{low:+.4f} to {high:+.4f}   {in_words(one)}"


def in_words(one: Apart) -> str:
    """Whether `arm` is better than `than`."""
    if one.interval is None:
        return TOO_FEW
    low, high = one.interval
    if low <= 0 <= high:
        return ALIKE
    return "better" if (low > 0) == (one.measure == AGREEMENT) else "worse"
