"""A student's folder with a byte-level tokenizer, and rows as an API would tell them. A helper, not a test."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MERGES = [("a", "b"), ("Ø", "§")]  # the second one makes the letter alef of its two bytes


def make_student(folder: Path) -> Path:
    """Tokens are bytes and two merges; a special token opens each message, and one ends it."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, *("".join(pair) for pair in MERGES)])}
    tokenizer = Tokenizer(models.BPE(vocabulary, MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|user|>", "<|assistant|>", "<|system|>", "<|end|>"])
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def told(piece: bytes, *others: tuple[bytes, float]) -> dict[str, Any]:
    """A token as the API said it, with what else it listed."""
    top = [(piece, -0.5), *others]
    return {"bytes": piece, "logprob": -0.5, "top": {"bytes": [b for b, _ in top], "logprob": [p for _, p in top]}}


def row(answer: str, logprobs: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "logprobs": logprobs, "row_id": "ab"}
