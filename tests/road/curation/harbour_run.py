"""The harbour's folder, and the commands run on it in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harbour import KEY_ENV  # isort: skip - helpers beside the tests
from planted import Planted  # isort: skip

RECOUNT = Path(__file__).parents[3] / "examples" / "recount_curation.py"
KEY, REPLY_KEY = "harbour-canary-5f1d7c3e9b", f"sk-ant-api03-{'Zq9' * 16}"


class Harbour:
    """The folder, what was planted in it, and all that the commands said."""

    def __init__(self, folder: Path, planted: Planted) -> None:
        self.folder, self.planted = folder, planted
        self.said = ""
        self.ledger: dict[str, Any] = {}

    def run(self, *words: Any, code: int = 0) -> str:
        """A command; returns what it prints."""
        settings = {KEY_ENV: KEY, "XDG_CONFIG_HOME": str(self.folder.parent / "config")}
        command = [sys.executable, "-m", "harvester", *map(str, words)]
        done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
        self.said += done.stdout + done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def export(self, name: str, *options: Any) -> Path:
        """A dataset beside the recipe's folder."""
        out = self.folder.parent / name
        self.run("export", self.folder, out, *options)
        return out

    def recount(self, dataset: Path, ledger: dict[str, Any] | None = None) -> tuple[int, str]:
        """What the script says of a dataset."""
        path = self.folder.parent / "ledger.json"
        path.write_text(json.dumps(ledger or self.ledger), encoding="utf-8")
        done = subprocess.run([sys.executable, RECOUNT, dataset, path], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr
