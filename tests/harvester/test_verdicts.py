"""A person's word is kept with who, when and why; the last one counts."""

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


@pytest.mark.parametrize(("kind", "answer"), [("edit", None), ("accept", "text"), ("reject", "")])
def test_an_edit_and_nothing_else_brings_a_new_answer(kind: verdicts.Kind, answer: str | None) -> None:
    with pytest.raises(BadInput, match="an edit"):
        Verdict("a", kind, answer=answer)


def test_a_file_that_is_no_database_is_told_in_one_line(tmp_path: Path) -> None:
    store = tmp_path / "harvest.db"
    verdicts.beside(store).write_bytes(b"not a database" * 100)
    with pytest.raises(StoreUnusable, match=r"harvest.verdicts.db: .*not a database"):
        verdicts.said(store)
