"""Equal rows, and texts of a known similarity."""

from collections.abc import Iterator
from itertools import count

from planted import Row  # isort: skip - helpers beside the tests
from prose import LANGUAGES, Prose  # isort: skip

GRAMS = 90
"""5-grams of a text: with its last k words replaced, its Jaccard similarity to the old one is (90 - k) / (90 + k)."""
SIMILAR, AT_THE_THRESHOLD, JUST_BELOW, FAR = 5, 10, 11, 16  # 0.895, 0.8, 0.782, 0.698
NEAR, EXACT = "curate:near_duplicate", "curate:exact_duplicate"
_clusters = count()


def copies(prose: Prose, times: int) -> Iterator[Row]:
    """Clusters of every kind, so many times."""
    for number in range(times):
        yield from _equal(prose)
        for language in LANGUAGES:
            for part in ("prompt", "answer"):
                for replaced in (SIMILAR, AT_THE_THRESHOLD, JUST_BELOW, FAR):
                    yield from _pair(prose, language, part, replaced)
        yield from _several(prose, number)
        yield from _chain(prose)
        yield from _short(prose)


def _name() -> str:
    return f"c{next(_clusters)}"


def _equal(prose: Prose) -> Iterator[Row]:
    """One request for two seeds, and a pair that differs in case, white space and the width of letters."""
    text, answer, cluster = prose.text(), prose.text(), _name()
    for _ in range(3):
        yield Row(text, answer, "equal", cluster=cluster, cluster_reason=EXACT)
    text, answer, cluster = prose.text(), prose.text(), _name()
    yield Row(text, answer, "equal but for case", cluster=cluster, cluster_reason=EXACT, score=2.0)
    wide = text.upper().replace("T", "\uff34").replace(" ", "  ")
    yield Row(wide, answer.title(), "equal but for case", cluster=cluster, cluster_reason=EXACT, score=4.5)


def _words(prose: Prose, language: str, many: int) -> list[str]:
    """So many words, from somewhere in a sentence on."""
    text, begin = prose.text(language, 20), prose.random.randrange(10)
    parts = list(text) if language == "zh" else text.replace(".", "").lower().split()
    return [part for part in parts if part.isalnum()][begin : begin + many]


def _joined(words: list[str], language: str) -> str:
    return ("" if language == "zh" else " ").join(words)


def _texts(prose: Prose, language: str, replaced: int) -> tuple[str, str]:
    """Two texts of GRAMS different 5-grams each, that share all but the last ones."""
    while True:
        words = _words(prose, language, GRAMS + 4)
        other = [*words[:-replaced], *_words(prose, language, replaced)]
        grams = [{tuple(one[at : at + 5]) for at in range(GRAMS)} for one in (words, other)]
        if all(len(one) == GRAMS for one in grams) and len(grams[0] & grams[1]) == GRAMS - replaced:
            return _joined(words, language), _joined(other, language)


def _pair(prose: Prose, language: str, part: str, replaced: int) -> Iterator[Row]:
    similar = replaced <= AT_THE_THRESHOLD
    cluster, jaccard = _name() if similar else None, (GRAMS - replaced) / (GRAMS + replaced)
    scores = [2.0, 4.0] if prose.random.random() < 0.5 else [4.0, 2.0]
    for text, score in zip(_texts(prose, language, replaced), scores, strict=True):
        both = (text, prose.text(language)) if part == "prompt" else (prose.text(language), text)
        name = f"{part}s of Jaccard {jaccard:.3f}, {language}"
        yield Row(*both, name, cluster=cluster, cluster_reason=NEAR if similar else None, score=score)


def _several(prose: Prose, number: int) -> Iterator[Row]:
    """Five like one another, of equal worth but for one, or all of equal worth; one of them in dev."""
    words, cluster = _words(prose, "en", GRAMS + 4), _name()
    best = number % 5
    for place in range(5):
        last = [f"{prose.random.choice('bdfgklmnprst')}{prose.random.choice('aeiou')}n" for _ in range(3)]
        score = 4.0 if place == best and number % 2 else 3.0
        split = "dev" if place == 4 else "train"
        text = _joined([*words[:-3], *last], "en")
        yield Row(prose.text(), text, "one of five", split, cluster=cluster, cluster_reason=NEAR, score=score)


def _chain(prose: Prose) -> Iterator[Row]:
    """Each like the next, the ends unlike each other: the middle one goes, both ends stay."""
    words = _words(prose, "en", GRAMS + 4)
    middle = [*words[:-7], *_words(prose, "en", 7)]
    last = [*_words(prose, "en", 7), *middle[7:]]
    for one, score, reason in ((words, 5.0, None), (middle, 4.0, NEAR), (last, 3.0, None)):
        yield Row(prose.text(), _joined(one, "en"), "a chain", reason=reason, score=score)


def _short(prose: Prose) -> Iterator[Row]:
    """Short answers that are equal, a short prompt with another number, and equal prompts of another punctuation."""
    for _ in range(3):
        yield Row(prose.text(), "The outer pier.", "an equal short answer")
    number = prose.random.randrange(10**6)
    yield Row(f"How many crates are {number} less 17?", str(number - 17), "a short prompt")
    yield Row(f"How many crates are {number} less 18?", str(number - 18), "a short prompt")
    yield Row(f"Is {number}.5 much?", "It is not.", "equal but for punctuation")
    yield Row(f"Is {number} 5 much?", "It is not.", "equal but for punctuation")
