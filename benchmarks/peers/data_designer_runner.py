"""NVIDIA Data Designer: LLM text columns, each from the one before; no check of the model first, telemetry off."""

import json
import os
import sys
from pathlib import Path

URL, PROMPTS, FOLDER, WORKERS = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
STEPS = int(sys.argv[5]) if len(sys.argv) > 5 else 1  # noqa: PLR2004 - its place
os.environ |= {"NEMO_TELEMETRY_ENABLED": "false", "DATA_DESIGNER_HOME": str(FOLDER / "home"), "TOY_API_KEY": "none"}

import data_designer.config as dd  # noqa: E402 - the environment must stand first
import pandas as pd  # noqa: E402
from data_designer.interface import DataDesigner  # noqa: E402

if __name__ == "__main__":
    rows = pd.DataFrame([json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()])
    teacher = dd.ModelProvider(name="toy", endpoint=URL, provider_type="openai", api_key="TOY_API_KEY")
    model = dd.ModelConfig(
        alias="toy",
        model="toy-1",
        provider="toy",
        skip_health_check=True,
        inference_parameters=dd.ChatCompletionInferenceParams(
            temperature=0.7, max_tokens=256, max_parallel_requests=WORKERS
        ),
    )
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    builder.with_seed_dataset(dd.DataFrameSeedSource(df=rows), sampling_strategy=dd.SamplingStrategy.ORDERED)
    builder.add_column(dd.LLMTextColumnConfig(name="answer", model_alias="toy", prompt="{{ text }}"))
    for step in range(2, STEPS + 1):
        before = "answer" if step == 2 else f"answer{step - 1}"  # noqa: PLR2004 - the second step
        prompt = f"Step {step}. {{{{ text }}}}\n{{{{ {before} }}}}"
        builder.add_column(dd.LLMTextColumnConfig(name=f"answer{step}", model_alias="toy", prompt=prompt))
    designer = DataDesigner(artifact_path=FOLDER / "artifacts", model_providers=[teacher])
    made = designer.create(builder, num_records=len(rows), dataset_name="bench")
    assert len(made.load_dataset()) == len(rows)
