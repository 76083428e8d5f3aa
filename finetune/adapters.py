"""Low-rank adapters: put on, saved, loaded."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors import SafetensorError

from finetune import runs
from finetune.config import Lora, Method
from finetune.errors import BadInput


def add_lora(model: Any, lora: Lora, *, seed: int, method: Method = "lora") -> Any:
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
        use_rslora=method == "rslora",
        use_dora=method == "dora",
    )
    try:
        with _peft_on_transformers_5():
            wrapped = peft.get_peft_model(model, settings)
    except ValueError as error:
        raise BadInput(f"lora.targets: {lora.targets or 'all-linear'} match no linear layer of the model") from error
    if not any(weight.requires_grad for weight in wrapped.parameters()):
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
        with _peft_on_transformers_5(), warnings.catch_warnings():
            # Without it an adapter that lacks a layer would be used with that layer untrained.
            warnings.filterwarnings("error", message="Found missing adapter keys")
            return peft.PeftModel.from_pretrained(model, str(folder)).eval()
    except (OSError, ValueError, RuntimeError, SafetensorError, UserWarning) as error:
        raise BadInput(f"{folder}: adapter cannot be loaded ({str(error).splitlines()[0][:200]})") from error


def save_adapter(model: Any, folder: Path) -> None:
    """Writes the adapter in peft's format; a folder is there in full or not at all."""
    with runs.new_folder(folder) as scratch:
        # Not the embeddings: asking whether they changed would ask the hub.
        model.save_pretrained(scratch, save_embedding_layers=False)


@contextmanager
def _peft_on_transformers_5() -> Iterator[None]:
    # peft 0.21 still asks for this property by its old name; nothing a user could mend.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield
