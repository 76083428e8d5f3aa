from pathlib import Path

import pytest
from toys import make_row, write_dataset

from finetune.data import Dataset, open_dataset
from finetune.errors import BadInput
from finetune.heldout import has_references, heldout_prompts, overlap


def test_overlap_ignores_case_and_spaces(tmp_path: Path) -> None:
    train_rows = [make_row(1, prompt="Hello  World"), make_row(2, prompt="other")]
    test_rows = [make_row(3, prompt="hello world\n", reference=1), make_row(4, prompt="hello", reference=1)]
    data = open_dataset(write_dataset(tmp_path / "d", {"train": train_rows, "test": test_rows}))
    assert overlap(data, heldout_prompts(data, None)) == {"prompts": 1, "of": 2}


def test_limit_takes_prompts_with_all_their_answers(toy_dataset: Path) -> None:
    prompts = heldout_prompts(open_dataset(toy_dataset), 2)
    assert [len(prompt.teacher) for prompt in prompts] == [2, 2]


def some_rows(folder: Path, references: list[int | None]) -> Dataset:
    rows = [make_row(number, reference=reference) for number, reference in enumerate(references)]
    return open_dataset(write_dataset(folder / "d", {"train": [make_row(9)], "test": rows}))


@pytest.mark.parametrize(
    ("references", "problem"),
    [
        ([1, None, 3], r"1 of its 3 rows \(the first: row1-0\) without a `reference`"),
        ([None, 2, None], r"2 of its 3 rows \(the first: row0-0\) without a `reference`"),
    ],
)
def test_where_some_rows_have_a_reference_those_without_are_named_and_counted(
    references: list[int | None], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=problem):
        has_references(some_rows(tmp_path, references))


@pytest.mark.parametrize(("references", "found"), [([1, 2], True), ([None, None], False)])
def test_all_rows_have_a_reference_or_none_has(references: list[int | None], found: bool, tmp_path: Path) -> None:
    assert has_references(some_rows(tmp_path, references)) is found


def test_a_dataset_without_test_split_is_refused(tmp_path: Path) -> None:
    data = open_dataset(write_dataset(tmp_path / "d", {"train": [make_row(1)]}))
    with pytest.raises(BadInput, match=r"no split 'test' \(found: train\)"):
        heldout_prompts(data, None)
