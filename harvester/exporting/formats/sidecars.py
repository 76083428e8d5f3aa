"""What two trainers want beside the data: a description of the files, to be used as it is."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

Files = Mapping[str, Mapping[str, str]]
"""Config → split → the file that holds it."""

HOW = "# The paths are relative: run axolotl in this folder, or put the folder before them.\n"


def dataset_info(name: str, files: Files) -> dict[str, str]:
    """LLaMA-Factory's `dataset_info.json`; a dataset for each file."""
    described: dict[str, Any] = {}
    for config, by_split in files.items():
        ranked = config == "preference"
        columns = {"messages": "conversations", **({"chosen": "chosen", "rejected": "rejected"} if ranked else {})}
        for split, file in by_split.items():
            named = "_".join([name, *(["preference"] if ranked else []), *([] if split == "train" else [split])])
            entry = {"file_name": file, "formatting": "sharegpt", "columns": columns}
            described[named] = {**entry, "ranking": True} if ranked else entry
    return {"dataset_info.json": json.dumps(described, indent=2, ensure_ascii=False) + "\n"}


def axolotl_yaml(name: str, files: Files) -> dict[str, str]:  # noqa: ARG001 - every format's further files alike
    """The part of an Axolotl configuration that names the data."""
    return {"axolotl.yaml": HOW + _yaml(_datasets(files, {"type": "chat_template"}))}


def axolotl_kd_yaml(name: str, files: Files) -> dict[str, str]:  # noqa: ARG001
    """The same for its plugin for distillation, which is to be switched on."""
    plugin = {
        "plugins": ["axolotl.integrations.kd.KDPlugin"],
        "kd_trainer": True,
        "kd_ce_alpha": 0.1,
        "kd_alpha": 0.9,
        "kd_temperature": 1.0,
    }
    kind = {"type": "axolotl.integrations.kd.chat_template", "logprobs_field": "logprobs"}
    return {"axolotl.yaml": HOW + _yaml({**plugin, **_datasets(files, kind)})}


def _datasets(files: Files, settings: Mapping[str, Any]) -> dict[str, Any]:
    entries = {
        split: [{"path": f"./{file}", "ds_type": "json", "split": "train", **settings, "field_messages": "messages"}]
        for split, file in files["default"].items()
    }
    named = {"datasets": entries.get("train"), "test_datasets": entries.get("dev")}
    return {key: entry for key, entry in named.items() if entry}


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
