# ruff: noqa: N806 - shape suffixes

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from toys import make_tokenizer

from finetune.attention import segment_attention, use_segments
from finetune.collate import packed
from finetune.objective import Objective
from finetune.rendering import IGNORED, Example
from finetune.student import Base, hidden_states, load_base


def rows(*lengths: int) -> list[Example]:
    made = torch.Generator().manual_seed(0)
    ids = [tuple(torch.randint(2, 250, (length,), generator=made).tolist()) for length in lengths]
    return [Example(one, (IGNORED, *one[1:])) for one in ids]


SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
FAMILIES: dict[str, Any] = {
    "llama": transformers.LlamaConfig,
    "qwen2": transformers.Qwen2Config,
    "qwen3": transformers.Qwen3Config,
    "mistral": transformers.MistralConfig,
    "gemma3": transformers.Gemma3TextConfig,
}


def make(folder: Path, family: str, **more: Any) -> Base:
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    config = FAMILIES[family](
        vocab_size=len(tokenizer), eos_token_id=1, pad_token_id=1, bos_token_id=0, **SMALL, **more
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_base(str(folder), torch.float32)


@pytest.mark.parametrize(
    ("family", "more"),
    [
        ("llama", {}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 16}),
        ("mistral", {"sliding_window": 5}),
        ("gemma3", {"sliding_window": 4, "head_dim": 8}),
    ],
)
def test_packed_logits_are_those_of_the_row_alone(family: str, more: dict[str, Any], tmp_path: Path) -> None:
    base, examples = make(tmp_path, family, **more), rows(3, 11, 1, 20)
    alone = [base.model(input_ids=torch.tensor([example.ids]), use_cache=False).logits[0] for example in examples]
    assert use_segments(base.model, 5)
    hidden_BTD = hidden_states(base.model, packed(examples))
    together = base.model.get_output_embeddings()(hidden_BTD)[0]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


def test_no_row_of_a_pass_feels_another(base: Base) -> None:
    objective = Objective(base.model, base)
    assert objective.packing
    first, second, third = rows(6, 9, 7)
    other = Example(second.ids[::-1], (*second.labels[::-1][:-1], IGNORED))
    before, after = (hidden_states(base.model, packed([first, row, third]))[0] for row in (second, other))
    assert torch.equal(before[:6], after[:6])
    assert torch.equal(before[15:], after[15:])
    assert not torch.equal(before[6:15], after[6:15])


def test_packed_gradients_are_the_padded_ones(tiny_folder: Path) -> None:
    found = []
    for packing in (True, False):
        base = load_base(str(tiny_folder), torch.float32)
        base.model.requires_grad_(True)
        objective = Objective(base.model, base, packing=packing)
        assert objective.packing is packing
        objective.loss(rows(3, 11, 2, 20)).backward()  # type: ignore[no-untyped-call]
        found.append({name: weight.grad for name, weight in base.model.named_parameters()})
    for name, grad in found[0].items():
        torch.testing.assert_close(grad, found[1][name], rtol=1e-3, atol=1e-5)


def test_an_architecture_that_remembers_otherwise_stays_padded(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    config = transformers.MambaConfig(
        vocab_size=len(tokenizer), hidden_size=16, state_size=4, num_hidden_layers=1, eos_token_id=1, pad_token_id=1
    )
    model = transformers.MambaForCausalLM(config)
    assert not use_segments(model, 5)


def test_attention_scores_that_are_capped_stay_padded(tmp_path: Path) -> None:
    config = transformers.Gemma2Config(
        vocab_size=300, head_dim=16, attn_logit_softcapping=0.01, query_pre_attn_scalar=1, **SMALL
    )
    torch.manual_seed(0)
    model = transformers.Gemma2ForCausalLM(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8)
    before = model.config._attn_implementation
    assert not use_segments(model, 5)
    assert model.config._attn_implementation == before


@pytest.mark.parametrize(
    "more",
    [
        {"softcap": 50.0},
        {"s_aux": torch.zeros(4)},
        {"sinks": torch.zeros(4)},
        {"position_bias": torch.zeros(1, 4, 9, 9)},
        {"indices": torch.zeros(1, 9, 2)},
        {"is_causal": False},
        {"of_a_later_version": 1},
    ],
    ids=lambda more: next(iter(more)),
)
def test_what_packed_attention_does_not_compute_is_refused(more: dict[str, Any]) -> None:
    q, k, v = (torch.randn(1, 4, 9, 8) for _ in range(3))
    harmless = {"position_ids": torch.arange(9), "output_attentions": False, "softcap": None}
    segment_attention(None, q, k, v, None, segments=(4, 5), **harmless)
    with pytest.raises(NotImplementedError, match="packed attention knows no"):
        segment_attention(None, q, k, v, None, segments=(4, 5), **harmless | more)


def test_a_mask_of_the_model_s_own_is_refused() -> None:
    q, k, v = (torch.randn(1, 4, 9, 8) for _ in range(3))
    with pytest.raises(NotImplementedError):
        segment_attention(None, q, k, v, torch.ones(1, 1, 9, 9), segments=(4, 5))


def small(family: str, **more: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(vocab_size=300, head_dim=16, **SMALL | more)
    return transformers.AutoModelForCausalLM.from_config(config)


# Too little for the trial to notice: on two short rows the numbers are the same within rounding.
@pytest.mark.parametrize(
    ("family", "more"),
    [
        ("Gemma2", {"attn_logit_softcapping": 50.0, "final_logit_softcapping": None}),
        ("Llama", {"attention_chunk_size": 64}),
        ("GptOss", {"num_local_experts": 2, "num_experts_per_tok": 1}),
    ],
)
def test_caps_sinks_and_chunks_stay_padded_however_little_they_do(family: str, more: dict[str, Any]) -> None:
    model = small(family, **more)
    for name, weight in model.named_parameters():
        if name.endswith("sinks"):
            torch.nn.init.constant_(weight, -20.0)  # takes next to nothing from the others
    before = model.config._attn_implementation
    assert not use_segments(model, 5)
    assert model.config._attn_implementation == before


def test_grouped_heads_and_windows_equal_plain_masked_attention() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 4, 9, 8), torch.randn(1, 2, 9, 8), torch.randn(1, 2, 9, 8)
    found, _ = segment_attention(None, q, k, v, None, segments=(4, 5), sliding_window=3)
    row = torch.tensor([0] * 4 + [1] * 5)
    back = torch.arange(9)[:, None] - torch.arange(9)[None, :]
    mask = (row[:, None] == row[None, :]) & (back >= 0) & (back < 3)
    plain = torch.nn.functional.scaled_dot_product_attention(
        q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1), attn_mask=mask
    )
    torch.testing.assert_close(found, plain.transpose(1, 2), rtol=1e-5, atol=1e-6)


def test_no_kernel_is_taken_that_plans_anew_for_every_length(monkeypatch: pytest.MonkeyPatch) -> None:
    attend, allowed = torch.nn.functional.scaled_dot_product_attention, []

    def noting(*arguments: Any, **more: Any) -> torch.Tensor:
        allowed.append(torch.backends.cuda.cudnn_sdp_enabled())
        return attend(*arguments, **more)

    monkeypatch.setattr("finetune.attention.functional.scaled_dot_product_attention", noting)
    before = torch.backends.cuda.cudnn_sdp_enabled()
    q, k, v = (torch.randn(1, 4, 9, 8) for _ in range(3))
    segment_attention(None, q, k, v, None, segments=(4, 5))
    assert allowed == [False, False]
    assert torch.backends.cuda.cudnn_sdp_enabled() == before
