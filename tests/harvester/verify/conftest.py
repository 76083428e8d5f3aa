"""One way to put an answer before a verifier."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvester.records import Check
from harvester.verify import build, resolve


@pytest.fixture(scope="session")
def judged() -> Callable[..., Check]:
    """(verifier, its settings, answer, seed) → its check."""

    def judge(
        name: str, settings: Any, answer: str, seed: dict[str, Any] | None = None, folder: Path = Path()
    ) -> Check:
        (verify,) = build(resolve({name: settings}, folder, trust=True))
        return verify(answer, seed or {})

    return judge
