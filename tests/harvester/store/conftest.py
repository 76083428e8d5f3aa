"""What the store's tests share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # toy_store.py is a helper, not a package


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "harvest.db"
