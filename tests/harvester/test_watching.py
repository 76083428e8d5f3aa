"""`harvester watch`: a page on a terminal and lines elsewhere, of a collection that goes on, ended or never began."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import Engine, event
from terminal import Terminal, terminal

from harvester.cli.watch_view import _span, view
from harvester.collecting import Options, collect, default_store
from harvester.errors import StoreUnusable
from harvester.recipe import Recipe
from harvester.store import StoreWriter
from harvester.watching import look, watch

from provider import Provider  # isort: skip - a helper beside the tests

FOUR_THEN_SILENCE = 4
SHOWN_CURSOR = "\x1b[?25h"


@pytest.fixture
def held(folder: Any, provider: Provider) -> Any:
    """A recipe whose teacher answers four requests and lets the next ones wait."""
    provider.latency_s = lambda _body, _before: 0.0 if len(provider.asked) <= FOUR_THEN_SILENCE else 60.0
    return folder


def leave(session: Terminal) -> None:
    """Interrupt a held collection twice; the second signal while the first is pending would be none."""
    session.process.send_signal(signal.SIGINT)
    session.wait_for("again: leave at once")
    session.process.send_signal(signal.SIGINT)
    session.finish()


def page(look: Any, width: int = 160) -> str:
    console = Console(width=width, force_terminal=False, no_color=True)
    with console.capture() as captured:
        console.print(view(look))
    return captured.get()


def collected(folder: Any, **options: Any) -> dict[str, Any]:
    """A look at what a run left."""
    recipe = Recipe.load(folder.path)
    asyncio.run(collect(recipe, None, Options(**options)))
    return look(recipe)


# --- on a terminal


def test_a_terminal_gets_a_page_until_the_collection_ends(held: Any, provider: Provider) -> None:
    with terminal("collect", held.path) as collecting:
        provider.wait_until_asked(8, collecting.process)  # type: ignore[arg-type]
        with terminal("watch", held.path, stdout_too=True) as watching:
            watching.wait_for("in flight")
            watching.wait_for(f"(pid {collecting.process.pid})")
            leave(collecting)
            code, _ = watching.finish()
    assert code == 0
    for text in ("toy: collecting for", "of 10 answered", "requests/min", "$0.0000 spent", "stopped early"):
        assert text in watching.screen
    after = watching.screen[watching.screen.rindex(SHOWN_CURSOR) :]
    assert "4 answered" in after
    assert "6 pending" in after
    assert "collect again to go on" in after


def test_ctrl_c_ends_the_watch_and_not_the_collection(held: Any, provider: Provider) -> None:
    with terminal("collect", held.path) as collecting:
        provider.wait_until_asked(8, collecting.process)  # type: ignore[arg-type]
        with terminal("watch", held.path, stdout_too=True) as watching:
            watching.wait_for("in flight")
            watching.process.send_signal(signal.SIGINT)
            assert watching.finish()[0] == 3
        assert watching.screen.rindex(SHOWN_CURSOR) < watching.screen.rindex("harvester: interrupted")
        assert collecting.process.poll() is None
        leave(collecting)


def test_a_terminal_that_cannot_redraw_gets_lines(folder: Any) -> None:
    collected(folder)
    with terminal("watch", folder.path, stdout_too=True, TERM="dumb") as watching:
        assert watching.finish()[0] == 0
    assert "\x1b" not in watching.screen
    assert "requests: 10 answered" in watching.screen


def test_nothing_that_runs_is_said_and_the_watch_ends(folder: Any) -> None:
    collected(folder)
    with terminal("watch", folder.path, stdout_too=True) as watching:
        assert watching.finish()[0] == 0
    assert "nothing collects now; the last run" in watching.screen
    assert "10 of 10 answered" in watching.screen


# --- elsewhere


def test_elsewhere_a_line_is_printed_whenever_something_changed(held: Any, provider: Provider, harvester: Any) -> None:
    with terminal("collect", held.path) as collecting:
        provider.wait_until_asked(8, collecting.process)  # type: ignore[arg-type]
        with terminal("watch", held.path) as watching:
            assert watching.process.stdout
            first = watching.process.stdout.readline().decode()
            leave(collecting)
            code, rest = watching.finish()
    assert (code, watching.screen) == (0, "")
    assert f"collecting now (pid {collecting.process.pid}, since " in first
    lines = rest.splitlines()
    assert len(set(lines)) == len(lines)
    assert "stopped early; collect again to go on" in rest
    assert "\x1b" not in first + rest


def test_json_has_a_look_a_line_and_the_status_with_the_last(held: Any, provider: Provider) -> None:
    with terminal("collect", held.path) as collecting:
        provider.wait_until_asked(8, collecting.process)  # type: ignore[arg-type]
        with terminal("watch", held.path, "--json") as watching:
            assert watching.process.stdout
            first = json.loads(watching.process.stdout.readline())
            leave(collecting)
            code, rest = watching.finish()
    last = json.loads(rest.splitlines()[-1])
    assert code == 0
    assert first["running"]["pid"] == collecting.process.pid
    assert (last["running"], last["last_run"]["outcome"]) == (None, "stopped")
    assert set(first) <= set(last)
    assert last["requests"] == {"pending": 6, "answered": 4}


def test_one_look_is_a_page_without_escapes(folder: Any, harvester: Any) -> None:
    collected(folder)
    code, out, errors = harvester("watch", folder.path, "--once")
    assert (code, errors) == (0, "")
    assert "10 of 10 answered, 10 rows accepted" in out
    assert "finish reasons: stop 10" in out
    assert "\x1b" not in out


def test_one_look_in_json(folder: Any, harvester: Any) -> None:
    collected(folder)
    code, out, _ = harvester("watch", folder.path, "--once", "--json")
    found = json.loads(out)
    assert code == 0
    assert set(found) == {"recipe", "store", "usd", "batches", "left_s", "running", "last_run"}
    assert found["last_run"]["progress"]["teachers"]["teacher"]["answered"] == 10


def test_where_nothing_was_ever_collected_it_says_so(folder: Any, harvester: Any) -> None:
    code, out, errors = harvester("watch", folder.path)
    assert (code, out) == (6, "")
    assert "no store there yet" in errors


# --- what a look reads


def test_the_totals_of_a_short_run_are_kept_with_its_end(folder: Any) -> None:
    found = collected(folder, report_every_s=1000.0)
    progress = found["last_run"]["progress"]
    assert (progress["answered"], progress["accepted"], progress["steps"]) == (10, 10, {"answer": 10})
    its = progress["teachers"]["teacher"]
    assert (its["sent"], its["input_tokens"], its["output_tokens"], its["in_flight"]) == (10, 100, 50, 0)


def test_a_run_tells_how_it_is_as_soon_as_it_begins(held: Any, provider: Provider) -> None:
    with terminal("collect", held.path) as collecting:
        provider.wait_until_asked(8, collecting.process)  # type: ignore[arg-type]
        found = next(now for now in watch(Recipe.load(held.path), every_s=0.02) if (now["running"] or {})["progress"])
        its = found["running"]["progress"]["teachers"]["teacher"]
        assert its["concurrency"] == 4
        leave(collecting)


def test_a_look_takes_no_lock_and_writes_nothing(folder: Any) -> None:
    recipe = Recipe.load(folder.path)
    asyncio.run(collect(recipe))
    path = default_store(recipe)
    before = path.read_bytes()
    with StoreWriter.open(path):
        watched = watch(recipe, every_s=0.0)
        assert next(watched)["running"]["pid"] == os.getpid()
    with StoreWriter.open(path):  # while the watch goes on
        next(watched)
    watched.close()
    assert path.read_bytes() == before


def test_who_plans_for_the_first_time_is_watched(folder: Any) -> None:
    recipe = Recipe.load(folder.path)
    with StoreWriter.open(default_store(recipe)):
        found = look(recipe)
    assert (found["running"]["pid"], found["last_run"]) == (os.getpid(), None)
    assert f"pid {os.getpid()} writes to the store" in page(found)
    with pytest.raises(StoreUnusable, match="holds nothing of toy yet"):
        look(recipe)


@contextmanager
def plans_of_queries() -> Iterator[list[str]]:
    """SQLite's plan of every statement in the context, a line a step."""
    steps: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            raw = connection.connection.driver_connection
            steps.extend(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    event.listen(Engine, "after_cursor_execute", explain)
    try:
        yield steps
    finally:
        event.remove(Engine, "after_cursor_execute", explain)


def test_a_look_reads_no_table_that_grows_with_the_seeds(folder: Any) -> None:
    recipe = Recipe.load(folder.path)
    asyncio.run(collect(recipe))
    with plans_of_queries() as steps:
        look(recipe)
    assert steps
    for step in steps:
        assert not {"rows", "requests", "replies", "outcomes", "seeds", "curated"} & set(step.split()), step


# --- the page


@pytest.fixture
def running(folder: Any) -> dict[str, Any]:
    """A look at a run that goes on, made from one that ended."""
    found = collected(folder)
    found["last_run"] |= {"ended_at": None, "outcome": None}
    found["running"] = {"pid": 7, "host": "h", "since": "s", "progress": found["last_run"]["progress"]}
    return found


def its(look: dict[str, Any]) -> dict[str, Any]:
    return look["last_run"]["progress"]["teachers"]["teacher"]  # type: ignore[no-any-return]


def test_the_pace_stands_beside_the_limit(running: dict[str, Any]) -> None:
    its(running)["per_minute"] = {"sent": 2951.2, "tokens": 190_000.0, "ended": 2940.0}
    its(running).update(requests_per_minute=3000.0, tokens_per_minute=None, in_flight=3)
    shown = page(running)
    assert "2,951 of 3,000" in shown
    assert "190,000" in shown
    assert "3 of 4" in shown


def test_a_run_that_ended_shows_its_pace_over_all_of_it(running: dict[str, Any]) -> None:
    running["running"] = None
    running["last_run"]["progress"]["seconds"] = 5.0
    its(running).update(sent=100, input_tokens=700, output_tokens=300)
    columns = next(line for line in page(running).splitlines() if line.startswith("teacher ") and "1,200" in line)
    assert columns.split()[1:3] == ["1,200", "12,000"]


def test_what_is_waited_for_and_what_went_wrong_are_told(running: dict[str, Any]) -> None:
    progress = running["last_run"]["progress"]
    progress["waiting"] = {"tokens": 4, "retry": 1}
    progress["reasons"] = {"HTTP 400: \x1b[2Jbad": 3, **{f"reason {number}": 1 for number in range(9)}}
    its(running).update(paused_s=43.2)
    shown = page(running)
    assert "4 requests waiting for the limit of tokens per minute\n1 request waiting for their next try" in shown
    assert "3 failed: HTTP 400: \\x1b[2Jbad" in shown
    assert "and for 5 more reasons" in shown
    assert "asks to wait 43 s" in shown
    its(running)["circuit_open"] = True
    assert "nothing but failures: probed" in page(running)


def test_money_is_told_beside_every_sum_that_must_not_be_passed(running: dict[str, Any]) -> None:
    running["usd"] = 1.25
    running["last_run"]["progress"] |= {
        "reserved_usd": 0.01,
        "budgets": {
            "budget.usd or --budget": {"limit_usd": 5.0, "spent_usd": 1.0},
            "budget.run_usd": {"limit_usd": 2.0, "spent_usd": 0.5},
        },
    }
    shown = page(running)
    assert "$1.2500 of $5.00 spent by the store, $0.0100 held for what is in flight" in shown
    assert "budget.run_usd: $0.5000 of $2.00" in shown


def test_batches_that_wait_are_listed(running: dict[str, Any]) -> None:
    running["last_run"]["ended_at"] = "2026-11-28T00:00:00+00:00"
    running["running"]["progress"] = None
    batch = {"batch": "b1", "teacher": "teacher", "requests": 30, "status": None, "worst_usd": 0.5}
    running["batches"] = [batch | {"created_at": "2026-11-28T00:00:00+00:00"}] * 7
    shown = page(running)
    assert "toy: collecting in batches (pid 7)" in shown
    assert "batch b1: 30 requests of teacher, not made yet" in shown
    assert "and 2 more batches" in shown
    assert "210 requests waiting for batches at their provider" in shown
    assert "at most $3.5000 in batches" in shown


def test_steps_are_told_apart_where_there_are_several(running: dict[str, Any]) -> None:
    assert "by step" not in page(running)
    running["last_run"]["progress"]["steps"] = {"draft": 1200, "grade": 40}
    assert "answers by step: draft 1,200, grade 40" in page(running)


def test_a_run_of_an_earlier_version_is_shown_as_far_as_it_told(running: dict[str, Any]) -> None:
    progress = {"answered": 4, "to_ask": 10, "failed": 0, "accepted": 3, "waiting": {"tokens": 1}}
    running["last_run"]["progress"] = running["running"]["progress"] = progress
    assert "4 of 10 answered, 3 rows accepted" in page(running)
    running["last_run"]["progress"] = running["running"]["progress"] = None
    assert "collecting for" in page(running)


def test_what_is_left_is_reckoned_by_the_last_minute(folder: Any, monkeypatch: Any) -> None:
    from harvester.watching import _left_s

    progress = {"to_ask": 100, "answered": 30, "failed": 10, "teachers": {"teacher": {"per_minute": {"ended": 120.0}}}}
    assert _left_s(progress) == 30.0
    progress["teachers"] = {"teacher": {"per_minute": {}}}
    assert _left_s(progress) is None
    assert _left_s(None) is None


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (192, "3 min 12 s"), (7500, "2 h 05 min")]
)
def test_spans_are_told_in_two_units(seconds: float, shown: str) -> None:
    assert _span(seconds) == shown


def test_a_narrow_terminal_shows_it_too(running: dict[str, Any]) -> None:
    assert "answered" in page(running, width=40)


def test_the_recipe_may_be_left_out(folder: Any, harvester: Any, monkeypatch: Any) -> None:
    collected(folder)
    monkeypatch.chdir(Path(folder.path))
    assert harvester("watch", "--once")[0] == 0
