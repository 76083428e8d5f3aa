"""What rows share is made once, and no row gets what is another's."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harvester.exporting.columns import Columns
from harvester.exporting.lineages import Lineage, lineages
from harvester.judging import Rules
from harvester.recipe import Recipe
from harvester.records import canonical
from harvester.store import StoredRow
from harvester.store.stored import StoredReply

LIKE_ONE = st.sampled_from([1, 1.0, True, "1", None, [1], [True], {"a": 1}, {"a": 1.0}])
TERMS = [{"id": name, "verdict": "allowed", "as_of": "", "basis": None} for name in ("x", "y")]


def recipe() -> Recipe:
    step = {"name": "a", "prompt": "a.j2", "verify": {}}
    teacher = {"base_url": "embedded", "model": "m"}
    return Recipe.model_validate({"name": "r", "teacher": teacher, "seeds": {"path": "s.jsonl"}, "steps": [step]})


def row(number: int, sampling: dict[str, Any], teacher: str, terms: dict[str, Any]) -> StoredRow:
    raw = json.dumps({"choices": [{"message": {"content": "said"}}]}).encode()
    return StoredRow(
        id=number,
        row_id=f"row{number}",
        request_key="k",
        request_body=canonical({"model": "m", "messages": [], **sampling}),
        state="answered",
        reason=None,
        step="a",
        split="train",
        position=number,
        seed_id="s",
        seed={"text": "x"},
        seed_text='{"text":"x"}',
        reference=None,
        sample=0,
        reply=StoredReply(raw, 0, "2026-01-01T00:00:00+00:00", teacher, "p", terms),
        parent=None,
        part=0,
        rules=None,
        outcome=None,
    )


samplings = st.dictionaries(st.sampled_from(["n", "seed"]), LIKE_ONE)


@given(st.lists(st.tuples(samplings, st.sampled_from(["one", "two"]), st.sampled_from(TERMS)), max_size=6))
def test_rows_have_their_own_sampling_and_terms(told: list[tuple[dict[str, Any], str, dict[str, Any]]]) -> None:
    rows = [row(number, *one) for number, one in enumerate(told)]
    columns = Columns(recipe())
    for (sampling, teacher, terms), lineage in zip(told, lineages(recipe(), rows, Rules(recipe())), strict=True):
        assert isinstance(lineage, Lineage)
        values = columns.values(lineage)
        assert values["sampling"] == canonical(sampling).decode()
        assert [(one["teacher"], one["id"]) for one in values["terms"]] == [(teacher, terms["id"])]
