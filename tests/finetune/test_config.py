from pathlib import Path

import pytest

from finetune.config import RunConfig, make_config, read_config
from finetune.errors import BadInput


def test_unknown_field_is_named() -> None:
    with pytest.raises(BadInput, match=r"optimiser\.learning_rat"):
        make_config({"optimiser": {"learning_rat": 1}})


def test_value_out_of_range_is_named() -> None:
    with pytest.raises(BadInput, match=r"lora\.rank: Input should be greater"):
        make_config({"lora": {"rank": 0}})


def test_the_head_cannot_be_a_target() -> None:
    with pytest.raises(BadInput, match="output head stays frozen"):
        make_config({"lora": {"targets": ["q_proj", "lm_head"]}})


def test_saved_config_reads_back(tmp_path: Path) -> None:
    config = make_config({"model": "m", "lora": {"rank": 3, "targets": ["q_proj"]}})
    path = tmp_path / "config.json"
    path.write_text(config.model_dump_json())
    assert read_config(path) == config
    assert read_config(path).sha256() == config.sha256() != RunConfig().sha256()


def test_missing_and_broken_config_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"config\.json: No such file"):
        read_config(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(BadInput, match=r"config\.json: .*JSON"):
        read_config(tmp_path / "config.json")
