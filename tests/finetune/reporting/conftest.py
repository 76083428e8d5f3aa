import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # folders.py is a helper, not a package
from folders import make_run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")
