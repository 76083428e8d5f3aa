"""Pairs of a better and a worse answer to one question: a second config of the dataset, for preference training."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from harvester.exporting.columns import Columns, each_once
from harvester.exporting.lineages import Lineage
from harvester.exporting.schema import SCHEMA
from harvester.selection import Group

NAME = "preference"
_MESSAGES = SCHEMA.field("messages").type
PAIRS = pa.schema(
    [
        ("prompt", _MESSAGES),
        ("chosen", _MESSAGES),
        ("rejected", _MESSAGES),
        ("score_chosen", pa.float64()),
        ("score_rejected", pa.float64()),
        ("row_id_chosen", pa.string()),
        ("row_id_rejected", pa.string()),
        *(SCHEMA.field(name) for name in ("seed_id", "seed", "recipe", "terms")),
    ]
)
Rank = tuple[bool, bool, bool, float]


def pairs(of_seed: Iterable[Lineage], columns: Columns) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, values for `PAIRS`) of each question whose answers differ in worth: its best and its worst answer.

    The best is an accepted one. Worth is a person's word (an answer that a person wrote, then one that a person
    accepted), then whether the verifiers pass it, then the judge's score. What a person stands by is never the worse of
    a pair; answers that are cut off, refused or empty are in no pair, and neither are two of the same text.

    Args:
        of_seed: the answers that were made from one seed.
        columns: give the values.
    """
    groups: defaultdict[Group, list[Lineage]] = defaultdict(list)
    for lineage in of_seed:
        if lineage.answer is not None and lineage.answer.status == "ok":
            groups[lineage.group].append(lineage)
    for group in groups.values():
        judged = any(lineage.outcome.score is not None for lineage in group)
        # An answer on which the judge said nothing of use is neither better nor worse.
        known = [one for one in group if one.vouched or not (judged and one.verified and one.outcome.score is None)]
        if known and (pair := _pair(known)):
            yield pair[0].row.split, _values(*pair, columns)


def _pair(group: Sequence[Lineage]) -> tuple[Lineage, Lineage] | None:
    best, worst = max(group, key=_rank), min(group, key=_rank)
    if not best.verified or worst.vouched or _rank(best) == _rank(worst) or _text(best) == _text(worst):
        return None
    return best, worst


def _rank(lineage: Lineage) -> Rank:
    score = lineage.outcome.score
    by_person = lineage.edited is not None, lineage.vouched
    return *by_person, lineage.verified, float("-inf") if score is None else score


def _text(lineage: Lineage) -> str:
    return lineage.answer.text if lineage.answer else ""


def _values(best: Lineage, worst: Lineage, columns: Columns) -> dict[str, Any]:
    chosen, rejected = columns.values(best), columns.values(worst)
    return {
        "prompt": chosen["messages"][:-1],
        "chosen": chosen["messages"][-1:],
        "rejected": rejected["messages"][-1:],
        "score_chosen": chosen["score"],
        "score_rejected": rejected["score"],
        "row_id_chosen": best.row.row_id,
        "row_id_rejected": worst.row.row_id,
        "seed_id": chosen["seed_id"],
        "seed": chosen["seed"],
        "recipe": chosen["recipe"],
        "terms": each_once([*chosen["terms"], *rejected["terms"]]),
    }
