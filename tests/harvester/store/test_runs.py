"""What is known of runs: who writes now, how far the last one came, and whose answers were judged."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from harvester.records import RuleDigests
from harvester.store import StoreReader, StoreWriter
from harvester.store.events import Event, Replied, Reported
from harvester.store.journal import Journal
from harvester.store.lock import holder

from toy_store import DIGESTS, RULES, Looking, add_plan, begin, judged, replied  # isort: skip - a helper beside the tests


def test_the_holder_of_a_store_is_named_while_it_writes(path: Path) -> None:
    assert holder(path) is None
    with StoreWriter.open(path):
        found = holder(path)
        assert found is not None
        assert found["pid"] == os.getpid()
        assert {"host", "since"} <= found.keys()
    assert holder(path) is None


def test_looking_for_the_holder_keeps_nobody_out(path: Path) -> None:
    with StoreWriter.open(path):
        holder(path)
    holder(path)
    with StoreWriter.open(path) as store:
        assert store.current_plan("toy") is None


def test_a_holder_that_did_not_sign_is_still_one(path: Path) -> None:
    with StoreWriter.open(path):
        path.with_name("harvest.db.lock").write_text("half of a sig")
        assert holder(path) == {}


def test_the_last_run_tells_how_far_it_came(path: Path) -> None:
    with StoreWriter.open(path) as store, StoreReader.open(path) as reader:
        plan = add_plan(store)
        assert reader.last_run("toy") is None
        first = begin(store, plan)
        store.apply([Reported(first, {"answered": 1})])
        store.end_run(first, outcome="done")
        second = begin(store, plan)
        begin(store, plan, recipe="another")
        run = reader.last_run("toy")
        assert run is not None
        assert (run.run_id, run.ended_at, run.outcome, run.progress) == (second, None, None, None)
        store.apply([Reported(second, {"answered": 1}), Reported(second, {"answered": 2})])
        store.end_run(second, outcome="stopped")
        run = reader.last_run("toy")
        assert run is not None
        assert (run.outcome, run.progress) == ("stopped", {"answered": 2})
        assert run.started_at < (run.ended_at or "")


def ask(store: StoreWriter, run_id: int, request_ids: Sequence[int], *, judging: bool = True) -> None:
    """A run's answers through the journal, with or without their outcomes."""

    async def scenario() -> None:
        def look(events: Sequence[Event]) -> Sequence[Event]:
            answered = [event.request_id for event in events if isinstance(event, Replied)]
            return [one for request_id in answered for one in judged(store.path, request_id)] if judging else []

        journal = Journal(store, Looking(look), lambda _: None, lambda: None, print)
        async with asyncio.TaskGroup() as group:
            group.create_task(journal.run())
            for number in request_ids:
                journal.put(replied(store, run_id, number))
            journal.close()

    asyncio.run(scenario())


def unjudged(reader: StoreReader, plan_id: int, rules: RuleDigests = DIGESTS) -> int:
    found = len(list(reader.unjudged(plan_id, rules)))
    assert reader.count_unjudged(plan_id, rules) == found
    return found


def test_what_a_run_judged_itself_is_not_looked_at_again(path: Path) -> None:
    with StoreWriter.open(path) as store, StoreReader.open(path) as reader:
        plan = add_plan(store, 4)
        ask(store, begin(store, plan), [1, 2])
        assert unjudged(reader, plan) == 0
        connection = store.engine.raw_connection()
        connection.execute("DELETE FROM outcomes")  # so it would be found, if it were looked at
        connection.commit()
        connection.close()
        assert unjudged(reader, plan) == 0


def test_what_a_killed_run_left_unjudged_is_found_until_it_is_judged(path: Path) -> None:
    with StoreWriter.open(path) as store, StoreReader.open(path) as reader:
        plan = add_plan(store, 4)
        store.apply([replied(store, begin(store, plan), 1)])
        ask(store, begin(store, plan), [2, 3])
        assert unjudged(reader, plan) == 1
        store.apply(judged(path, 1))
        assert unjudged(reader, plan) == 0
        store.plan_judged(plan, RULES)
        store.apply([replied(store, begin(store, plan), 4)])
        assert unjudged(reader, plan) == 1


def test_a_journal_whose_replies_were_not_judged_says_nothing_of_them(path: Path) -> None:
    with StoreWriter.open(path) as store, StoreReader.open(path) as reader:
        plan = add_plan(store, 4)
        ask(store, begin(store, plan), [1, 2], judging=False)
        assert unjudged(reader, plan) == 2


def test_other_rules_find_every_answer_again(path: Path) -> None:
    with StoreWriter.open(path) as store, StoreReader.open(path) as reader:
        plan = add_plan(store, 4)
        ask(store, begin(store, plan), [1, 2])
        store.plan_judged(plan, RULES)
        assert (unjudged(reader, plan), unjudged(reader, plan, RuleDigests("other", frozenset({"other"})))) == (0, 2)


def test_an_answer_that_another_recipes_run_got_is_found_unjudged(path: Path) -> None:
    with StoreWriter.open(path) as store, StoreReader.open(path) as reader:
        plan = add_plan(store, 4)
        store.plan_judged(plan, RULES)
        other = add_plan(store, 2, recipe="another")
        run = begin(store, other, recipe="another")
        store.apply([replied(store, run, 1)])
        of_other = [one for one in judged(path, 1) if one.row in {row.id for row in reader.rows(other)}]
        store.apply(of_other)
        store.all_judged(run, RULES)
        assert (unjudged(reader, plan), unjudged(reader, other)) == (1, 0)


def test_rows_that_move_to_a_new_plan_are_looked_at_once_more(path: Path) -> None:
    with StoreWriter.open(path) as store, StoreReader.open(path) as reader:
        plan = add_plan(store, 4)
        ask(store, begin(store, plan), [1])
        store.apply([replied(store, begin(store, plan), 2)])
        assert unjudged(reader, add_plan(store, 3, fingerprint="g")) == 1
