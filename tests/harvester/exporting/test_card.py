"""The dataset's card: read by the hub's own library, honest, and safe from what others wrote."""

import asyncio
import hashlib
import logging
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard

from harvester import meanings
from harvester.collecting import collect
from harvester.exporting import Exported, export, markdown
from harvester.exporting.making import left_out
from harvester.exporting.markdown import code, plain, table
from harvester.exporting.metadata import HUB_LICENSES
from harvester.exporting.origins import seed_files
from harvester.exporting.wanted import Wanted
from harvester.recipe import Recipe, Step
from harvester.recipe.teacher import Teacher
from harvester.seeds_spec import Seeds
from harvester.verify.registry import KINDS

from provider import last_line  # isort: skip - helpers beside the tests

HOSTILE = "x`*_<script>alert(1)</script>\n---\nlicense: mit\n# Big [link](http://e) | cell ![i](u) \x1b[2J"
SIZES = re.compile(r"n<1K|\d+[KMB]<n<\d+[KMB]|1K<n<10K")


@pytest.fixture
def recipe(folder: Any, provider: Any) -> Any:
    """Of ten seeds one is answered with prose; the held-out set has two."""
    folder.seeds("heldout.jsonl", ["held 0", "held 1"])
    folder.data["heldout"] = {"path": "heldout.jsonl"}
    folder.data["seeds"]["license"] = "CC0-1.0"
    folder.data["steps"][0]["verify"] = {"json_schema": {"type": "object"}}
    folder.data["teacher"]["price"] = {"input": 1, "output": 2}
    folder.save()
    provider.answer = lambda body: "prose" if last_line(body) == "seed 1" else '{"a": 1}'
    return folder


def card(folder: Any, out: Path, **options: Any) -> DatasetCard:
    """Exports, and reads the card as the hub's library does, which must find nothing to say."""
    folder.save()
    loaded = Recipe.load(folder.path)
    asyncio.run(collect(loaded))
    export(loaded, out, **options)
    return read(out)


def read(out: Path) -> DatasetCard:
    said: list[str] = []
    listening = logging.Handler()
    listening.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("huggingface_hub")
    logger.addHandler(listening)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = DatasetCard.load(out / "README.md")
    finally:
        logger.removeHandler(listening)
    assert said == []
    require_valid(found.data.to_dict())
    return found


def require_valid(data: dict[str, Any]) -> None:
    """The hub's own rules for the block, as far as they can be told without it."""
    if data["license"] == "other":
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,94}[a-z0-9]", data["license_name"])
    else:
        assert data["license"] in HUB_LICENSES | {"unknown"}
    assert all(re.fullmatch(r"[a-z]{2,3}", code) for code in data.get("language", []))
    assert data["annotations_creators"] == ["machine-generated"]
    assert SIZES.fullmatch(data["size_categories"][0])
    assert all(re.fullmatch(r"original|extended\|[\w.-]+/[\w.-]+", one) for one in data["source_datasets"])
    for config in data["configs"]:
        assert all(set(file) == {"split", "path"} for file in config["data_files"])


def test_the_hub_reads_what_it_is(recipe: Any, tmp_path: Path) -> None:
    recipe.data["heldout"]["license"] = "CC0-1.0"
    found = card(recipe, tmp_path / "out").data.to_dict()
    assert (found["license"], found["size_categories"], found["source_datasets"]) == ("cc0-1.0", ["n<1K"], ["original"])
    assert (found["pretty_name"], found["task_categories"]) == ("toy", ["text-generation"])
    assert {"harvester", "distillation", "synthetic"} <= set(found["tags"])
    assert [one["split"] for one in found["configs"][0]["data_files"]] == ["train", "test"]
    assert "language" not in found


