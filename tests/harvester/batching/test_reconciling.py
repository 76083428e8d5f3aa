"""Lines of output, whatever they are: each request is settled once or missing, and nothing else is."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.batching.reconciling import Reconciliation, Settled, lines_of
from harvester.profiles import batch_terms
from harvester.store.batches import Stray

from batch_provider import answered, erred  # isort: skip - a helper beside the tests
from provider import completion  # isort: skip

KEYS = ["a" * 64, "b" * 64, "c" * 64]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
IDS = st.sampled_from([*KEYS, "another"])
LINES = st.one_of(
    st.binary(max_size=40),
    JSON.map(lambda value: json.dumps(value).encode()),
    IDS.map(lambda key: json.dumps(answered(key, completion("yes"))).encode()),
    IDS.map(lambda key: json.dumps(erred(key, "batch_expired")).encode()),
    st.builds(
        lambda key, status, body: json.dumps(
            {"custom_id": key, "response": {"status_code": status, "body": body}}
        ).encode(),
        IDS,
        JSON,
        JSON,
    ),
    st.builds(lambda key, rest: json.dumps({"custom_id": key, "response": rest, "error": rest}).encode(), IDS, JSON),
)


@given(st.lists(LINES, max_size=12))
def test_every_request_is_settled_once_or_missing(lines: list[bytes]) -> None:
    taking = Reconciliation(KEYS)
    found = [taking.take(line) for line in lines]
    settled = [one.key for one in found if isinstance(one, Settled)]
    assert sorted([*settled, *taking.missing]) == KEYS
    for one in found:
        if isinstance(one, Stray):
            assert (one.custom_id or "").encode() is not None  # so that the store can hold it
        elif not hasattr(one.said, "received"):
            assert one.said.reason.encode()


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line), max_size=6), st.booleans())
def test_a_file_is_read_line_by_line_whatever_its_end(lines: list[bytes], ended: bool) -> None:
    file = io.BytesIO(b"\n".join(lines) + (b"\n" if ended else b""))
    assert list(lines_of(file)) == [line.rstrip(b"\r\n") for line in lines if line.strip()]


def test_of_a_line_without_end_only_the_beginning_is_held(monkeypatch: Any) -> None:
    monkeypatch.setattr("harvester.batching.reconciling.MAX_BODY_BYTES", 10)
    assert list(lines_of(io.BytesIO(b"x" * 95 + b"\nshort\n"))) == [b"x" * 10, b"short"]


@pytest.mark.parametrize(
    ("provider", "host", "price", "megabytes"),
    [
        ("openai", "api.openai.com", 0.5, 200),
        ("together", "api.together.xyz", 1.0, 100),
        ("dashscope.aliyuncs.com", "dashscope.aliyuncs.com", 0.5, 100),
        ("api.moonshot.ai", "api.moonshot.ai", 0.6, 100),
        ("example.org", "example.org", 1.0, 200),
    ],
)
def test_what_a_batch_may_hold_and_costs_is_data(provider: str, host: str, price: float, megabytes: int) -> None:
    found = batch_terms(provider, host)
    assert (found.price, found.megabytes, found.requests) == (price, megabytes, 50_000)
