"""The student: a base model with low-rank adapters, on the device and in the number type that fit this machine."""

# ruff: noqa: N803, N806 - shape suffixes

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor

from finetune.config import EMBEDDED, Lora
from finetune.data import say
from finetune.errors import BadInput
from harvester.teachers.weights import MODEL_NAME, SHA256, cache_dir, embedded_weights


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


def load_base(name: str, dtype: torch.dtype | None = None) -> Base:
    """Loads `embedded`, a local folder or a hub id; safetensors only, no code from the model's repository.

    Args:
        name: the model.
        dtype: number type of the weights; None takes the fastest that keeps 8 exponent bits on this machine.

    Raises:
        BadInput: the model cannot be found or loaded, or computes its logits in a way the fused loss does not follow.
        TeacherUnusable: `embedded` is not in the cache and cannot be fetched.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        cores = torch.cpu.get_capabilities().get("num_physical_cores", torch.get_num_threads())
        torch.set_num_threads(max(1, min(int(cores), torch.get_num_threads())))
    source = str(_embedded_folder()) if name == EMBEDDED else name
    with _quiet_bars():
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
            model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype or fast_dtype(device), use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError, SafetensorError) as error:
            reason = str(error).strip().split("\n")[0]
            raise BadInput(f"--model {name}: neither a local folder nor a loadable hub id ({reason})") from error
    model.requires_grad_(False)
    model.to(device).eval()
    base = Base(model=model, tokenizer=tokenizer, stop_ids=_stop_ids(model, tokenizer), device=device)
    # The repository's sampling habits (temperature, penalties) would leak into greedy decoding.
    model.generation_config = greedy_settings(base)
    _check_head(name, base)
    return base


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


def add_lora(model: Any, lora: Lora, *, seed: int) -> Any:
    """Wraps the model with fresh adapters on every linear layer but the output head; only they learn, in float32.

    Raises:
        BadInput: the targets match no layer of the model.
    """
    torch.manual_seed(seed)
    settings = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules="all-linear" if lora.targets is None else list(lora.targets),
    )
    try:
        with _peft_on_transformers_5():
            wrapped = peft.get_peft_model(model, settings)
    except ValueError as error:
        raise BadInput(f"lora.targets: {lora.targets or 'all-linear'} match no linear layer of the model") from error
    if not trainable(wrapped):
        raise BadInput(f"lora.targets: {lora.targets or 'all-linear'} match no linear layer of the model")
    return wrapped


def load_adapter(model: Any, folder: Path) -> Any:
    """Wraps the model with the adapter saved in a folder, for use.

    Raises:
        BadInput: the folder holds no readable adapter, or one for another model.
    """
    if not (folder / "adapter_config.json").exists():
        raise BadInput(f"{folder}: no trained adapter in it; run `finetune train` to its end first")
    try:
        with _peft_on_transformers_5():
            return peft.PeftModel.from_pretrained(model, str(folder)).eval()
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BadInput(f"{folder}: adapter cannot be loaded ({str(error).splitlines()[0]})") from error


def save_adapter(model: Any, folder: Path) -> None:
    """Writes the adapter in peft's format; a folder is there in full or not at all."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        # Not the embeddings: asking whether they changed would ask the hub.
        model.save_pretrained(scratch, save_embedding_layers=False)
        shutil.rmtree(folder, ignore_errors=True)
        Path(scratch).rename(folder)
        Path(scratch).mkdir()  # what the context manager removes


def trainable(model: Any) -> dict[str, torch.nn.Parameter]:
    """The parameters that learn, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def hidden_states(model: Any, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
    """What the output head is given, hidden_BTD. The cache is off: it is for generating."""
    decoder = _plain(model).get_decoder()
    output = decoder(input_ids=input_ids_BT, attention_mask=attention_mask_BT, use_cache=False)
    hidden_BTD: Tensor = output.last_hidden_state
    return hidden_BTD


def logits(model: Any, hidden_ND: Tensor) -> Tensor:
    """The output head, z_NV."""
    z_NV: Tensor = _plain(model).get_output_embeddings()(hidden_ND)
    return z_NV


def _plain(model: Any) -> Any:
    return model.get_base_model() if isinstance(model, peft.PeftModel) else model


@torch.inference_mode()
def _check_head(name: str, base: Base) -> None:
    """Some architectures scale or cap the logits after the head; a loss that skips it would be wrong, silently."""
    ids_BT = torch.tensor([[base.pad_id, base.stop_ids[0]]], device=base.device)
    mask_BT = torch.ones_like(ids_BT)
    whole = base.model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits
    ours = logits(base.model, hidden_states(base.model, ids_BT, mask_BT))
    if not torch.allclose(whole, ours, rtol=1e-2, atol=1e-2):
        raise BadInput(f"--model {name}: its logits are not those of its output head (scaled or capped); not supported")


def _stop_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    told = model.generation_config.eos_token_id
    more = told if isinstance(told, list) else [told]
    return tuple(dict.fromkeys(int(token) for token in (tokenizer.eos_token_id, *more) if token is not None))


def _embedded_folder() -> Path:
    """The embedded teacher's weights as a transformers folder; converted once, as that takes 15 s and loading 3 s."""
    gguf = embedded_weights()
    folder = cache_dir() / "students" / f"{MODEL_NAME}-{SHA256[:8]}"
    if folder.exists():
        return folder
    say(f"converting {gguf.name} for training (once, 0.5 GB) into {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        _convert(gguf, scratch)
        scratch.chmod(0o755)
        scratch.rename(folder)
    except OSError as error:
        # Another process may have finished the same conversion first.
        if not folder.exists():
            raise BadInput(f"{folder}: cannot be written ({error.strerror}); set HARVESTER_CACHE") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    with _quiet_bars():
        source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
        tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        # The weights are plain floats now, but these marks make save_pretrained refuse.
        model.hf_quantizer = None
        for mark in ("is_quantized", "quantization_method"):
            model.__dict__.pop(mark, None)
        del model.config.quantization_config
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def _quiet_bars() -> Iterator[None]:
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def _peft_on_transformers_5() -> Iterator[None]:
    # peft 0.21 still asks for this property by its old name; nothing a user could mend.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield
