"""The helpers beside these tests, the script that writes the reference pages, and a place to run commands in."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Before torch is loaded: OpenMP threads that spin while they wait are slow beside anything else that runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import datasets
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
sys.path.insert(0, str(Path(__file__).parents[1] / "finetune"))
sys.path.insert(0, str(Path(__file__).parent))
import workplace
from provider import Provider, last_line, serving
from toys import make_llama


@pytest.fixture(scope="session")
def workplace_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Holds `tiny`, a base model, and recipes at runs/orders, …/extract-orders and …/pairs; nothing is collected."""
    folder = tmp_path_factory.mktemp("workplace")
    make_llama(folder / "tiny")  # stands for every base that a page names
    patch = pytest.MonkeyPatch()
    patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "datasets-cache")
    with serving(Provider(answer=lambda body: workplace.answer(last_line(body), body.get("seed", 0)))) as provider:
        for name in ("orders", "extract-orders"):
            workplace.make_recipe(folder / "runs" / name, provider)
        workplace.make_recipe(folder / "runs" / "pairs", provider, pairs=True)
        yield folder
    patch.undo()


@pytest.fixture
def place(workplace_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder, worked in."""
    monkeypatch.chdir(workplace_folder)
    return workplace_folder
