"""Which texts `curate.decontaminate` names, and what is said of a bad entry."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from harvester.curating.contamination_sources import held_out_texts
from harvester.errors import BadInput
from harvester.recipe import Recipe
from harvester.recipe.curation import Benchmark

Texts = list[tuple[str, str, str]]


@pytest.fixture
def texts(folder: Any) -> Callable[..., Texts]:
    """What `decontaminate` says → (source, item, text) of the recipe's folder."""

    def read(*named: str | Benchmark, default: bool = False) -> Texts:
        return list(held_out_texts(Recipe.load(folder.path), None if default else named))

    return read


def lines(*values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


LONG = "a b c d e f g h i j k l m"


def test_the_recipes_held_out_seeds_where_nothing_is_named(folder: Any, texts: Callable[..., Texts]) -> None:
    assert texts(default=True) == []
    folder.write("held.jsonl", lines({"text": "one", "n": 4}, {"text": "two", "reference": {"names": [LONG]}}))
    folder.data["heldout"] = {"path": "held.jsonl"}
    folder.save()
    assert texts(default=True) == [
        ("held.jsonl", "1", "one"),
        ("held.jsonl", "2", "two"),
        ("held.jsonl", "2", LONG),
    ]
    assert texts() == []


def test_the_names_of_classes_and_short_answers_in_a_reference_are_not_looked_for(
    folder: Any, texts: Callable[..., Texts]
) -> None:
    labels = ["Refund", "Card payment fee was charged twice", LONG[:-2]]
    folder.write("held.jsonl", lines(*({"text": "one", "reference": label} for label in labels)))
    assert [text for _, _, text in texts("held.jsonl")] == ["one"] * 3
    assert [text for _, _, text in texts(Benchmark(path="held.jsonl", fields=("reference",)))] == []


def test_files_and_benchmarks_in_their_order(folder: Any, texts: Callable[..., Texts]) -> None:
    folder.write("a.jsonl", lines({"text": "from a"}))
    folder.write("b.csv", "question,answer,topic\nwho,me,x\nwhy,so,y\nhow,thus,z\n")
    assert texts("a.jsonl", Benchmark(path="b.csv", fields=("question", "answer"), limit=2)) == [
        ("a.jsonl", "1", "from a"),
        ("b.csv", "2", "who"),
        ("b.csv", "2", "me"),
        ("b.csv", "3", "why"),
        ("b.csv", "3", "so"),
    ]


def test_columns_are_renamed_before_fields_are_chosen(folder: Any, texts: Callable[..., Texts]) -> None:
    folder.write("b.csv", "frage,antwort\nwer,ich\n")
    assert texts(Benchmark(path="b.csv", columns={"question": "frage"}, fields=("question",))) == [
        ("b.csv", "2", "wer")
    ]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("nothing.jsonl", "recipe.yaml: curate.decontaminate.0.path: there is no file"),
        ("../outside.jsonl", "is outside the recipe's folder"),
        ("broken.jsonl", "broken.jsonl: line 2: not JSON"),
        (
            Benchmark(path="good.jsonl", fields=("question",)),
            "good.jsonl: line 1: has no 'question', which curate.decontaminate.0.fields names; it has text, topic",
        ),
    ],
)
def test_a_bad_entry_is_told_in_one_line(
    folder: Any, texts: Callable[..., Texts], named: str | Benchmark, said: str
) -> None:
    folder.write("../outside.jsonl", lines({"text": "out"}))
    folder.write("broken.jsonl", lines({"text": "one"}) + "{\n")
    folder.write("good.jsonl", lines({"text": "one", "topic": "t"}))
    with pytest.raises(BadInput) as told:
        texts(named)
    assert said in str(told.value)
    assert "\n" not in str(told.value)
