"""Bespoke Curator: its LLM class with the openai backend, limits told far above what is asked, every cache fresh."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

URL, PROMPTS, FOLDER, WORKERS = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
os.environ |= {
    "OPENAI_API_KEY": "none",
    "CURATOR_CACHE_DIR": str(FOLDER / "curator"),
    "TELEMETRY_ENABLED": "false",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    # It counts tokens with tiktoken, whose vocabulary is a download; litellm, which it depends on, brings a copy.
    "TIKTOKEN_CACHE_DIR": str(Path(find_spec("litellm").origin).parent / "litellm_core_utils" / "tokenizers"),
}

from bespokelabs import curator  # noqa: E402 - the environment must stand first
from datasets import Dataset  # noqa: E402

UNLIMITED = 10**9


class Answer(curator.LLM):
    """One question per row."""

    def prompt(self, row: dict) -> str:
        """The question."""
        return row["text"]

    def parse(self, row: dict, response: str) -> dict:
        """The row of the result."""
        return {"text": row["text"], "answer": response}


if __name__ == "__main__":
    rows = [json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
    llm = Answer(
        model_name="toy-1",
        backend="openai",
        backend_params={
            "base_url": URL,
            "max_requests_per_minute": UNLIMITED,
            "max_tokens_per_minute": UNLIMITED,
            "max_concurrent_requests": WORKERS,
        },
        generation_params={"temperature": 0.7, "max_tokens": 256},
    )
    answered = llm(Dataset.from_list(rows), working_dir=str(FOLDER / "curator"))
    assert len(answered.dataset) == len(rows)
