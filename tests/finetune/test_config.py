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


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"loss": {"kind": "dpo", "hard_share": 0.5}}, r"loss: dpo learns from pairs: give no --hard-share"),
        ({"loss": {"kind": "dpo", "top": 5}}, "dpo learns from pairs"),
        ({"loss": {"kind": "dpo", "temperature": 2.0}}, "a temperature is for the loss `bucket`"),
        ({"loss": {"kind": "dpo", "tail_weight": 0.5}}, "tail_weight is for the loss `sampled`"),
        ({"loss": {"kind": "dpo", "beta": 0}}, r"loss\.beta: Input should be greater than 0"),
        ({"loss": {"beta": 0.2}}, "beta is for the loss `dpo`; give --loss dpo or no --beta"),
        ({"loss": {"kind": "dpo"}, "batching": {"too_long": "cut"}}, "dpo compares whole answers: give no --too-long"),
    ],
    ids=str,
)
def test_what_pairs_have_no_use_for_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        make_config(fields)


@pytest.mark.parametrize(
    ("kind", "method", "rate"),
    [("auto", "lora", 1e-3), ("auto", "full", 2e-5), ("dpo", "dora", 5e-5), ("dpo", "full", 1e-6)],
)
def test_the_learning_rate_is_the_method_s_and_the_loss_s(kind: str, method: str, rate: float) -> None:
    assert make_config({"loss": {"kind": kind}, "method": method}).learning_rate == rate
    stated = {"loss": {"kind": kind}, "method": method, "optimiser": {"learning_rate": 0.5}}
    assert make_config(stated).learning_rate == 0.5
