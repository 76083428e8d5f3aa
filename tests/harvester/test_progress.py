"""What a person sees while a collection runs: a bar on a terminal, lines in a log, a question before money is spent."""

import json
import re
import signal
from typing import Any

import pytest
from terminal import terminal

from harvester.cli.progress import Lines

COLOUR = re.compile(r"\x1b\[[0-9;]*[34]\d")
SHOWN_CURSOR = "\x1b[?25h"


@pytest.fixture
def slow(folder: Any, provider: Any) -> Any:
    """A collection of at least a second."""
    provider.latency_s = 0.1
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(40)])
    return folder


def test_a_terminal_gets_a_bar_and_stdout_the_result(slow: Any) -> None:
    with terminal("collect", slow.path, "--json") as session:
        code, out = session.finish()
    assert (code, json.loads(out)["answered"]) == (0, 40)
    for text in ("toy", "━", "/40", "/s", "answered", "accepted", "0 failed", "in flight", "$0.0000"):
        assert text in session.screen
    assert COLOUR.search(session.screen)
    assert session.screen.rindex(SHOWN_CURSOR) > session.screen.rindex("in flight")


def test_the_bar_says_what_is_waited_for(slow: Any) -> None:
    slow.data["teacher"]["limits"]["requests_per_minute"] = 1200
    slow.save()
    with terminal("collect", slow.path) as session:
        assert session.finish()[0] == 0
    assert re.search(r"waiting: \d+ for requests", session.screen)


def test_no_color_takes_the_colours_and_leaves_the_bar(slow: Any) -> None:
    with terminal("collect", slow.path, NO_COLOR="1") as session:
        assert session.finish()[0] == 0
    assert "━" in session.screen
    assert not COLOUR.search(session.screen)


def test_a_terminal_that_cannot_redraw_gets_no_bar(slow: Any) -> None:
    with terminal("collect", slow.path, TERM="dumb") as session:
        assert session.finish()[0] == 0
    assert "\x1b" not in session.screen


def test_ctrl_c_leaves_the_terminal_as_it_was(slow: Any, provider: Any) -> None:
    slow.seeds("train.jsonl", [f"seed {number}" for number in range(1000)])
    with terminal("collect", slow.path) as session:
        session.wait_for("in flight")
        session.process.send_signal(signal.SIGINT)
        code, _ = session.finish()
    assert code == 3
    assert "answers in flight (again: leave at once)" in session.screen
    said = session.screen[session.screen.rindex(SHOWN_CURSOR) :]
    assert "harvester: interrupted; everything answered is stored" in said


def test_a_log_gets_plain_lines(harvester: Any, folder: Any, provider: Any, monkeypatch: Any) -> None:
    provider.latency_s = 0.05
    monkeypatch.setattr(Lines, "every_s", 0.01)
    _, out, errors = harvester("collect", folder.path)
    assert out.startswith("toy: 10 of 10 answered, 10 rows accepted, 0 failed")
    assert re.fullmatch(r"(toy: \d+ of 10 answered, [^\x1b\n]*\n)+", errors)


@pytest.mark.parametrize(
    ("options", "ended", "says"),
    [
        (("--limit", "4"), "limit", "  stopped at --limit 4; 6 requests pending; dropped so far: 1 verify:regex"),
        (("--accept", "3", "--limit", "9"), "accept", "  enough rows are accepted; "),
        ((), "done", "  all is asked; dropped so far: 1 verify:regex"),
    ],
)
def test_the_result_says_why_it_ended_and_what_is_left(
    harvester: Any, folder: Any, options: tuple[str, ...], ended: str, says: str
) -> None:
    folder.data["teacher"]["limits"] = {"concurrency": 1}
    folder.data["steps"][0]["verify"] = {"regex": {"pattern": "seed [^0]"}}
    folder.save()
    _, out, _ = harvester("collect", folder.path, *options)
    assert out.splitlines()[1].startswith(says)
    (folder.path / "harvest.db").unlink()
    result = json.loads(harvester("collect", folder.path, *options, "--json")[1])
    assert (result["ended"], result["dropped"]) == (ended, {"verify:regex": 1})
    assert result["pending"] == 10 - result["answered"]


def test_the_result_says_what_was_refused_for_good(harvester: Any, folder: Any, provider: Any) -> None:
    provider.script = lambda *_: (400, {}, b'{"error": {"message": "no such parameter"}}')
    code, out, errors = harvester("collect", folder.path)
    assert (code, errors.splitlines()[-1]) == (0, "10 failed: HTTP 400: no such parameter")
    assert out.splitlines()[1] == "  all is asked; 10 requests refused for good, --retry-failed asks again"
    assert json.loads(harvester("collect", folder.path, "--json")[1])["refused"] == 10


# --- the question before money is spent


@pytest.fixture
def priced(folder: Any) -> Any:
    folder.data["teacher"]["price"] = {"input": 1, "output": 2}
    folder.save()
    return folder


@pytest.mark.parametrize(("answer", "code", "asked"), [("n\n", 3, 0), ("\n", 3, 0), ("\x04", 3, 0), ("y\n", 0, 10)])
def test_money_without_a_budget_is_asked_about(priced: Any, provider: Any, answer: str, code: int, asked: int) -> None:
    with terminal("collect", priced.path) as session:
        session.wait_for("go on? [y/N]")
        session.type(answer)
        assert session.finish()[0] == code
    assert re.search(r"toy: 10 requests in all, USD 0\.\d+ to 0\.\d+", session.screen)
    assert len(provider.asked) == asked


def test_what_the_terms_refuse_is_not_asked_about(priced: Any) -> None:
    priced.data["terms"] = {}
    priced.save()
    with terminal("collect", priced.path) as session:
        assert session.finish()[0] == 4
    assert "go on?" not in session.screen


@pytest.mark.parametrize("arguments", [("--yes",), ("--budget", "1")])
def test_yes_or_a_budget_skips_the_question(priced: Any, provider: Any, arguments: tuple[str, ...]) -> None:
    with terminal("collect", priced.path, *arguments) as session:
        assert session.finish()[0] == 0
    assert "go on?" not in session.screen
    assert len(provider.asked) == 10


def test_nobody_is_asked_off_a_terminal(harvester: Any, priced: Any, provider: Any) -> None:
    assert "go on?" not in harvester("collect", priced.path)[2]
    assert len(provider.asked) == 10
