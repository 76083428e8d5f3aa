"""An answer's text → the JSON value it is, strictly: what is ambiguous or cannot be stored is refused."""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from harvester.records import Json
from harvester.verify.base import Failed, quote

LONGEST_ANSWER = 1_000_000
LONGEST_NUMBER = 100


def read_json(answer: str) -> Json:
    """The JSON value that the whole answer is; white space around it is fine, anything else is not.

    NaN, Infinity, numbers beyond a float's range, duplicate keys and unpaired surrogates are refused although Python's
    parser takes them.

    Raises:
        Failed: the answer is not such a value.
    """
    if len(answer) > LONGEST_ANSWER:
        raise Failed(f"longer than {LONGEST_ANSWER:,} characters")
    try:
        value = json.loads(
            answer, parse_constant=_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_object
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise Failed("nested too deeply") from None
    except UnicodeEncodeError:
        raise Failed("has half of a surrogate pair") from None
    except ValueError as error:
        fence = "; take the ``` fence away" if answer.lstrip().startswith("```") else ""
        raise Failed(f"not JSON: {str(error)[:100]}{fence}") from None
    return value


def read_object(answer: str) -> dict[str, Json]:
    """The JSON object that the whole answer is.

    Raises:
        Failed: the answer is not a JSON object.
    """
    value = read_json(answer)
    if not isinstance(value, dict):
        raise Failed(f"not a JSON object but {quote(value)}")
    return value


def seed_text(seed: Mapping[str, Json], source: str) -> str:
    """The seed's field that an answer is compared with.

    Raises:
        Failed: the seed has no such field, or it is not text.
    """
    text = seed.get(source)
    if not isinstance(text, str):
        raise Failed(f"the seed has no text field {quote(source)}")
    return text


def answer_field(answer: str, field: str) -> Json:
    """One field of an answer that is a JSON object.

    Raises:
        Failed: the answer is not a JSON object or lacks the field.
    """
    values = read_object(answer)
    if field not in values:
        raise Failed(f"no field {quote(field)}")
    return values[field]


def answer_text(answer: str, field: str | None) -> str:
    """The whole answer, or the text that one field of it holds.

    Raises:
        Failed: a field is named, and the answer is not a JSON object or the field no text.
    """
    if field is None:
        return answer
    value = answer_field(answer, field)
    if not isinstance(value, str):
        raise Failed(f"{field} is not text but {quote(value)}")
    return value


def _constant(name: str) -> NoReturn:
    raise Failed(f"not JSON: {name} is not a JSON number")


def _float(digits: str) -> float:
    number = float(digits) if len(digits) <= LONGEST_NUMBER else math.inf
    if math.isinf(number):
        raise Failed("a number is too large or too long")
    return number


def _int(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise Failed("a number is too large or too long")
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise Failed(f"field {quote(next(name for name in values if names.count(name) > 1))} is there twice")
    return values
