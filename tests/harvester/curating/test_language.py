"""language: other languages go, short texts and code stay."""

import pytest

from harvester.curating.base import Example
from harvester.curating.language import Language
from harvester.errors import BadInput

GERMAN = "Der Fuchs wartete am Rand des Waldes, bis die Hühner zurückkamen, und lief dann über die Brücke davon."
ENGLISH = "The fox waited at the edge of the forest until the hens came back, and then it ran away over the bridge."


def row(answer: str) -> Example:
    return Example(1, "row", "train", "seed", {}, "A question?", answer)


@pytest.mark.parametrize(
    ("codes", "answer", "stays"),
    [
        (["en"], ENGLISH, True),
        (["en"], GERMAN, False),
        (["en", "de"], GERMAN, True),
        (["ar"], "البحر عميق وقاعه بارد", True),
        (["ar"], "The sea is deep", False),
        (["en"], "海很深", False),
        (["en"], "Ja.", True),  # too short to tell
        (["de"], "42", True),
        (["de"], "```python\nfor item in items: print(item)\n```", True),
    ],
)
def test_only_other_languages_go(codes: list[str], answer: str, stays: bool) -> None:
    drop = Language(codes).look(row(answer))
    assert (drop is None) is stays
    assert stays or (drop is not None and drop.reason == "language")


def test_a_drop_says_what_was_found() -> None:
    drop = Language(["en"]).look(row(GERMAN))
    assert drop is not None
    assert drop.detail == {"found": "written in de, not in en"}


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(BadInput, match=r"curate\.language: unknown language 'xx'"):
        Language(["xx"])
