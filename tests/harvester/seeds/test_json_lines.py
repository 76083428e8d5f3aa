"""Seed files: what a line may be, and what is kept from the teacher."""

from typing import Any

import pytest

from harvester.errors import BadInput
from harvester.recipe import Recipe
from harvester.seeds import read_seeds


def seeds(folder: Any) -> list[Any]:
    return list(read_seeds(Recipe.load(folder.path)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: a seed is a JSON object"),
        ('{"x": NaN}', "line 2: not JSON: NaN"),
        ('{"x": "\\ud800"}', "line 2: holds half of a surrogate pair"),
        ("[" * 100_000, "line 2: nested too deeply"),
    ],
)
def test_a_bad_line_is_named(folder: Any, line: str, message: str) -> None:
    folder.write("train.jsonl", '{"text": "fine"}\n' + line + "\n")
    with pytest.raises(BadInput, match=message):
        seeds(folder)


def test_text_that_is_not_utf8_is_said_so(folder: Any) -> None:
    (folder.path / "train.jsonl").write_bytes(b'{"text": "\xff\xfe"}\n')
    with pytest.raises(BadInput, match="save it as UTF-8"):
        seeds(folder)


def test_an_empty_file_is_refused(folder: Any) -> None:
    folder.write("train.jsonl", "\n\n")
    with pytest.raises(BadInput, match="has no seeds"):
        seeds(folder)


def test_a_path_out_of_the_folder_is_refused(folder: Any) -> None:
    (folder.path.parent / "outside.jsonl").write_text('{"text": "x"}\n', encoding="utf-8")
    folder.data["seeds"]["path"] = "../outside.jsonl"
    folder.save()
    with pytest.raises(BadInput, match="outside the recipe's folder"):
        seeds(folder)


def test_a_link_out_of_the_folder_is_refused(folder: Any) -> None:
    (folder.path.parent / "outside.jsonl").write_text('{"text": "x"}\n', encoding="utf-8")
    (folder.path / "train.jsonl").unlink()
    (folder.path / "train.jsonl").symlink_to(folder.path.parent / "outside.jsonl")
    with pytest.raises(BadInput, match="outside the recipe's folder"):
        seeds(folder)


def test_the_reference_is_no_field_of_the_seed(folder: Any) -> None:
    folder.write("train.jsonl", '{"text": "x", "reference": {"a": 1}}\n{"text": "x"}\n')
    first, second = seeds(folder)
    assert first.data == second.data == {"text": "x"}
    assert (first.reference, second.reference) == ({"a": 1}, None)


def test_splits_follow_the_files(folder: Any) -> None:
    folder.seeds("dev.jsonl", ["d"])
    folder.seeds("heldout.jsonl", ["h"])
    folder.data |= {"dev": {"path": "dev.jsonl"}, "heldout": {"path": "heldout.jsonl"}}
    folder.save()
    assert [seed.split for seed in seeds(folder)][-2:] == ["dev", "test"]


def test_copies_get_ids_of_their_own_also_across_the_files_of_a_split(read: Any, root: Any) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (root / name).write_text('{"text": "x"}\n{"text": "y", "reference": 1}\n', encoding="utf-8")
    both = read(["a.jsonl", "b.jsonl"])
    assert [seed.data["text"] for seed in both] == ["x", "y", "x", "y"]
    assert len({seed.seed_id for seed in both}) == 4
    assert both[:2] == read("a.jsonl") == read("b.jsonl")


def test_a_field_given_twice_is_refused(read: Any, root: Any) -> None:
    (root / "a.jsonl").write_text('{"text": "x"}\n{"a": {"b": 1, "b": 2}}\n', encoding="utf-8")
    with pytest.raises(BadInput, match="line 2: not JSON: the field 'b' is given twice; remove one"):
        read("a.jsonl")


def test_the_line_that_is_not_utf8_is_named(read: Any, root: Any) -> None:
    (root / "a.jsonl").write_bytes(b'{"text": "x"}\n' * 5000 + b'{"text": "\xe9"}\n')
    with pytest.raises(BadInput, match="not UTF-8 text: line 5001"):
        read("a.jsonl")
