"""A student's tokens as bytes, on the vocabularies of published models."""

from typing import Any

import pytest
import real_tokenizers as real
import tokenizers
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers
from toys import make_tokenizer

from finetune.errors import BadInput
from finetune.token_bytes import BYTES_AS_HEX, Vocabulary


def wrapped(inner: tokenizers.Tokenizer) -> Any:
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner)  # type: ignore[no-untyped-call]


def sentencepiece(vocabulary: list[str], *, fallback: bool = True) -> tokenizers.Tokenizer:
    """As Gemma's: tokens of a toy vocabulary with a mark for spaces."""
    inner = tokenizers.Tokenizer(models.BPE({token: number for number, token in enumerate(vocabulary)}, []))
    inner.normalizer = normalizers.Replace(" ", "▁")
    steps = [decoders.Replace("▁", " "), *([decoders.ByteFallback()] if fallback else []), decoders.Fuse()]
    inner.decoder = decoders.Sequence(steps)
    return inner


@pytest.mark.parametrize("name", real.STUDENTS)
@given(real.TEXT)
@settings(deadline=None, max_examples=60)
def test_the_bytes_of_a_text_s_tokens_are_the_text_s(name: str, text: str) -> None:
    vocabulary = real.vocabulary(name)
    spelt = b"".join(vocabulary.bytes_of(token) or b"" for token in real.ids(name, text))
    assert spelt == text.encode() or (name == "llama" and spelt == b" " + text.encode())


@pytest.mark.parametrize("name", ["smollm2", "gemma"])
def test_every_token_is_spelt_as_the_library_decodes_it(name: str) -> None:
    vocabulary, tokenizer = real.vocabulary(name), real.STUDENTS[name]().backend_tokenizer
    count = tokenizer.get_vocab_size()
    decoded = tokenizer.decode_batch([[token] for token in range(count)], skip_special_tokens=False)
    spelt = [(vocabulary.bytes_of(token) or b"").decode(errors="replace") for token in range(count)]
    # A lone byte of a longer character is told as one or more marks of replacement.
    assert [text.rstrip("�") for text in spelt] == [text.rstrip("�") for text in decoded]
    assert sum("�" not in text for text in spelt) > 0.95 * count


@pytest.mark.parametrize("name", real.STUDENTS)
def test_what_has_bytes_is_found_by_them(name: str) -> None:
    vocabulary = real.vocabulary(name)
    assert len(vocabulary.by_id) == len(real.STUDENTS[name]())
    for token, piece in vocabulary.by_id.items():
        found = vocabulary.id_of(piece)
        assert found == token or (found is not None and vocabulary.bytes_of(found) == piece)


@pytest.mark.parametrize("name", ["llama", "gemma", "unigram"])
def test_each_byte_is_a_token_where_bytes_are_fallen_back_on(name: str) -> None:
    assert all(real.vocabulary(name).id_of(bytes([byte])) is not None for byte in range(256))


def test_bytes_that_no_token_has_are_missing_and_not_made_up() -> None:
    missing = {byte for byte in range(256) if real.vocabulary("smollm2").id_of(bytes([byte])) is None}
    assert missing == {*real.LACKING.encode(), 0xC0, 0xC1, 0xF1, 0xF2, *range(0xF5, 0x100)}


def test_a_plain_token_is_meant_rather_than_a_byte_s_fallback_or_a_special_one() -> None:
    inner = sentencepiece(["<0x41>", "A", "▁", "<0x20>", "<0x0A>", "B"])
    inner.add_special_tokens(["B"])
    vocabulary = Vocabulary.of(wrapped(inner))
    assert [vocabulary.id_of(piece) for piece in (b"A", b" ", b"\n", b"B")] == [1, 2, 4, 5]
    assert [vocabulary.bytes_of(token) for token in (0, 3)] == [b"A", b" "]


def test_a_token_that_was_added_is_meant_rather_than_a_plain_one() -> None:
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.add_tokens(["\n\n"])  # as phi adds runs of spaces: plain text, looked for first
    (token,) = tokenizer("\n\n", add_special_tokens=False)["input_ids"]
    vocabulary = Vocabulary.of(tokenizer)
    assert vocabulary.id_of(b"\n\n") == token == len(tokenizer) - 1
    assert vocabulary.bytes_of(tokenizer.convert_tokens_to_ids("ĊĊ")) == b"\n\n"


def test_of_several_plain_tokens_the_first_is_meant() -> None:
    assert Vocabulary.of(wrapped(sentencepiece(["a", "▁b", " b"]))).id_of(b" b") == 1


@pytest.mark.parametrize("name", real.STUDENTS)
@given(st.sampled_from([b"", b" th", b" light", b"\n", b"\xd9", b"2", b"no token of anyone"]), real.TEXT)
@settings(deadline=None)
def test_a_token_goes_on_where_one_has_its_bytes_and_some_that_follow(name: str, piece: bytes, text: str) -> None:
    vocabulary, following = real.vocabulary(name), text.encode()
    longer = [piece + following[:length] for length in range(1, len(following) + 1)]
    assert vocabulary.goes_on(piece, following) is any(one in vocabulary.by_bytes for one in longer)


def test_no_token_goes_on_where_nothing_follows() -> None:
    assert not real.vocabulary("gemma").goes_on(b" th", b"")
    assert real.vocabulary("gemma").goes_on(b" th", b"eqqq")
    assert not real.vocabulary("gemma").goes_on(b" th", b"qe")


def test_special_tokens_are_spelt_as_they_are_written() -> None:
    assert real.vocabulary("smollm2").id_of(b"<|im_end|>") == real.smollm2().eos_token_id
    inner = sentencepiece(["a"])
    inner.add_special_tokens(["<end▁of▁turn>"])
    inner.add_tokens(["▁▁"])  # not special: SentencePiece's own symbol, two spaces
    vocabulary = Vocabulary.of(wrapped(inner))
    assert vocabulary.id_of("<end▁of▁turn>".encode()) == 1
    assert vocabulary.id_of(b"  ") == 2


def test_hex_is_text_where_no_byte_is_written_so() -> None:
    vocabulary = Vocabulary.of(wrapped(sentencepiece(["<0x0A>"], fallback=False)))
    assert vocabulary.id_of(b"<0x0A>") == 0
    assert vocabulary.id_of(b"\n") is None
    assert BYTES_AS_HEX["<0x0A>"] == b"\n"


def test_what_is_no_token_has_no_bytes() -> None:
    vocabulary = real.vocabulary("smollm2")
    assert vocabulary.bytes_of(49152) is None
    assert vocabulary.bytes_of(-1) is None
    assert vocabulary.id_of(b"") is None
    assert vocabulary.id_of(b"no single token") is None


def word_pieces() -> Any:
    inner = tokenizers.Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.decoder = decoders.WordPiece()
    return wrapped(inner)


def word_ends() -> Any:
    inner = tokenizers.Tokenizer(models.BPE({"a": 0, "b</w>": 1}, [], end_of_word_suffix="</w>"))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel()
    return wrapped(inner)


def words() -> Any:
    return wrapped(tokenizers.Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")))


class Slow:
    """A tokenizer that is not of the library `tokenizers`."""


@pytest.mark.parametrize("make", [word_pieces, word_ends, words, Slow])
def test_what_has_no_bytes_is_refused_in_a_line_with_the_mend(make: Any) -> None:
    tokenizer = make()
    tokenizer.name_or_path = "some/bert"
    with pytest.raises(BadInput, match=r"^--model some/bert: .*spelt as bytes.*use another model$"):
        Vocabulary.of(tokenizer)
