"""Chunks: whole characters, at most so many tokens, cut where a reader would pause, nothing lost."""

import time
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from harvester.errors import BadInput
from harvester.seeds.chunking import chunks, spans
from harvester.seeds.headings import headings
from harvester.seeds.tokens import BYTES_PER_TOKEN, counted, estimated

FAMILY, FLAG, ACCENTED = "👩‍👩‍👧‍👦", "🇩🇪", "e\u0301\u0323"
PARTS = [
    "word ",
    "سطر ",
    "文。",
    "字",
    FAMILY,
    FLAG,
    ACCENTED,
    ". ",
    "!",
    "\n",
    "\n\n",
    "long" * 30,
    " ",
    "हिन्दी। ",
    "\r\n",
    "# Head\n",
    "\n\nA title\n\n",
    "\n====\n",
    " \u0e31",
    "。\u0301",
    " \u200d\u0903",
]
TEXTS = st.lists(st.sampled_from(PARTS) | st.text(st.characters(exclude_categories=["Cs"])), max_size=60).map("".join)
SIZES = st.tuples(st.integers(8, 60), st.integers(0, 30)).filter(lambda size: size[1] * 2 <= size[0])


def cut(text: str, tokens: int, overlap: int = 0) -> list[str]:
    return list(chunks(text, estimated(text), tokens=tokens, overlap=overlap))


def clusters(text: str) -> list[str]:
    return regex.findall(r"\X", text)


@settings(deadline=None)
@given(text=TEXTS, size=SIZES)
def test_nothing_is_lost_torn_or_too_long(text: str, size: tuple[int, int]) -> None:
    tokens, overlap = size
    borders = set(accumulate((len(cluster) for cluster in clusters(text)), initial=0))
    covered = 0
    for begin, end in spans(text, estimated(text), tokens=tokens, overlap=overlap):
        chunk = text[begin:end]
        assert begin <= covered < end, "leaves something out, or says nothing new"
        assert {begin, end} <= borders, "tears a character"
        assert len(chunk.encode()) <= tokens * BYTES_PER_TOKEN or len(clusters(chunk)) == 1
        assert len(text[begin:covered].encode()) <= overlap * BYTES_PER_TOKEN
        covered = end
    assert covered == len(text)
    assert all(chunk == chunk.strip() != "" for chunk in cut(text, tokens, overlap))


def test_a_mark_written_onto_a_space_stays_with_it() -> None:
    text = f"word {'long' * 30} \u0e31 and 。\u0301文"
    assert not {begin for begin, _ in spans(text, estimated(text), tokens=8, overlap=0)} & {
        place for place, character in enumerate(text) if character in "\u0e31\u0301"
    }


def test_cuts_are_at_ends_of_paragraphs_where_there_are_some() -> None:
    text = "\n\n".join(f"Paragraph {number} says this. And it says that." for number in range(30))
    found = cut(text, 50)
    assert len(found) > 5
    assert all(chunk.startswith("Paragraph") and chunk.endswith("says that.") for chunk in found)


SECTIONS = st.lists(
    st.tuples(
        st.sampled_from(["# {}\n", "## {}\n\n", "{}\n=======\n\n", "{}\n\n"]),
        st.text("AB cd", min_size=1, max_size=20).map(lambda text: f"H{text.strip()}"),
        st.lists(st.integers(1, 40).map(lambda words: "Hay is dry. " * words), min_size=1, max_size=3),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(sections=SECTIONS, size=st.tuples(st.integers(20, 90), st.integers(0, 10)))
def test_no_chunk_ends_with_a_heading(sections: list[tuple[str, str, list[str]]], size: tuple[int, int]) -> None:
    text = "".join(head.format(title) + "\n\n".join(body) + "\n\n" for head, title, body in sections)
    tokens, overlap = size
    covered = 0
    for begin, end in spans(text, estimated(text), tokens=tokens, overlap=overlap):
        assert begin <= covered < end
        assert len(text[begin:end].encode()) <= tokens * BYTES_PER_TOKEN
        assert text[begin:end].rstrip().endswith("dry.")
        covered = end
    assert covered == len(text)


def test_a_heading_stays_with_what_follows_it() -> None:
    found = cut("The hay is dry.\n\n" * 6 + "## Barns\n\n" + "The barn is full of hay that is dry.\n\n" * 4, 30)
    assert any(chunk.startswith("## Barns\n\nThe barn") for chunk in found)
    assert not any(chunk.endswith("Barns") for chunk in found)


def test_a_heading_at_the_documents_end_stays_there() -> None:
    assert cut("The hay is dry.\n\n## Barns", 30) == ["The hay is dry.\n\n## Barns"]


def test_headings_longer_than_a_chunk_are_cut_all_the_same() -> None:
    found = cut("# " + "very " * 50 + "long\n\nThe hay is dry.", 10)
    assert len(found) > 5
    assert all(len(chunk) <= 40 for chunk in found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# One\ntext", ["# One\n"]),
        ("a\n\n ## Two ##\n\ntext", [" ## Two ##\n\n"]),
        ("Three\n===\ntext", ["Three\n===\n"]),
        ("Text.\n\nFour\n---\n\ntext", ["Four\n---\n\n"]),
        ("5. Fifth\n\nIts text.", ["5. Fifth\n\n"]),
        (
            "\u0627\u0644\u0645\u0642\u062f\u0645\u0629\n\n\u0646\u0635.",
            ["\u0627\u0644\u0645\u0642\u062f\u0645\u0629\n\n"],
        ),
        ("Title\r\n\r\nIts text.", ["Title\r\n\r\n"]),
        ("Title\n\nPart\n\nIts text.", ["Title\n\n", "Part\n\n"]),
        ("A\n\nB\n\nC\n\nD\n\nThat was a list.", []),
        ("- item\n\nIts text.", []),
        ("a line\n\nIts text.", []),
        ("A sentence.\n\nIts text.", []),
        ("#tag\ntext.", []),
        ("Two lines\nof text\n\nand more.", []),
        ("| a | b |\n|---|---|\n\ntext.", []),
        ("Heads nothing", []),
        ("42\n\ntext.", []),
        ("", []),
    ],
)
def test_what_is_a_heading(text: str, found: list[str]) -> None:
    assert [text[begin:end] for begin, end in headings(text)] == found


@pytest.mark.parametrize("text", ["\n", " ", " \n", "#", "# a", "-", "a\n---\n", "A\n\n", "="])
def test_headings_of_long_texts_are_found_soon(text: str) -> None:
    before = time.process_time()
    headings(text * 200_000)
    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    ("sentence", "end"),
    [
        ("The hay is dry and the barn is full.", "."),
        ("هل جف القش في الحظيرة الكبيرة؟", "؟"),
        ("حصد المزارعون القمح في الصيف.", "."),
        ("घास सूखी है और खलिहान भरा है।", "।"),
    ],
)
def test_cuts_are_at_ends_of_sentences_and_overlaps_are_whole_ones(sentence: str, end: str) -> None:
    found = cut(" ".join([sentence] * 40), 100, 30)
    assert len(found) > 3
    assert {chunk[0] for chunk in found} == {sentence[0]}
    assert {chunk[-1] for chunk in found} == {end}
    assert sum(len(chunk) for chunk in found) > 1.1 * len(sentence) * 40


def test_chinese_is_cut_at_ends_of_sentences_though_it_has_no_spaces() -> None:
    found = cut("干草已经干了、谷仓也满了。" * 40, 60, 12)
    assert len(found) > 5
    assert all(chunk.endswith("。") and chunk.startswith("干草") for chunk in found)


def test_a_word_without_end_is_cut_between_characters() -> None:
    found = cut(FAMILY * 50, 30)
    assert "".join(found) == FAMILY * 50
    assert all(set(clusters(chunk)) == {FAMILY} for chunk in found)


def test_one_character_of_more_tokens_than_a_chunk_is_left_whole() -> None:
    heavy = "e" + "\u0301" * 100
    assert cut(f"a {heavy} b", 8) == ["a", heavy, "b"]


def tokenizer(path: Path) -> None:
    """Counts words and marks; knows no word."""
    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.enable_truncation(4)
    words.save(str(path))


def test_a_tokenizer_of_ones_own_counts(read: Any, root: Path) -> None:
    tokenizer(root / "tokenizer.json")
    (root / "a.txt").write_text("incomprehensibilities a b c d e. " * 20, encoding="utf-8")
    seeds = read("a.txt", chunk={"tokens": 15, "overlap": 0, "tokenizer": "tokenizer.json"})
    assert [len(regex.findall(r"\w+|\.", seed.data["text"])) for seed in seeds] == [14] * 10


def test_a_long_text_is_counted_piece_by_piece_and_comes_out_the_same(root: Path, monkeypatch: Any) -> None:
    tokenizer(root / "tokenizer.json")
    weigher = counted(root, "tokenizer.json", "recipe.yaml: seeds.chunk.tokenizer")
    text = "Some words, one line.\n" * 50
    whole = list(chunks(text, weigher(text), tokens=20, overlap=5))
    monkeypatch.setattr("harvester.seeds.tokens.MOST_AT_ONCE", 70)
    assert list(chunks(text, weigher(text), tokens=20, overlap=5)) == whole


@pytest.mark.parametrize("text", ["", "{}", '{"model": 1}'])
def test_what_is_no_tokenizer_is_refused(read: Any, root: Path, text: str) -> None:
    (root / "a.txt").write_text("Grass.", encoding="utf-8")
    (root / "tokenizer.json").write_text(text, encoding="utf-8")
    with pytest.raises(
        BadInput, match=r"tokenizer\.json: is no tokenizer: [^\n]*; name the tokenizer\.json of a model"
    ):
        read("a.txt", chunk={"tokenizer": "tokenizer.json"})


def test_a_tokenizer_stays_inside_the_folder(read: Any, root: Path) -> None:
    (root / "a.txt").write_text("Grass.", encoding="utf-8")
    tokenizer(root.parent / "tokenizer.json")
    with pytest.raises(BadInput, match=r"seeds\.chunk\.tokenizer: .* is outside the recipe's folder"):
        read("a.txt", chunk={"tokenizer": "../tokenizer.json"})
