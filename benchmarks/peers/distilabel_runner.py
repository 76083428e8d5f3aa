"""distilabel: a TextGeneration task on its OpenAI client; the batch of the task is the number of workers."""

import json
import os
import sys
from pathlib import Path

URL, PROMPTS, FOLDER, WORKERS = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
os.environ |= {"HF_HUB_OFFLINE": "1", "DISTILABEL_CACHE_DIR": str(FOLDER / "distilabel")}

from datasets import Dataset  # noqa: E402 - the environment must stand first
from distilabel.models import OpenAILLM  # noqa: E402
from distilabel.pipeline import Pipeline  # noqa: E402
from distilabel.steps.tasks import TextGeneration  # noqa: E402

if __name__ == "__main__":
    rows = [{"instruction": json.loads(line)["text"]} for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
    with Pipeline("bench", cache_dir=FOLDER / "distilabel") as pipeline:
        TextGeneration(
            llm=OpenAILLM(
                model="toy-1",
                base_url=URL,
                api_key="none",
                generation_kwargs={"temperature": 0.7, "max_new_tokens": 256},
            ),
            input_batch_size=WORKERS,
        )
    answered = pipeline.run(dataset=Dataset.from_list(rows), use_cache=False, dataset_batch_size=WORKERS)
    assert len(answered["default"]["train"]) == len(rows)
