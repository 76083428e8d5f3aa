"""What a row becomes in each format, against what the trainers' own documents say their columns are.

Read in November 2026: TRL's dataset formats <https://huggingface.co/docs/trl/dataset_formats>; LLaMA-Factory's
<https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md>; OpenAI's guide to supervised fine-tuning
<https://developers.openai.com/docs/guides/distillation>; Axolotl's package 0.19, prompt_strategies/chat_template.py.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.exporting.formats.records import axolotl, openai, preference, prompt_completion
from harvester.exporting.formats.table import FORMULA, cells, no_formula
from harvester.exporting.formats.turns import alpaca, ranking, sharegpt, talk
from harvester.exporting.schema import SCHEMA

HARD = 'مرحبا "you"\nline two\t\u2028🙂 \\n'


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


PROMPT = [
    message("system", "Be brief."),
    message("user", "one"),
    message("assistant", "1"),
    message("user", HARD),
]


def row(**more: Any) -> dict[str, Any]:
    return dict.fromkeys(SCHEMA.names) | {"messages": [*PROMPT, message("assistant", "two")], "row_id": "ab"} | more


PAIR = {
    "prompt": PROMPT,
    "chosen": [message("assistant", "good")],
    "rejected": [message("assistant", "bad")],
    "score_chosen": None,
    "row_id_chosen": "ab",
    "row_id_rejected": "cd",
}


def test_prompt_completion_parts_the_answer_from_what_was_said_before() -> None:
    assert prompt_completion(row()) == {"prompt": PROMPT, "completion": [message("assistant", "two")], "row_id": "ab"}


def test_preference_has_the_prompt_apart() -> None:
    assert preference(PAIR) == {name: value for name, value in PAIR.items() if name != "score_chosen"}


def test_openai_has_no_field_but_the_messages() -> None:
    assert openai(row()) == {"messages": [*PROMPT, message("assistant", "two")]}


def test_axolotl_has_reasoning_in_the_answer_where_there_is_some() -> None:
    thought = axolotl(row(reasoning="hm"))["messages"][-1]
    assert thought == {"role": "assistant", "reasoning_content": "hm", "content": "two"}
    for nothing in (None, ""):
        assert axolotl(row(reasoning=nothing))["messages"][-1] == message("assistant", "two")


def test_alpaca_has_the_last_question_the_system_prompt_and_the_turns_before() -> None:
    assert alpaca(row()) == {
        "instruction": HARD,
        "input": "",
        "output": "two",
        "system": "Be brief.",
        "history": [["one", "1"]],
        "row_id": "ab",
    }


def test_sharegpt_takes_turns_after_the_system_prompt() -> None:
    assert sharegpt(row())["conversations"] == [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "one"},
        {"from": "gpt", "value": "1"},
        {"from": "human", "value": HARD},
        {"from": "gpt", "value": "two"},
    ]


def test_a_ranking_ends_with_the_question_and_has_two_answers() -> None:
    record = ranking(PAIR)
    assert record["conversations"][-1] == {"from": "human", "value": HARD}
    assert (record["chosen"], record["rejected"]) == ({"from": "gpt", "value": "good"}, {"from": "gpt", "value": "bad"})


ROLES = st.sampled_from(["system", "user", "assistant"])


@given(st.lists(st.builds(message, ROLES, st.text(min_size=1)), min_size=1))
def test_no_text_of_a_prompt_is_lost_and_the_sides_alternate_whatever_its_order(prompt: list[dict[str, str]]) -> None:
    said = talk(prompt)
    whole = "\n".join([said.system, *(text for turn in said.turns for text in turn), said.question])
    assert all(one["content"] in whole for one in prompt)
    *conversation, answer = sharegpt(row(messages=[*prompt, message("assistant", "a")]))["conversations"]
    sides = [one["from"] for one in conversation if one["from"] != "system"]
    assert sides == ["human", "gpt"] * (len(sides) // 2) + ["human"]
    assert answer == {"from": "gpt", "value": "a"}


@pytest.mark.parametrize("begin", FORMULA)
def test_no_cell_begins_like_a_formula(begin: str) -> None:
    answer = f'{begin}HYPERLINK("http://x.example","click")'
    record = cells(row(messages=[message("user", answer), message("assistant", answer)], reference=answer, score=-0.5))
    assert [record["prompt"], record["answer"], record["reference"]] == [f"'{answer}"] * 3
    assert record["score"] == -0.5


@pytest.mark.parametrize("begin", ["\uff1d", "\uff0b", "\uff0d", "\uff20", "\n", "\n="])
def test_signs_in_full_width_and_a_line_feed_begin_no_cell(begin: str) -> None:
    assert no_formula(f"{begin}1+1") == f"'{begin}1+1"


@given(st.text())
def test_other_cells_are_as_they_were(text: str) -> None:
    assert no_formula(text) in (text, f"'{text}")
    assert not no_formula(text).startswith(FORMULA)


def test_a_table_shows_who_said_what_where_several_did() -> None:
    record = cells(row())
    assert record["system"] == "Be brief."
    assert record["prompt"] == f"user: one\n\nassistant: 1\n\nuser: {HARD}"
    assert cells(row(messages=[message("user", "q"), message("assistant", "a")]))["prompt"] == "q"
