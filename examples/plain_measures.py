"""Keys, personal data, similar texts and copied runs of words, told by the simplest means that do; for small datasets.

Nothing here is Harvester's: `recount_curation.py` looks with it for what a curation should have found.
"""

import ipaddress
import json
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

KEYS = re.compile(
    r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60}|glpat-[\w-]{20}|A[KS]IA[A-Z0-9]{16}|"
    r"sk-[A-Za-z0-9_-]{30}|hf_[A-Za-z0-9]{34}|AIza[\w-]{35}|gsk_[A-Za-z0-9]{40}|nvapi-[\w-]{40}|xox[a-z]-[\w-]{20}|"
    r"[sr]k_live_[A-Za-z0-9]{20}|SG\.[\w-]{20,}\.[\w-]{30}|eyJ[\w-]{8,}\.eyJ[\w-]{6,}\.[\w-]{20}|"
    r"-----BEGIN [A-Z ]*PRIVATE KEY|[a-z]+://[^\s:/@]+:(?=[^\s@]*\d)[^\s:/@]{8,}@)",
    re.ASCII,
)
EMAIL = re.compile(r"[\w.+-]+@(?!example\.)[\w-]+\.[a-z]{2,}", re.ASCII)
PHONE = re.compile(r"(?<![\w+])\+(?!1 202-555)[1-9]\d{0,2}(?:[ -]?\d){8,12}|(?:tel\.|phone:?) \d[\d -]{6,}", re.ASCII)
SOCIAL = re.compile(r"(?<![\w-])\d{3}-\d\d-\d{4}(?![\w-])", re.ASCII)
ACCOUNT = re.compile(r"(?<!\w)[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?(?!\w)", re.ASCII)
CARD = re.compile(r"(?<!\w)(?!4242)[3-6]\d{3}(?: ?\d{4}){3}(?!\w)", re.ASCII)
ADDRESS = re.compile(
    r"(?<!version )(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7})(?![\w.:]\w)",
    re.ASCII,
)
ONE_LETTER = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # scripts without spaces
WORD = re.compile(rf"[{ONE_LETTER}]|[^\W_{ONE_LETTER}]+")
LETTERS = re.compile(rf"[{ONE_LETTER}]")
GRAM, LEAST_GRAMS = 5, 16
RUN, LEAST_RUN, COMMON_ITEMS, COMMON_SHARE, COMMON_SHORT = 13, 5, 5, 0.2, 3


def found_private(text: str) -> str | None:
    """What of a text is nobody else's business: in words, without saying it."""
    if KEYS.search(text):
        return "a key"
    if EMAIL.search(text) or PHONE.search(text) or SOCIAL.search(text):
        return "an e-mail address or a number of a person"
    if any(_iban(one) for one in ACCOUNT.findall(text)) or any(_luhn(one) for one in CARD.findall(text)):
        return "an account"
    return "an address on the net" if any(_public(one) for one in ADDRESS.findall(text)) else None


def _iban(text: str) -> bool:
    plain = text.replace(" ", "")
    return int("".join(str(int(one, 36)) for one in plain[4:] + plain[:4])) % 97 == 1


def _luhn(text: str) -> bool:
    digits = [int(one) for one in text if one.isdigit()][::-1]
    return sum(sum(divmod(digit * 2, 10)) if place % 2 else digit for place, digit in enumerate(digits)) % 10 == 0


def _public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def words(text: str) -> list[str]:
    """Words in small letters; each letter of a script without spaces is one."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def runs(found: list[str], length: int) -> set[tuple[str, ...]]:
    """Every run of so many words."""
    return {tuple(found[at : at + length]) for at in range(len(found) - length + 1)}


def texts_in(value: Any) -> list[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inside for text in texts_in(one)]


def compared(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What of a row is compared with others: (what has to be equal, the text), of its prompt and of its answer."""
    prompt = "\n\n".join(message["content"] for message in row["messages"][:-1])
    longest = max((text for text in texts_in(json.loads(row["seed"])) if text in prompt), key=len, default="")
    yield "prompt " + prompt.replace(longest, "\0") if longest else prompt, longest or prompt
    answer = row["messages"][-1]["content"]
    try:
        yield "answer", "\n".join(texts_in(json.loads(answer))) if answer[:1] in "{[" else answer
    except ValueError:
        yield "answer", answer


