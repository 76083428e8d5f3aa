"""A person's word is kept with who, when and why; the last one counts."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harvester import verdicts
from harvester.errors import BadInput, StoreUnusable
from harvester.verdicts import Verdict


def test_the_last_word_about_a_row_counts(tmp_path: Path) -> None:
    store = tmp_path / "harvest.db"
    assert verdicts.said(store) == {}
    verdicts.say(store, Verdict("a", "reject", note="wrong total", said_by="Amal", said_at="2026-11-01"))
    verdicts.say(store, Verdict("b", "accept"))
    edited = Verdict("a", "edit", answer="12 €", said_by="Amal", said_at="2026-11-02")
    verdicts.say(store, edited)
    assert verdicts.said(store) == {"a": edited, "b": Verdict("b", "accept")}


def test_a_withdrawn_word_counts_no_more(tmp_path: Path) -> None:
    store = tmp_path / "harvest.db"
    verdicts.say(store, Verdict("a", "reject"))
    verdicts.say(store, Verdict("a", "withdraw"))
    assert verdicts.said(store) == {}


def test_the_file_stands_beside_the_store_and_only_a_word_makes_it(tmp_path: Path) -> None:
    store = tmp_path / "harvest.db"
    verdicts.said(store)
    assert not verdicts.beside(store).exists()
    verdicts.say(store, Verdict("a", "accept"))
    assert [path.name for path in tmp_path.iterdir()] == ["harvest.verdicts.db"]


@pytest.mark.parametrize(
    ("kind", "answer", "mend"),
    [
        ("edit", None, "add --answer TEXT"),
        ("accept", "text", "accept takes no answer; say edit, or leave out --answer"),
        ("reject", "", "reject takes no answer"),
    ],
)
def test_an_edit_and_nothing_else_brings_a_new_answer(kind: verdicts.Kind, answer: str | None, mend: str) -> None:
    with pytest.raises(BadInput, match=mend):
        Verdict("a", kind, answer=answer)


def test_a_file_that_is_no_database_is_told_in_one_line(tmp_path: Path) -> None:
    store = tmp_path / "harvest.db"
    verdicts.beside(store).write_bytes(b"not a database" * 100)
    with pytest.raises(StoreUnusable, match=r"harvest.verdicts.db: .*not a database"):
        verdicts.said(store)


def test_a_file_without_a_word_says_nothing(tmp_path: Path) -> None:
    store = tmp_path / "harvest.db"
    verdicts.beside(store).write_bytes(b"")
    assert verdicts.said(store) == {}
    verdicts.say(store, Verdict("a", "accept"))
    assert verdicts.said(store) == {"a": Verdict("a", "accept")}


@pytest.mark.parametrize("field", ["row_id", "answer", "note", "said_by"])
def test_a_text_that_no_encoding_takes_is_refused(field: str) -> None:
    values = {"row_id": "a", "answer": "text", field: "\ud800"}
    with pytest.raises(BadInput, match=f"verdict: {field} is no text"):
        Verdict(kind="edit", **values)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (("a", "nonsense", None), "'nonsense' is no kind of verdict; say one of accept, reject, edit, withdraw"),
        (("a", "edit", b"\xff\x00"), "answer is no text"),
        (("a", "edit", None), "edit says"),
        ((None, "accept", None), "row_id is missing"),
    ],
)
def test_a_word_written_by_hand_that_is_none_is_named(tmp_path: Path, values: tuple[object, ...], says: str) -> None:
    store = tmp_path / "harvest.db"
    verdicts.say(store, Verdict("a", "accept"))
    with closing(sqlite3.connect(verdicts.beside(store))) as connection, connection:
        connection.execute("INSERT INTO verdicts (row_id, kind, answer) VALUES (?, ?, ?)", values)
    with pytest.raises(StoreUnusable, match=rf"harvest.verdicts.db: number 2: verdict: {says}"):
        verdicts.said(store)


def test_no_two_stores_share_a_file(tmp_path: Path) -> None:
    names = ["harvest", "harvest.db", "harvest.sqlite", "harvest.sqlite.db", "harvest.x.db"]
    assert len({verdicts.beside(tmp_path / name) for name in names}) == len(names)
