"""What is said of a store's room is so, and looking changes nothing."""

import json
from pathlib import Path

import pytest

from harvester.errors import StoreUnusable
from harvester.store import StoreWriter, room
from harvester.store.compacting import compact
from harvester.store.engine import plainly
from harvester.store.schema import REVISIONS

from toy_store import add_talk, answer, begin, make_empty, replied  # isort: skip - a helper beside the tests

COUNT = 400


@pytest.fixture
def talk(path: Path) -> Path:
    with StoreWriter.open(path) as store:
        run_id = begin(store, add_talk(store, COUNT))
        answer(store, run_id, range(1, COUNT + 1))
    return path


def test_the_parts_are_the_whole(talk: Path) -> None:
    found = room.room(talk)
    assert found.every_page
    used = sum(part.bytes for part in found.parts)
    assert used + found.free_bytes == found.file_bytes == talk.stat().st_size
    assert found.parts[0].bytes == max(part.bytes for part in found.parts)
    assert {part.table for part in found.parts if part.name == "rows_in_order"} == {"rows"}
    assert found.counts == {"requests": COUNT, "rows": COUNT, "replies": COUNT, "runs": 1, "plans": 1}
    assert found.bytes_per_1000_rows == round(used / COUNT * 1000)


def test_what_is_estimated_is_near_to_what_is_counted(talk: Path) -> None:
    with plainly(talk, "ro") as connection:
        values = "SELECT sum(length(raw) + length(sha256) + length(received_at)) FROM replies"
        least = connection.execute(values).fetchone()[0]
    found = room.room(talk, every_page=False)
    assert not found.every_page
    sizes = {part.name: part.bytes for part in found.parts}
    assert least <= sizes["replies"] <= 1.2 * least
    assert sum(sizes.values()) + found.free_bytes == found.file_bytes


def test_without_dbstat_it_is_estimated(talk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_SIZES", "SELECT name, pgsize FROM no_such_table")
    assert not room.room(talk, every_page=True).every_page


def test_a_large_file_is_read_as_a_whole_only_when_asked_to(talk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "EVERY_PAGE_BYTES", 1000)
    assert not room.room(talk).every_page
    assert room.room(talk, every_page=True).every_page


def test_what_compacting_would_win_is_about_what_it_wins(talk: Path) -> None:
    reckoned = room.room(talk)
    won = compact(talk)
    assert won.bytes_after <= reckoned.needed_bytes
    assert won.bytes_after == pytest.approx(reckoned.compacted_bytes, rel=0.1)
    after = room.room(talk)
    assert after.dictionaries == 2
    assert after.replies.packed_bytes < 0.7 * reckoned.replies.packed_bytes
    assert after.replies.unpacked_bytes == reckoned.replies.unpacked_bytes


def test_what_log_probabilities_take_is_their_share_of_the_replies(path: Path) -> None:
    content = [{"token": "a", "logprob": -0.5, "top_logprobs": []}] * 50
    message = {"role": "assistant", "content": "a" * 50}
    reply = {"choices": [{"message": message, "finish_reason": "stop", "logprobs": {"content": content}}]}
    with StoreWriter.open(path) as store:
        run_id = begin(store, add_talk(store, 2))
        raw = json.dumps(reply, separators=(",", ":")).encode()
        store.apply([replied(store, run_id, 1, raw=raw)])
    listed = len(json.dumps(content, separators=(",", ":")))
    assert room.room(path).logprobs_share == pytest.approx(listed / len(raw), abs=0.01)


def test_looking_neither_writes_nor_waits_for_a_writer(talk: Path) -> None:
    with StoreWriter.open(talk) as store:
        answer(store, begin(store, 1), [])
        before = talk.read_bytes(), talk.with_name("harvest.db-wal").read_bytes()
        found = room.room(talk)
        assert found.writer
        assert found.log_bytes == len(before[1]) > 0
        assert (talk.read_bytes(), talk.with_name("harvest.db-wal").read_bytes()) == before


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_schema_can_be_looked_at(path: Path, revision: str) -> None:
    make_empty(path, revision)
    found = room.room(path)
    assert (found.schema, found.newest_schema) == (revision, REVISIONS[-1])
    assert found.bytes_per_1000_rows is None


def test_free_pages_and_what_a_killed_compaction_left_are_counted(talk: Path) -> None:
    with plainly(talk, "rw") as connection:
        connection.execute("CREATE TABLE big AS SELECT randomblob(1000000)")
        connection.execute("DROP TABLE big")
    talk.with_name("harvest.db.compacting").write_bytes(bytes(1234))
    found = room.room(talk)
    assert found.free_bytes >= 1_000_000
    assert found.leftover_bytes == 1234
    assert found.compacted_bytes < found.file_bytes - 1_000_000


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="no store there yet"):
        room.room(tmp_path / "harvest.db")
