"""What the data was, in the words of the dataset's card."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.reporting.words import percent, plain

MIDDLE = 10
"""Place of the median among quantiles 5 % apart."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What binds whoever uses a teacher's answers."""

    title: str
    verdict: str
    source: str
    duties: tuple[str, ...]
    claimed: str | None  # the user's own basis, and who accepted it


@dataclass(frozen=True, slots=True)
class DataCard:
    """The section of a report on its dataset."""

    facts: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str, str], ...]  # step, reason, rows
    bindings: tuple[Binding, ...] | None  # None where the dataset does not say


def data_card(data: Mapping[str, Any]) -> DataCard:
    """The report's `data` for people; keys that older reports lack are left out."""
    left_out = data.get("left_out") or {}
    terms = data.get("terms")
    return DataCard(
        facts=tuple((name, text) for name, text in _facts(data) if text),
        left_out=tuple(
            (step, str(reason), plain(count))
            for step, key in (("export", "harvest"), ("training", "training"))
            for reason, count in (left_out.get(key) or {}).items()
        ),
        bindings=None if terms is None else tuple(_binding(one) for one in terms),
    )


def _facts(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Recipe", str(data.get("recipe") or "")
    yield "Teacher's model", plain(data.get("models"), "")
    yield "Provider", plain(data.get("providers"), "")
    yield "Rows in the dataset", plain(data.get("rows"), "")
    yield "Rows learnt from", plain(data.get("learnt_from"), "")
    asked, accepted = data.get("asked"), data.get("accepted")
    if asked and accepted is not None:
        yield "Accepted", f"{plain(accepted)} of {plain(asked)} answers ({percent(accepted / asked)})"
    yield "Verified by", plain(data.get("verify"), "")
    if data.get("unfiltered"):
        yield "Unfiltered", "rejected answers were trained on, too"
    if cut := (data.get("cut") or {}).get("rows"):
        yield "Cut", f"{plain(cut)} rows lost the ends of their answers"
    lengths = data.get("completion_tokens")
    if isinstance(lengths, Sequence) and len(lengths) > MIDDLE:
        yield (
            "Teacher's answers",
            f"median {plain(lengths[MIDDLE])} tokens, {plain(lengths[0])} to {plain(lengths[-1])}",
        )
    for seeds in data.get("seeds") or ():
        yield f"Seeds for {seeds.get('split')}", f"{seeds.get('path')}, licence: {seeds.get('license') or 'unstated'}"


def _binding(terms: Mapping[str, Any]) -> Binding:
    basis = terms.get("basis")
    duties = [*(terms.get("obligations") or ())]
    duties += [f"show “{text}”" for text in terms.get("show") or ()]
    duties += [f"pass along: {text}" for text in terms.get("pass_on") or ()]
    if terms.get("name_prefix"):
        duties.append(f"the student's name begins with “{terms['name_prefix']}”")
    return Binding(
        title=f"{terms.get('teacher', 'teacher')}: {terms.get('id')}",
        verdict=str(terms.get("verdict")),
        source=f"source: {terms.get('source') or '-'}; as of {terms.get('as_of') or '-'}",
        duties=tuple(dict.fromkeys(str(duty) for duty in duties)),
        claimed=f"{basis} (accepted by {terms.get('accepted_by') or 'nobody named'})" if basis else None,
    )
