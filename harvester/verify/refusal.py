"""refusal: the answer does not refuse, and does not speak of itself as an AI.

The patterns are data (refusal.yaml): how refusals open, by language, and what gives a model away anywhere. They are
conservative: an answer that regrets something, or names a limit and goes on to answer, passes.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any

from harvester.records import Json
from harvester.verify.base import Failed, Judge, quote
from harvester.verify.settings import SettingsKind

OPENING_CHARACTERS = 300
READ_CHARACTERS = 20_000
_MARKS = str.maketrans({"\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'", "*": None, "_": None, '"': None})
_BEGIN = r"(?:^|[.!?:;,\n。、؟،؛¡¿]\s*)"  # of a sentence, or of a clause after an apology


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """(how a refusal opens, what gives a model away anywhere)."""
    from harvester.yaml_text import packaged  # noqa: PLC0415 - only recipes with this verifier should pay for YAML

    data = packaged("verify/refusal.yaml")
    opening, anywhere = (
        re.compile(_BEGIN + "(?P<said>" + "|".join(f"(?:{one})" for many in data[part].values() for one in many) + ")")
        for part in ("opening", "anywhere")
    )
    return opening, anywhere


def _judge(settings: Mapping[str, Any]) -> Judge:  # noqa: ARG001 - it has none
    opening, anywhere = _patterns()

    def judge(answer: str, seed: Mapping[str, Json]) -> None:  # noqa: ARG001 - the common form of a verifier
        text = unicodedata.normalize("NFKC", answer[:READ_CHARACTERS].translate(_MARKS)).lower().strip()
        text = re.sub(r"[^\S\n]+", " ", text)
        match = opening.search(text[:OPENING_CHARACTERS]) or anywhere.search(text)
        if match:
            raise Failed(f"refuses: {quote(match['said'])}")

    return judge


REFUSAL = SettingsKind("refusal", {}, "{}", _judge)