@pytest.mark.parametrize(
    ("seeds", "declared", "expected"),
    [
        (("CC0-1.0", "CC0-1.0"), {"license": "MIT"}, "cc0-1.0"),
        (("CC0-1.0", None), {"license": "MIT"}, "unknown"),
        (("CC0-1.0", "CC-BY-4.0"), {"license": "MIT"}, "cc0-1.0-cc-by-4.0"),
        (("my licence: \n`no`", "my licence: \n`no`"), {"license": "MIT"}, "my-licence-no"),
        (("中文", "中文"), {"license": "MIT"}, "not-named"),
        (("x" * 5000, "x" * 5000), {"license": "MIT"}, "x" * 96),
        (("CC0-1.0", "CC0-1.0"), {"license": "Gemma"}, "terms-of-declared-gemma"),
        (("CC0-1.0", "CC0-1.0"), {"basis": "b", "accepted_by": "A"}, "terms-of-not-in-registry"),
    ],
)
def test_the_licence_is_the_seeds_unless_terms_come_on_top(
    recipe: Any, tmp_path: Path, seeds: tuple[str | None, str | None], declared: dict[str, str], expected: str
) -> None:
    recipe.data["seeds"]["license"], recipe.data["heldout"]["license"] = seeds
    recipe.data["terms"] = {"teacher": declared}
    found = card(recipe, tmp_path / "out").data.to_dict()
    assert found.get("license_name", found["license"]) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"is": "en"}, ["en"]), ({"is": ["en", "de"]}, ["en", "de"]), ({"expected": "text"}, None)],
)
def test_a_language_is_told_only_where_answers_were_checked_for_it(
    recipe: Any, tmp_path: Path, settings: dict[str, Any], expected: list[str] | None
) -> None:
    recipe.data["steps"][0]["verify"]["language"] = settings
    found = card(recipe, tmp_path / "out")
    assert found.data.to_dict().get("language") == expected
    assert ("Languages: not checked." in found.text) == (expected is None)


def test_it_says_how_it_was_made_and_what_it_cost(recipe: Any, tmp_path: Path) -> None:
    text = card(recipe, tmp_path / "out").text
    assert "| `train` | `train.jsonl` | CC0-1.0 | `" in text
    assert "| `test` | `heldout.jsonl` | unstated | `" in text
    assert "| `answer` | generate | `seeds` | `toy-1` at `http://127.0.0.1:" in text
    assert "| allowed (declared:Apache-2.0) | `json_schema` | `first_accepted` |" in text
    assert "| verify:json_schema | 1 | fails the check json_schema |" in text
    assert "Cost: $0.0002 in all, judges and failed requests too; $0.000027 for each row kept" in text
    assert "| `json_schema` | the answer is bare JSON of the stated schema | that the values in it are right |" in text
    assert "harvester trace ROW_ID" in text
    assert "no random sample" in text


def test_without_checks_judges_or_rivals_answers_are_as_the_teacher_gave_them(recipe: Any, tmp_path: Path) -> None:
    del recipe.data["steps"][0]["verify"]
    text = card(recipe, tmp_path / "out").text
    assert "No check looked at the answers. Those that were cut off, empty or filtered were left out." in text
    assert "no random sample" not in text
    assert "Of `train` and `dev`: nothing." in text


def test_a_recipe_of_several_steps_tells_each_with_its_teacher(recipe: Any, provider: Any, tmp_path: Path) -> None:
    recipe.write("grade.j2", "grade {{ steps.answer.text }}")
    recipe.data["steps"].append({"name": "grade", "kind": "judge", "prompt": "grade.j2", "min_score": 3})
    recipe.data["judge"] = {**recipe.data["teacher"], "model": "judge-1"}
    recipe.data["terms"]["judge"] = {"license": "Llama-3.1"}
    provider.answer = lambda body: '{"score": 5, "reason": ""}' if body["model"] == "judge-1" else '{"a": 1}'
    text = card(recipe, tmp_path / "out").text
    assert "Answers of `toy-1`, `judge-1` for training a student" in text
    assert "| `grade` | judge | `answer` | `judge-1` at" in text
    assert "| conditions (declared:Llama-3.1) | `json_schema` | `all` |" in text
    assert "Of the whole: **conditions** (answers may train a student, under conditions)." in text
    assert "- a student's name begins with: Llama" in text
    assert "- a student's card shows: Built with Llama" in text
    assert "`score` is a model's opinion of another's answer." in text


