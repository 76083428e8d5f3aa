"""Train, evaluate and use a student on a dataset that Harvester exported."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finetune.config import RunConfig
    from finetune.evaluation import evaluate
    from finetune.exporting import export
    from finetune.generation import generate
    from finetune.teacher_address import TeacherAddress
    from finetune.training import train

__all__ = ["RunConfig", "TeacherAddress", "evaluate", "export", "generate", "train"]

_HOMES = {
    "RunConfig": "config",
    "TeacherAddress": "teacher_address",
    "evaluate": "evaluation",
    "export": "exporting",
    "generate": "generation",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    """The verbs, loaded when first asked for (PEP 562): `import finetune` costs no torch."""
    if name in _HOMES:
        return getattr(import_module(f"finetune.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'finetune' has no attribute {name!r}")