def similar_pairs(rows: list[dict[str, Any]], threshold: float) -> Iterator[tuple[int, int, float]]:
    """(place, place, Jaccard similarity of their word 5-grams) of all rows with such prompts or answers."""
    by_frame: defaultdict[str, list[tuple[int, set[tuple[str, ...]]]]] = defaultdict(list)
    for place, row in enumerate(rows):
        for frame, text in compared(row):
            grams = runs(words(text), GRAM)
            if len(grams) >= LEAST_GRAMS:
                by_frame[frame].append((place, grams))
    for frame, sets in by_frame.items():
        for one, other, similarity in _similar(sets, threshold):
            if frame == "answer" or rows[one]["seed_id"] != rows[other]["seed_id"]:
                yield one, other, similarity


def _similar(sets: list[tuple[int, set[tuple[str, ...]]]], threshold: float) -> Iterator[tuple[int, int, float]]:
    """Similar sets share one of their rarest members: only those that do are compared."""
    times = Counter(gram for _, grams in sets for gram in grams)
    having: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, (place, grams) in enumerate(sets):
        rarest = sorted(grams, key=lambda gram: (times[gram], gram))
        rarest = rarest[: len(grams) - math.ceil(threshold * len(grams) - 1e-9) + 1]
        for other in {one for gram in rarest for one in having[gram]}:
            common = len(grams & sets[other][1])
            similarity = common / (len(grams) + len(sets[other][1]) - common)
            if similarity >= threshold:
                yield sets[other][0], place, similarity
        for gram in rarest:
            having[gram].append(number)


class HeldOut:
    """Texts of held-out items, and what of them is in other texts; what many items share is no item's own."""

    def __init__(self, items: Iterable[list[str]]) -> None:
        """From each item's texts."""
        self._by_length: dict[int, set[tuple[str, ...]]] = {}
        self.whole: set[tuple[str, ...]] = set()
        having: defaultdict[tuple[str, tuple[str, ...]], set[int]] = defaultdict(set)
        number = -1
        for number, texts in enumerate(items):
            for text in texts:
                for run in _looked_for(words(text)):
                    having[run].add(number)
        shared = {
            run for run, owners in having.items()
            if len(owners) >= (COMMON_ITEMS if run[0] == "run" else COMMON_SHORT)
            and (run[0] != "run" or len(owners) > COMMON_SHARE * (number + 1))
        }  # fmt: skip
        shorter = {half for kind, run in shared if kind == "run" for half in runs(list(run), len(run) // 2 + 1)}
        for kind, run in having.keys() - shared:
            if kind != "run" or shorter.isdisjoint(_ends(run)):
                (self.whole if kind == "tiny" else self._by_length.setdefault(len(run), set())).add(run)

    def in_text(self, text: str) -> str | None:
        """A run of held-out words that stands in a text."""
        found = words(text)
        hits = (runs(found, length) & wanted for length, wanted in self._by_length.items())
        return next((" ".join(min(hit)) for hit in hits if hit), None)


def _ends(run: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The beginning and the end of a run, of more than half of its words: an instruction and a word more is no copy."""
    more = len(run) // 2 + 1
    return [run[:more], run[-more:]]


def _looked_for(found: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(kind, words): all runs of a long text, all of a short one, or one that is too short to be looked for inside."""
    scale = 2 if 2 * sum(map(bool, map(LETTERS.match, found))) > len(found) else 1
    if len(found) >= RUN * scale:
        yield from (("run", run) for run in runs(found, RUN * scale))
    elif found:
        yield ("short" if len(found) >= LEAST_RUN * scale else "tiny"), tuple(found)
