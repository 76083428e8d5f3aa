"""What the data was, in the words of the dataset's card."""

from collections.abc import Iterator
from dataclasses import dataclass

from finetune.reporting.report import Data, LearntFrom, Soft, Terms
from finetune.reporting.words import NOT_RECORDED, percent, plain

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
    left_out_note: str  # of what the table does not have
    bindings: tuple[Binding, ...] | None  # None where the dataset does not say


def data_card(data: Data) -> DataCard:
    """The report's `data` for people; what older reports lack is left out."""
    by_step = {"export": data.left_out.harvest, "training": data.left_out.training}
    return DataCard(
        facts=tuple((name, text) for name, text in _facts(data) if text),
        left_out=tuple(
            (step, reason, plain(count)) for step, found in by_step.items() for reason, count in (found or {}).items()
        ),
        left_out_note=" ".join(
            f"What the {step} left out: {NOT_RECORDED}." if found is None else f"The {step} left out no row."
            for step, found in by_step.items()
            if not found
        ),
        bindings=None if data.terms is None else tuple(_binding(one) for one in data.terms),
    )


def learnt_from(found: LearntFrom) -> str:
    """How much of the train split training reached."""
    if found.of is None:
        return NOT_RECORDED
    if found.rows is None:
        return f"how many of the {found.of:,} rows of train was {NOT_RECORDED}"
    often = "" if found.passes is None else f", each {plain(round(found.passes, 2))} times on average"
    return f"{found.rows:,} rows (of {found.of:,} in train){often}"


def _facts(data: Data) -> Iterator[tuple[str, str]]:
    yield "Recipe", data.recipe or ""
    yield "Teacher's model", ", ".join(data.models)
    yield "Provider", ", ".join(data.providers)
    yield "Rows in the dataset", plain(data.rows) if data.rows else ""
    yield "Learnt from", learnt_from(data.learnt_from)
    tokens = data.learnt_from
    if tokens.supervised is not None and tokens.total is not None:
        yield "Tokens learnt from", f"{tokens.supervised:,} of answers; {tokens.total:,} with their prompts"
    if data.dev_rows:
        yield "Looked at while training", f"{data.dev_rows:,} rows of dev, none of them learnt from"
    if data.asked and data.accepted is not None:
        yield "Accepted", f"{data.accepted:,} of {data.asked:,} answers ({percent(data.accepted / data.asked)})"
    yield "Verified by", ", ".join(data.verify) or "nothing"
    if data.unfiltered:
        yield "Unfiltered", "rejected answers were trained on, too"
    if cut := data.cut.get("rows"):
        yield "Cut", f"{cut:,} rows lost the ends of their answers"
    if data.soft.rows:
        yield "The teacher's probabilities", _soft(data.soft)
    lengths = data.completion_tokens
    if len(lengths) > MIDDLE:
        yield (
            "Teacher's answers",
            f"median {plain(lengths[MIDDLE])} tokens, {plain(lengths[0])} to {plain(lengths[-1])}",
        )
    for seeds in data.seeds:
        yield f"Seeds for {seeds.split}", f"{seeds.path}, licence: {seeds.license or 'unstated'}"


def _soft(soft: Soft) -> str:
    places = "" if soft.positions is None else f" at {soft.positions:,} tokens"
    rest = "" if soft.rest is None else f"; what it did not list had {plain(round(soft.rest, 3))} on average"
    return f"learnt from {soft.rows:,} rows{places}{rest}; loss: {soft.loss or NOT_RECORDED}"


def _binding(terms: Terms) -> Binding:
    duties = [*terms.obligations]
    duties += [f"show “{text}”" for text in terms.show]
    duties += [f"pass along: {text}" for text in terms.pass_on]
    if terms.name_prefix:
        duties.append(f"the student's name begins with “{terms.name_prefix}”")
    return Binding(
        title=f"{terms.teacher}: {terms.id}",
        verdict=terms.verdict,
        source=f"source: {terms.source or '-'}; as of {terms.as_of or '-'}",
        duties=tuple(dict.fromkeys(duties)),
        claimed=f"{terms.basis} (accepted by {terms.accepted_by or 'nobody named'})" if terms.basis else None,
    )
