"""repetition: loops of every unit and script are found; poems, lists, tables and code pass."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.curating.base import Example
from harvester.curating.repetition import LEAST_BYTES, LEAST_TIMES, Repetition, loop

FILTER = Repetition()
POEM = (
    "In fog the lamp goes round and round,\nand round again it goes;\nthe sailors hear the lonely sound\n"
    "of every wind that blows.\n\n"
)
REFRAIN = "Row, row, row your boat,\ngently down the stream.\n"


def row(answer: str, prompt: str = "A question?", **more: Any) -> Example:
    return Example(1, "row", "train", "seed", {}, prompt, answer, **more)


LOOPS = {
    "a letter": "Sure: " + "a" * 300,
    "a token": "The answer is " + "no " * 100,
    "a syllable without spaces": "ok " + "lo" * 200,
    "a sentence": "Well. " + "The cat sat on the mat and looked at me. " * 8,
    "a sentence cut in the middle": "Well. " + "The cat sat on the mat and looked at me. " * 8 + "The cat sat on",
    "a line": "Countries:\n" + "| Japan | Tokyo |\n" * 20,
    "a paragraph": POEM * 5,
    "items of a list": "Tips:\n" + "".join(f"{n}. Avoid screens before bedtime.\n" for n in range(1, 21)),
    "items, the last one cut": "Tips:\n" + "".join(f"# {n}. Improve Your Sleep\n" for n in range(1, 21)) + "# 21",
    "Chinese": "好的。" + "猫坐在垫子上看着我。" * 12,
    "Japanese": "はい。" + "猫がいます。" * 20,
    "one Chinese letter": "是" * 100,
    "Arabic": "نعم. " + "القط يجلس على السجادة. " * 10,
    "Hindi": "हाँ। " + "बिल्ली चटाई पर बैठी है। " * 8,
    "Russian": "Да. " + "Кот сидит на коврике. " * 12,
    "Korean": "네. " + "고양이가 매트에 앉아 있다. " * 10,
    "zeros": "0." + "0" * 1200,
    "code that never ends": "```python\n" + "    print(value)\n" * 30,
}
LEGITIMATE = {
    "a poem": POEM,
    "a refrain": POEM + REFRAIN * 3,
    "three equal paragraphs": POEM * 3,
    "laughter": "He laughed: " + "ha" * 40,
    "a rule": "Title\n" + "-" * 200,
    "a matrix": "0 0 0 0 0 0 0 0 0 0\n" * 10,
    "a blank form": "".join(f"{n}. ____________\n" for n in range(1, 21)),
    "a list": "".join(
        f"{n}. {word} is a fruit that grows in warm places.\n"
        for n, word in enumerate(["apple", "fig", "date", "plum", "pear"])
    ),
    "a times table": "".join(f"{n} x 7 = {n * 7}\n" for n in range(1, 31)),
    "a numbered table": "".join(f"| {n} | yes | {n * 13 % 7} |\n" for n in range(40)),
    "closed code": "```python\n" + "print(0)\n" * 60 + "```",
    "SQL": "\n".join(f"INSERT INTO t (id, v) VALUES ({n}, 'x');" for n in range(60)),  # noqa: S608 - a text
    "SQL, rows in one": "INSERT INTO t VALUES\n" + ",\n".join(f"({n}, 'x', 'a longer text')" for n in range(60)) + ";",
    "JSON": "[" + ", ".join('{"name": "Kofi", "amount": 0, "date": null}' for _ in range(60)) + "]",
    "decimals": "1/3 = 0." + "3" * 200,
    "a diary": "".join(
        f"Day {n}: {n * 37 % 19} degrees, {n * 53 % 101} miles, {n * n % 97} eggs, wind from the {'NESW'[n * 7 % 4]}.\n"
        for n in range(60)
    ),
    "Chinese verse": "床前明月光，疑是地上霜。举头望明月，低头思故乡。" * 3,
    "emoji": "Great! " + "🎉" * 100,
    "empty": "",
}


@pytest.mark.parametrize("answer", LOOPS.values(), ids=LOOPS.keys())
@pytest.mark.parametrize("part", ["answer", "reasoning"])
def test_a_loop_is_found(part: str, answer: str) -> None:
    example = row(answer) if part == "answer" else row("An answer.", reasoning=answer)
    drop = FILTER.look(example)
    assert drop is not None
    assert (drop.reason, drop.detail["part"], drop.detail["kind"]) == ("repetition", part, "loop")


@pytest.mark.parametrize("answer", LEGITIMATE.values(), ids=LEGITIMATE.keys())
def test_what_repeats_for_a_reason_passes(answer: str) -> None:
    assert FILTER.look(row(answer, finish_reason="stop")) is None


def test_a_loop_with_changes_has_low_variety() -> None:
    words = ["red", "blue", "green"]
    answer = " ".join(
        f"The motor drives the wheel, and the {words[n * n % 3]} wheel drives the motor again." for n in range(60)
    )
    drop = FILTER.look(row(answer + " So it is."))
    assert drop is not None
    assert drop.detail["kind"] == "low variety"
    assert FILTER.look(row(f"Here:\n```\n{answer} So it is.\n```")) is None


def test_what_the_prompt_asks_to_repeat_passes_where_the_teacher_came_to_an_end() -> None:
    prompt, answer = "Write 'I will not talk in class' 20 times.", "I will not talk in class.\n" * 20
    assert FILTER.look(row(answer, prompt, finish_reason="stop")) is None
    assert FILTER.look(row(answer, prompt, finish_reason="length")) is not None
    assert FILTER.look(row(answer, finish_reason="stop")) is not None


@given(
    before=st.text(max_size=200),
    unit=st.text(st.characters(codec="utf-8", categories=["Ll", "Lo", "Zs"]), min_size=1, max_size=60).filter(
        lambda unit: unit.strip()
    ),
)
@settings(deadline=None)
def test_any_unit_that_repeats_to_the_end_is_found(before: str, unit: str) -> None:
    times = LEAST_TIMES + 2 + LEAST_BYTES // len(unit.strip().encode())
    found, counted = loop(before + unit * times)
    assert found
    assert counted >= LEAST_TIMES


@given(
    st.text() | st.lists(st.sampled_from(["a", "ab ", "\n", "1. ", "# 2", "```\n", "\ud800", "é" * 90])).map("".join)
)
@settings(deadline=None)
def test_any_text_is_looked_at_and_always_in_the_same_way(answer: str) -> None:
    assert FILTER.look(row(answer)) == FILTER.look(row(answer))
