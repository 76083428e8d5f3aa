"""truncated: only what nothing but a cut leaves behind is a sign of one."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.curating.base import Drop, Example
from harvester.curating.truncated import Truncated

FILTER = Truncated()
PROSE = "The sea is deep. It is cold at the bottom. Few fish live there. "


def row(answer: str, finish_reason: str | None = "stop") -> Example:
    return Example(1, "row", "train", "seed", {}, "A question?", answer, finish_reason=finish_reason)


CUT = [
    ("open code fence", "Here:\n```python\nprint(1)"),
    ("open code fence", "~~~\ntext"),
    ("open code fence", "The code:\n~~~~\ntext"),
    ("open code fence", "So:\n\n~~~~~~~~\ntext"),
    ("open code fence", "```python\nx = 1\n```\nand\n\n   ```js\nlet y"),
    ("open code fence", "1. So:\n   ````md\n   ```\n   x\n   ```"),
    ("open JSON", '{"a": 1, '),
    ("open JSON", '{"a": "some te'),
    ("open JSON", '{"a": tru'),
    ("open JSON", '{"a": 1.'),
    ("open JSON", '{"a": -'),
    ("open JSON", '["a", "b"'),
    ("open JSON", '{"a": [1, {"b": 2}'),
    ("open JSON", '{"a": "line\nbreak", "b": '),
    ("open JSON", '{"a": "\\u00'),
    ("open JSON", '[{"name": "李", "city": "北京"}, {"name": "王'),
    ("open reasoning", "<think>\nFirst, I add 2 and 3."),
    ("open reasoning", "<thinking>Hm."),
    ("open \\boxed", "So it is \\boxed{\\frac{1}{2"),
    ("open LaTeX environment", "\\begin{align}\nx &= 1 \\\\\ny &="),
    ("open LaTeX environment", "so $f = \\begin{cases} 1 & x > 0"),
]
WHOLE = [
    "Here:\n```python\nprint(1)\n```",
    "Here:\n```python\nprint(1)\n```\nDone",
    "````md\n```\ncode\n```\n````",
    "```markdown\n# Title\n```python\nx\n```\n```",  # fences within a fence, as models write them
    "~~~\n```\n~~~",
    "Title\n~~~~~\n\nSome text about it.",  # headings of reStructuredText
    "Intro.\n\nWhy\n~~~~\nSo.\n\nHow\n~~~~~~\nThus.\n\n~~~~~~~\nOverall\n~~~~~~~\nWell.",
    "~~~~\ncode and more code\nx\n~~~~\nDone",
    "Type ``` to open a fence.",
    "The end of a block\n```",  # a fence too many holds nothing
    '{"a": 1}',
    '{"a": 1} is the record',
    "{'a': 1",
    "[1] Smith, 2020.",
    "[Verse 1]\nThe sun",
    "[x + y",
    "[x",
    "[0, 1) is half open",
    '{"a": "b}',
    '["say "hi" now]',
    "{ x | x > 0",
    "<p>An open paragraph",
    "<think>Two and three.</think> 5",
    "The tag <think> opens the reasoning.",
    "\\boxed{\\frac{1}{2}}",
    "\\boxed{\\{1, 2\\}}",
    "Put it into `\\boxed{`.",
    "\\begin{align} x &= 1 \\end{align}",
    "\\begin{a*}\\begin{b}\\end{b}\\end{a*}",
    "To start a list, write \\begin{itemize} and then the items.",
    "`\\begin{itemize}` starts a list.",
    "No full stop at the end",
    "",
]


@pytest.mark.parametrize(("sign", "answer"), CUT)
def test_a_cut_is_seen(sign: str, answer: str) -> None:
    assert FILTER.look(row(answer)) == Drop("truncated", {"sign": sign})


@pytest.mark.parametrize("answer", WHOLE)
@pytest.mark.parametrize("finish_reason", ["stop", None])
def test_a_whole_answer_passes(answer: str, finish_reason: str | None) -> None:
    assert FILTER.look(row(answer, finish_reason)) is None


@pytest.mark.parametrize("finish_reason", ["length", "max_tokens", "MAX_TOKENS"])
def test_the_replys_own_word_is_enough(finish_reason: str) -> None:
    assert FILTER.look(row("Whole.", finish_reason)) == Drop(
        "truncated", {"sign": f"finish_reason {finish_reason.lower()}"}
    )


@pytest.mark.parametrize(
    ("answer", "cut"),
    [
        (PROSE + "In the evening,", True),
        (PROSE + "Some of them (", True),
        ("海很深。底下很冷。鱼很少。到了晚上，", True),
        ("البحر عميق. قاعه بارد. السمك قليل. وفي المساء،", True),
        (PROSE + "In the eve", False),  # a word that is not whole cannot be told from one that is
        (PROSE + "In the evening", False),
        ("In the evening,", False),
        (PROSE + "\nO sea, O sky,", False),
        ("x = f(1,", False),
    ],
)
def test_without_a_finish_reason_prose_may_not_stop_at_a_comma(answer: str, cut: bool) -> None:
    assert (FILTER.look(row(answer, None)) is not None) is cut
    assert FILTER.look(row(answer, "stop")) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.text(max_size=4), inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(max_size=4), VALUES, min_size=1), data=st.data())
@settings(deadline=None)
def test_json_passes_whole_and_hardly_ever_cut(value: object, data: st.DataObject) -> None:
    text = json.dumps(value)
    assert FILTER.look(row(text)) is None
    part = text[: data.draw(st.integers(1, len(text) - 1))].rstrip()
    # A string cut behind a bracket of its own may as well lack a quotation mark.
    if "}" not in part and "]" not in part:
        assert FILTER.look(row(part)) == Drop("truncated", {"sign": "open JSON"})


PIECES = [
    "```",
    "\n",
    "~~~",
    "{",
    "[",
    '"',
    "\\boxed{",
    "\\begin{a}",
    "\\end{a}",
    "}",
    "<think>",
    "`",
    "\\",
    "9" * 5000,
    "[" * 2000,
    "\ud800",
]


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join), st.sampled_from([None, "stop"]))
@settings(deadline=None)
def test_any_text_is_looked_at_and_always_in_the_same_way(answer: str, finish_reason: str | None) -> None:
    assert FILTER.look(row(answer, finish_reason)) == FILTER.look(row(answer, finish_reason))
