import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Never

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toys import make_row, write_dataset

from finetune.data import CONTRACT, open_dataset
from finetune.errors import BadInput


def test_opens_what_the_contract_says_without_network(toy_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Never:
        raise AssertionError("network used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    data = open_dataset(toy_dataset)
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 22, "dev": 4, "test": 8}
    row = data.split("test")[3]
    assert (row.seed_id, row.reference, row.answer) == ("seed203", 3, "3")
    assert row.prompt == ({"role": "user", "content": "test 3"},)
    assert data.notes.student.instruction == "Answer with the number."


def test_splits_that_are_all_null_in_some_columns_still_agree(tmp_path: Path) -> None:
    data = open_dataset(write_dataset(tmp_path / "d", {"train": [make_row(1)], "test": [make_row(2, reference=[1])]}))
    assert data.split("test")[0].reference == [1]


def test_missing_column_is_named(tmp_path: Path) -> None:
    rows = [{name: value for name, value in make_row(1).items() if name != "seed_id"}]
    schema = pa.schema([field for field in CONTRACT if field.name != "seed_id"])
    with pytest.raises(BadInput, match=r"data/train-00000-of-00001.parquet: column 'seed_id' is missing"):
        open_dataset(write_dataset(tmp_path / "d", {"train": rows}, schema=schema))


def test_wrong_column_type_is_named(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("sample", pa.string()) if field.name == "sample" else field for field in CONTRACT])
    with pytest.raises(BadInput, match=r"column 'sample' has type .*string.* contract says .*int32"):
        open_dataset(write_dataset(tmp_path / "d", {"train": [make_row(1) | {"sample": "0"}]}, schema=schema))


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([{"role": "assistant", "content": "a"}], "must end with an assistant"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "must end with an assistant"),
        ([{"role": "user", "content": None}, {"role": "assistant", "content": "b"}], "without role or content"),
    ],
)
def test_bad_messages_are_named_by_row(tmp_path: Path, messages: list[dict[str, str | None]], problem: str) -> None:
    with pytest.raises(BadInput, match=f"row row1-0: column 'messages' .*{problem}"):
        open_dataset(write_dataset(tmp_path / "d", {"train": [make_row(1) | {"messages": messages}]}))


@pytest.mark.parametrize("reference", ["{", "NaN", '"\\ud800"', "[" * 50_000])
def test_reference_that_is_not_json_is_named(tmp_path: Path, reference: str) -> None:
    with pytest.raises(BadInput, match="row row1-0: column 'reference' is not JSON"):
        open_dataset(write_dataset(tmp_path / "d", {"test": [make_row(1) | {"reference": reference}]}))


def test_a_row_without_its_seed_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="row row1-0: column 'seed_id' is null"):
        open_dataset(write_dataset(tmp_path / "d", {"test": [make_row(1) | {"seed_id": None}]}))


@pytest.mark.parametrize("column", ["messages", "teacher"])
def test_a_column_that_one_split_lacks_is_named(toy_dataset: Path, column: str) -> None:
    file = toy_dataset / "data" / "test-00000-of-00001.parquet"
    pq.write_table(pq.read_table(file).drop([column]), file)
    with pytest.raises(BadInput, match=f"test-00000-of-00001.parquet: column '{column}' is missing"):
        open_dataset(toy_dataset)


def test_damaged_parquet_is_one_clear_error(toy_dataset: Path) -> None:
    file = toy_dataset / "data" / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(BadInput, match="cannot be loaded") as caught:
        open_dataset(toy_dataset)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["data/train-00000-of-00001.parquet", "README.md", "harvester.json"])
@pytest.mark.parametrize("damage", [b"", b"\0" * 400, b"---\n: [\n---\n", b"---\n\xff\0\n---\n"])
def test_a_damaged_file_is_one_line_on_the_terminal_or_no_harm(
    toy_dataset: Path, part: str, damage: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (toy_dataset / part).write_bytes(damage)
    with suppress(BadInput) if part == "README.md" else pytest.raises(BadInput, match=r"\A.*export.*\Z"):
        open_dataset(toy_dataset)
    assert capfd.readouterr() == ("", "")


def test_a_folder_in_place_of_a_file_is_one_clear_error(toy_dataset: Path) -> None:
    file = toy_dataset / "data" / "train-00000-of-00001.parquet"
    file.unlink()
    file.mkdir()
    with pytest.raises(BadInput, match=r"train-00000-of-00001\.parquet: Is a directory"):
        open_dataset(toy_dataset)


def test_notes_are_checked(toy_dataset: Path) -> None:
    path = toy_dataset / "harvester.json"
    notes = json.loads(path.read_text())
    path.write_text(json.dumps(notes | {"format": 2}))
    with pytest.raises(BadInput, match=r"harvester\.json: format"):
        open_dataset(toy_dataset)
    path.unlink()
    with pytest.raises(BadInput, match=r"harvester\.json: No such file"):
        open_dataset(toy_dataset)


def test_absent_split_says_what_there_is(tmp_path: Path) -> None:
    data = open_dataset(write_dataset(tmp_path / "d", {"train": [make_row(1)]}))
    with pytest.raises(BadInput, match=r"no split 'test' \(found: train\)"):
        data.split("test")


def test_fingerprint_follows_the_bytes(tmp_path: Path) -> None:
    one = open_dataset(write_dataset(tmp_path / "a", {"train": [make_row(1)]}))
    same = open_dataset(write_dataset(tmp_path / "b", {"train": [make_row(1)]}))
    other = open_dataset(write_dataset(tmp_path / "c", {"train": [make_row(1, answer="x")]}))
    assert one.sha256 == same.sha256 != other.sha256


def test_a_dataset_of_the_same_name_and_card_is_not_taken_for_another(tmp_path: Path) -> None:
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: train, path: data/train-*}\n---\n"
    found = []
    for place, answer in (("one", "first"), ("two", "second")):
        folder = write_dataset(tmp_path / place / "dataset", {"train": [make_row(1, answer=answer)]})
        (folder / "README.md").write_text(card, encoding="utf-8")
        found.append(open_dataset(folder).split("train")[0].answer)
    assert found == ["first", "second"]
