"""Collect training data from a teacher model behind an API.

The names below load on first use, so that importing a part (`harvester.verify`) does not load the whole.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harvester.batching.dispatch import collect
    from harvester.collecting import Options, Progress
    from harvester.estimating import Estimate, estimate
    from harvester.exporting import Exported, export
    from harvester.questions import ask
    from harvester.recipe import Recipe, Seeds, Step, Teacher
    from harvester.records import Answer, Message

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Estimate",
    "Exported",
    "Message",
    "Options",
    "Progress",
    "Recipe",
    "Seeds",
    "Step",
    "Teacher",
    "ask",
    "collect",
    "estimate",
    "export",
]

_HOME = {
    "Answer": "harvester.records",
    "Estimate": "harvester.estimating",
    "Exported": "harvester.exporting",
    "Message": "harvester.records",
    "Options": "harvester.collecting",
    "Progress": "harvester.collecting",
    "Recipe": "harvester.recipe",
    "Seeds": "harvester.recipe",
    "Step": "harvester.recipe",
    "Teacher": "harvester.recipe",
    "ask": "harvester.questions",
    "collect": "harvester.batching.dispatch",
    "estimate": "harvester.estimating",
    "export": "harvester.exporting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
