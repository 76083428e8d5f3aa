"""The student: a base model and what of it learns, on the device and in the number type that fit this machine."""

# ruff: noqa: N806 - shape suffixes

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from torch import Tensor

from finetune import adapters, runs
from finetune.collate import Batch
from finetune.config import EMBEDDED, RunConfig
from finetune.embedded import embedded_folder, quiet_bars
from finetune.errors import BadInput
from finetune.identity import Place, locate
from finetune.loading import load_files
from harvester.errors import how_to_install


@dataclass(frozen=True, slots=True)
class Base:
    """A loaded base model, frozen, with its tokenizer."""

    model: Any
    tokenizer: Any
    stop_ids: tuple[int, ...]  # tokens that end an answer, the tokenizer's own EOS first
    device: torch.device

    @property
    def pad_id(self) -> int:
        """The id that fills up short rows; any would do, as padding is masked by position."""
        return int(self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.stop_ids[0])

    @property
    def context(self) -> int | None:
        """The most tokens that the model was made for, prompt and answer together; None where it does not say."""
        told = getattr(self.model.config, "max_position_embeddings", None)
        return int(told) if told else None


def load_base(
    name: str, dtype: torch.dtype | None = None, *, four_bits: bool = False, device: torch.device | None = None
) -> Base:
    """Loads `embedded`, a local folder or a hub id; safetensors only, no code from the model's repository.

    Args:
        name: the model.
        dtype: number type of the weights; None takes the fastest that keeps 8 exponent bits on this machine.
        four_bits: hold the linear layers' weights in 4 bits (NF4, Dettmers et al. 2023, arXiv 2305.14314).
        device: where to hold it; None takes the GPU if there is one.

    Raises:
        BadInput: the model cannot be found, lacks weights, or computes its logits in a way the fused loss does not
            follow.
        TeacherUnusable: `embedded` is not in the cache and cannot be fetched.
    """
    device = device or default_device()
    if device.type == "cpu":
        cores = torch.cpu.get_capabilities().get("num_physical_cores", torch.get_num_threads())
        torch.set_num_threads(max(1, min(int(cores), torch.get_num_threads())))
    place = Place(str(embedded_folder())) if name == EMBEDDED else locate(name)
    dtype = dtype or fast_dtype(device)
    more = {"quantization_config": _four_bits(device, dtype), "device_map": {"": device}} if four_bits else {}
    model, tokenizer = load_files(name, place, dtype=dtype, **more)
    model.requires_grad_(False)
    if not four_bits:
        model.to(device)
    model.eval()
    base = Base(model=model, tokenizer=tokenizer, stop_ids=_stop_ids(model, tokenizer), device=device)
    if base.stop_ids:  # without any the renderer refuses it
        # The repository's sampling habits (temperature, penalties) would leak into greedy decoding.
        model.generation_config = greedy_settings(base)
        _check_head(name, base)
    return base


def prepare(config: RunConfig, *, device: torch.device | None = None) -> tuple[Base, Any]:
    """The base model and the model that learns: with fresh adapters, or itself with every weight open.

    Args:
        config: the run's.
        device: where to hold it; None takes the GPU if there is one.

    Raises:
        BadInput: as `load_base` and `add_lora`, or the method does not run on this machine.
    """
    if config.method == "full":
        # Updates smaller than bfloat16's step would be lost, so the weights stay in float32 and are computed in less.
        base = load_base(config.model, torch.float32, device=device)
        base.model.requires_grad_(True)
        return base, base.model
    base = load_base(config.model, stated_dtype(config), four_bits=config.method == "qlora", device=device)
    return base, adapters.add_lora(base.model, config.lora, seed=config.training.seed, method=config.method)


def load_student(folder: Path, config: RunConfig) -> tuple[Base, Any]:
    """A finished run's student, ready to answer. Where it has adapters, `model.disable_adapter()` gives the base.

    Args:
        folder: the run's.
        config: the run's.

    Raises:
        BadInput: base or student cannot be loaded.
    """
    if config.method == "full":
        base = load_base(str(folder / runs.WEIGHTS), stated_dtype(config))
        return base, base.model
    base = load_base(config.model, stated_dtype(config), four_bits=config.method == "qlora")
    return base, adapters.load_adapter(base.model, folder / runs.ADAPTER)


