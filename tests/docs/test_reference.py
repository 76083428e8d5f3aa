"""The pages of docs/reference that follow from the code are what the code says."""

from pathlib import Path

import click
import make_reference
import pyarrow as pa
import pytest
import reference_words
from pydantic import BaseModel

from finetune.cli import cli as finetune
from harvester.cli import cli as harvester

PAGES = make_reference.pages()


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_up_to_date(page: str) -> None:
    written = (make_reference.FOLDER / page).read_text(encoding="utf-8")
    assert written == PAGES[page], "write it anew: make reference"


@pytest.mark.parametrize(
    ("page", "name", "group"), [("commands.md", "harvester", harvester), ("finetune.md", "finetune", finetune)]
)
def test_every_command_option_and_example_is_on_its_page(page: str, name: str, group: click.Command) -> None:
    for full, command in make_reference.walk(name, group):
        assert f"\n## {full}\n" in PAGES[page]
        section = PAGES[page].split(f"\n## {full}\n")[1].split("\n## ")[0]
        assert f"Example: `{full} " in section or f"Example: `{full}`" in section
        for option in command.params:
            assert isinstance(option, click.Argument) or all(opt in section for opt in option.opts)


def test_a_column_without_a_meaning_is_an_error() -> None:
    with pytest.raises(KeyError, match="mood"):
        make_reference.dataset(pa.schema([("mood", pa.string())]), reference_words.COLUMNS)


def test_a_setting_without_a_meaning_is_an_error() -> None:
    class Config(BaseModel):
        mood: str = "calm"

    with pytest.raises(KeyError, match="mood"):
        make_reference.settings(Config, reference_words.SETTINGS)


@pytest.mark.parametrize("name", ["COLUMNS", "SETTINGS"])
def test_no_meaning_is_left_of_what_is_gone(name: str) -> None:
    page = PAGES["dataset.md" if name == "COLUMNS" else "settings.md"]
    assert all(f"| `{one}` |" in page for one in getattr(reference_words, name))


def test_the_pages_are_written_where_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_reference, "FOLDER", tmp_path)
    make_reference.main()
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == PAGES