def test_a_recipe_s_own_function_is_a_check(folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.path)
    step = Step(name="answer", prompt=lambda row: row["text"], verify=lambda text, _row: "3" not in text)
    made = Recipe(
        name="toy",
        teacher=Teacher(**folder.data["teacher"]),
        seeds=Seeds(path="train.jsonl"),
        steps=(step,),
        terms=folder.data["terms"],
    )
    asyncio.run(collect(made))
    export(made, tmp_path / "out")
    text = read(tmp_path / "out").text
    assert "| `python` | a function of the recipe's own accepts it | what that function does not look at |" in text
    assert "| verify:python | 1 | fails the check python |" in text
    assert "The recipe was made in Python" in text
    assert "harvester collect RECIPE" not in text


def test_a_claimed_right_stands_at_the_top_and_among_the_terms(recipe: Any, tmp_path: Path) -> None:
    recipe.data["terms"] = {"teacher": {"basis": "a contract", "accepted_by": "A. Person"}}
    text = card(recipe, tmp_path / "out").text
    assert (
        "**unknown**: nobody has found a clause that allows it. Whoever collected its answers" in text.split("## ")[0]
    )
    assert "basis**, against the verdict above**: a contract (accepted by A. Person; claimed by the user" in text


def test_only_terms_are_part_of_how_to_make_it_again(recipe: Any, tmp_path: Path) -> None:
    text = card(recipe, tmp_path / "out", only_terms="allowed", unfiltered=True).text
    assert "harvester export RECIPE DATASET --unfiltered --only-terms allowed" in text
    assert "of every split what has terms stricter than `allowed`" in text
    assert "unfiltered export" in text.split("## ")[0]


def test_classes_of_seeds_and_answers_are_counted(recipe: Any, provider: Any, tmp_path: Path) -> None:
    seeds = [f'{{"text": "seed {n}", "kind": "{"rare" if n % 4 == 0 else "usual"}"}}\n' for n in range(20)]
    recipe.write("train.jsonl", "".join(seeds))
    recipe.data["steps"][0]["verify"] = {"labels": {"of": ["yes", "no"]}}
    provider.answer = lambda body: "yes" if last_line(body).endswith(("1", "2")) else "no"
    text = card(recipe, tmp_path / "out").text
    assert "| kind | rare: 5, usual: 15 |" in text
    assert "| the answer | no: 16, yes: 4 |" in text
    assert "| text |" not in text


def test_seeds_that_are_gone_are_no_error(recipe: Any, tmp_path: Path) -> None:
    recipe.save()
    loaded = Recipe.load(recipe.path)
    asyncio.run(collect(loaded))
    (recipe.path / "train.jsonl").unlink()
    export(loaded, tmp_path / "out")
    assert "| `train` | `train.jsonl` | CC0-1.0 | `not known` |" in read(tmp_path / "out").text


def test_a_dataset_of_the_hub_is_named_as_the_source_and_nobody_asks_the_hub(recipe: Any, tmp_path: Path) -> None:
    recipe.save()
    asyncio.run(collect(Recipe.load(recipe.path)))
    recipe.data["seeds"]["path"] = ["bob/questions", "train.jsonl"]
    recipe.save()
    export(Recipe.load(recipe.path), tmp_path / "out")
    found = read(tmp_path / "out")
    assert found.data.to_dict()["source_datasets"] == ["extended|bob/questions"]
    assert "| `train` | `bob/questions, train.jsonl` | CC0-1.0 | `not known` |" in found.text


