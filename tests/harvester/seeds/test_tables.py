"""What holds for tables of every format."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from harvester.errors import BadInput
from harvester.seeds import Place, files_digest, places

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NAMES = st.lists(TEXTS.map(str.strip).filter(bool), min_size=1, max_size=4, unique=True)
TABLES = NAMES.flatmap(
    lambda names: st.lists(st.fixed_dictionaries(dict.fromkeys(names, TEXTS)), min_size=1, max_size=5)
)
FORMATS = ("a.jsonl", "a.csv", "a.tsv", "a.parquet", "saved", "hub")


def write(root: Path, name: str, rows: list[dict[str, Any]]) -> None:
    path = root / name
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix in (".csv", ".tsv"):
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",", quoting=csv.QUOTE_ALL)
            table.writerows([list(rows[0]), *([row[column] for column in rows[0]] for row in rows)])
    elif path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif name == "saved":
        datasets.Dataset(pa.Table.from_pylist(rows)).save_to_disk(path)
    else:
        (path / "data").mkdir(parents=True)
        write(path, "data/train-0.parquet", rows)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=TABLES)
def test_a_table_of_texts_gives_the_same_seeds_in_every_format(read: Any, root: Path, rows: Any) -> None:
    for name in FORMATS[:4]:
        write(root, name, rows)
    seeds = read("a.jsonl")
    assert [
        {**seed.data, **({"reference": seed.reference} if "reference" in rows[0] else {})} for seed in seeds
    ] == rows
    assert all(read(name) == seeds for name in FORMATS[1:4])


@pytest.fixture
def tables(root: Path) -> Path:
    rows = [{"question": f"س {number}", "answer": str(number), "level": "easy"} for number in range(5)]
    for name in FORMATS:
        write(root, name, rows)
    return root


@pytest.mark.parametrize("name", FORMATS)
def test_columns_are_renamed_and_the_others_kept(read: Any, tables: Path, name: str) -> None:
    seeds = read(name, columns={"text": "question", "reference": "answer"}, limit=2)
    assert [(dict(seed.data), seed.reference) for seed in seeds] == [
        ({"text": "س 0", "level": "easy"}, "0"),
        ({"text": "س 1", "level": "easy"}, "1"),
    ]


def test_two_names_can_be_exchanged(read: Any, tables: Path) -> None:
    first = read("a.csv", columns={"question": "answer", "answer": "question"})[0]
    assert first.data == {"question": "0", "answer": "س 0", "level": "easy"}


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"text": "qestion"}, "line 2: has no 'qestion', which `columns` renames; it has question, answer, level"),
        ({"level": "question"}, "line 2: already has a 'level'; choose another new name in `columns`"),
    ],
)
def test_a_renaming_that_does_not_fit_is_refused(read: Any, tables: Path, columns: Any, says: str) -> None:
    with pytest.raises(BadInput) as error:
        read("a.csv", columns=columns)
    assert says in str(error.value)


def test_the_limit_counts_over_all_files(read: Any, tables: Path) -> None:
    assert len(read(["a.jsonl", "a.csv"], limit=7)) == 7
    assert read(["a.jsonl", "a.csv"], limit=7)[:5] == read("a.parquet")


def test_a_limit_reads_no_further(read: Any, tables: Path) -> None:
    with (tables / "a.jsonl").open("a", encoding="utf-8") as file:
        file.write("not JSON\n")
    assert len(read("a.jsonl", limit=5)) == 5
    with pytest.raises(BadInput, match="line 6"):
        read("a.jsonl", limit=6)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("a.jsonl", Place("a.jsonl", "line", 5)),
        ("a.csv", Place("a.csv", "line", 5)),
        ("a.parquet", Place("a.parquet", "row", 4)),
        ("saved", Place("saved", "row", 4)),
        (["a.csv", "a.jsonl"], Place("a.csv", "line", 5)),
    ],
)
def test_the_place_of_a_seed_is_found_again(stated: Any, tables: Path, path: Any, place: Place) -> None:
    text = (tables / "a.jsonl").read_text(encoding="utf-8")
    (tables / "a.jsonl").write_text("\n" + text, encoding="utf-8")
    found = places(stated(path), "train", [1, 4])
    assert found[4] == Place(str(tables / place.file), place.unit, place.number)
    assert set(found) == {1, 4}


@pytest.mark.parametrize("name", FORMATS)
def test_the_digest_changes_with_what_is_read_and_how(stated: Any, tables: Path, name: str) -> None:
    digests = [
        files_digest(stated(name)),
        files_digest(stated(name, limit=3)),
        files_digest(stated(name, columns={"text": "question"})),
    ]
    write_to = {"saved": "saved/data-00000-of-00001.arrow", "hub": "hub/data/train-0.parquet"}.get(name, name)
    with (tables / write_to).open("ab") as file:
        file.write(b" ")
    digests.append(files_digest(stated(name)))
    assert len(set(digests)) == 4
    assert files_digest(stated(name)) == digests[3] == files_digest(stated([name], license="CC0-1.0"))


def test_a_copy_of_a_folder_has_its_digest(stated: Any, tables: Path) -> None:
    shutil.copytree(tables / "hub", tables / "other")
    assert files_digest(stated("hub")) == files_digest(stated("other"))
