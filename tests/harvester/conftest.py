"""The command line, called in this process."""

import sys
from typing import Any

import pytest

from harvester import cli


@pytest.fixture
def harvester(capsys: Any, monkeypatch: Any) -> Any:
    """Arguments → (exit code, stdout, stderr)."""

    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harvester", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return code, *capsys.readouterr()

    return run
