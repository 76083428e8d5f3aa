"""What a provider said of a failure is not published."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harvester.cli import cli
from harvester.exporting.deciding import counted


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("failed: HTTP 400: no such word as [key] in 'a prompt'\nnext line", "failed: HTTP 400"),
        ("draft:failed: HTTP 429: slow down: 3 s", "draft:failed: HTTP 429"),
        ("failed: no answer", "failed: no answer"),
        ("verify:regex", "verify:regex"),
        ("curate:secret", "curate:secret"),
    ],
)
def test_of_a_failure_the_kind_is_counted(reason: str, told: str) -> None:
    assert counted(reason) == told


def test_a_provider_that_repeats_the_prompt_publishes_nothing(folder: Any, provider: Any, tmp_path: Path) -> None:
    def refuse(body: dict[str, Any], _: int) -> Any:
        text = body["messages"][-1]["content"]
        said = json.dumps({"error": {"message": f"request 17: cannot answer {text}"}}).encode()
        return (400, {}, said) if "seed 3" in text else None

    provider.script = refuse
    run = CliRunner()
    run.invoke(cli, ["collect", str(folder.path)])
    run.invoke(cli, ["export", str(folder.path), str(tmp_path / "out")])
    manifest = json.loads((tmp_path / "out" / "harvester.json").read_text(encoding="utf-8"))
    assert manifest["dropped"] == {"failed: HTTP 400": 1}
    assert "seed 3" not in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
