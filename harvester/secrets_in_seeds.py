"""Secrets in what is about to leave the machine: keys and passwords that can be told by their form."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from harvester.errors import BadInput
from harvester.prompting import template_texts
from harvester.recipe import Recipe
from harvester.records import Json, Message, Seed
from harvester.seeds import Place, places

if TYPE_CHECKING:
    from detect_secrets.plugins.base import RegexBasedDetector

MOST_FOUND = 100
"""More would say no more."""
SHOWN = 3

# Keys of model providers, which the library does not know: what people who use this program have lying around.
MODEL_KEYS = {
    "Anthropic API key": r"sk-ant-[A-Za-z0-9_-]{20,}",
    "Google API key": r"AIza[0-9A-Za-z_-]{35}",
    "GitHub fine-grained token": r"github_pat_[A-Za-z0-9_]{60,}",
    "Groq API key": r"gsk_[A-Za-z0-9]{40,}",
    "Hugging Face token": r"hf_[A-Za-z0-9]{34}",
    "NVIDIA API key": r"nvapi-[A-Za-z0-9_-]{40,}",
    "OpenAI API key": r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,}",
    "OpenRouter API key": r"sk-or-v1-[0-9a-f]{64}",
    "Replicate token": r"r8_[A-Za-z0-9]{37}",
    "sk- API key": r"sk-[0-9a-f]{32}",  # DeepSeek and others
    "xAI API key": r"xai-[A-Za-z0-9]{60,}",
}

LIKELY = re.compile(r"[A-Za-z0-9_+/=-]{20}|PRIVATE KEY|PuTTY-User|://[^\s/@]+@")
"""Every secret has one of these, ordinary prose has none: most texts need no second look."""

NO_DIGITS = frozenset({"Private Key", "Basic Auth Credentials", *MODEL_KEYS})
"""Forms that are enough by themselves; in the others, a key without any digit is a word in the place of one."""
WHOLE_WORDS = frozenset({"Telegram Bot Token", "Twilio API Key", *MODEL_KEYS})
"""Forms of a fixed length that longer words, such as hashes, would fit too."""
LEFT_OUT = frozenset({"IPPublicDetector", "ArtifactoryDetector"})
"""An address is no secret; AP and letters is also how words in capitals begin."""
WORD = re.compile(r"[A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is, never what it is."""

    file: str
    line: int
    kind: str
    unit: str = "line"  # what `line` counts: in tables rows, in documents chunks


@dataclass(frozen=True, slots=True)
class _InSeed:
    """A secret in a split's seed number so and so."""

    split: str
    number: int
    kind: str

    def at(self, place: Place) -> Secret:
        """As it is told."""
        return Secret(place.file, place.number, self.kind, place.unit)


class Scan:
    """Looks through every rendered prompt of a recipe."""

    def __init__(self, recipe: Recipe) -> None:
        """Begin with the templates themselves.

        Raises:
            BadInput: as `prompting.Template` does.
        """
        self._recipe = recipe
        self._count = {split: 0 for split, _ in recipe.seed_files}  # split → seeds looked through
        self._found: dict[Secret | _InSeed, None] = {}
        self._own: set[str] = set()  # kinds that the templates hold, and so every prompt
        self._clean: dict[int, str] = {}  # place of a message → the last text there without a secret
        for path, text in template_texts(recipe):
            for number, line in enumerate(text.splitlines(), start=1):
                for kind in kinds(line):
                    self._own.add(kind)
                    self._add(Secret(str(path), number, kind))

    def look(self, seed: Seed, messages: Sequence[Message]) -> None:
        """Look through one seed's prompt: what the template leaves out of it stays here and is no matter."""
        self._count[seed.split] += 1
        if len(self._found) == MOST_FOUND:
            return
        for place, message in enumerate(messages):
            text = message["content"]
            if self._clean.get(place) == text:  # instructions and examples, the same in every prompt
                continue
            found = kinds(text)
            if not found:
                self._clean[place] = text
            for kind in found:
                if kind not in self._own or kind in kinds("\n".join(_texts(seed.data))):
                    self._add(_InSeed(seed.split, self._count[seed.split], kind))

    def _add(self, secret: "Secret | _InSeed") -> None:
        if len(self._found) < MOST_FOUND:
            self._found[secret] = None

    @property
    def found(self) -> tuple[Secret, ...]:
        """What was found so far, at most MOST_FOUND. Reads the seeds' files again for the places."""
        wanted: dict[str, set[int]] = {}
        for one in self._found:
            if isinstance(one, _InSeed):
                wanted.setdefault(one.split, set()).add(one.number)
        read = {split: places(self._recipe, split, numbers) for split, numbers in wanted.items()}
        return tuple(one if isinstance(one, Secret) else one.at(read[one.split][one.number]) for one in self._found)


def require_none(secrets: Sequence[Secret]) -> None:
    """Refuse seeds and templates that hold secrets.

    Raises:
        BadInput: the first ones, and the mend.
    """
    if secrets:
        first = ", ".join(f"{one.file}: {one.unit} {one.line}: {one.kind}" for one in secrets[:SHOWN])
        more = f" and {len(secrets) - SHOWN} more" if len(secrets) > SHOWN else ""
        raise BadInput(f"{first}{more}: collecting would send these secrets to the teacher; take them out")


def kinds(text: str) -> set[str]:
    """Kinds of the secrets in a text."""
    if not LIKELY.search(text):
        return set()
    return {kind for kind, match in _matches(text) if _credible(kind, match)}


def _matches(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    for kind, pattern in _model_keys().items():
        yield from ((kind, match) for match in pattern.finditer(text))
    for detector in _detectors():
        # Not its scan of lines, which would also ask the providers whether the secret is a live one.
        if any(True for _ in detector.analyze_string(text)):
            for pattern in detector.denylist:
                yield from ((detector.secret_type, match) for match in pattern.finditer(text))


def _credible(kind: str, match: re.Match[str]) -> bool:
    """Whether a match is more than a part of some longer word, or words in the place of a key."""
    text, begin, end = match.string, match.start(), match.end()
    if kind not in NO_DIGITS and not any(character.isdigit() for character in match.group()):
        return False
    if begin > 0 and WORD.match(text[begin - 1]) and WORD.match(text[begin]):
        return False
    return not (kind in WHOLE_WORDS and end < len(text) and WORD.match(text[end]))


@cache
def _model_keys() -> dict[str, re.Pattern[str]]:
    return {kind: re.compile(pattern) for kind, pattern in MODEL_KEYS.items()}


@cache
def _detectors() -> tuple["RegexBasedDetector", ...]:
    """Those of the library that go by form; the others guess by entropy and flag ordinary words."""
    import detect_secrets.plugins as library  # noqa: PLC0415 - loads an HTTP client, and few seeds need it
    from detect_secrets.plugins.base import RegexBasedDetector  # noqa: PLC0415

    for module in pkgutil.iter_modules(library.__path__):
        importlib.import_module(f"{library.__name__}.{module.name}")
    found = (one for one in RegexBasedDetector.__subclasses__() if one.__module__.startswith(library.__name__))
    return tuple(one() for one in sorted(found, key=lambda one: one.__name__) if one.__name__ not in LEFT_OUT)


def _texts(value: Json) -> Iterator[str]:
    """Every text in a seed's data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
