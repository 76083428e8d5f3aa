"""The command line: one line per error, the right exit code, results on stdout, talk on stderr."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from refusing import refused

from harvester.starting import recipes
from harvester.store import StoreReader


def test_the_road_from_check_to_export(harvester: Any, folder: Any, tmp_path: Path) -> None:
    code, out, _ = harvester("check", folder.path, "--json")
    assert code == 0
    assert json.loads(out)["requests"] == 10
    code, out, _ = harvester("collect", folder.path, "--json", "--limit", 4)
    assert (code, json.loads(out)["answered"]) == (0, 4)
    code, out, _ = harvester("collect", folder.path)
    assert (code, out.count("\n")) == (0, 2)
    code, out, _ = harvester("status", folder.path, "--json")
    assert json.loads(out)["requests"] == {"answered": 10}
    code, out, _ = harvester("export", folder.path, tmp_path / "out", "--json")
    assert json.loads(out)["rows"] == {"train": 10}


def test_check_shows_prompts_numbers_and_terms_and_sends_nothing(harvester: Any, folder: Any, provider: Any) -> None:
    folder.data["teacher"]["price"] = {"input": 1, "output": 2}
    folder.save()
    code, out, _ = harvester("check", folder.path)
    assert code == 0
    for text in ("seed 2", "10 seeds, 10 requests", "terms: allowed (declared:Apache-2.0", "USD: 0.0"):
        assert text in out
    assert provider.asked == []


def test_check_shows_everything_and_then_refuses_by_terms(harvester: Any, folder: Any) -> None:
    folder.data["teacher"]["model"] = "claude-3"
    folder.save()
    code, out, errors = harvester("check", folder.path)
    assert code == 4
    assert "10 requests" in out
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "arguments", "code", "says"),
    [
        ({"name": ""}, ("check",), 2, "recipe.yaml: name"),
        ({"seeds": {"path": "none.jsonl"}}, ("check",), 2, "there is no file"),
        ({"seeds": {"path": "train.csv"}}, ("collect",), 2, "seeds.path"),
        ({"steps": [{"name": "a", "prompt": "none.j2"}]}, ("check",), 2, "steps.0.prompt"),
        ({"student": {"prompt": "none.j2"}}, ("check",), 2, "student.prompt"),
        ({"terms": {}}, ("collect",), 4, "declare the model's licence"),
        ({}, ("collect", "--budget", "much"), 2, "--budget: 'much'"),
        ({}, ("collect", "--budget", "NaN"), 2, "--budget: 'NaN'"),
        ({}, ("collect", "--limit", "0"), 2, "--limit"),
        ({}, ("status",), 6, "no store there yet"),
        ({}, ("collect", "--store", "/dev/null/x.db"), 6, "not writable"),
    ],
)
def test_bad_input_is_one_line_and_its_exit_code(
    harvester: Any, folder: Any, change: dict[str, Any], arguments: tuple[str, ...], code: int, says: str
) -> None:
    folder.data |= change
    folder.save()
    got, _, errors = harvester(arguments[0], folder.path, *arguments[1:])
    assert (got, says in errors) == (code, True), errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("arguments", [("nonsense",), ("collect",), ("export", "x"), ("collect", "x", "--nope")])
def test_a_wrong_command_line_is_exit_code_2(harvester: Any, arguments: tuple[str, ...]) -> None:
    assert harvester(*arguments)[0] == 2


def test_an_unforeseen_error_is_a_bug_and_says_so(harvester: Any, folder: Any, monkeypatch: Any) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("harvester.status.status", broken)
    code, _, errors = harvester("status", folder.path)
    assert code == 1
    assert "please report it" in errors
    assert "unforeseen" in errors


def test_init_copies_a_recipe_and_never_overwrites_an_edit(harvester: Any, tmp_path: Path) -> None:
    target = tmp_path / "runs" / "orders"
    code, out, _ = harvester("init", target, "--recipe", "extract-orders", "--json")
    assert code == 0
    assert str(target / "recipe.yaml") in json.loads(out)["written"]
    edited = (target / "recipe.yaml").read_text() + "# mine\n"
    (target / "recipe.yaml").write_text(edited)
    (target / "order.json").unlink()
    code, out, _ = harvester("init", target, "--json")
    assert json.loads(out)["written"] == [str(target / "order.json")]
    assert (target / "recipe.yaml").read_text() == edited
    assert "0 files written; recipe.yaml stays as it was" in harvester("init", target)[1]


def test_init_refuses_a_folder_of_another_recipe(harvester: Any, tmp_path: Path) -> None:
    assert harvester("init", tmp_path / "mine", "--recipe", "extract-orders")[0] == 0
    before = sorted(tmp_path.rglob("*"))
    says = "mine: holds the recipe 'extract-orders' already, which is not classify; name a new folder"
    refused(harvester("init", tmp_path / "mine", "--recipe", "classify"), says)
    assert sorted(tmp_path.rglob("*")) == before


def test_init_refuses_a_folder_of_something_else_and_an_unknown_recipe(harvester: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    assert harvester("init", tmp_path)[0] == 2
    code, _, errors = harvester("init", tmp_path / "new", "--recipe", "nope")
    assert code == 2
    assert "extract-orders" in errors


def test_status_finds_the_only_recipe_under_runs(harvester: Any, folder: Any, tmp_path: Path, monkeypatch: Any) -> None:
    harvester("collect", folder.path)
    (tmp_path / "runs").mkdir()
    folder.path.rename(tmp_path / "runs" / "only")
    monkeypatch.chdir(tmp_path)
    assert json.loads(harvester("status", "--json")[1])["recipe"] == "toy"
    (tmp_path / "runs" / "second").mkdir()
    (tmp_path / "runs" / "second" / "recipe.yaml").write_text("name: second")
    code, _, errors = harvester("status")
    assert code == 2
    assert "runs/only, runs/second" in errors


@pytest.mark.parametrize("name", sorted(recipes()))
def test_every_recipe_that_comes_with_harvester_checks(harvester: Any, name: str, tmp_path: Path) -> None:
    harvester("init", tmp_path / name, "--recipe", name)
    code, out, errors = harvester("check", tmp_path / name)
    assert code == 0, errors
    assert name in harvester("recipes")[1]
    assert "terms: allowed" in out


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['harvester', '--help']\n"
        "from harvester import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'httpx', 'openai', 'aiohttp', 'asyncio', 'pydantic', 'jinja2', 'yaml', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_teachers_text_cannot_steer_the_terminal(harvester: Any, folder: Any, provider: Any) -> None:
    provider.answer = lambda _body: "\x1b[2J\u009b31m red, 👩\u200d💻 and \u202eعربي\tstay"
    folder.seeds("train.jsonl", ["one"])
    harvester("collect", folder.path)
    with StoreReader.open(folder.path / "harvest.db") as reader:
        (row,) = reader.answered(1)
    folder.write("answer.j2", "\x1b[31m{{ text }} \u00e9")
    for command in (("trace", row.row_id, "--recipe", folder.path), ("check", folder.path)):
        code, out, _ = harvester(*command)
        assert code == 0
        assert "\x1b" not in out
        assert "\u009b" not in out
    assert "\\x1b[31mseed" in out or "\\x1b[31mone é" in out
