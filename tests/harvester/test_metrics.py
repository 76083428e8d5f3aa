"""`collect --metrics`: what Prometheus finds while a run goes on, and who else finds nothing."""

import contextlib
import http.client
import json
import re
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from harvester.errors import BadInput
from harvester.metrics import Metrics
from harvester.metrics_server import serving
from harvester.progress import BudgetProgress, Progress, TeacherProgress

from provider import Provider, completion  # isort: skip - a helper beside the tests

KEY = "toy-key-0123456789"
NOT_BASE = re.compile(r"_(ms|milliseconds|minutes?|hours?|cents|nusd|usd|kb|mb|percent)(_|$)")


@pytest.fixture
def port() -> int:
    """One that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(port: int, path: str = "/metrics", **headers: str) -> tuple[int, str, str]:
    """(status, content type, body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.getheader("Content-Type", ""), reply.read().decode()


def samples(page: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """(name, values of its labels in the order of their names) → value."""
    return {
        (one.name, tuple(one.labels[name] for name in sorted(one.labels))): one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
    }


@pytest.fixture
def scraped(harvester: Any, folder: Any, provider: Provider, port: int, monkeypatch: Any) -> Iterator[Any]:
    """Collect on one permit, and look when the last request is on its way; → (exit code, pages, stderr)."""
    monkeypatch.setattr(Metrics, "every_s", 0.01)
    pages: list[tuple[int, str, str]] = []
    others = provider.script

    def script(body: dict[str, Any], before: int) -> Any:
        if len(provider.asked) == 10 and not pages:
            time.sleep(0.1)  # in the provider's thread: the run reports meanwhile
            pages.append(fetch(port))
        return others(body, before)

    def run(*arguments: Any) -> tuple[int, list[tuple[int, str, str]], str]:
        nonlocal others
        others, provider.script = provider.script, script
        code, _, errors = harvester("collect", folder.path, "--metrics", port, *arguments)
        return code, pages, errors

    folder.data["teacher"]["limits"] = {"concurrency": 1, "requests_per_minute": 60000}
    folder.save()
    return run


def test_a_run_is_seen_while_it_goes_on_and_no_longer(scraped: Any, folder: Any, port: int) -> None:
    folder.data["teacher"]["price"] = {"input": 1000, "output": 2000}
    folder.data["budget"] = {"usd": 5}
    folder.save()
    began = time.time()
    code, [(status, kind, page)], errors = scraped()
    assert (code, status, kind) == (0, 200, "text/plain; version=0.0.4; charset=utf-8")
    assert f"metrics: http://127.0.0.1:{port}/metrics" in errors
    found = samples(page)
    assert found["harvester_attempts_total", ("answered", "teacher")] == 9
    assert found["harvester_requests", ("answered",)] == 9
    assert found["harvester_requests", ("pending",)] == 1
    assert found["harvester_tokens_total", ("input", "teacher")] == 90
    assert found["harvester_tokens_total", ("output", "teacher")] == 45
    assert found["harvester_in_flight_requests", ("teacher",)] == 1
    assert found["harvester_spent_dollars_total", ("teacher",)] == pytest.approx(9 * 0.02)
    assert found["harvester_store_spent_dollars", ()] == pytest.approx(9 * 0.02)
    assert found["harvester_reserved_dollars", ()] > 0.1  # max_tokens of the one in flight
    assert found["harvester_budget_dollars", ("budget.usd",)] == 5
    assert found["harvester_limit_requests_per_second", ("teacher",)] == 1000
    assert found["harvester_limit_concurrent_requests", ("teacher",)] == 1
    assert found["harvester_waiting_requests", ("retry", "teacher")] == 0
    assert found["harvester_answers_total", ("stop",)] == 9
    assert began - 60 < found["harvester_run_start_time_seconds", ()] <= time.time()
    assert ("harvester_limit_tokens_per_second", ("teacher",)) not in found  # none is told, and none was found
    with pytest.raises(ConnectionRefusedError):
        fetch(port)


def test_what_fails_is_counted_by_kind(scraped: Any, provider: Provider) -> None:
    provider.script = lambda body, before: {
        "seed 1": (400, {}, b'{"error": {"message": "seed 1 is my secret"}}'),
        "seed 2": (429, {"Retry-After": "0.01"}, b"{}") if before == 0 else None,
        "seed 3": (503, {"Retry-After": "0.01"}, b"{}") if before == 0 else None,
    }.get(json.dumps(body).split("\\n")[1][:6])
    _, [(_, _, page)], _ = scraped()
    found = samples(page)
    assert found["harvester_requests_failed_total", ("HTTP 400",)] == 1
    assert found["harvester_attempts_total", ("throttled", "teacher")] == 1
    assert found["harvester_attempts_total", ("error", "teacher")] == 2
    assert "secret" not in page


def test_neither_keys_nor_texts_are_in_it(scraped: Any, folder: Any, provider: Provider, monkeypatch: Any) -> None:
    monkeypatch.setenv("TOY_API_KEY", KEY)
    folder.data["teacher"]["api_key_env"] = "TOY_API_KEY"
    folder.save()
    provider.script = lambda body, _: (
        (400, {}, json.dumps({"error": {"message": f"{KEY} {body}"}}).encode())
        if "seed 3" in json.dumps(body)
        else (200, {}, completion("a confidential answer", finish_reason="a confidential answer"))
    )
    code, [(_, _, page)], _ = scraped("--trust", "127.0.0.1")
    assert code == 0
    for text in (KEY, "confidential", "seed", "Say something"):
        assert text not in page


def test_a_log_has_the_address_as_an_event(scraped: Any, port: int) -> None:
    _, _, errors = scraped("--log-json")
    first = json.loads(errors.splitlines()[0])
    assert (first["event"], first["url"]) == ("metrics_served", f"http://127.0.0.1:{port}/metrics")


def test_a_port_in_use_is_one_line_and_nothing_is_asked(harvester: Any, folder: Any, provider: Provider) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, errors = harvester("collect", folder.path, "--metrics", port)
    assert (code, out, provider.asked) == (2, "", [])
    assert errors == f"harvester: --metrics: {port}: Address already in use; name another, or 0 for a free one\n"


def test_without_the_library_the_extra_is_named(harvester: Any, folder: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for module in ("harvester.metrics", "harvester.metrics_server"):
        monkeypatch.delitem(sys.modules, module)
    code, _, errors = harvester("collect", folder.path, "--metrics", 0)
    assert code == 2
    assert "--metrics: needs the library `prometheus-client`" in errors
    assert "'.[metrics]'" in errors


# --- the server


@pytest.fixture
def served() -> Iterator[int]:
    with serving(Metrics("toy"), 0) as url:
        yield int(url.rsplit(":", 1)[1].split("/")[0])


def test_its_address_is_looked_up_nowhere(monkeypatch: Any) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda *_: pytest.fail("a name was looked up"))
    with serving(Metrics("toy"), 0) as url:
        assert fetch(int(url.rsplit(":", 1)[1].split("/")[0]))[0] == 200


def test_any_free_port_is_told(served: int) -> None:
    assert fetch(served)[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:9", "LOCALHOST"])
def test_this_machines_names_are_answered(served: int, host: str) -> None:
    assert fetch(served, Host=host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", "", "@"])
def test_another_name_finds_nothing(served: int, host: str) -> None:
    status, _, body = fetch(served, Host=host)
    assert status == 403
    assert "harvester_" not in body


def test_there_is_nothing_but_metrics(served: int) -> None:
    assert fetch(served, "/")[0] == 404
    with pytest.raises(urllib.request.HTTPError, match="405"):
        urllib.request.urlopen(f"http://127.0.0.1:{served}/metrics", data=b"x")


def test_it_listens_on_loopback_alone(served: int) -> None:
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1"}:
        if address.startswith("127."):
            continue
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, served), 2).close()


def test_who_asks_nothing_keeps_it_from_neither_answering_nor_ending() -> None:
    with contextlib.ExitStack() as idle:
        began = time.monotonic()
        with serving(Metrics("toy"), 0) as url:
            port = int(url.rsplit(":", 1)[1].split("/")[0])
            for _ in range(20):
                idle.enter_context(socket.create_connection(("127.0.0.1", port)))
            assert fetch(port)[0] == 200
        assert time.monotonic() - began < 4


def test_a_port_that_is_not_ours_is_refused(served: int) -> None:
    with pytest.raises(BadInput, match=f"--metrics: {served}: "), serving(Metrics("toy"), served):
        pass


# --- names and numbers

counts = st.integers(0, 10**9)
labels = st.text(max_size=20)


def progress_of(name: str, reasons: dict[str, int], its: TeacherProgress) -> Progress:
    return Progress(
        name, 10, reasons=reasons, teachers={name: its}, steps={name: 3}, finish_reasons={"stop": 1},
        budgets={"budget.usd or --budget": BudgetProgress(5, 1), f"{name}.budget_usd": BudgetProgress(1, 0)},
    )  # fmt: skip


@given(labels, st.dictionaries(labels, counts, max_size=5), st.builds(TeacherProgress, sent=counts, answered=counts))
def test_whatever_is_counted_is_read_back(name: str, reasons: dict[str, int], its: TeacherProgress) -> None:
    metrics = Metrics(name)
    metrics.report(progress_of(name, reasons, its))
    found = samples(generate_latest(metrics.registry).decode())
    assert found["harvester_attempts_total", ("answered", name)] == its.answered
    failed = sum(value for (metric, _), value in found.items() if metric == "harvester_requests_failed_total")
    assert failed == sum(reasons.values())


def families() -> list[Metric]:
    metrics = Metrics("toy")
    metrics.report(progress_of("toy", {"HTTP 400: x": 1}, TeacherProgress(requests_per_minute=60, tokens_per_minute=6)))
    return list(text_string_to_metric_families(generate_latest(metrics.registry).decode()))


def test_names_follow_prometheus() -> None:
    for family in families():
        assert re.fullmatch(r"harvester_[a-z_]+", family.name)
        assert not NOT_BASE.search(family.name)
        assert family.documentation
        counted = {one.name for one in family.samples}
        assert (family.type == "counter") == any(name.endswith("_total") for name in counted), family.name


def test_every_metric_is_documented_with_its_labels_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/watch.md").read_text()
    told = dict(re.findall(r"^\| `(harvester_[a-z_]+)` \| ([^|]*)\|", page, re.MULTILINE))
    served = {one.name: set(one.labels) for family in families() for one in family.samples}
    assert {name: set(re.findall(r"`([a-z_]+)`", labels)) for name, labels in told.items()} == served


def test_a_thousand_reasons_are_few_labels() -> None:
    metrics = Metrics("toy")
    reasons = {f"HTTP 400: number {number}": 1 for number in range(1000)} | {f"code-{n}: x": 1 for n in range(1000)}
    metrics.report(progress_of("toy", reasons, TeacherProgress()))
    found = samples(generate_latest(metrics.registry).decode())
    failed = {labels: value for (name, labels), value in found.items() if name == "harvester_requests_failed_total"}
    assert failed == {("HTTP 400",): 1000, ("other",): 1000}


def test_what_a_run_changes_later_is_not_shown_before_it_is_reported() -> None:
    progress = progress_of("toy", {}, TeacherProgress(answered=3))
    metrics = Metrics("toy")
    metrics.report(progress)
    progress.teachers["toy"].answered = 4
    found = samples(generate_latest(metrics.registry).decode())
    assert found["harvester_attempts_total", ("answered", "toy")] == 3