def test_several_files_have_one_digest_of_theirs(recipe: Any) -> None:
    recipe.seeds("more.jsonl", ["more"])
    recipe.data["seeds"]["path"] = ["train.jsonl", "more.jsonl"]
    recipe.save()
    each = [hashlib.sha256((recipe.path / name).read_bytes()).digest() for name in ("train.jsonl", "more.jsonl")]
    assert seed_files(Recipe.load(recipe.path))[0].sha256 == hashlib.sha256(b"".join(each)).hexdigest()


def test_many_reasons_are_summed_up(recipe: Any, tmp_path: Path) -> None:
    exported = Exported(tmp_path, Wanted(), dropped=Counter({f"verify:number {n}|x": 1 for n in range(45)}))
    text = left_out(Recipe.load(recipe.path), exported)
    rows = [line for line in text.splitlines() if "fails the check" in line]
    assert len(rows) == 30
    assert "| 15 further reasons | 15 |  |" in text
    assert all(line.count(" | ") == 2 for line in rows)


def test_a_dataset_with_nothing_to_learn_from_says_so(recipe: Any, provider: Any, tmp_path: Path) -> None:
    provider.script = lambda _body, _before: (400, {}, b"{}")
    assert "there is nothing in `train`" in card(recipe, tmp_path / "out").text


def test_what_others_wrote_stays_text(recipe: Any, provider: Any, tmp_path: Path) -> None:
    recipe.data["seeds"]["license"] = HOSTILE
    recipe.data["terms"] = {"teacher": {"basis": HOSTILE, "accepted_by": HOSTILE}}
    recipe.data["teacher"]["model"] = HOSTILE
    seeds = [f'{{"text": "seed {n}", "<b>|`": "<i>{"x" if n % 2 else "|`"}"}}\n' for n in range(12)]
    recipe.write("train.jsonl", "".join(seeds))
    found = card(recipe, tmp_path / "out")
    text = found.text
    assert found.data.license == "other"
    assert "\x1b" not in text
    assert "\\<script\\>" in text
    outside_code = re.sub(r"```.*?```|`[^`\n]*`", "", re.sub(r"\\.", "", text), flags=re.DOTALL)
    for mark in ("<", "`"):
        assert mark not in outside_code
    assert not re.search(r"^# Big|^license: mit|^---$", text, re.MULTILINE)
    assert [line for line in text.splitlines() if line.startswith("# ")] == ["# toy"]


def test_a_book_for_a_licence_is_cut(recipe: Any, tmp_path: Path) -> None:
    recipe.data["seeds"]["license"] = "word " * 1_000_000
    recipe.data["terms"] = {"teacher": {"basis": "b" * 1_000_000, "accepted_by": "A"}}
    card(recipe, tmp_path / "out")
    assert (tmp_path / "out" / "README.md").stat().st_size < 20_000


def test_a_bar_ends_no_cell() -> None:
    line = table(("a", "b"), [(code("x|y"), plain("x|y"))]).splitlines()[-1]
    assert line == r"| `x\|y` | x\|y |"
    assert len(code("x" * 10_000)) <= markdown.MOST_CODE + 3


def test_every_verifier_is_told_what_it_does_not_say() -> None:
    assert set(meanings.CHECKS) == set(KINDS)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("verify:labels", "fails the check labels"),
        ("curate:near_duplicate", "taken out by curation: near_duplicate"),
        ("person:rejected", "a person took it out"),
        ("terms:unknown", "a teacher's terms are unknown"),
        ("draft:verify:length", "at step draft: fails the check length"),
        ("grade:low_score", "at step grade: the judge's score is too low"),
        ("failed: 400 of whatever kind", "the request failed"),
        ("of:draft", "the answer of step draft that it follows from is not used"),
        ("axolotl-kd:other_tokens", "the student cuts the answer into other tokens than the teacher said"),
        ("distillkit:too_long", "more tokens than a row of the format may have"),
        ("something new", ""),
        ("draft:something new", ""),
    ],
)
def test_reasons_have_words(reason: str, words: str) -> None:
    assert meanings.meaning(reason, frozenset({"draft", "grade"})) == words
