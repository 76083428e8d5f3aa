"""What is recalled from the store, and found by the short way, is what judging everything anew in a tree gives."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.exporting.lineages import Ended, Lineage, alone, in_tree, lineages
from harvester.exporting.recalling import Judgements
from harvester.judging import Rules
from harvester.recipe import Recipe
from harvester.store import StoredRow
from harvester.store.schema import ANSWERED, EXHAUSTED, FAILED, PENDING
from harvester.store.stored import StoredReply

TERMS = {"id": "x", "verdict": "allowed", "as_of": "", "basis": None}
ONE_STEP = [{"name": "a", "prompt": "a.j2", "verify": {"json_schema": {"type": "object", "required": ["n"]}}}]
JUDGED = [
    {**ONE_STEP[0], "samples": 2},
    {"name": "b", "kind": "judge", "prompt": "b.j2", "min_score": 2, "select": "best_of_n"},
]
SPLITS = ("train", "dev", "test")
TEXTS = ('{"n": 1}', '{"n": 2}', "{}", "prose", "", '{"score": 1}', '{"score": 3, "reason": "good"}')


def recipe(steps: Sequence[dict[str, Any]]) -> Recipe:
    teacher = {"base_url": "embedded", "model": "m"}
    return Recipe.model_validate({"name": "r", "teacher": teacher, "seeds": {"path": "s.jsonl"}, "steps": list(steps)})


def stored(number: int, state: str, text: str, *, step: str = "a", parent: int | None = None, **more: Any) -> StoredRow:
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    raw = json.dumps({"choices": [choice]}).encode()
    reply = StoredReply(raw, 0, "2026-01-01T00:00:00+00:00", "teacher", "p", TERMS) if state == ANSWERED else None
    values = {"split": "train", "position": 0, "sample": 0, "part": 0, "rules": None, "outcome": None, **more}
    return StoredRow(
        id=number,
        row_id=f"row{number}",
        request_key=f"key{number}",
        request_body=b'{"messages":[],"model":"m"}',
        state=state,
        reason=None if state == ANSWERED else "why",
        step=step,
        seed_id="s",
        seed={"text": "x"},
        seed_text='{"text":"x"}',
        reference=None,
        reply=reply,
        parent=parent,
        **values,
    )


def kept(row: StoredRow, rules: Rules) -> StoredRow:
    """A row as a run leaves it in the store: judged, and with no checks."""
    if row.reply is None:
        return row
    return row._replace(rules=rules.of_step(row.step), outcome=replace(rules.judge_row(row)[1], checks=()))


def seen(found: Lineage | Ended) -> Any:
    if isinstance(found, Ended):
        return found.row.id, found.reason
    steps = found.steps
    return (
        found.row.id,
        found.answer,
        found.outcome,
        found.made_from,
        found.judged_by,
        found.group,
        found.verified,
        steps,
    )


def of_test(row: StoredRow) -> bool:
    return row.split == "test"


states = st.sampled_from([ANSWERED, ANSWERED, ANSWERED, FAILED, PENDING, EXHAUSTED])
splits = st.sampled_from(SPLITS)


@settings(deadline=None)  # a loaded machine is no failure
@given(st.lists(st.tuples(states, st.sampled_from(TEXTS), splits, st.booleans()), max_size=8))
def test_the_only_row_of_a_seed_comes_to_what_its_tree_says(given: list[tuple[str, str, str, bool]]) -> None:
    plain = recipe(ONE_STEP)
    rules = Rules(plain)
    rows = [stored(number, state, text, split=split) for number, (state, text, split, _) in enumerate(given)]
    rows = [kept(row, rules) if known else row for row, (*_, known) in zip(rows, given, strict=True)]
    short, long = Judgements(rules, of_test), Judgements(rules, of_test)
    assert [seen(alone(row, short)) for row in rows] == [
        seen(one) for row in rows for one in in_tree(plain, [row], long)
    ]


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(states, st.sampled_from(TEXTS), splits), min_size=1, max_size=2), max_size=4))
def test_recalled_outcomes_are_those_of_judging_anew(groups: list[list[tuple[str, str, str]]]) -> None:
    judged = recipe(JUDGED)
    rules = Rules(judged)
    rows = []
    for position, group in enumerate(groups):
        split = group[0][2]
        for sample, (state, text, _) in enumerate(group):
            number, where = position * 10 + sample, dict[str, Any](position=position, split=split)
            rows.append(stored(number, state, text, sample=sample, **where))
            verdict = TEXTS[5 + sample]
            rows.append(stored(number + 5, state, verdict, step="b", parent=number, **where))
    anew = list(lineages(judged, rows, rules))
    recalled = list(lineages(judged, [kept(row, rules) for row in rows], rules))
    for one, other in zip(anew, recalled, strict=True):
        assert seen(one)[1:3] == seen(other)[1:3]


def test_checks_of_rejected_answers_come_where_they_are_asked_for() -> None:
    plain = recipe(ONE_STEP)
    rules = Rules(plain)
    rows = [stored(number, ANSWERED, "prose", split=split, position=number) for number, split in enumerate(SPLITS)]
    rows = [kept(row, rules) for row in rows]
    found = [one for one in lineages(plain, rows, rules, explained=of_test) if isinstance(one, Lineage)]
    assert [(one.outcome.drop_reason, len(one.outcome.checks)) for one in found] == [
        ("verify:json_schema", 0),
        ("verify:json_schema", 0),
        ("verify:json_schema", 1),
    ]


def test_what_other_rules_made_of_a_row_is_judged_anew() -> None:
    plain = recipe(ONE_STEP)
    row = kept(stored(1, ANSWERED, "prose"), Rules(plain))
    assert row.outcome is not None
    stale = row._replace(rules="others", outcome=replace(row.outcome, accepted=True, drop_reason=None))
    (found,) = lineages(plain, [stale], Rules(plain), explained=lambda _: False)
    assert isinstance(found, Lineage)
    assert found.outcome.drop_reason == "verify:json_schema"
