"""Compacting: everything that is stored comes out as it was."""

from pathlib import Path
from typing import Any

import pytest

from harvester.auditing import audit
from harvester.errors import StoreUnusable
from harvester.store import StoreWriter, choosing
from harvester.store.compacting import compact
from harvester.store.dictionaries import COPIES, packing_of
from harvester.store.packing import Packing, number_of
from harvester.store.schema import REVISIONS

from talks import COUNT, LEFT, contents, files, query, rows  # isort: skip - a helper beside the tests
from toy_store import answer, make_empty  # isort: skip - a helper beside the tests


def test_everything_comes_out_as_it_was_in_less_room(store: Path) -> None:
    before, seen = contents(store), rows(store)
    found = compact(store)
    assert found.bytes_before > found.bytes_after == store.stat().st_size
    assert found.damaged == 0
    assert contents(store) == before
    assert rows(store) == seen
    assert audit(store).problems == ()
    assert query(store, "PRAGMA freelist_count") == [(0,)]
    assert {number_of(raw) for (raw,) in query(store, "SELECT raw FROM replies")} != {0}
    assert files(store) == {"harvest.db"}


def test_the_schema_is_the_same_to_the_letter(store: Path) -> None:
    its = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
    before = query(store, its)
    compact(store)
    assert query(store, its) == before
    assert query(store, "PRAGMA journal_mode") == [("wal",)]


def test_done_again_it_changes_nothing(store: Path) -> None:
    compact(store)
    packed, size = query(store, "SELECT body, raw FROM requests JOIN replies ON request_id = id"), store.stat().st_size
    assert compact(store).bytes_after == size
    assert query(store, "SELECT body, raw FROM requests JOIN replies ON request_id = id") == packed
    assert query(store, "SELECT count(*) FROM dictionaries") == [(2 * COPIES,)]


def test_what_comes_after_it_is_packed_alike(store: Path) -> None:
    compact(store)
    with StoreWriter.open(store) as writer:
        answer(writer, 1, range(COUNT - LEFT + 1, COUNT + 1))
        with writer.engine.connect() as connection:
            packing = packing_of(connection)
    last = query(store, "SELECT raw FROM replies WHERE request_id = ?", COUNT)[0][0]
    newest = packing.newest("replies")
    assert newest
    assert number_of(last) == newest.number
    assert rows(store)[-1].reply
    assert audit(store).problems == ()


def test_free_pages_are_given_back(store: Path) -> None:
    query(store, "CREATE TABLE big AS SELECT randomblob(2000000)")
    query(store, "DROP TABLE big")
    assert query(store, "PRAGMA freelist_count")[0][0] > 400
    assert compact(store).bytes_after < 2_000_000


def test_what_only_the_log_holds_is_taken_in(store: Path, tmp_path: Path) -> None:
    """A copy of a store under way: its newest answers are in the log beside it."""
    with StoreWriter.open(store) as writer:
        answer(writer, 1, [COUNT])
        copy = tmp_path / "copy" / "harvest.db"
        copy.parent.mkdir()
        for suffix in ("", "-wal"):
            copy.with_name(f"harvest.db{suffix}").write_bytes(store.with_name(f"harvest.db{suffix}").read_bytes())
    assert copy.with_name("harvest.db-wal").stat().st_size
    compact(copy)
    assert rows(copy)[-1].reply == rows(store)[-1].reply


def test_an_older_store_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "harvest.db"
    make_empty(path, REVISIONS[0])
    with pytest.raises(StoreUnusable, match="`harvester store compact` or `harvester collect` brings it up to date"):
        rows(path)
    compact(path)
    assert rows(path) == []


# --- damage


def test_a_damaged_reply_stays_what_it_is(store: Path) -> None:
    query(store, "UPDATE replies SET raw = x'00' WHERE request_id = 3")
    query(store, "UPDATE replies SET sha256 = x'00' WHERE request_id = 4")
    query(store, "UPDATE requests SET body = 'text' WHERE id = 5")
    problems = audit(store).problems
    assert compact(store).damaged == 3
    assert audit(store).problems == problems
    assert query(store, "SELECT raw FROM replies WHERE request_id = 3") == [(b"\0",)]


def test_what_is_damaged_keeps_the_dictionary_that_it_needs(store: Path, monkeypatch: Any) -> None:
    compact(store)
    query(store, "UPDATE replies SET sha256 = x'00' WHERE request_id = 4")
    before, better = rows(store), choosing.better

    def another(found: choosing.Sample, holds: str, packing: Packing) -> tuple[Packing, choosing.Gain]:
        learnt = choosing.trained(found.texts[::-1], holds, 4 << 10)
        assert learnt
        return Packing([*packing.dictionaries, learnt]), better(found, holds, packing)[1]

    monkeypatch.setattr(choosing, "better", another)
    assert compact(store).damaged == 1
    assert rows(store) == before
    assert query(store, "SELECT count(DISTINCT number) FROM dictionaries") == [(3,)]


@pytest.mark.parametrize(
    "damage",
    [
        "data = zeroblob(length(data)) WHERE id <= 2",
        "data = 'text' WHERE id <= 2",
        "number = number + 1 WHERE id <= 2",
        "number = number + 1 WHERE id > 2",  # what comes last packs
        "holds = 'other' WHERE id <= 2",
    ],
)
def test_one_damaged_copy_of_a_dictionary_harms_nothing_and_is_mended(store: Path, damage: str) -> None:
    compact(store)
    before = rows(store)
    query(store, f"UPDATE dictionaries SET {damage}")  # noqa: S608 - from above
    assert rows(store) == before
    assert len(audit(store).problems) == 2
    assert "one of its copies is damaged; `harvester store compact` writes it anew" in audit(store).problems[0]
    compact(store)
    assert audit(store).problems == ()
    assert rows(store) == before


def test_without_any_copy_the_store_says_what_is_wrong_and_keeps_all(store: Path) -> None:
    compact(store)
    query(store, "UPDATE dictionaries SET data = x'00'")
    with pytest.raises(StoreUnusable, match=r"is damaged \(its dictionary \d+ is missing or damaged itself\)"):
        rows(store)
    before = query(store, "SELECT * FROM replies"), query(store, "SELECT * FROM dictionaries")
    with pytest.raises(StoreUnusable, match=r"every copy of its dictionary \d+ is damaged; restore a copy"):
        compact(store)
    assert (query(store, "SELECT * FROM replies"), query(store, "SELECT * FROM dictionaries")) == before
