"""`collect --log-json`: events with fields for what is otherwise said in words, without secrets and prompts."""

import json
import re
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from terminal import terminal

from harvester.cli.event_log import EventLog

from provider import Provider, completion  # isort: skip - a helper beside the tests

KEY = "toy-key-0123456789"
ROOT = Path(__file__).parents[2]
NAME = re.compile(r"`([a-z_]+)`")


def documented() -> dict[str, set[str]]:
    """Event → its fields, by the how-to."""
    rows = [line.split("|")[1:4] for line in (ROOT / "docs/how-to/watch.md").read_text().splitlines() if "|" in line]
    found = {name[1]: set(NAME.findall(fields)) for event, _, fields in rows if (name := NAME.search(event))}
    found["run_ended"] |= found["progress"]
    return {name: fields for name, fields in found.items() if not name.startswith("harvester_")}


DOCUMENTED = documented()


@pytest.fixture
def logged(harvester: Any, folder: Any) -> Any:
    """Arguments of `collect` → (exit code, stdout, events)."""

    def run(*arguments: Any) -> tuple[int, str, list[dict[str, Any]]]:
        code, out, errors = harvester("collect", folder.path, "--log-json", *arguments)
        events = [json.loads(line) for line in errors.splitlines()]
        for event in events:
            assert set(event) - {"at", "event"} <= DOCUMENTED[event["event"]], "docs/how-to/watch.md lacks a field"
        return code, out, events

    return run


def named(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == name]


def test_a_run_begins_and_ends_with_its_totals(logged: Any) -> None:
    code, out, events = logged("--json")
    assert (code, [event["event"] for event in events]) == (0, ["run_started", "run_ended"])
    began, ended = events
    assert (began["recipe"], began["to_ask"], began["teachers"]) == ("toy", 10, ["teacher"])
    assert {name: ended[name] for name in ("ended", "exit_code", "answered", "accepted", "failed")} == {
        "ended": "done", "exit_code": 0, "answered": 10, "accepted": 10, "failed": 0
    }  # fmt: skip
    assert (ended["input_tokens"], ended["output_tokens"], ended["finish_reasons"]) == (100, 50, {"stop": 10})
    assert json.loads(out)["answered"] == 10


def test_every_event_of_the_code_is_documented_and_no_other() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "harvester").rglob("*.py"))
    told = set(re.findall(r'\bevent="([a-z_]+)"|\.write\("([a-z_]+)"', sources))
    assert {one or other for one, other in told} == set(DOCUMENTED)


def test_every_line_says_when_in_utc(logged: Any) -> None:
    _, _, events = logged()
    moments = [datetime.fromisoformat(event["at"]) for event in events]
    assert all(moment.utcoffset() == timedelta(0) for moment in moments)
    assert moments == sorted(moments)


def test_progress_is_told_at_intervals(logged: Any, provider: Provider, monkeypatch: Any) -> None:
    monkeypatch.setattr(EventLog, "every_s", 0.02)
    provider.latency_s = 0.05
    _, _, events = logged()
    told = named(events, "progress")
    assert len(told) > 1
    assert told[-1]["answered"] >= told[0]["answered"]
    assert {"to_ask", "in_flight", "waiting", "spent_usd", "reserved_usd"} <= set(told[0])


def test_a_row_that_fails_is_told_without_what_the_teacher_quotes(logged: Any, provider: Provider) -> None:
    quoting = json.dumps({"error": {"message": "cannot answer: Say something about seed 3"}}).encode()
    provider.script = lambda body, _: (400, {}, quoting) if "seed 3" in json.dumps(body) else None
    code, _, events = logged()
    (failed,) = named(events, "request_failed")
    assert (code, failed["teacher"], failed["reason"], failed["attempts"], failed["again"]) == (
        0, "teacher", "HTTP 400", 1, False
    )  # fmt: skip
    assert named(events, "run_ended")[0]["reasons"] == {"HTTP 400": 1}


def test_no_text_of_a_prompt_or_an_answer_is_logged(logged: Any, provider: Provider) -> None:
    provider.script = lambda body, _: (
        (400, {}, json.dumps({"error": {"message": json.dumps(body)}}).encode())
        if "seed 3" in json.dumps(body)
        else (200, {}, completion("a confidential answer", finish_reason="a confidential answer"))
    )
    _, _, events = logged()
    said = json.dumps(events)
    assert "confidential" not in said
    assert "seed" not in said
    assert "Say something" not in said


def test_a_pause_that_the_teacher_asks_for_is_told(logged: Any, provider: Provider) -> None:
    heard: list[Any] = []

    def script(body: Any, _before: int) -> Any:
        heard.append(body)
        return (429, {"Retry-After": "0.6"}, b"{}") if len(heard) == 1 else None

    provider.script = script
    _, _, events = logged()
    (paused,) = named(events, "teacher_paused")
    assert paused["teacher"] == "teacher"
    assert paused["seconds"] == pytest.approx(0.6, abs=0.05)


