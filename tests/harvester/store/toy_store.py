"""A small store for the tests of this folder."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from harvester.prompting import content_key
from harvester.records import Asked, Origin, Outcome, Request, RuleDigests, Seed, canonical
from harvester.store import StoreWriter
from harvester.store.events import Event, Judged, Replied
from harvester.store.journal import Consequences

MIGRATIONS = Path(__file__).parents[3] / "harvester/store/migrations"
RULES = "digest of some rules"
DIGESTS = RuleDigests(RULES, frozenset({RULES}))


def add_plan(store: StoreWriter, count: int = 3, *, recipe: str = "toy", fingerprint: str = "f") -> int:
    """`count` seeds; those of every recipe share their requests."""
    planned = [
        (
            Seed(f"seed{n}", "train", {"text": str(n)}),
            Origin(n),
            [Asked("answer", "teacher", [Request(f"key{n}", b'{"messages":[],"model":"m"}')])],
        )
        for n in range(count)
    ]
    return store.add_plan(recipe, fingerprint, "text", planned)


def add_talk(store: StoreWriter, count: int) -> int:
    """A plan whose requests have much in common, as those of a template do."""
    bodies = [{"model": "m", "messages": [{"role": "user", "content": f"Say {n}, politely."}]} for n in range(count)]
    planned = [
        (Seed(f"seed{n}", "train", {"text": str(n)}), Origin(n), [Asked("answer", "teacher", [request])])
        for n, body in enumerate(bodies)
        for request in [Request(content_key("i", body, 0), canonical(body))]
    ]
    return store.add_plan("toy", "f", "text", planned)


def answer(store: StoreWriter, run_id: int, request_ids: Iterable[int]) -> None:
    """Reply to requests as an API does: little of it differs from one to the next."""
    said = [
        (
            number,
            f"{hashlib.sha256(str(number).encode()).hexdigest()} is what you wanted, I am sure, as {number} was it.",
        )
        for number in request_ids
    ]
    raw = {
        number: json.dumps(
            {"id": f"chatcmpl-{number}", "choices": [{"message": {"role": "assistant", "content": text}}]}
        )
        for number, text in said
    }
    store.apply([replied(store, run_id, number, raw=text.encode()) for number, text in raw.items()])


def begin(store: StoreWriter, plan_id: int, *, recipe: str = "toy") -> int:
    return store.begin_run(plan_id, recipe, {"teacher": {"input": "1"}})


def replied(store: StoreWriter, run_id: int, request_id: int, **more: object) -> Replied:
    teacher_id = store.teacher_id(name="teacher", provider="p", identity="i", terms={}, price=None)
    values = {"raw": b"raw", "cost_nusd": 5, "attempts": 1, **more}
    return Replied(request_id, teacher_id, run_id, **values)  # type: ignore[arg-type]


def judged(path: Path, request_id: int, rules: str = RULES) -> list[Judged]:
    """Outcomes of every row that shares a request."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT id FROM rows WHERE request_id = ?", [request_id]).fetchall()
    connection.close()
    return [Judged(row, rules, Outcome(accepted=True, drop_reason=None)) for (row,) in found]


class Looking:
    """A follower that looks at what is on disk."""

    rules = RULES

    def __init__(self, look: Callable[[Sequence[Event]], Sequence[Event]]) -> None:
        self.look = look

    def before(self, connection: Connection, events: Sequence[Event]) -> None: ...

    def within(self, connection: Connection, events: Sequence[Event]) -> Consequences:  # noqa: ARG002
        return Consequences()

    def after(self, events: Sequence[Event]) -> Consequences:
        return Consequences(self.look(events))


def make_empty(path: Path, revision: str) -> None:
    """A store as the Harvester of that schema made it."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
