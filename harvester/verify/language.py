"""language: the answer is written in one of the languages that are allowed.

`is` names them for all seeds, `expected` the seed's field that does: a code or a list of them, of which a region
(pt-BR) is not looked at.

How it is decided, on the text without code blocks, addresses and digits:

1. Without a letter nothing can be told, and the answer passes.
2. The script in which most letters are written must be one of an allowed language's. This alone decides for one word.
3. py3langid weighs the languages. The answer fails where another language is e^MARGIN times as likely as each allowed
   one. A few words seldom give so much evidence, so short answers in a related language pass.

Close relatives that the model tells apart, and people often do not, count as one (RELATIVES). Other codes of languages
that it knows are taken for these (OTHER_CODES).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from harvester.records import Json
from harvester.verify.base import BadSettings, Failed, Judge, quote
from harvester.verify.names import did_you_mean
from harvester.verify.settings import Setting, SettingsKind, shown

MARGIN = 10.0
READ_CHARACTERS = 3_000
"""The language of a longer text shows in its beginning, and weighing one takes 20 µs a character."""
SETTINGS = {"is": Setting(object), "expected": Setting(str)}

RELATIVES = {"zh": ("yue", "wuu"), "ar": ("arz", "ary"), "no": ("nn",), "he": ("hbo",), "el": ("grc",)}
OTHER_CODES = {"nb": "no"}
"""Codes that ISO 639 has beside the model's own."""
_NO_LANGUAGE = "zxx"
_LATIN = "LATIN"
_SCRIPTS = {
    "ARABIC": "ar ary arz fa ku ps sdh ug ur",
    "ARMENIAN": "hy",
    "BENGALI": "as bn",
    "CJK": "ja wuu yue zh",
    "CYRILLIC": "az ba be bg kk ky mk mn ru sr tg tk tt uk uz",
    "DEVANAGARI": "gom hi mr ne sa",
    "ETHIOPIC": "am",
    "GEORGIAN": "ka",
    "GREEK": "el grc",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "HANGUL": "ko",
    "HEBREW": "hbo he",
    "KANNADA": "kn",
    "KHMER": "km",
    "LAO": "lo",
    _LATIN: "az bs kk ku mn sr tg tk tt uz",
    "MALAYALAM": "ml",
    "MYANMAR": "my",
    "ORIYA": "or",
    "SINHALA": "si",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
    "TIBETAN": "dz",
}
_ONE_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "KATAKANA-HIRAGANA": "CJK"}
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+|\S+@\S+")


def _finish(settings: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:  # noqa: ARG001 - see `Finish`
    stated = settings.get("is") not in (None, "", [], {})
    if not stated and not settings.get("expected"):
        mend = "name a language, such as en, or a list of them; or, by `expected`, the seed's field that does"
        raise BadSettings(".is", f"missing; {mend}")
    if not stated:
        return {"expected": settings["expected"]}
    if "expected" in settings:
        raise BadSettings(".expected", "stands beside `is`; leave one")
    codes = settings["is"] if isinstance(settings["is"], list) else [settings["is"]]
    for code in codes:
        if code is False:
            raise BadSettings(".is", 'YAML reads no as false; write "no" for Norwegian')
        if not isinstance(code, str):
            raise BadSettings(".is", f"must be a language, such as en, or a list of them, not {shown(code)}")
        if _own(code) not in _known():
            near = did_you_mean(code, _known()) or "; write codes such as en, de, ar, zh"
            raise BadSettings(".is", f"unknown language {shown(code)}{near}")
    return {"is": codes}


@cache
def _known() -> frozenset[str]:
    return frozenset(label for label, _ in _rank("")) - {_NO_LANGUAGE}


def _own(code: str) -> str:
    """The model's code for a language."""
    return OTHER_CODES.get(code, code)


def _rank(text: str) -> list[tuple[str, float]]:
    """Languages with their log-likelihoods, best first."""
    return [(label, float(weight)) for label, weight in _identifier().rank(text)]


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - with its model half a second

    return LanguageIdentifier.from_model_file(MODEL_FILE)


@cache
def _scripts_of(code: str) -> frozenset[str]:
    return frozenset(script for script, codes in _SCRIPTS.items() if code in codes.split()) or frozenset({_LATIN})


@lru_cache(maxsize=10_000)
def _script(letter: str) -> str | None:
    if not letter.isalpha():
        return None
    name = unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
    return _ONE_SCRIPT.get(name, name)


def _prose(answer: str) -> str:
    """What of an answer is written in a language at all."""
    parts = answer[:READ_CHARACTERS].split("```")[::2]  # every second one is code
    text = _ADDRESS.sub(" ", " ".join(parts)).encode("utf-8", "ignore").decode("utf-8")
    return "".join(" " if letter.isdigit() else letter for letter in unicodedata.normalize("NFKC", text))


def _judge(settings: Mapping[str, Any]) -> Judge:
    def judge(answer: str, seed: Mapping[str, Json]) -> None:
        codes = settings["is"] if "is" in settings else _of_seed(seed, settings["expected"])
        _require(answer, tuple(codes))

    return judge


def _of_seed(seed: Mapping[str, Json], field: str) -> list[str]:
    """The languages that a seed names.

    Raises:
        Failed: its field names none that is known.
    """
    value = seed.get(field)
    named = value if isinstance(value, list) else [value]
    codes = [re.split("[-_]", one.strip().lower())[0] if isinstance(one, str) else "" for one in named]
    if not codes or not _known().issuperset(map(_own, codes)):
        raise Failed(f"the seed's field {quote(field)} holds no language, such as en, but {quote(value)}")
    return codes


def _require(answer: str, codes: tuple[str, ...]) -> None:
    """The answer is written in one of these languages, by the rules above."""
    allowed = {relative for code in map(_own, codes) for relative in (code, *RELATIVES.get(code, ()))}
    wanted = " or ".join(codes)
    text = _prose(answer)
    counts = Counter(script for script in map(_script, text) if script)
    if not counts:
        return
    main = counts.most_common(1)[0][0]
    if not any(main in _scripts_of(code) for code in allowed):
        raise Failed(f"written in {main.capitalize()} letters, not in {wanted}")
    words = "".join(letter if _script(letter) in (main, None) else " " for letter in text)
    ranked = [(label, weight) for label, weight in _rank(words) if label != _NO_LANGUAGE]
    best = max(weight for label, weight in ranked if label in allowed)
    if ranked[0][1] - best > MARGIN:
        raise Failed(f"written in {ranked[0][0]}, not in {wanted}")


LANGUAGE = SettingsKind("language", SETTINGS, "{is: en}", _judge, _finish, seed_settings=("expected",))
