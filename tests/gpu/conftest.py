"""What runs on a CUDA GPU only: `make test-gpu`. Elsewhere everything here is skipped."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "finetune"))  # toys.py and configs.py are helpers, not packages
sys.path.insert(0, str(Path(__file__).parent))
from configs import config
from toys import make_row, own_datasets_cache, write_dataset

from finetune import train

WORDS = ("apple", "river", "stone", "cloud", "tiger", "violin", "garden", "silver")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = "needs a CUDA GPU; torch sees none here"
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.gpu)
            item.add_marker(pytest.mark.timeout(600))
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with own_datasets_cache(tmp_path_factory.mktemp("datasets-cache")):
        yield


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words to be put into brackets; prompts of several lengths."""
    rows = [
        make_row(number, prompt=f"word: {' '.join([word] * (1 + number % 3))}", answer=f"[{word}]")
        for number, word in enumerate(WORDS)
    ]
    test = [
        make_row(100 + number, prompt=f"word: {word}", answer=f"[{word}]", reference=f"[{word}]")
        for number, word in enumerate(("window", "apple"))
    ]
    return write_dataset(tmp_path_factory.mktemp("words") / "dataset", {"train": rows, "test": test})


@pytest.fixture(scope="session")
def trained(words: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model after 20 steps with the defaults."""
    run = tmp_path_factory.mktemp("trained") / "run"
    train(words, run, config())
    return run
