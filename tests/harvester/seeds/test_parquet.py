"""Parquet: every type becomes a JSON value, or is refused with its column."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from harvester.errors import BadInput

NOON = dt.datetime(2024, 1, 2, 12, 0, 5)  # noqa: DTZ001 - a timestamp without a zone is meant
DAY = NOON.date()


def values(read: Any, root: Any, *columns: pa.Array) -> list[Any]:
    parquet.write_table(pa.table(list(columns), [f"c{number}" for number in range(len(columns))]), root / "a.parquet")
    return [list(seed.data.values()) for seed in read("a.parquet")]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array(["ä", None]), ["ä", None]),
        (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
        (pa.array([2**64 - 1, 0], pa.uint64()), [2**64 - 1, 0]),
        (pa.array([1.5, None], pa.float16()), [1.5, None]),
        (pa.array([True, None]), [True, None]),
        (pa.nulls(2), [None, None]),
        (pa.array([DAY, None]), ["2024-01-02", None]),
        (pa.array([NOON, None], pa.timestamp("s")), ["2024-01-02T12:00:05.000", None]),  # parquet has no seconds
        (pa.array([10**18 + 7, None], pa.timestamp("ns")), ["2001-09-09T01:46:40.000000007", None]),
        (pa.array([NOON, None], pa.timestamp("ms", "UTC")), ["2024-01-02T12:00:05.000Z", None]),
        (pa.array([NOON, None], pa.timestamp("ms", "+02:00")), ["2024-01-02T14:00:05.000+02:00", None]),
        (pa.array([dt.time(1, 2, 3), None], pa.time32("ms")), ["01:02:03.000", None]),
        (pa.array([Decimal("12.50"), None]), ["12.50", None]),
        (pa.array([["a", None], None]), [["a", None], None]),
        (pa.array([[DAY], []]), [["2024-01-02"], []]),
        (
            pa.array([{"a": [{"b": NOON}], "c": 1.5}, None]),
            [{"a": [{"b": "2024-01-02T12:00:05.000000"}], "c": 1.5}, None],
        ),
        (pa.array([[("k", DAY)], None], pa.map_(pa.string(), pa.date32())), [{"k": "2024-01-02"}, None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_a_type_becomes_json(read: Any, root: Any, array: pa.Array, expected: list[Any]) -> None:
    read_back = values(read, root, array)
    assert read_back == [[value] for value in expected]
    json.dumps(read_back, allow_nan=False)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (pa.array([b"raw"]), "column 'c1': holds values of type binary"),
        (pa.array([{"bytes": b"", "path": "x"}]), "column 'c1': holds values of type binary"),
        (pa.array([dt.timedelta(1)]), "column 'c1': holds values of type duration"),
        (pa.array([[(1, "a")]], pa.map_(pa.int8(), pa.string())), "column 'c1': holds values of type map<int8"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_a_type_without_a_json_value_is_refused(read: Any, root: Any, array: pa.Array, says: str) -> None:
    with pytest.raises(BadInput, match="take it out or turn it into text") as error:
        values(read, root, pa.array(["x"]), array)
    assert says in str(error.value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_told_by_row_and_column(read: Any, root: Any, bad: float) -> None:
    with pytest.raises(BadInput, match=rf"a.parquet: row 301: column 'c0': {bad} is not a JSON value"):
        values(read, root, pa.array([1.0] * 300 + [bad]))


def test_a_column_named_twice_is_refused(read: Any, root: Any) -> None:
    parquet.write_table(pa.table([pa.array([1]), pa.array([2])], ["x", "x"]), root / "a.parquet")
    with pytest.raises(BadInput, match="the column 'x' is named twice"):
        read("a.parquet")


def test_bytes_that_are_called_text_are_refused(read: Any, root: Any) -> None:
    wrong = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    with pytest.raises(BadInput, match=r"row 1 or after it: column 'c0': .*; mend the file"):
        values(read, root, wrong)


@pytest.mark.parametrize("raw", [b"", b"PAR1", b"text,b\n1,2\n", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_what_is_no_parquet_file_is_refused_in_one_line(read: Any, root: Any, raw: bytes) -> None:
    (root / "a.parquet").write_bytes(raw)
    with pytest.raises(BadInput, match=r"a\.parquet: row 1 or after it: not parquet: [^\n]*; write it anew$"):
        read("a.parquet")
