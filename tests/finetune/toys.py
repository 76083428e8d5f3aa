"""What the tests build on: a tokenizer of bytes, contract rows, dataset folders. A helper, not a package."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers

from finetune.data import CONTRACT
from harvester.exporting.preference import PAIRS as EXPORTED_PAIRS
from harvester.records import Json

Command = Callable[..., tuple[int, str, str]]
"""Arguments of the command line → exit code, stdout, stderr."""

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|im_start|>", "<|im_end|>"]


def make_tokenizer(template: str | None = CHATML) -> Any:
    """One token per byte, plus one merge: two newlines are one token, so an answer can melt into its prompt."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: place for place, token in enumerate([*SPECIAL, *letters, "ĊĊ"])}
    inner = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[("Ċ", "Ċ")]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(SPECIAL)
    tokenizer = transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    tokenizer.chat_template = template
    return tokenizer


def make_llama(folder: Path, *, seed: int = 0, dtype: torch.dtype = torch.float32, **settings: Any) -> Path:
    """A random one-layer Llama with the tokenizer of bytes; `settings` are LlamaConfig's."""
    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    small = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), **small | settings)
    transformers.LlamaForCausalLM(config).to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@contextmanager
def own_datasets_cache(folder: Path) -> Iterator[None]:
    """The `datasets` library without the user's cache."""
    patch = pytest.MonkeyPatch()
    patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    patch.setenv("HF_DATASETS_CACHE", str(folder))
    yield
    patch.undo()


def make_row(
    number: int, *, prompt: str = "question", answer: str = "answer", reference: Json = None, sample: Any = 0
) -> dict[str, Any]:
    row = dict.fromkeys(CONTRACT.names)
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return row | {
        "messages": messages,
        "row_id": f"row{number}-{sample}",
        "request_key": f"key{number}",
        "seed_id": f"seed{number}",
        "seed": json.dumps({"text": prompt}),
        "sample": sample,
        "reference": None if reference is None else json.dumps(reference),
        "accepted": True,
        "collected_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    }


PURE = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "logprobs": True, "top_logprobs": 5}
"""Sampling from the teacher's own distribution, with five tokens listed."""


def told_of(
    answer: str, *, seed: int = 0, k: int = 5, end: bytes | None = b"", joined: Iterable[int] = ()
) -> list[dict[str, Any]]:
    """What an API would say of an answer, byte by byte, from a random teacher; `end` ends its turn.

    The bytes at the places `joined` are one token with those behind them, which is not listed.
    """
    pieces = [bytes([byte]) for byte in answer.encode()] + ([] if end is None else [end])
    generator = torch.Generator().manual_seed(seed)
    letters = [*dict.fromkeys([*(bytes([byte]) for byte in b"abcdefghij 0123456789"), *pieces])]
    found = []
    for piece in pieces:
        logprobs = torch.randn(len(letters), generator=generator).mul(2).log_softmax(0)
        listed = logprobs.topk(k)
        top = {"bytes": [letters[place] for place in listed.indices], "logprob": listed.values.tolist()}
        found.append({"bytes": piece, "logprob": logprobs[letters.index(piece)].item(), "top": top})
    for at in sorted(joined, reverse=True):
        one, other = found[at : at + 2]
        both = {name: one[name] + other[name] for name in ("bytes", "logprob")}
        found[at : at + 2] = [one | both]
    return found


def make_told_row(number: int, *, prompt: str = "question", answer: str = "answer", **more: Any) -> dict[str, Any]:
    """A contract row with the teacher's probabilities, sampled purely."""
    row = make_row(number, prompt=prompt, answer=answer)
    return (
        row | {"logprobs": told_of(answer, seed=number), "sampling": json.dumps(PURE), "provider": "llama.cpp"} | more
    )


def write_dataset(
    folder: Path,
    splits: dict[str, list[dict[str, Any]]],
    *,
    schema: pa.Schema = CONTRACT,
    instruction: str | None = "Answer with the number.",
    picked: bool = True,
) -> Path:
    (folder / "data").mkdir(parents=True)
    for split, rows in splits.items():
        table = pa.Table.from_pylist(rows, schema=schema)
        pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    notes = {
        "format": 1,
        "harvester": "0.1.0",
        "recipe": "toy",
        "student": {"instruction": instruction},
        "verify": {},
        "picked": picked,
        "rows": {split: len(rows) for split, rows in splits.items()},
        "usd": 0.25,
        "collect_minutes": 1.5,
    }
    (folder / "harvester.json").write_text(json.dumps(notes))
    return folder


def make_pair(number: int, *, prompt: str = "question", chosen: str = "good", rejected: str = "bad") -> dict[str, Any]:
    """A line of the config `preference`."""
    said = {"prompt": [{"role": "user", "content": prompt}]}
    said |= {
        name: [{"role": "assistant", "content": text}] for name, text in (("chosen", chosen), ("rejected", rejected))
    }
    ids = {"row_id_chosen": f"row{number}-0", "row_id_rejected": f"row{number}-1", "seed_id": f"seed{number}"}
    return dict.fromkeys(EXPORTED_PAIRS.names) | said | ids | {"seed": "{}", "recipe": "toy"}


def write_pairs(dataset: Path, splits: dict[str, list[dict[str, Any]]], *, schema: pa.Schema = EXPORTED_PAIRS) -> Path:
    """Puts pairs beside a dataset's rows, as `harvester export` does."""
    (dataset / "preference").mkdir()
    for split, pairs in splits.items():
        table = pa.Table.from_pylist(pairs, schema=schema)
        pq.write_table(table, dataset / "preference" / f"{split}-00000-of-00001.parquet")
    return dataset
