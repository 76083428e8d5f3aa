"""The commands: collect --batch, batch list, show and cancel."""

import json
from typing import Any

import pytest

from batch_provider import BatchProvider  # isort: skip - a helper beside the tests


def test_collect_in_batches_from_the_command_line(batch_folder: Any, batches: BatchProvider, harvester: Any) -> None:
    batches.looks_until_done = 0
    code, out, errors = harvester("collect", batch_folder.path, "--batch", "--json")
    assert code == 0, errors
    found = json.loads(out)
    assert (found["ended"], found["answered"], found["waiting_in_batches"]) == ("done", 10, 0)
    assert "batch batch_1 completed: 10 answered" in errors


def test_what_waits_is_said_by_both_ways_of_collecting(
    batch_folder: Any, batches: BatchProvider, harvester: Any
) -> None:
    code, out, errors = harvester("collect", batch_folder.path, "--batch", "--no-wait", "--limit", "6")
    assert code == 0, errors
    assert "6 requests in batches; run the same again to take them in; 4 requests pending" in out
    code, out, errors = harvester("collect", batch_folder.path)
    assert code == 0, errors
    assert "6 requests left alone: in batches, which go on; take them in with: harvester collect" in errors
    assert "6 requests in batches" in out
    assert "pending" not in out


def test_status_tells_what_waits_in_batches_from_what_nobody_asked(batch_folder: Any, harvester: Any) -> None:
    harvester("collect", batch_folder.path, "--batch", "--no-wait", "--limit", "6")
    _, out, _ = harvester("status", batch_folder.path)
    assert "requests: 4 pending, 6 waiting in batches; $0.0000" in out
    found = json.loads(harvester("status", batch_folder.path, "--json")[1])
    assert found["requests"] == {"pending": 4, "waiting_in_batches": 6}


def test_batches_are_listed_and_shown_with_what_was_set_aside(
    batch_folder: Any, batches: BatchProvider, harvester: Any
) -> None:
    batches.looks_until_done = 0
    batches.spoil = lambda lines: [*lines, b"nonsense \x1b[31m"]
    harvester("collect", batch_folder.path, "--batch")
    code, out, _ = harvester("batch", "list", batch_folder.path)
    assert code == 0
    assert out == "batch_1  teacher  ended (completed)  10 requests, 10 answered, 1 quarantined\n"
    code, out, _ = harvester("batch", "show", "batch_1", "--recipe", batch_folder.path)
    assert code == 0
    assert "set aside: not a line of an output file: nonsense [31m" in out
    found = json.loads(harvester("batch", "show", "batch_1", "--recipe", batch_folder.path, "--json")[1])
    assert found["set_aside"][0]["custom_id"] is None
    assert harvester("batch", "show", "batch_2", "--recipe", batch_folder.path)[::2] == (
        2,
        "harvester: batch 'batch_2': none of that name; the newest are batch_1\n",
    )


def test_a_cancelled_batch_gives_what_was_done(batch_folder: Any, batches: BatchProvider, harvester: Any) -> None:
    batches.done_share = 0.3
    harvester("collect", batch_folder.path, "--batch", "--no-wait")
    code, out, errors = harvester("batch", "cancel", "batch_1", "--recipe", batch_folder.path)
    assert code == 0, errors
    assert "waiting (cancelling)" in out
    batches.looks_until_done = 0
    code, out, errors = harvester("collect", batch_folder.path, "--batch", "--no-wait", "--json")
    assert code == 0, errors
    assert json.loads(out)["answered"] == 3
    assert harvester("batch", "cancel", "batch_1", "--recipe", batch_folder.path)[0] == 2


def test_a_forgotten_batch_opens_its_requests_and_counts_as_paid(
    batch_folder: Any, batches: BatchProvider, harvester: Any
) -> None:
    harvester("collect", batch_folder.path, "--batch", "--no-wait")
    code, out, errors = harvester("batch", "cancel", "batch_1", "--forget", "--recipe", batch_folder.path, "--json")
    assert code == 0, errors
    forgotten = json.loads(out)
    assert forgotten["result"] == {"forgotten": 10}
    found = json.loads(harvester("collect", batch_folder.path, "--json")[1])
    assert found["answered"] == 10
    assert found["spent_usd"] >= forgotten["worst_usd"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--no-wait"], "--no-wait: goes with batches only: add --batch, or state mode: batch in the recipe"),
        (["--batch", "--online"], "--batch, --online: name one of them, or none to do as the recipe says"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    batch_folder: Any, harvester: Any, options: list[str], said: str
) -> None:
    assert harvester("collect", batch_folder.path, *options)[::2] == (2, f"harvester: {said}\n")
