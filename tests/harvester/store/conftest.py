"""What the store's tests share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # toy_store.py is a helper, not a package


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "harvest.db"


@pytest.fixture(scope="session")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with requests and replies that have much in common, some unanswered."""
    from talks import make_talk

    path = tmp_path_factory.mktemp("talk") / "harvest.db"
    make_talk(path)
    return path


@pytest.fixture
def store(talk: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    path = tmp_path / "harvest.db"
    path.write_bytes(talk.read_bytes())
    return path
