"""Arrow columns → values that JSON can hold."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from pyarrow import types

from harvester.errors import BadInput

Finish = Callable[[Any], Any] | None
STRINGS = (types.is_string, types.is_large_string, types.is_string_view)
AS_THEY_ARE = (*STRINGS, types.is_boolean, types.is_integer, types.is_null)
AS_TEXT = (types.is_date, types.is_time, types.is_timestamp, types.is_decimal)
LISTS = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view)
OFFSET = re.compile(r"([+-]\d\d)(\d\d)$")


class Unfit(Exception):
    """A type that JSON has no value for; the message names it."""


class Values:
    """Reads batches of one schema. Dates and times become ISO texts, decimals texts, structs and maps objects."""

    def __init__(self, schema: pa.Schema, where: str) -> None:
        """Look at the columns' types.

        Raises:
            BadInput: a column named twice, or of a type that JSON has no value for.
        """
        self._where = where
        twice = [name for name, count in Counter(schema.names).items() if count > 1]
        if twice:
            raise BadInput(f"{where}: the column {twice[0][:80]!r} is named twice; rename one")
        self._columns: list[tuple[str, pa.DataType, Finish]] = []
        for field in schema:
            try:
                self._columns.append((field.name, *_plan(field.type)))
            except Unfit as error:
                raise BadInput(
                    f"{where}: column {field.name!r}: holds {error}, which is no text, number, list or object;"
                    " take it out or turn it into text"
                ) from None

    def rows(self, batch: pa.RecordBatch | pa.Table, first: int) -> Iterator[dict[str, Any]]:
        """The rows of a batch, whose first one has the number `first`.

        Raises:
            BadInput: a value that JSON cannot hold, with its row and column.
        """
        names = [name for name, _, _ in self._columns]
        columns = [self._column(batch, place, first) for place in range(len(names))]
        for values in zip(*columns, strict=True):
            yield dict(zip(names, values, strict=True))

    def _column(self, batch: pa.RecordBatch | pa.Table, place: int, first: int) -> list[Any]:
        name, wanted, finish = self._columns[place]
        array = batch.column(place)
        try:
            values: list[Any] = (array if array.type == wanted else array.cast(wanted)).to_pylist()
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise BadInput(
                f"{self._where}: row {first} or after it: column {name!r}: {str(error).splitlines()[0]}; mend the file"
            ) from None
        if finish is None:
            return values
        for place_in_batch, value in enumerate(values):
            try:
                values[place_in_batch] = finish(value)
            except ValueError as error:
                raise BadInput(f"{self._where}: row {first + place_in_batch}: column {name!r}: {error}") from None
        return values


def _plan(kind: pa.DataType) -> tuple[pa.DataType, Finish]:
    """(the type to cast to, what to do with the Python values of that)."""
    if any(is_it(kind) for is_it in AS_THEY_ARE):
        return kind, None
    if any(is_it(kind) for is_it in AS_TEXT):
        return pa.string(), _iso if types.is_timestamp(kind) else None
    if types.is_floating(kind):
        return pa.float64() if types.is_float16(kind) else kind, _finite
    if types.is_dictionary(kind):
        return _plan(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _plan(kind.storage_type)
    return _plan_nested(kind)


def _plan_nested(kind: pa.DataType) -> tuple[pa.DataType, Finish]:
    if any(is_it(kind) for is_it in LISTS):
        inner, finish = _plan(kind.value_type)
        field = kind.value_field.with_type(inner)
        return (pa.large_list(field) if types.is_large_list(kind) else pa.list_(field)), _each(finish)
    if types.is_struct(kind):
        plans = {field: _plan(field.type) for field in kind}
        wanted = pa.struct([field.with_type(inner) for field, (inner, _) in plans.items()])
        return wanted, _fields({field.name: finish for field, (_, finish) in plans.items() if finish})
    if types.is_map(kind) and any(is_it(kind.key_type) for is_it in STRINGS):
        inner, finish = _plan(kind.item_type)
        return pa.map_(kind.key_type, inner), _object(finish)
    raise Unfit(f"values of type {kind}")


def _iso(text: str | None) -> str | None:
    return text and OFFSET.sub(r"\1:\2", text.replace(" ", "T", 1))


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON value; write it as text or null")
    return value


def _each(finish: Finish) -> Finish:
    return finish and (lambda values: values and [finish(value) for value in values])


def _fields(finishes: dict[str, Callable[[Any], Any]]) -> Finish:
    if not finishes:
        return None

    def finished(value: dict[str, Any] | None) -> dict[str, Any] | None:
        return value and {name: finishes[name](inner) if name in finishes else inner for name, inner in value.items()}

    return finished


def _object(finish: Finish) -> Finish:
    return lambda pairs: None if pairs is None else {name: finish(value) if finish else value for name, value in pairs}
