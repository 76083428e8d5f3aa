"""From a real teacher's logprobs, over HTTP, to a student of the same tokens that learns from them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RECIPE = """
name: prose
teacher:
  base_url: embedded
  model: smollm2-135m-instruct
  sampling: {temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0, max_tokens: 24, logprobs: 20}
seeds: {path: seeds.jsonl}
steps:
  - {name: write, prompt: write.j2}
"""
SUBJECTS = ["the sea, in 2024", "a café", "قهوة", "two  spaces\tand a tab", "emoji 👩‍👩‍👧‍👦", "3.14159"]


def run(folder: Path, module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_token_of_a_real_teacher_is_found_among_its_student_s_and_learnt(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "write.j2").write_text("Write about {{ about }}.")
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps({"about": about}) + "\n" for about in SUBJECTS))
    run(tmp_path, "harvester", "collect", "recipe.yaml")
    run(tmp_path, "harvester", "export", "recipe.yaml", "dataset", "--unfiltered")  # cut-off answers, too
    said = run(
        tmp_path, "finetune", "train", "dataset", "--out", "run", "--loss", "sampled", "--max-steps", "3",
        "--learning-rate", "1e-4", "--batch-size", "3",
    )  # fmt: skip
    facts: dict[str, Any] = json.loads((tmp_path / "run/run.json").read_text())
    # An answer that was cut off may lose the white space at its end; it is learnt up to there.
    assert facts["soft"]["hard_rows"] == {}, said
    assert facts["soft"]["rows"] == len(SUBJECTS)
    # A teacher that samples may cut a word as no tokenizer would; such a row has its lists where both cut alike.
    assert facts["soft"]["other_tokens"] <= len(SUBJECTS) // 2
    assert facts["soft"]["positions"] >= facts["soft"]["rows"] * 15
    assert 0.02 < facts["soft"]["rest"] < 0.6
    assert "so what is not listed is learnt as with --loss bucket" not in said
