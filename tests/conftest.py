"""What every test folder shares: a provider over HTTP and a recipe that points at it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # provider.py is a helper, not a package
from provider import Provider, serving

# How long an example takes says how busy the machine is.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def _own_trust_list(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the trust list of who runs it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving(Provider()) as running:
        yield running


class Folder:
    """A recipe's folder on disk that a test can edit."""

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self.path = path
        self.data = data
        path.mkdir(parents=True, exist_ok=True)
        self.write("answer.j2", "Say something about:\n{{ text }}\n")
        self.seeds("train.jsonl", [f"seed {number}" for number in range(10)])
        self.save()

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, encoding="utf-8")

    def seeds(self, name: str, texts: list[str]) -> None:
        self.write(name, "".join(json.dumps({"text": text}) + "\n" for text in texts))

    def save(self) -> None:
        self.write("recipe.yaml", yaml.safe_dump(self.data))


@pytest.fixture
def folder(tmp_path: Path, provider: Provider) -> Folder:
    return Folder(
        tmp_path / "recipe",
        {
            "name": "toy",
            "teacher": {
                "base_url": provider.url,
                "model": "toy-1",
                "local": True,
                "limits": {"concurrency": 4},
                "sampling": {"temperature": 0.5, "max_tokens": 50},
            },
            "seeds": {"path": "train.jsonl"},
            "steps": [{"name": "answer", "prompt": "answer.j2"}],
            "terms": {"teacher": {"license": "Apache-2.0"}},
        },
    )
