"""`verify` finds a flipped bit; `parse` judges stored replies again."""

import asyncio
import json
import sqlite3
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from harvester import cli
from harvester.auditing import audit
from harvester.collecting import collect, parse
from harvester.errors import StoreUnusable
from harvester.recipe import Recipe
from harvester.store import StoreReader


@pytest.fixture
def store(folder: Any) -> Path:
    folder.data["teacher"]["price"] = {"input": 1, "output": 2}
    folder.save()
    asyncio.run(collect(Recipe.load(folder.path)))
    return Path(folder.path) / "harvest.db"


def change(store: Path, statement: str, *values: Any) -> None:
    connection = sqlite3.connect(store)
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_an_untouched_store_has_no_problems(store: Path) -> None:
    found = audit(store)
    assert (found.requests, found.replies, found.rows, found.problems) == (10, 10, 10, ())
    assert found.sqlite == sqlite3.sqlite_version


def test_every_flipped_bit_of_a_reply_is_found(store: Path) -> None:
    connection = sqlite3.connect(store)
    (raw,) = connection.execute("SELECT raw FROM replies WHERE request_id = 3").fetchone()
    connection.close()
    for place in range(0, len(raw), 7):
        flipped = bytearray(raw)
        flipped[place] ^= 1
        change(store, "UPDATE replies SET raw = ? WHERE request_id = 3", bytes(flipped))
        assert any("reply to request 3" in problem for problem in audit(store).problems), place


def test_a_changed_prompt_is_found(store: Path) -> None:
    body = json.dumps({"model": "toy-1", "messages": [{"role": "user", "content": "another"}]})
    change(store, "UPDATE requests SET body = ? WHERE id = 2", zlib.compress(body.encode()))
    assert audit(store).problems == ("request 2: its body does not match its key",)


def test_a_lost_seed_is_found(store: Path) -> None:
    change(store, "DELETE FROM seeds WHERE seed_id = (SELECT seed_id FROM rows LIMIT 1)")
    assert "its seed or request is missing" in audit(store).problems[0]


def test_verify_fails_loudly(store: Path, monkeypatch: Any, capsys: Any) -> None:
    change(store, "UPDATE replies SET raw = x'00' WHERE request_id = 1")
    monkeypatch.setattr(sys, "argv", ["harvester", "verify", str(store)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, errors = capsys.readouterr()
    assert caught.value.code == 6
    assert "reply to request 1: damaged" in out
    assert errors.count("\n") == 1


def test_parse_judges_everything_again_and_asks_nobody(store: Path, folder: Any, provider: Any) -> None:
    asked = len(provider.asked)
    change(store, "UPDATE outcomes SET accepted = 0, drop_reason = 'an old judgement'")
    assert parse(Recipe.load(folder.path)) == 10
    with StoreReader.open(store) as reader:
        assert {row.outcome and row.outcome.accepted for row in reader.rows(1)} == {True}
    assert len(provider.asked) == asked


def test_parse_makes_no_store(folder: Any) -> None:
    with pytest.raises(StoreUnusable, match="no store there yet"):
        parse(Recipe.load(folder.path))
    assert not (folder.path / "harvest.db").exists()
