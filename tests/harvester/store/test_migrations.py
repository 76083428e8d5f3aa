"""A store of every older schema is brought up to date with everything that it holds, and collected on."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from harvester.collecting import Options, collect
from harvester.recipe import Recipe
from harvester.status import status
from harvester.store import StoreReader, StoreWriter
from harvester.store.schema import REVISIONS, metadata

from toy_store import make_empty  # isort: skip - a helper beside the tests

LOST_NUSD = 1_234
HANDED_OUT = 6
ANSWERED = 4


def columns(connection: sqlite3.Connection, schema: str, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({table})")}


def downgraded(path: Path, revision: str) -> None:
    """Put what the store at `path` holds into one of an older schema: what that schema cannot hold is left out."""
    new = path.rename(path.with_name("new.db"))
    make_empty(path, revision)
    connection = sqlite3.connect(path)
    connection.execute("ATTACH ? AS new", [str(new)])
    for table in metadata.tables.keys() - {"outcomes"}:
        if common := columns(connection, "main", table) & columns(connection, "new", table):
            names = ", ".join(f'"{name}"' for name in common)
            connection.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM new.{table}")  # noqa: S608
    if "row_id" in columns(connection, "main", "outcomes"):
        names = "rules, accepted, drop_reason"
        judged = f"SELECT row_id, {names} FROM new.outcomes JOIN new.rows USING (id)"  # noqa: S608
        connection.execute(f"INSERT INTO outcomes (row_id, {names}) {judged}")
    else:
        names = "id, rules, accepted, drop_reason"
        connection.execute(f"INSERT INTO outcomes ({names}) SELECT {names} FROM new.outcomes")  # noqa: S608
    if "lost_nusd" in columns(connection, "main", "runs"):
        lost = "(SELECT coalesce(sum(lost_nusd), 0) FROM new.spending WHERE run_id = runs.id)"
        connection.execute(f"UPDATE runs SET lost_nusd = {lost}")  # noqa: S608
    if "parent" not in columns(connection, "main", "rows"):
        connection.execute("UPDATE runs SET price = json_extract(price, '$.teacher')")
    connection.commit()
    connection.close()
    new.unlink()


def contents(path: Path, table: str, names: str = "*") -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    found = connection.execute(f"SELECT {names} FROM {table}").fetchall()  # noqa: S608
    connection.close()
    return sorted(found, key=repr)


KEPT = {
    "plans": "id, recipe, fingerprint, recipe_text, created_at",
    "seeds": "seed_id, data",
    "requests": "id, key, body, state, attempts, reason",
    "rows": "id, row_id, plan_id, position, step, split, seed_id, sample, reference, request_id",
    "replies": "request_id, teacher_id, run_id, raw, sha256, cost_nusd, received_at",
    "teachers": "id, fingerprint, name, provider, identity, terms, price",
    "outcomes": "rules, accepted, drop_reason",
    "runs": "id, plan_id, recipe, started_at, ended_at, seconds, handed_out, uncertain, outcome",
}


@pytest.fixture
def half_collected(folder: Any) -> Path:
    """A store with four answers of ten, money lost, and a run that was killed with two requests handed out."""
    folder.data["teacher"]["price"] = {"input": 1, "output": 2}
    folder.save()
    asyncio.run(collect(Recipe.load(folder.path), None, Options(limit=ANSWERED)))
    store: Path = folder.path / "harvest.db"
    connection = sqlite3.connect(store)
    connection.execute("UPDATE spending SET lost_nusd = ?", [LOST_NUSD])
    connection.execute(
        "INSERT INTO runs (plan_id, recipe, price, started_at, handed_out) "
        "SELECT plan_id, recipe, price, started_at, ? FROM runs",
        [HANDED_OUT],
    )
    connection.commit()
    connection.close()
    return store


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_store_of_an_older_schema_keeps_all_it_holds(half_collected: Path, revision: str) -> None:
    with StoreReader.open(half_collected) as reader:
        spent_nusd = reader.counts(1).spent_nusd
        rows = list(reader.rows(1))
    downgraded(half_collected, revision)
    before = {table: contents(half_collected, table, names) for table, names in KEPT.items()}
    with StoreWriter.open(half_collected) as store:
        assert store.spent_nusd() == store.spent_nusd(teacher="teacher") == spent_nusd > LOST_NUSD
        assert store.spent_nusd(run_id=1) == spent_nusd
        (killed,) = store.killed_runs()
        assert (killed.run_id, len(killed.sent)) == (2, HANDED_OUT - ANSWERED)
        assert killed.prices["teacher"]["input"] == "1"
    assert {table: contents(half_collected, table, names) for table, names in KEPT.items()} == before
    with StoreReader.open(half_collected) as reader:
        assert list(reader.rows(1)) == rows
        assert reader.counts(1).spent_nusd == spent_nusd


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_store_of_an_older_schema_is_collected_on_and_asks_nothing_again(
    half_collected: Path, revision: str, folder: Any, provider: Any
) -> None:
    downgraded(half_collected, revision)
    progress = asyncio.run(collect(Recipe.load(folder.path)))
    assert (progress.answered, progress.maybe_asked_again) == (10 - ANSWERED, HANDED_OUT - ANSWERED)
    prompts = [body["messages"][0]["content"] for body in provider.asked]
    assert len(prompts) == len(set(prompts)) == 10
    found = status(Recipe.load(folder.path))
    assert found["requests"] == {"answered": 10}
    assert found["splits"]["train"]["accepted"] == 10
    worst_usd = 2 * (50 * 2 / 1e6)  # two of the killed run, at least their max_tokens
    assert found["usd"] >= 10 * (10 * 1 + 5 * 2) / 1e6 + LOST_NUSD / 1e9 + worst_usd
    assert found["usd"] == progress.spent_usd


def test_a_reader_sends_an_older_store_to_the_writer_and_changes_nothing(half_collected: Path) -> None:
    from harvester.errors import StoreUnusable

    downgraded(half_collected, REVISIONS[0])
    before = half_collected.read_bytes()
    with (
        pytest.raises(StoreUnusable, match=f"older schema {REVISIONS[0]}; `harvester store compact` or `harvester co"),
        StoreReader.open(half_collected),
    ):
        pass
    assert half_collected.read_bytes() == before
