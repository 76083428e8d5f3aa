"""Keys, tokens and passwords in a text, told by their form alone."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from harvester.records import Json

if TYPE_CHECKING:
    from detect_secrets.plugins.base import RegexBasedDetector

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

LEAST_RUN = 20
"""Nearly every secret has a run of so many of RUN's characters, ordinary prose has none: few texts need more."""
RUN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+/=-")

# What the library's secrets have at least, of which it knows nothing: most of its patterns are slow.
LONGER_RUN = {
    "Cloudant Credentials": 24,
    "IBM Cloud IAM Key": 44,
    "IBM COS HMAC Credentials": 48,
    "Mailchimp Access Key": 35,
    "SoftLayer Credentials": 64,
}
SIGNS = {  # in small letters; one of them is there
    "AWS Access Key": ("a3t", "abia", "acca", "akia", "asia", "aws"),
    "Azure Storage Account access key": ("accountkey=",),
    "Basic Auth Credentials": ("://",),
    "Cloudant Credentials": ("clou", "cl_", "cl-", "clapi", "clkey", "clp", "cltoken"),
    "GitHub Token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "GitLab Token": ("gl", "gr1348941"),
    "JSON Web Token": ("eyj",),
    "NPM tokens": ("_authtoken=",),
    "OpenAI Token": ("t3blbkfj",),
    "PyPI Token": ("pypi-",),
    "SendGrid API Key": ("sg.",),
    "Slack Token": ("xox", "hooks.slack.com"),
    "Square OAuth Secret": ("sq0csp-",),
    "Stripe Access Key": ("k_live_",),
    "Telegram Bot Token": (":",),
}

NO_DIGITS = frozenset({"Private Key", "Basic Auth Credentials", *MODEL_KEYS})
"""Forms that are enough by themselves; in the others, a key of words is something in the place of one."""
WHOLE_WORDS = frozenset({"Telegram Bot Token", "Twilio API Key", *MODEL_KEYS})
"""Forms of a fixed length that longer words, such as hashes, would fit too."""
LEFT_OUT = frozenset({"IPPublicDetector", "ArtifactoryDetector"})
"""An address is no secret; AP and letters is also how words in capitals begin."""
CAPITALS = (0.3, 0.7)
"""Their share of a key's letters, where letters are drawn by lot; in words it is smaller, or all are capitals."""
LEAST_DIFFERENT = 10
"""Characters of a key in capitals; a placeholder such as AKIAXXXXXXXXXXXXXXXX has fewer."""
SAMPLE = "EXAMPLE"
"""In the keys of AWS's documentation, which are no one's."""
WORD = re.compile(r"[A-Za-z0-9]")
HIDDEN = "[key]"

_NO_ASCII = re.compile(r"[^\x00-\x7f]")
_SHAPE = bytes(ord("x") if byte in RUN else ord(" ") for byte in range(256))
_NO_PASSWORD = re.compile(
    r"(?:(?:my|your|the|db|some)?[_-]?"
    r"(?:pass(?:word|wd|phrase)?|pwd|pw|secret|token|user(?:name)?|postgres|root|admin|guest|test|example|changeme)"
    r"(?:[_-]?here)?|x+|\*+|\.+|.*[{}$<>].*)",
    re.IGNORECASE,
)

_OWN_MACHINE = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|0\.0\.0\.0|\[::1\])(?![\w-]|\.\w)", re.IGNORECASE)


def kinds(text: str) -> set[str]:
    """Kinds of the secrets in a text."""
    if not _likely(text):
        return set()
    text = "\n".join(line for line in text.split("\n") if _likely(line))  # none goes over the end of a line
    return {kind for kind, _ in _secrets(text)}


def without_secrets(text: str) -> str:
    """The same text, with a word in the place of each secret."""
    return "\n".join(_line_without_secrets(line) if _likely(line) else line for line in text.split("\n"))


