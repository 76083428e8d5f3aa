"""Pairs: read from a dataset, rendered, and refused where they are not what they should be."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from toys import make_pair, make_row, write_dataset, write_pairs

from finetune.collate import packed, padded, row_of
from finetune.data import fingerprint, open_dataset
from finetune.errors import BadInput
from finetune.preference import PAIRS, SAME, Choice, Pair, read_choices, rendered
from finetune.rendering import IGNORED, Example, Renderer
from harvester.exporting.preference import PAIRS as EXPORTED

ASKED = ({"role": "user", "content": "ask"},)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "d", {"train": [make_row(1)]})


def test_what_is_read_is_what_is_exported() -> None:
    assert [EXPORTED.field(field.name).type for field in PAIRS] == PAIRS.types


def test_pairs_are_read_by_split(dataset: Path) -> None:
    pairs = {"train": [make_pair(1, chosen="a"), make_pair(2)], "dev": [make_pair(3, prompt="dev")]}
    found = read_choices(write_pairs(dataset, pairs))
    assert [choice.chosen for choice in found["train"]] == ["a", "good"]
    assert found["dev"] == [Choice(({"role": "user", "content": "dev"},), "good", "bad")]


def test_the_rows_of_a_dataset_with_pairs_are_read_as_ever(dataset: Path) -> None:
    assert [row.row_id for row in open_dataset(write_pairs(dataset, {"train": [make_pair(1)]})).split("train")] == [
        "row1-0"
    ]


def test_other_pairs_make_another_dataset(dataset: Path) -> None:
    without = fingerprint(dataset)
    write_pairs(dataset, {"train": [make_pair(1)]})
    with_one = fingerprint(dataset)
    file = dataset / "preference" / "train-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist([make_pair(2)], schema=EXPORTED), file)
    assert len({without, with_one, fingerprint(dataset)}) == 3


@pytest.mark.parametrize("splits", [None, {"dev": [make_pair(1)]}, {"train": []}])
def test_a_dataset_without_pairs_names_the_mend(dataset: Path, splits: dict[str, list[dict[str, object]]]) -> None:
    if splits is not None:
        write_pairs(dataset, splits)
    with pytest.raises(BadInput, match=r"no pairs .*put `export: \{preference: true\}` into the recipe") as caught:
        read_choices(dataset)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"chosen": None}, "column 'chosen' is empty"),
        ({"prompt": []}, "column 'prompt' is empty"),
        ({"rejected": [{"role": "assistant", "content": None}]}, "column 'rejected' .* without role or content"),
        ({"chosen": [{"role": "user", "content": "a"}]}, "column 'chosen' must hold one message, an assistant's"),
        ({"chosen": [{"role": "assistant", "content": "a"}] * 2}, "column 'chosen' must hold one message"),
    ],
)
def test_a_pair_that_breaks_the_contract_is_one_line(dataset: Path, changed: dict[str, object], said: str) -> None:
    write_pairs(dataset, {"train": [make_pair(1), make_pair(2) | changed]})
    with pytest.raises(BadInput, match=f"train-00000-of-00001.parquet: pair of row row2-0: {said}.*export"):
        read_choices(dataset)


def test_a_column_that_is_missing_or_of_another_type_is_one_line(dataset: Path) -> None:
    types = {field.name: field.type for field in EXPORTED}
    del types["rejected"]
    write_pairs(dataset, {"train": [make_pair(1)]}, schema=pa.schema(types))
    with pytest.raises(BadInput, match="column 'rejected' is missing"):
        read_choices(dataset)


def test_a_damaged_file_is_one_line(dataset: Path) -> None:
    write_pairs(dataset, {"train": [make_pair(1)]})
    file = dataset / "preference" / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(BadInput, match=r"parquet: cannot be loaded .*export the dataset again"):
        read_choices(dataset)


def test_both_answers_are_rendered_after_the_same_prompt_and_end_their_turn(renderer: Renderer) -> None:
    (pair,) = rendered([Choice(ASKED, "ab", "abcd")], renderer, 100).pairs
    prompt = renderer.prompt_ids(ASKED)
    for example, answer in ((pair.chosen, "ab"), (pair.rejected, "abcd")):
        assert example.ids[: len(prompt)] == prompt
        assert example.labels[: len(prompt)] == (IGNORED,) * len(prompt)
        assert example.ids[-1] == example.labels[-1] == renderer.stop_ids[0]
        assert example.supervised == len(answer) + 1
    assert (pair.length, pair.supervised, pair.weight) == (2 * len(prompt) + 8, 8, 1)


def test_what_cannot_be_learnt_from_is_left_out_and_counted(renderer: Renderer) -> None:
    prompt = len(renderer.prompt_ids(ASKED))
    choices = [
        Choice(ASKED, "fine", "bad"),
        Choice(ASKED, "", "bad"),
        Choice(ASKED, "fine", " \n"),
        Choice(ASKED, "fine", "bad" * 9),
        Choice(ASKED, "fine" * 9, "bad"),
        Choice(ASKED, "fine", "b<|im_end|>d"),
        Choice(ASKED, "<|im_end|>", "bad"),
        Choice(ASKED, "same", "same"),
        Choice(({"role": "user", "content": "ask" * 99},), "fine", "bad"),
    ]
    found = rendered(choices, renderer, prompt + 10)
    assert len(found.pairs) == 1
    assert found.dropped == {
        "empty answer": 3,
        f"longer than {prompt + 10} tokens": 2,
        "end-of-turn token inside the answer": 1,
        SAME: 1,
        f"prompt alone fills {prompt + 10} tokens": 1,
    }


def test_no_pair_that_is_left_is_an_error_that_counts(renderer: Renderer) -> None:
    with pytest.raises(BadInput, match=rf"no pair is left to train on \(2 {SAME}\)"):
        rendered([Choice(ASKED, "a", "a")] * 2, renderer, 100).require()


def test_each_supervised_token_knows_its_row_packed_or_padded() -> None:
    rows = [
        Example((1, 2, 3), (IGNORED, 2, 3)),
        Example((4, 5), (4, 5)),
        Example((6, 7, 8, 9), (IGNORED, IGNORED, 8, 9)),
    ]
    for batch in (packed(rows), padded(rows, 0)):
        assert row_of(batch).tolist() == [0, 0, 1, 2, 2]
        assert batch.rows == 3
    nothing = packed([Example((0, 0), (IGNORED, IGNORED))])
    assert row_of(nothing).dtype == torch.long
    assert row_of(nothing).tolist() == []


def test_every_pair_counts_the_same_however_long() -> None:
    short, long = Example((1, 2), (IGNORED, 2)), Example((1, 2, 3, 4), (IGNORED, 2, 3, 4))
    assert Pair(short, long).weight == Pair(long, long).weight == 1
