"""JSON is read and written one way."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.records import decoded

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
AROUND = st.sampled_from(["", " ", "\n\t", "\ufeff", "}", '"', ","])
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])


def read(by: Any, data: str | bytes) -> str:
    """What it says, numbers as they are spelt, or its error."""
    try:
        return repr(by(data))
    except ValueError as error:
        return f"{type(error).__name__}: {error}"


@given(values, AROUND, AROUND, st.booleans(), ENCODINGS)
def test_what_is_decoded_is_what_the_standard_library_makes_of_it(
    value: Any, before: str, after: str, escaped: bool, encoding: str
) -> None:
    text = before + json.dumps(value, ensure_ascii=escaped) + after
    for data in (text, text.encode(encoding, "surrogatepass")):
        assert read(decoded, data) == read(json.loads, data)


@pytest.mark.parametrize(
    "data",
    [b"", "", b"{", b'{"a": 1', b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', b'{"a": "\\ud800"}', b'{"n": 1e999}',
     b'{"n": 123456789012345678901234567890}', b'{"n": NaN} ', b'{"a": 1}\n', b"\xef\xbb\xbf{}", b'{"a":1}{"a":2}'],
)  # fmt: skip
def test_odd_bytes_are_decoded_and_refused_as_by_the_standard_library(data: str | bytes) -> None:
    assert read(decoded, data) == read(json.loads, data)
