"""heldout.json as lines that people read on a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from finetune.nearness import AGREEMENT, BYTE
from finetune.reporting.words import ascii_spaces, percent, span
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


def nearness_table(found: Mapping[str, Any]) -> str:
    """Each measure of each model, the differences, the share of the gap, and what speaks against it."""
    return ascii_spaces("\n".join(_lines(found)))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    rows = found["rows"]
    yield (
        f"the teacher's answers to held-out prompts: {count_of(rows['measured'], 'row')},"
        f" {rows['with_lists']} with lists that compare, {rows['with_teacher']} with the teacher's own likelihood"
    )
    for reason, count in rows["left_out"].items():
        yield f"left out: {count_of(count, 'row')}: {reason}"
    yield ""
    yield f"{'measure':<16}{'of':<20}{'n':>5}{'mean':>10}   95 % interval"
    for measure, title in TITLES.items():
        for model, measures in found["models"].items():
            if (one := measures[measure]) is not None:
                yield _line(title, model, one["n"], f"{one['mean']:.4f}", _span(one["interval"]))
        for one in found["differences"]:
            if one["measure"] == measure:
                name = f"{one['arm']} - {one['than']}"
                yield _line(title, name, one["n"], f"{one['value']:+.4f}", _sure(one))
    yield ""
    yield f"gap closed: {_gap(found['gap_closed'])}"
    overlap = found["overlap"]
    yield f"test prompts also in train: {overlap['prompts']} of {overlap['of']}"
    if said := list(_warnings(found)):
        yield ""
        yield from (f"WARNING: {text}" for text in said)


def _line(title: str, name: str, n: int, value: str, sure: str) -> str:
    return f"{title:<16}{name:<20}{n:>5}{value:>10}   {sure}"


def _span(interval: list[float] | None) -> str:
    return f"none: {TOO_FEW}" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def _sure(one: Mapping[str, Any]) -> str:
    if one["interval"] is None:
        return str(one["refusal"])
    low, high = one["interval"]
    return f"{low:+.4f} to {high:+.4f}   {_in_words(one)}"


def _in_words(one: Mapping[str, Any]) -> str:
    if one["interval"] is None:
        return TOO_FEW
    low, high = one["interval"]
    if low <= 0 <= high:
        return ALIKE
    return "better" if (low > 0) == (one["measure"] == AGREEMENT) else "worse"


def _gap(gap: Mapping[str, Any]) -> str:
    if gap["value"] is None:
        return f"not given: {gap['refusal']}"
    return (
        f"{percent(gap['value'])} (95 % interval {span(tuple(gap['interval']))}) of the nats per byte that the base has"
        " more than the teacher"
    )


def _warnings(found: Mapping[str, Any]) -> Iterator[str]:
    lead = next(one for one in found["differences"] if (one["measure"], one["than"]) == (BYTE, "base"))
    if (words := _in_words(lead)) in WARNINGS:
        yield WARNINGS[words]
    overlap = found["overlap"]
    if overlap["prompts"]:
        seen = f"{overlap['prompts']} of the {overlap['of']} held-out prompts were also in the training data"
        yield f"{seen}, so the student looks better than it is"
