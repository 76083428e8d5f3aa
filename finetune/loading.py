"""A base model's files → tokenizer and weights: all of them, or one clear line."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import transformers
from safetensors import SafetensorError

from finetune.data import say
from finetune.embedded import quiet_bars
from finetune.errors import BadInput
from finetune.identity import Place

NAMED = 3
"""So many tensors are named in a message."""


def load_files(name: str, place: Place, **settings: Any) -> tuple[Any, Any]:
    """The model and its tokenizer; safetensors only, no code from the model's repository.

    Args:
        name: as the user wrote it, for messages.
        place: where it is.
        settings: more of `from_pretrained`'s for the weights.

    Raises:
        BadInput: a file cannot be read, or a weight is missing or has another shape than the configuration says.
            transformers would go on with random numbers in its place.
    """
    with quiet_bars(), _quiet_report():
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                place.source, trust_remote_code=False, **place.options
            )
            loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
                place.source,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # refused below, with their names
                **place.options,
                **settings,
            )
        except (OSError, ValueError, ImportError, SafetensorError) as error:
            reason = str(error).strip().split("\n")[0]
            raise BadInput(f"--model {name}: cannot be loaded ({reason}); get its files again") from error
    model, found = loaded
    _require_all(name, found)
    if unused := found["unexpected_keys"]:
        say(f"--model {name}: {len(unused)} tensors of its files have no place in the model: {_names(unused)}")
    return model, tokenizer


def _require_all(name: str, found: dict[str, Any]) -> None:
    if missing := found["missing_keys"]:  # a head that shares the embeddings' weights is not among them
        raise BadInput(
            f"--model {name}: its files lack {len(missing)} of the model's weights ({_names(missing)}); get them again"
        )
    if other := found["mismatched_keys"]:
        key, has, wants = min(other, key=lambda one: str(one[0]))
        raise BadInput(
            f"--model {name}: its files have {len(other)} weights of another shape than its config.json says"
            f" ({key} is {tuple(has)}, not {tuple(wants)}); get weights and config.json of the same model"
        )


def _names(keys: Collection[str]) -> str:
    shown = ", ".join(sorted(keys)[:NAMED])
    return shown if len(keys) <= NAMED else f"{shown}, …"


@contextmanager
def _quiet_report() -> Iterator[None]:
    """The table that transformers prints of what is missing or left over; here that is one line."""
    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(_is_error)  # not its level: from a level of warnings on it looks for more to warn of
    try:
        yield
    finally:
        logger.removeFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR
