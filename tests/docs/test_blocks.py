"""Everything that README and docs tell a user to write or type is read by what would read it, without any network."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import make_reference
import pages
import pytest
import shell
import yaml

from harvester.cli import main as harvester

MACHINE = re.compile(r"(?<![\w.])/(?:root|home|tmp|work|Users|mnt)/|[A-Z]:\\\\")

ALL = pages.pages()
BLOCKS = [block for page in ALL for block in pages.blocks(page) if block.excuse is None]
HOW_TO = [page for page in ALL if pages.name(page).startswith(("README", "docs/how-to", "docs/recipe"))]


def of(*languages: str) -> list[Any]:
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.language in languages]


RECIPES = [one for one in of("yaml", "yml") if "teacher" in (yaml.safe_load(one.values[0].text) or {})]


def complete(folder: Path, recipe: dict[str, Any]) -> None:
    """The files that a recipe names."""
    for split in ("seeds", "dev", "heldout"):
        if split in recipe:
            seed = {"text": f"{split} of the test", "reference": {"answer": 1}}
            (folder / recipe[split]["path"]).write_text(json.dumps(seed) + "\n")
    templates = [step["prompt"] for step in recipe["steps"]]
    templates += [recipe["student"]["prompt"]] if "student" in recipe else []
    for template in templates:
        (folder / template).write_text("Say it in short: {{ text }}\n")
    for step in recipe["steps"]:
        schema = step.get("verify", {}).get("json_schema")
        if isinstance(schema, str):
            (folder / schema).write_text('{"type": "object"}')


def run_check(folder: Path, capsys: Any, monkeypatch: Any) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["harvester", "check", str(folder), "--json"])
    try:
        harvester()
        code = 0
    except SystemExit as left:
        code = int(left.code or 0)
    return code, *capsys.readouterr()


def test_there_is_a_recipe_for_each_kind_of_teacher() -> None:
    addresses = {yaml.safe_load(one.values[0].text)["teacher"]["base_url"] for one in RECIPES}
    assert {"embedded", "https://api.deepseek.com/v1", "http://localhost:8000/v1"} <= addresses


@pytest.mark.parametrize("block", RECIPES)
def test_a_recipe_passes_check(block: pages.Block, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    (tmp_path / "recipe.yaml").write_text(block.text)
    complete(tmp_path, yaml.safe_load(block.text))
    code, out, err = run_check(tmp_path, capsys, monkeypatch)
    assert code == 0, err
    assert json.loads(out)


def test_a_wrong_recipe_would_be_seen(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    text = RECIPES[0].values[0].text.replace("seeds:", "seed:")
    (tmp_path / "recipe.yaml").write_text(text)
    code, _, err = run_check(tmp_path, capsys, monkeypatch)
    assert code == 2
    assert "seeds" in err


@pytest.mark.parametrize("block", of("yaml", "yml", "json"))
def test_what_is_called_yaml_or_json_is(block: pages.Block) -> None:
    assert (json.loads if block.language == "json" else yaml.safe_load)(block.text) is not None


@pytest.mark.parametrize("block", of("python"))
def test_python_runs(block: pages.Block, folder: Any, provider: Any, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    folder.path.rename(tmp_path / "runs" / "extract-orders")
    done = subprocess.run([sys.executable, "-c", block.text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def lines_of(page: Path) -> list[list[str]]:
    fenced = [block.text for block in BLOCKS if block.page == page and block.language == "bash"]
    return [words for text in [*fenced, *pages.indented_commands(page)] for words in shell.commands(text)]


@pytest.mark.parametrize("page", HOW_TO, ids=pages.name)
def test_commands_and_options_exist(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in lines_of(page):
        shell.parse(words)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("harvester colect runs/orders", "no command"),
        ("finetune train runs/d --out x --epoches 3", "No such option"),
        ("torchrun --nproc-per-node 2 -m finetune train d --out x --epochs many", "not a valid integer"),
        ("ls | harvester export runs/orders", "Missing argument"),
    ],
)
def test_a_wrong_command_would_be_seen(line: str, wrong: str) -> None:
    (words,) = shell.commands(line)
    with pytest.raises(click.UsageError) as error:
        shell.parse(words)
    assert wrong in error.value.format_message()


@pytest.mark.parametrize("block", of("bash"))
def test_a_block_that_nothing_checks_says_why(block: pages.Block) -> None:
    others = [line for line in block.text.splitlines() if line.startswith(("docker ", "python examples/"))]
    assert others or list(shell.commands(block.text)), "write <!-- not run: reason --> before it"
    for line in others:
        if line.startswith("python "):
            assert (pages.ROOT / line.split()[1]).exists()


@pytest.mark.parametrize("page", ALL, ids=pages.name)
def test_links_and_anchors_resolve(page: Path) -> None:
    for link in pages.links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(pages.ROOT), f"{link}: leads out of the project"
        assert target.exists(), f"{link}: no such file"
        assert not anchor or anchor in pages.anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", ALL, ids=pages.name)
def test_no_path_of_a_machine_is_told(page: Path) -> None:
    assert MACHINE.findall(pages.read(page)) == []


def test_every_command_is_shown_to_a_user() -> None:
    told = "\n".join(pages.read(page) for page in HOW_TO)
    for name, group in shell.GROUPS.items():
        for full, _ in make_reference.walk(name, group):
            assert re.search(rf"{full}\b", told), f"{full} stands neither in README nor in docs/how-to"


def test_every_how_to_is_linked_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in pages.links(pages.ROOT / "README.md")}
    assert {pages.name(page) for page in ALL if page.parent.name == "how-to"} <= linked


def test_the_readme_has_every_exit_code() -> None:
    table = pages.read(pages.ROOT / "README.md").split("## Exit codes")[1].split("\n## ")[0]
    coded = {kind.exit_code for kind in (*make_reference.HARVESTER_CODED, *make_reference.FINETUNE_CODED)}
    assert {int(code) for code in re.findall(r"^\| (\d) \|", table, re.MULTILINE)} == {0, 1, *coded}
