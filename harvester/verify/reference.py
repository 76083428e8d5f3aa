"""Whether an answer equals the reference: for scoring held-out answers, never for choosing what to train on."""

from collections.abc import Iterator

from harvester.records import Check, Json
from harvester.verify.answers import read_json
from harvester.verify.base import Failed
from harvester.verify.copied_span import fold

NAME = "matches_reference"


def matches_reference(answer: str, reference: Json) -> Check:
    """Compares an answer with the seed's reference.

    A reference that is text is compared as text: composed letters, single spaces, case kept. Any other reference is
    JSON, and so must the answer be: numbers are equal by value (45 and 45.0), text as above, objects field by field.

    Args:
        answer: the answer's text.
        reference: what a perfect answer says.

    Returns:
        A failed check names the field that differs, never the reference itself: a reason may travel with the row.
    """
    try:
        if isinstance(reference, str):
            problem = None if fold(answer) == fold(reference) else "the text differs"
        else:
            problem = next(_differences(read_json(answer), reference, ""), None)
    except Failed as failed:
        problem = failed.reason
    except RecursionError:
        problem = "nested too deeply"
    return Check(NAME, {}, passed=problem is None, reason=problem)


def matching_fields(answer: str, reference: Json) -> dict[str, bool]:
    """Which fields of the reference the answer has right, each by the same comparison as the whole.

    Args:
        answer: the answer's text.
        reference: what a perfect answer says.

    Returns:
        Top-level field → whether it is right; nothing where the reference has no fields. An answer that is no object
        has none of them right.
    """
    if not isinstance(reference, dict):
        return {}
    try:
        value = read_json(answer)
    except Failed:
        value = None
    found = value if isinstance(value, dict) else {}
    return {name: name in found and _equal(found[name], expected) for name, expected in reference.items()}


def _equal(value: Json, reference: Json) -> bool:
    try:
        return next(_differences(value, reference, ""), None) is None
    except RecursionError:
        return False


def _differences(value: Json, reference: Json, path: str) -> Iterator[str]:
    here = path or "the answer"
    if isinstance(reference, dict) and isinstance(value, dict):
        for name, expected in reference.items():
            inner = f"{path}.{name}" if path else name
            if name in value:
                yield from _differences(value[name], expected, inner)
            else:
                yield f"{inner}: missing"
        # The names of surplus fields are the model's own words: how many there are says enough.
        if surplus := len(value.keys() - reference.keys()):
            yield f"{here}: {surplus} more field{'s' if surplus > 1 else ''} than asked for"
    elif isinstance(reference, list) and isinstance(value, list):
        if len(value) != len(reference):
            yield f"{here}: {len(value)} items instead of {len(reference)}"
        for index, (one, expected) in enumerate(zip(value, reference, strict=False)):
            yield from _differences(one, expected, f"{path}[{index}]")
    elif not _same_scalar(value, reference):
        yield f"{here}: differs"


def _same_scalar(value: Json, reference: Json) -> bool:
    if isinstance(value, str) and isinstance(reference, str):
        return fold(value) == fold(reference)
    # Python holds True for 1, JSON does not.
    if isinstance(value, bool) or isinstance(reference, bool):
        return value is reference
    return bool(value == reference)
