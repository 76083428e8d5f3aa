"""Held-out items, and what of train and dev holds a part of one."""

from collections.abc import Iterator
from dataclasses import replace

from planted import Row  # isort: skip - helpers beside the tests
from prose import LANGUAGES, Prose  # isort: skip

RUN = {"en": 13, "ar": 13, "zh": 26}
REASON = "curate:contaminated"
COMMON = "Read the following passage about the harbour with care and then say in one sentence what happens in it"
STOCK = "Which of the following is true here"
SHORT = "Sail the seven seas in {} winter nights"
TINY = "Define osmotic {}"
REFUSAL = "I'm sorry, but I can't help with that request."


def held_out(prose: Prose, count: int, times: int) -> Iterator[Row]:
    """The test split and what was copied out of it; a third of the items shares an instruction."""
    for number in range(3):
        yield Row(STOCK, "It depends.", "held out: a stock phrase", "test", source=f"exam {number}")
    for number in range(count):
        language = LANGUAGES[number % len(LANGUAGES)]
        text = prose.text(language, 6)
        if number % 2 == 0 and language != "zh":
            text = f"{COMMON}: {text}"
        answer = prose.text(language) if number % 10 else REFUSAL
        reference = prose.text("en", 3) if number < times else "B"
        yield Row(text, answer, "held out", "test", reference=reference)
        if number < times:
            yield from _copied(prose, text, language)
            yield _holding(prose, " ".join(_words(reference, "en")[2:15]), "en", "answer", dropped=True)
            yield from _short(prose, number)
            yield from _common(prose)
    rejected = "REJECTED: " + prose.text()
    yield Row(prose.text(), rejected, "held out: a wrong answer", "test", reference="C")


def _words(text: str, language: str) -> list[str]:
    if language == "zh":
        return [letter for letter in text.partition(": ")[2] or text if letter.isalnum()]
    return (text.partition(": ")[2] or text).replace(".", "").split()


def _copied(prose: Prose, text: str, language: str) -> Iterator[Row]:
    """A run of words in each part of a row; and a run that is one word shorter."""
    words, glue = _words(text, language), "" if language == "zh" else " "
    for part in ("prompt", "answer", "reasoning"):
        begin = prose.random.randrange(len(words) - RUN[language])
        run = words[begin : begin + RUN[language]]
        yield _holding(prose, glue.join(run), language, part, dropped=True)
        yield _holding(prose, glue.join(run[:-1]), language, part, dropped=False)
    shouted = _holding(prose, ", ".join(words[: RUN[language]]).upper(), language, "prompt", dropped=True)
    yield shouted
    yield replace(shouted, text=f"{shouted.text} {prose.text()}", answer=REFUSAL, planted="a run, and a refusal")


def _holding(prose: Prose, piece: str, language: str, part: str, *, dropped: bool) -> Row:
    edge = {"en": "whereupon", "ar": "وعندئذ", "zh": "于是"}[language]
    holding = f"{prose.text(language, 2)} {edge} {piece} {edge} {prose.text(language, 2)}"
    said = {"prompt": prose.text(language), "answer": prose.text(language), "reasoning": None} | {part: holding}
    return Row(
        str(said["prompt"]), str(said["answer"]), f"{'a run' if dropped else 'nearly a run'} of held-out words, {part}",
        reason=REASON if dropped else None, reasoning=said["reasoning"],
    )  # fmt: skip


def _short(prose: Prose, number: int) -> Iterator[Row]:
    """A held-out text of seven words, and one of three."""
    short, tiny = SHORT.format(f"n{number}"), TINY.format(f"pressure{number}")
    yield Row(short, prose.text(), "held out: seven words", "test")
    yield _holding(prose, short, "en", "answer", dropped=True)
    yield _holding(prose, short.rpartition(" ")[0], "en", "answer", dropped=False)
    same = prose.text()
    yield Row(tiny, same, "held out: three words", "test")
    yield Row(tiny, same, "a held-out prompt", reason=REASON)
    yield Row(tiny.upper(), prose.text(), "a held-out prompt in capitals", reason=REASON)
    yield Row(f"{tiny} and turgor", prose.text(), "a held-out prompt and more")
    yield Row(prose.text(), tiny, "a short held-out prompt as an answer")


def _common(prose: Prose) -> Iterator[Row]:
    """What many held-out items have in common is no item's own."""
    yield Row(f"{COMMON}: {prose.text('en', 6)}", prose.text(), "an instruction that held-out items share")
    yield Row(f"{STOCK}: {prose.text()}", prose.text(), "a phrase that held-out items share")
