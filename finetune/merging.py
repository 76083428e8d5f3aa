"""A run's student as one plain model: adapters worked into fresh base weights."""

from pathlib import Path
from typing import Any

import torch
import transformers
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from finetune import runs
from finetune.adapters import load_adapter
from finetune.config import EMBEDDED, RunConfig
from finetune.distributed import CPU
from finetune.errors import BadInput
from finetune.identity import locate
from finetune.student import Base, load_base


def merge(folder: Path, config: RunConfig) -> Base:
    """The student's weights in the number type that its base model is published in, rounded to it once.

    W' = W + s · B A (DoRA: W' = m · (W + s · B A) / ‖W + s · B A‖) is computed in float32, layer by layer, on
    weights as they were published, also where training held them in 4 bits.

    Args:
        folder: a finished run.
        config: the run's.

    Raises:
        BadInput: base or adapter cannot be loaded, or the merged weights are no numbers.
    """
    dtype = published_dtype(config.model)
    # On the CPU: a base that was trained in 4 bits may not fit a GPU as it was published.
    if config.method == "full":
        base = load_base(str(folder / runs.WEIGHTS), dtype, device=CPU)
    else:
        # The embedded model's own file is float32, as it was unpacked from 4 bits.
        base = load_base(config.model, torch.float32 if config.model == EMBEDDED else dtype, device=CPU)
        model = load_adapter(base.model, folder / runs.ADAPTER)
        _merge_layers(model)
        base.model.to(dtype)
    _require_numbers(base.model, folder)
    return base


def published_dtype(name: str) -> torch.dtype:
    """The number type of a base model's published weights; SmolLM2's for the embedded one, which we unpack ourselves.

    Raises:
        BadInput: the model cannot be found, or is published quantised.
    """
    if name == EMBEDDED:
        return torch.bfloat16
    place = locate(name, "base model")
    try:
        config = transformers.AutoConfig.from_pretrained(place.source, trust_remote_code=False, **place.options)
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise BadInput(f"base model {name}: neither a local folder nor a loadable hub id ({reason})") from error
    if getattr(config, "quantization_config", None):
        raise BadInput(
            f"base model {name}: its published weights are quantised, and what is merged into such weights is rounded"
            " away; train on the model that it was made from"
        )
    return config.dtype or torch.float32


def _merge_layers(model: Any) -> None:
    """Merges every adapter in place and takes peft's wrappers off."""
    _untie_if_adapted(model)
    for layer in [module for module in model.modules() if isinstance(module, BaseTunerLayer)]:
        plain: Any = layer.get_base_layer()
        dtype = plain.weight.dtype
        plain.to(torch.float32)
        layer.merge()
        plain.to(dtype)
    model.unload()


def _untie_if_adapted(model: Any) -> None:
    """A head that shares its weights with adapted embeddings keeps its own: training did not move it."""
    plain = model.get_base_model()
    head = plain.get_output_embeddings()
    if isinstance(plain.get_input_embeddings(), BaseTunerLayer) and plain.config.tie_word_embeddings:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        plain.config.tie_word_embeddings = False


def _require_numbers(model: Any, folder: Path) -> None:
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise BadInput(
                f"{folder}: {name} holds NaN or infinity once merged; train again with a lower learning rate"
            )
