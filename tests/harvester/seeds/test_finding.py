"""Paths: files, folders, globs and lists of them, all inside the recipe's folder."""

from pathlib import Path
from typing import Any

import pytest

from harvester.errors import BadInput


@pytest.fixture
def docs(root: Path) -> Path:
    """A folder of documents with other things between them."""
    folder = root / "docs"
    for name in ("b.txt", "a.md", "sub/c.TXT", "sub/deep/d.txt", ".hidden/e.txt", "sub/.f.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"This is {name}.", encoding="utf-8")
    (folder / "sub" / "picture.png").write_bytes(b"\x89PNG")
    return folder


def sources(seeds: list[Any]) -> list[str]:
    return [seed.data["source"] for seed in seeds]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("docs", ["docs/a.md", "docs/b.txt", "docs/sub/c.TXT", "docs/sub/deep/d.txt"]),
        ("docs/", ["docs/a.md", "docs/b.txt", "docs/sub/c.TXT", "docs/sub/deep/d.txt"]),
        ("docs/*.txt", ["docs/b.txt"]),
        ("docs/**/*.txt", ["docs/b.txt", "docs/sub/deep/d.txt"]),
        (["docs/sub", "docs/b.txt"], ["docs/sub/c.TXT", "docs/sub/deep/d.txt", "docs/b.txt"]),
        (["docs/b.txt", "docs/*.*"], ["docs/b.txt", "docs/a.md"]),
        ("docs/../docs/a.md", ["docs/../docs/a.md"]),
    ],
)
def test_what_a_path_stands_for(read: Any, docs: Path, path: Any, expected: list[str]) -> None:
    if "docs/../docs/a.md" in expected:
        expected = ["docs/a.md"]
    assert sources(read(path)) == expected


def test_an_absolute_path_into_the_folder_is_as_good(read: Any, docs: Path) -> None:
    assert read(str(docs)) == read("docs")
    assert read(str(docs / "a.md")) == read("docs/a.md")


def test_a_file_whose_name_looks_like_a_glob_is_that_file(read: Any, root: Path) -> None:
    (root / "[1] what?.txt").write_text("It is here.", encoding="utf-8")
    assert sources(read("[1] what?.txt")) == ["[1] what?.txt"]


def outside(root: Path) -> Path:
    away = root.parent / "away"
    away.mkdir()
    (away / "x.txt").write_text("secret", encoding="utf-8")
    return away


@pytest.mark.parametrize(
    "path", ["../away", "../away/x.txt", "../away/*.txt", "docs/../../away/*", "link", "linked.txt"]
)
def test_what_is_outside_is_refused(read: Any, docs: Path, root: Path, path: str) -> None:
    away = outside(root)
    (root / "link").symlink_to(away)
    (root / "linked.txt").symlink_to(away / "x.txt")
    with pytest.raises(BadInput, match=r"recipe.yaml: seeds.path: .*outside the recipe's folder"):
        read(path)


def test_a_link_below_a_folder_that_leads_outside_is_refused(read: Any, docs: Path, root: Path) -> None:
    (docs / "z.txt").symlink_to(outside(root) / "x.txt")
    for path in ("docs", "docs/*.txt", "*/*.txt"):
        with pytest.raises(BadInput, match=r"docs/z.txt is outside the recipe's folder"):
            read(path)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("none.csv", "seeds.path: there is no file"),
        ("docs/none", "seeds.path: there is no file"),
        ("docs/*.csv", "seeds.path: there is no file that matches 'docs/*.csv'"),
        ("docs/sub/*", "picture.png: .png is no format of seeds; convert it to .jsonl .csv .tsv .parquet .txt .md"),
        ("answer.j2", "answer.j2: .j2 is no format of seeds"),
        ("noted", "noted: no suffix is no format of seeds"),
        (".", "seeds.path: there is no file ., which is the recipe's folder; name what is in it"),
        ("empty", "seeds.path: there is no file of seeds in"),
        ("docs/***/x", "'docs/***/x' is no pattern"),
        ("/**/*.txt", "'/**/*.txt' is no pattern"),
        ("a\0b.txt", "is not a usable path"),
        ("x" * 300 + ".txt", "is not a usable path"),
        ("x" * 300 + "*.txt", "seeds.path: there is no file that matches"),
        (["docs/a.md", "none.md"], "seeds.path: there is no file"),
    ],
)
def test_what_is_not_there_or_of_no_known_format(read: Any, docs: Path, root: Path, path: Any, says: str) -> None:
    (root / "empty").mkdir()
    (root / "noted").write_text("x", encoding="utf-8")
    with pytest.raises(BadInput) as error:
        read(path)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_of_documents_and_tables_is_not_guessed_at(read: Any, docs: Path) -> None:
    (docs / "table.csv").write_text("text\nx\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"docs holds documents and tables \(.*\); name .* such as docs/\*\*/\*\.md"):
        read("docs")
    assert sources(read("docs/**/*.md")) == ["docs/a.md"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"chunk": {"tokens": 100}}, "seeds.chunk: documents are cut into chunks, a.csv is none; take chunk out"),
        ({"split": "train"}, "seeds.split: a.csv is no dataset and has no splits; take it out"),
        ({"config": "main"}, "seeds.config: a.csv is no dataset and has no configs; take it out"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(read: Any, root: Path, options: Any, says: str) -> None:
    (root / "a.csv").write_text("text\nx\n", encoding="utf-8")
    with pytest.raises(BadInput) as error:
        read("a.csv", **options)
    assert says in str(error.value)