def test_the_key_is_not_in_the_log_though_the_teacher_repeats_it(
    logged: Any, folder: Any, provider: Provider, monkeypatch: Any
) -> None:
    monkeypatch.setenv("TOY_API_KEY", KEY)
    folder.data["teacher"]["api_key_env"] = "TOY_API_KEY"
    folder.save()
    other = "sk-ant-" + "a1b2" * 10
    said = json.dumps({"error": {"message": f"wrong key {KEY}, nor is {other} one"}}).encode()
    provider.script = lambda _body, _before: (401, {}, said)
    code, _, events = logged("--trust", "127.0.0.1")
    ended = events[-1]
    assert (code, ended["exit_code"], ended["ended"]) == (5, 5, "teacher_unusable")
    assert "wrong key [key]" in ended["message"]
    assert KEY not in json.dumps(events)
    assert other not in json.dumps(events)


@pytest.mark.parametrize(
    ("arguments", "code", "ended"), [(("--budget", "nothing"), 2, "bad_input"), (("--no-wait",), 2, "bad_input")]
)
def test_what_ends_a_run_before_it_begins_is_an_event_too(
    logged: Any, arguments: tuple[str, ...], code: int, ended: str
) -> None:
    got, out, events = logged(*arguments)
    assert (got, out, len(events)) == (code, "", 1)
    assert (events[0]["event"], events[0]["ended"], events[0]["exit_code"]) == ("run_ended", ended, code)
    assert arguments[0] in events[0]["message"]


def test_terms_that_refuse_are_an_event(logged: Any, folder: Any) -> None:
    folder.data["terms"] = {}
    folder.save()
    code, _, events = logged()
    assert (code, events[-1]["ended"], events[-1]["exit_code"]) == (4, "refused_by_terms", 4)


def test_a_spent_budget_is_an_event_with_the_totals(logged: Any, folder: Any) -> None:
    folder.data["teacher"] |= {"price": {"input": 1000, "output": 1000}, "limits": {"concurrency": 1}}
    folder.save()
    code, _, events = logged("--budget", "0.2")
    began, ended = events[0], events[-1]
    assert began["budgets_usd"] == {"budget.usd or --budget": 0.2}
    assert (code, ended["ended"], ended["message"].startswith("budget: $0.")) == (3, "stopped", True)
    assert 0 < ended["answered"] < 10
    assert ended["spent_usd"] <= 0.2


def test_one_of_two_teachers_that_stops_is_told(logged: Any, folder: Any, provider: Provider) -> None:
    folder.data["teachers"] = {"other": folder.data["teacher"] | {"model": "toy-2"}}
    folder.data["steps"].append({"name": "more", "prompt": "answer.j2", "teacher": "other"})
    folder.data["terms"]["other"] = {"license": "Apache-2.0"}
    folder.save()
    provider.script = lambda body, _: (401, {}, b"{}") if body["model"] == "toy-2" else None
    _, _, events = logged()
    (stopped,) = named(events, "teacher_stopped")
    assert stopped["teacher"] == "other"
    assert "HTTP 401" in stopped["why"]


def test_ctrl_c_is_an_event(folder: Any, provider: Provider) -> None:
    provider.latency_s = lambda _body, _before: 0.0 if len(provider.asked) <= 4 else 0.5
    command = [sys.executable, "-m", "harvester", "collect", str(folder.path), "--log-json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        provider.wait_until_asked(8, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    events = [json.loads(line) for line in errors.splitlines()]
    assert [event["event"] for event in events] == ["run_started", "stopping", "run_ended"]
    assert (process.returncode, events[-1]["exit_code"], events[-1]["ended"]) == (3, 3, "stopped")
    assert events[-1]["answered"] == 8


def test_who_reads_the_log_may_leave(folder: Any, provider: Provider) -> None:
    command = [sys.executable, "-m", "harvester", "collect", str(folder.path), "--log-json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr
        process.stderr.close()
        assert process.wait() == 0
    assert len(provider.answered) == 10


def test_a_terminal_gets_the_log_and_no_bar(folder: Any, provider: Provider) -> None:
    provider.latency_s = 0.1
    with terminal("collect", folder.path, "--log-json") as session:
        assert session.finish()[0] == 0
    assert [json.loads(line)["event"] for line in session.screen.splitlines()] == ["run_started", "run_ended"]


def test_a_terminal_gets_the_bar_beside_the_metrics(folder: Any, provider: Provider) -> None:
    provider.latency_s = 0.2
    with terminal("collect", folder.path, "--metrics", 0) as session:
        assert session.finish()[0] == 0
    assert "metrics: http://127.0.0.1:" in session.screen
    assert "in flight" in session.screen
