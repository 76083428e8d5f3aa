"""The model that is served: a run's student, the embedded teacher's weights, a folder or a hub id."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from finetune import identity, runs
from finetune.config import EMBEDDED, Compute, RunConfig
from finetune.errors import BadInput
from finetune.rendering import CLOSE, Renderer
from finetune.serving.tokens import Spell, speller
from finetune.serving.wanted import require_model
from finetune.student import Base, load_base, load_student, output_head, plain
from harvester.teachers.weights import MODEL_NAME

UNTOLD_CONTEXT = 4096
"""Tokens that are taken for the context of a model that does not say it."""


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded model and what it is called."""

    name: str
    base: Base
    model: Any  # the base, with adapters or without
    renderer: Renderer | None  # None where the model has no chat template
    spell: Spell

    @classmethod
    def of(cls, name: str, base: Base, model: Any) -> "Served":
        """A loaded model under a name.

        Raises:
            BadInput: the model has no token that would end an answer.
        """
        if not base.stop_ids:
            raise BadInput(f"{name}: no end-of-sequence token, it would never stop answering; use another model")
        templated = base.tokenizer.chat_template is not None
        renderer = Renderer(base.tokenizer, base.stop_ids) if templated else None
        return cls(name=name, base=base, model=model, renderer=renderer, spell=speller(base.tokenizer))

    @property
    def context(self) -> int:
        """The most tokens of prompt and answer together."""
        return self.base.context or UNTOLD_CONTEXT

    @property
    def vocabulary(self) -> int:
        """Ids that the model takes: from 0 to below this."""
        return int(plain(self.model).get_input_embeddings().weight.shape[0])

    @property
    def head(self) -> Any:
        """Hidden states → logits."""
        return output_head(self.model)

    @property
    def opens_thought(self) -> bool:
        """Whether the template opens a thought, so that an answer begins inside it."""
        return self.renderer is not None and self.renderer.spoken(f"thought{CLOSE}") == ""

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of an answer's tokens, as `finetune generate` decodes it."""
        return str(self.base.tokenizer.decode(list(ids), skip_special_tokens=True))


def load(model: str, *, name: str | None = None, dtype: str | None = None) -> Served:
    """Loads what is to be served.

    Args:
        model: a finished run's folder, `embedded`, a folder of a model or a hub id.
        name: what requests call it; by default the folder's name, or the id.
        dtype: bfloat16 or float32; None takes that of the run, or the fastest on this machine.

    Raises:
        BadInput: it cannot be loaded.
        TeacherUnusable: `embedded` is not in the cache and cannot be fetched.
    """
    require_model(model)
    folder = Path(model)
    if (folder / runs.FACTS).exists():
        facts, config = runs.read_finished(folder)
        identity.require_unchanged(folder, facts.base_sha256, config.model)
        base, student = load_student(folder, _with_dtype(config, dtype))
        return Served.of(name or folder.resolve().name, base, student)
    try:
        base = load_base(model, getattr(torch, dtype) if dtype else None)
    except BadInput as error:
        raise BadInput(str(error).removeprefix("--model ")) from error
    usual = MODEL_NAME if model == EMBEDDED else folder.resolve().name if folder.is_dir() else model
    return Served.of(name or usual, base, base.model)


def _with_dtype(config: RunConfig, dtype: str | None) -> RunConfig:
    if dtype is None:
        return config
    compute = Compute.model_validate(config.compute.model_dump() | {"dtype": dtype})
    return config.model_copy(update={"compute": compute})
