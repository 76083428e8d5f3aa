"""Texts → words → hashed n-grams, in every script."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.curating import word_grams
from harvester.curating.word_grams import batches, gram_sets, grams, words


def split(text: str) -> list[str]:
    found = words([text])
    return [found.shown(number, 1) for number in range(len(found.hashes))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop, CAFÉ no. 5!", ["don", "t", "stop", "café", "no", "5"]),
        ("हिन्दी में लिखो", ["हिन्दी", "में", "लिखो"]),
        ("한국어 문장입니다", ["한국어", "문장입니다"]),
        ("كَتَبَ رسالةً", ["كَتَبَ", "رسالةً"]),
        ("漢字とカナ、3個", ["漢", "字", "と", "カ", "ナ", "3", "個"]),
        ("ภาษาไทย", ["ภ", "า", "ษ", "า", "ไ", "ท", "ย"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("使用Python语言", ["使", "用", "python", "语", "言"]),
        ("\uff21\uff22\uff23 \xbd", ["abc", "1", "2"]),
        ("—…!?", []),
        ("", []),
    ],
)
def test_words_of_every_script(text: str, expected: list[str]) -> None:
    assert split(text) == expected


def test_hashes_are_the_same_in_every_process() -> None:
    assert words(["one two"]).hashes.tolist() == [0x2424F21467D891C7, 0xF1AAED922AB6DD5F]


wild = st.text(alphabet="ab1 .\n漢ทé\u0301\ud800", max_size=40)


@given(st.lists(wild, min_size=1, max_size=6), st.integers(1, 6))
def test_many_texts_at_once_are_as_each_alone(texts: list[str], n: int) -> None:
    together, sizes = gram_sets(texts, n)
    alone = [gram_sets([text], n)[0] for text in texts]
    assert sizes.tolist() == [len(one) for one in alone]
    assert together.tolist() == np.concatenate(alone).tolist()


@given(wild, st.integers(1, 5))
def test_there_are_as_many_grams_as_python_finds(text: str, n: int) -> None:
    of_text = split(text)
    expected = [tuple(of_text[i : i + n]) for i in range(len(of_text) - n + 1)]
    assert gram_sets([text], n)[1].tolist() == [len(set(expected))]
    found = words([text])
    hashes, firsts = grams(found, n)
    assert [found.shown(first, n) for first in firsts.tolist()] == [" ".join(gram) for gram in expected]
    by_hash = dict(zip(hashes.tolist(), expected, strict=True))
    assert [by_hash[one] for one in hashes.tolist()] == expected


@given(st.text(max_size=60))
def test_any_text_has_words_without_a_crash(text: str) -> None:
    assert all(word.strip() for word in split(text))


def test_a_text_longer_than_what_is_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(f"word{number}" for number in range(40_000))
    assert len(text) > 2 * word_grams.AT_ONCE
    alone, _ = gram_sets([text], 5)
    parts = [" ".join(f"word{number}" for number in range(first, first + 5)) for first in range(39_996)]
    assert len(alone) == pytest.approx(len(parts), abs=5)  # hashes of 32 bits fall together once in a while
    some = [gram_sets([part], 5)[0][0] for part in parts[::4000]]
    assert np.isin(some, alone).all()


def test_batches_keep_every_text_in_its_order() -> None:
    texts = ["a" * 30_000, "b" * 50_000, "", "c", "d" * 70_000, "e"]
    found = list(batches(texts))
    assert [text for batch in found for text in batch] == texts
    assert [len(batch) for batch in found] == [2, 3, 1]
    assert list(batches([])) == []
