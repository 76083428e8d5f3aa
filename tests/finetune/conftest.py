"""A tiny random model and a small dataset, so that everything but the slow tests runs in seconds without network."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Before torch is loaded: OpenMP threads that spin while they wait are slow beside anything else that runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # toys.py is a helper, not a package
from toys import Command, make_llama, make_row, make_tokenizer, own_datasets_cache, write_dataset

from finetune import cli
from finetune.rendering import Renderer
from finetune.student import Base, load_base


@pytest.fixture(scope="session", autouse=True)
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    torch.set_num_threads(1)  # nothing here is big enough to share
    with own_datasets_cache(tmp_path_factory.mktemp("datasets-cache")):
        yield


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama whose pad token is its EOS token."""
    marks = make_tokenizer()
    return make_llama(
        tmp_path_factory.mktemp("tiny-model"),
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=marks.bos_token_id,
        pad_token_id=marks.pad_token_id,
        initializer_range=0.3,  # so that what the model says depends on what it is asked
    )


@pytest.fixture
def base(tiny_folder: Path) -> Base:
    return load_base(str(tiny_folder), torch.float32)


@pytest.fixture
def renderer(base: Base) -> Renderer:
    return Renderer(base.tokenizer, base.stop_ids)


@pytest.fixture
def toy_dataset(tmp_path: Path) -> Path:
    """Ragged rows; train 22, dev 4, test 6 prompts of which two have two teacher answers, one of them wrong."""
    train = [make_row(n, prompt="ask " + "x" * (n % 7), answer=str(n) * (1 + n % 3)) for n in range(22)]
    dev = [make_row(100 + n, prompt=f"dev {n}", answer=str(n)) for n in range(4)]
    test = [make_row(200 + n, prompt=f"test {n}", answer=str(n), reference=n) for n in range(6)]
    test += [make_row(200 + n, prompt=f"test {n}", answer="wrong", reference=n, sample=1) for n in range(2)]
    return write_dataset(tmp_path / "toy", {"train": train, "dev": dev, "test": test})


@pytest.fixture
def finetune(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process: (exit code, stdout, stderr)."""

    def run(*arguments: tuple[str, ...]) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["finetune", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        captured = capsys.readouterr()
        return int(str(done.value.code)), captured.out, captured.err

    return run