def save_weights(base: Base, weights: dict[str, Tensor], folder: Path) -> None:
    """Writes a model of which every weight was trained; a folder is there in full or not at all."""
    # Gathered from shards, weights that are tied are two tensors: one is written.
    tied = base.model.all_tied_weights_keys
    weights = {name: weight for name, weight in weights.items() if tied.get(name) not in weights}
    with runs.new_folder(folder) as scratch, quiet_bars():
        base.model.save_pretrained(scratch, state_dict=weights)
        base.tokenizer.save_pretrained(scratch)


def stated_dtype(config: RunConfig) -> torch.dtype | None:
    """The number type that a configuration states; None where it leaves it to the machine."""
    return None if config.compute.dtype == "auto" else getattr(torch, config.compute.dtype)


def compute_dtype(config: RunConfig, device: torch.device) -> torch.dtype:
    """The number type that a run computes in on a device."""
    return stated_dtype(config) or fast_dtype(device)


def dtype_name(dtype: torch.dtype) -> str:
    """As settings and reports write it: bfloat16."""
    return str(dtype).removeprefix("torch.")


def default_device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def greedy_settings(base: Base, **more: Any) -> Any:
    """A transformers GenerationConfig that takes the likeliest token and ends at any of the stop tokens."""
    return transformers.GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False, eos_token_id=list(base.stop_ids), pad_token_id=base.pad_id, **more
    )


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it, else float32 (emulated bfloat16 is slower than float32)."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32


def trainable(model: Any) -> dict[str, torch.nn.Parameter]:
    """The parameters that learn, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def hidden_states(model: Any, batch: Batch) -> Tensor:
    """What the output head is given, hidden_BTD. The cache is off: it is for generating."""
    more = {} if batch.segments is None else {"segments": batch.segments}
    output = plain(model).get_decoder()(
        input_ids=batch.input_ids_BT,
        attention_mask=batch.attention_mask_BT,
        position_ids=batch.position_ids_BT,
        use_cache=False,
        **more,
    )
    hidden_BTD: Tensor = output.last_hidden_state
    return hidden_BTD


def output_head(model: Any) -> Any:
    """The layer that turns hidden states into logits."""
    return plain(model).get_output_embeddings()


def plain(model: Any) -> Any:
    """The transformers model, with or without adapters around it."""
    return model.get_base_model() if isinstance(model, peft.PeftModel) else model


@torch.inference_mode()
def _check_head(name: str, base: Base) -> None:
    """Some architectures scale or cap the logits after the head; a loss that skips it would be wrong, silently."""
    ids_BT = torch.tensor([[base.pad_id, base.stop_ids[0]]], device=base.device)
    batch = Batch(ids_BT, ids_BT, torch.arange(2, device=base.device)[None], attention_mask_BT=torch.ones_like(ids_BT))
    logits_BTV = base.model(input_ids=ids_BT, attention_mask=batch.attention_mask_BT, use_cache=False).logits
    try:
        ours_BTV = output_head(base.model)(hidden_states(base.model, batch))
    except (AttributeError, TypeError, NotImplementedError) as error:
        kind = type(base.model).__name__
        raise BadInput(f"--model {name}: {kind} gives no hidden states apart from its head; not supported") from error
    if not torch.allclose(logits_BTV, ours_BTV, rtol=1e-2, atol=1e-2):
        raise BadInput(f"--model {name}: its logits are not those of its output head (scaled or capped); not supported")


def _stop_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    told = model.generation_config.eos_token_id
    more = told if isinstance(told, list) else [told]
    return tuple(dict.fromkeys(int(token) for token in (tokenizer.eos_token_id, *more) if token is not None))


def _four_bits(device: torch.device, dtype: torch.dtype) -> Any:
    if device.type != "cuda":
        raise BadInput("--method qlora: needs a CUDA GPU; take --method lora here")
    try:
        import bitsandbytes  # type: ignore[import-not-found]  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise BadInput(f"--method qlora: bitsandbytes is not installed; {how_to_install('qlora')}") from error
    return transformers.BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