def _line_without_secrets(line: str) -> str:
    characters = list(line)
    for _, match in _secrets(line):
        begin, end = match.span()
        characters[begin:end] = [HIDDEN, *[""] * (end - begin - 1)]
    return "".join(characters)


def texts_in(value: Json) -> Iterator[str]:
    """Every text that a value holds, however deep; the names of fields are none."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            left.extend(reversed(tuple(one.values())))
        elif isinstance(one, list | tuple):
            left.extend(reversed(one))


def _secrets(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    """(kind, where it stands) of the secrets in a likely text, some several times."""
    text = _NO_ASCII.sub("\ufffd", text)  # no key has other letters: beside one it would read as a part of a word
    yield from (found for found in _matches(text) if _credible(*found))


def _likely(text: str) -> bool:
    # By bytes: a pattern that counts characters takes thirty times as long, and this is done with every text.
    return (
        _has_run(_shape(text), LEAST_RUN)
        or "PRIVATE KEY" in text
        or "PuTTY-User" in text
        or ("@" in text and "://" in text)  # a password in an address
    )


def _shape(text: str) -> bytes:
    return text.encode("utf-8", "replace").translate(_SHAPE)


def _has_run(shape: bytes, length: int) -> bool:
    return b"x" * length in shape


def _matches(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    for kind, pattern in _model_keys().items():
        yield from ((kind, match) for match in pattern.finditer(text))
    shape = _shape(text)
    small = text.lower()
    for detector in detectors():
        kind = detector.secret_type
        if kind in LONGER_RUN and not _has_run(shape, LONGER_RUN[kind]):
            continue
        if kind in SIGNS and not any(sign in small for sign in SIGNS[kind]):
            continue
        # Not its scan of lines, which would also ask the providers whether the secret is a live one.
        if any(True for _ in detector.analyze_string(text)):
            for pattern in detector.denylist:
                yield from ((kind, match) for match in pattern.finditer(text))


def _credible(kind: str, match: re.Match[str]) -> bool:
    """Whether a match is more than a part of some longer word, or words in the place of a key."""
    text, begin, end = match.string, match.start(), match.end()
    if kind not in NO_DIGITS and not _drawn_by_lot(kind, match.group()):
        return False
    if kind == "Basic Auth Credentials" and (_NO_PASSWORD.fullmatch(match.group(1)) or _OWN_MACHINE.match(text, end)):
        return False
    if kind == "AWS Access Key" and SAMPLE in match.group(match.lastindex or 0):
        return False
    if begin > 0 and WORD.match(text[begin - 1]) and WORD.match(text[begin]):
        return False
    return not (kind in WHOLE_WORDS and end < len(text) and WORD.match(text[end]))


def _drawn_by_lot(kind: str, key: str) -> bool:
    """Whether a key is none that is made of words; of real ones in 30 one has no digit."""
    if any(character.isdigit() for character in key):
        return True
    if kind == "AWS Access Key":
        return len(set(key)) >= LEAST_DIFFERENT
    letters = [character for character in key if character.isalpha()]
    return CAPITALS[0] < sum(map(str.isupper, letters)) / max(1, len(letters)) < CAPITALS[1]


@cache
def _model_keys() -> dict[str, re.Pattern[str]]:
    return {kind: re.compile(pattern) for kind, pattern in MODEL_KEYS.items()}


@cache
def detectors() -> tuple["RegexBasedDetector", ...]:
    """Those of the library that go by form; the others guess by entropy and flag ordinary words."""
    import detect_secrets.plugins as library  # noqa: PLC0415 - loads an HTTP client, and few texts need it
    from detect_secrets.plugins.base import RegexBasedDetector  # noqa: PLC0415

    for module in pkgutil.iter_modules(library.__path__):
        importlib.import_module(f"{library.__name__}.{module.name}")
    found = (one for one in RegexBasedDetector.__subclasses__() if one.__module__.startswith(library.__name__))
    return tuple(one() for one in sorted(found, key=lambda one: one.__name__) if one.__name__ not in LEFT_OUT)
