"""Command lines nobody types on purpose: each is one line on stderr and its exit code, never a traceback."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import click
import pytest
from refusing import refused

from harvester.errors import StoppedEarly
from harvester.progress import Progress
from harvester.starting import recipes

LONG = "x" * 300


@pytest.mark.parametrize("out", ["file", "full", "file/inside", "/proc/inside", "recipe", "empty"])
def test_an_export_into_something_else(harvester: Any, folder: Any, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for name in ("full", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x", encoding="utf-8")
    assert harvester("collect", folder.path)[0] == 0
    result = harvester("export", folder.path, tmp_path / out)
    if out == "empty":
        assert result[0] == 0
        return
    refused(result, out.rsplit("/", maxsplit=1)[-1])
    assert (tmp_path / "full" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("collect", "RECIPE", "--budget", "1e999999"), "--budget"),
        (("collect", "RECIPE", "--store", ""), "--store"),
        (("collect", "RECIPE", "--store", "/"), "--store"),
        (("collect", "RECIPE", "--store", "."), "--store"),
        (("collect", "RECIPE", "--store", LONG), "--store"),
        (("verify", "."), "store"),
        (("verify", LONG), "store"),
        (("check", LONG), "File name too long"),
        (("init", LONG), "File name too long"),
        (("export", "RECIPE", LONG), "File name too long"),
        (("trace", "1f", "--recipe", LONG), "File name too long"),
        (("nonsense",), "(see `harvester --help`)"),
        (("colect", "RECIPE"), "Did you mean 'collect'?"),
        (("teacher", "sevre"), "Did you mean 'serve'?"),
        (("teacher", "serve", "--port", "99999"), "--port"),
        (("collect", "RECIPE", "--bugdet", "1"), "Did you mean '--budget'?"),
        (("collect", "RECIPE", "--limit", "0"), "--limit"),
        (("collect", "RECIPE", "--limit", "two"), "--limit"),
        (("collect", "RECIPE", "--budget", "-1"), "--budget: '-1' is not an amount"),
        (("collect", "RECIPE", "--budget", LONG), "--budget"),
        (("collect", "RECIPE", "RECIPE"), "unexpected extra argument"),
        (("check", "/nonexistent"), "no such recipe"),
        (("trace", "zz", "--recipe", "/nonexistent"), "no such recipe"),
        (("collect",), "(see `harvester collect --help`)"),
        (("collect", "RECIPE", "--nope"), "No such option"),
    ],
)
def test_a_command_line(harvester: Any, folder: Any, arguments: tuple[str, ...], says: str) -> None:
    refused(harvester(*(folder.path if one == "RECIPE" else one for one in arguments)), says)


@pytest.mark.parametrize("error", [KeyboardInterrupt, click.Abort])
def test_ctrl_c_says_how_to_go_on(harvester: Any, folder: Any, monkeypatch: Any, error: type[BaseException]) -> None:
    def interrupted(*_: Any) -> None:
        raise error

    monkeypatch.setattr("harvester.status.status", interrupted)
    refused(harvester("status", folder.path), "interrupted; run the same command again to go on", code=3)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_run_that_stops_early_still_says_how_far_it_came(
    harvester: Any, folder: Any, monkeypatch: Any, as_json: bool
) -> None:
    progress = Progress("toy", to_ask=10, answered=4, maybe_asked_again=3)

    async def stopped(*_: Any) -> None:
        error = StoppedEarly("the budget is used up")
        error.progress = progress  # type: ignore[attr-defined]
        raise error

    monkeypatch.setattr("harvester.collecting.collect", stopped)
    code, out, errors = harvester("collect", folder.path, *(["--json"] if as_json else []))
    assert code == 3
    assert "at most 3 requests were sent twice" in errors
    assert "the budget is used up" in errors
    assert (json.loads(out) == dataclasses.asdict(progress)) if as_json else not out


def test_init_copies_nothing_that_work_in_the_recipes_folder_left(
    harvester: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    source = tmp_path / "source"
    for name in (
        "recipe.yaml", "parts/shot.j2", "harvest.db", "harvest.db-wal", "harvest.db.lock", ".hidden", ".git/config",
        "__pycache__/x.pyc", "dataset/harvester.json", "dataset/train.parquet", "student/run.json",
    ):  # fmt: skip
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("x", encoding="utf-8")
    monkeypatch.setattr("harvester.starting.recipes", lambda: {"mine": source})
    code, _, errors = harvester("init", tmp_path / "copy", "--recipe", "mine")
    assert code == 0, errors
    files = {str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert files == {"recipe.yaml", "parts/shot.j2"}


def test_recipes_do_not_tell_to_collect_in_their_own_folder() -> None:
    for folder in recipes().values():
        assert "collect prompts/" not in (folder / "README.md").read_text(encoding="utf-8")
