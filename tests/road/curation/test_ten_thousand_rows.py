"""Ten thousand rows with faults planted among them, curated and exported; a script of its own recounts what is left."""

import json
import shutil
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from provider import Provider, serving  # isort: skip

from harbour import write_recipe  # isort: skip
from harbour_run import KEY, REPLY_KEY, Harbour  # isort: skip
from planted import ERROR_KEY  # isort: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def rows(dataset: Path) -> dict[str, dict[str, Any]]:
    """Id of the seed → row, of train and dev."""
    tables = (pq.read_table(path) for split in ("train", "dev") for path in dataset.glob(f"data/{split}-*"))
    return {json.loads(row["seed"])["id"]: row for table in tables for row in table.to_pylist()}


def planted_as(harbour: Harbour, words: str) -> dict[str, Any]:
    """A row of the ledger."""
    found: dict[str, Any] = next(row for row in harbour.ledger["rows"] if row["planted"].startswith(words))
    return found


def test_a_stranger_recounts_what_was_planted(harbour: Harbour) -> None:
    code, said = harbour.recount(harbour.folder.parent / "after")
    assert code == 0, said
    assert "of 10000 planted rows are there" in said
    code, said = harbour.recount(harbour.folder.parent / "before")
    assert code == 1, said


def test_what_curation_dropped_is_told_between_the_two_exports(harbour: Harbour) -> None:
    before, after = (harbour.folder.parent / name for name in ("before", "after"))
    found = json.loads(harbour.run("diff", before, after, "--recipe", harbour.folder, "--json"))
    counts = Counter(json.loads((after / "harvester.json").read_text(encoding="utf-8"))["dropped"])
    curated = {reason: count for reason, count in counts.items() if reason.startswith("curate:")}
    assert (found["added"], found["changed"], found["reasons"]) == ({}, 0, curated)
    assert sum(found["dropped"].values()) == sum(curated.values())


def test_an_unfiltered_export_holds_what_verifiers_refused_and_nothing_private(harbour: Harbour) -> None:
    out = harbour.export("unfiltered", "--unfiltered")
    code, said = harbour.recount(out)
    assert code == 0, said
    assert planted_as(harbour, "refused by the verifier")["id"] in rows(out)


def test_only_what_terms_allow_is_left_of_every_split(harbour: Harbour) -> None:
    out = harbour.export("allowed", "--only-terms", "allowed")
    code, said = harbour.recount(out)
    assert code == 0, said
    overall = json.loads((out / "harvester.json").read_text(encoding="utf-8"))["overall"]
    assert (overall["verdict"], overall["obligations"]) == ("allowed", [])


def test_another_format_holds_the_same_rows(harbour: Harbour) -> None:
    out = harbour.export("openai", "--format", "openai")
    for split in ("train", "dev", "test"):
        lines = [line for path in sorted(out.rglob(f"{split}*.jsonl")) for line in path.read_text("utf-8").splitlines()]
        tables = [pq.read_table(path) for path in sorted(harbour.folder.parent.glob(f"after/data/{split}-*"))]
        assert [json.loads(line)["messages"] for line in lines] == [
            messages for table in tables for messages in table["messages"].to_pylist()
        ]


def test_people_have_the_last_word_and_a_curation_can_be_taken_back(harbour: Harbour) -> None:
    store = harbour.folder.parent / "copy.db"
    shutil.copy(harbour.folder / "harvest.db", store)
    before, ledger = rows(harbour.folder.parent / "before"), json.loads(json.dumps(harbour.ledger))
    accepted, rejected = (
        planted_as(harbour, f"secrets: {words}")["id"] for words in ("GitHub token, en", "commit, en")
    )
    for id_, word in ((accepted, "accept"), (rejected, "reject")):
        harbour.run("verdict", before[id_]["row_id"], word, "--recipe", harbour.folder, "--store", store)
    spoken = {accepted: {"reason": None, "harm": None}, rejected: {"reason": "person:rejected"}}
    ledger["rows"] = [row | spoken.get(row["id"], {}) for row in ledger["rows"]]
    code, said = harbour.recount(harbour.export("spoken", "--store", store), ledger)
    assert code == 0, said
    dropped = [row for row in ledger["rows"] if (row["reason"] or "").startswith("curate:")]
    said = harbour.run("curate", harbour.folder, "--store", store, "--undo", "--json")
    assert json.loads(said)["taken_back"] > len(dropped)
    after = rows(harbour.export("undone", "--store", store))
    assert before.keys() - after.keys() == {rejected}
    assert {id_: row for id_, row in after.items() if id_ != accepted} == {
        id_: row for id_, row in before.items() if id_ not in (accepted, rejected)
    }


def test_no_key_is_in_what_is_written_or_said(harbour: Harbour) -> None:
    refuse = (401, {}, f"no such key: {KEY}, {ERROR_KEY}".encode())
    with serving(Provider(script=lambda _body, _before: refuse)) as provider:
        refusing = harbour.folder.parent / "refusing"
        shutil.copytree(harbour.folder, refusing, ignore=shutil.ignore_patterns("harvest*"))
        write_recipe(refusing, provider.url, "first")
        harbour.run("collect", refusing, "--limit", 3, code=5)
    assert "no such key: [key], [key]" in harbour.said
    written = [path for path in harbour.folder.parent.rglob("*") if path.is_file()]
    stored = list(compressed(harbour.folder / "harvest.db"))
    assert {"curation.html", "curation.json", "README.md", "harvest.db"} <= {path.name for path in written}
    for key in (KEY, ERROR_KEY, REPLY_KEY):
        assert key not in harbour.said
        holding = [path for path in written if key.encode() in path.read_bytes()]
        # Before curation, and after it was taken back, an export has what the teacher wrote.
        assert [path for path in holding if key != REPLY_KEY or not {"before", "undone"} & set(path.parts)] == []
        assert any(key.encode() in blob for blob in stored) == (key == REPLY_KEY)


def compressed(store: Path) -> Iterator[bytes]:
    """Everything that a store keeps compressed."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
        for query in ("SELECT body FROM requests", "SELECT raw FROM replies"):
            yield from (zlib.decompress(blob) for (blob,) in connection.execute(query))
