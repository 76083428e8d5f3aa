"""A curation from the store and back: what it drops, what it leaves alone, what a person overrules."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from harvester.cli import cli
from harvester.collecting import collect
from harvester.curating import curate, speak, undo
from harvester.curating.reporting import FACTS
from harvester.errors import BadInput, StoreUnusable
from harvester.exporting import export
from harvester.recipe import Recipe
from harvester.status import status
from harvester.tracing import trace

HELD_OUT = "held out"
KEY = "sk-ant-" + "Aa1" * 12
PROSE = (
    "The harbour was quiet that morning and the boats lay still while the fishermen mended nets, drank tea and spoke "
    "of the weather which had kept them ashore for the third week in a row."
)


def answers(folder: Any, provider: Any, texts: dict[str, str], **curate_block: Any) -> Recipe:
    """Collected: seed's text → answer."""
    provider.answer = lambda body: next(text for seed, text in texts.items() if seed in body["messages"][-1]["content"])
    folder.seeds("train.jsonl", [text for text in texts if text != HELD_OUT])
    if HELD_OUT in texts:
        folder.seeds("heldout.jsonl", [HELD_OUT])
        folder.data["heldout"] = {"path": "heldout.jsonl"}
    folder.data["curate"] = curate_block
    folder.save()
    recipe = Recipe.load(folder.path)
    asyncio.run(collect(recipe))
    return recipe


def exported(recipe: Recipe, out: Path, **more: Any) -> dict[str, dict[str, Any]]:
    """The rows of train as an export writes them, by the seed's text."""
    export(recipe, out, **more)
    rows = [row for path in sorted(out.glob("data/train-*.parquet")) for row in pq.read_table(path).to_pylist()]
    return {row["messages"][0]["content"].strip().splitlines()[-1]: row for row in rows}


def row_id(recipe: Recipe, out: Path, seed: str) -> str:
    return str(exported(recipe, out, unfiltered=True)[seed]["row_id"])


@pytest.fixture
def planted(folder: Any, provider: Any) -> Recipe:
    """Five good answers, one with a key in it, one that is a copy of another."""
    texts = {f"subject {name}": f"Of {name} little is known, but that it rains there." for name in "abcde"}
    return answers(folder, provider, texts | {"leak": f"the key is {KEY}", "near a": PROSE, "near b": PROSE + " Then."})


def test_what_a_filter_drops_is_left_out_counted_and_can_be_taken_back(planted: Recipe, tmp_path: Path) -> None:
    before = exported(planted, tmp_path / "before")
    found = curate(planted)
    assert found.dropped == {("secrets", "secret"): 1, ("near_duplicates", "near_duplicate"): 1}
    assert (found.looked_at, found.before["train"], found.after["train"]) == (8, 8, 6)
    after = exported(planted, tmp_path / "after")
    assert before.keys() - after.keys() == {"leak", "near b"}
    assert after == {seed: before[seed] for seed in after}
    assert undo(planted) == 2
    assert exported(planted, tmp_path / "again") == before


def test_no_key_is_in_an_unfiltered_export_whether_its_answer_was_rejected_or_not(
    folder: Any, provider: Any, tmp_path: Path
) -> None:
    folder.data["steps"][0]["verify"] = {"regex": {"pattern": "^the"}}
    recipe = answers(folder, provider, {"good": "the sea", "bad": f"key {KEY}", "worse": f"the {KEY}", "dull": "no"})
    curate(recipe)
    assert exported(recipe, tmp_path / "all", unfiltered=True).keys() == {"good", "dull"}


def test_an_unfiltered_export_holds_what_harmless_filters_drop(planted: Recipe, tmp_path: Path) -> None:
    curate(planted)
    assert exported(planted, tmp_path / "all", unfiltered=True).keys() == {
        *(f"subject {n}" for n in "abcde"),
        "near a",
        "near b",
    }


def test_an_answer_that_was_rejected_anyway_is_not_looked_at_for_worth(folder: Any, provider: Any) -> None:
    folder.data["steps"][0]["verify"] = {"regex": {"pattern": "^the"}}
    recipe = answers(folder, provider, {"bad": "I'm sorry, but I can't help with that.", "good": "the sea"})
    found = curate(recipe)
    assert (found.looked_at, found.drops, dict(found.rejected)) == (2, {}, {})


def test_a_curation_that_leaves_nothing_is_told_like_any_other(folder: Any, provider: Any, tmp_path: Path) -> None:
    recipe = answers(folder, provider, {"one": "short", "two": "short too"}, length={"min_tokens": 500})
    found = curate(recipe, report=tmp_path)
    assert found.summary()["after"] == {"train": 0}
    assert "0 of 2 rows are left" in (tmp_path / "curation.html").read_text(encoding="utf-8")
    assert exported(recipe, tmp_path / "out") == {}


def test_a_row_that_is_both_harmful_and_worthless_is_in_no_export(folder: Any, provider: Any, tmp_path: Path) -> None:
    texts = {
        "one": "It rains.",
        "two": f"I'm sorry, but I can't help with that. {HELD_OUT} at length.",
        HELD_OUT: "well",
    }
    recipe = answers(folder, provider, texts)
    folder.seeds("benchmark.jsonl", [f"I can't help with that. {HELD_OUT} at length."])
    folder.data["curate"] = {"decontaminate": ["benchmark.jsonl"]}
    folder.save()
    found = curate(Recipe.load(recipe.folder))
    assert found.dropped == {("decontaminate", "contaminated"): 1}
    assert exported(recipe, tmp_path / "all", unfiltered=True).keys() == {"one"}


def test_a_second_curation_of_the_same_store_finds_the_same(planted: Recipe, tmp_path: Path) -> None:
    first = curate(planted)
    rows = exported(planted, tmp_path / "one")
    second = curate(planted)
    assert second.drops == first.drops
    assert exported(planted, tmp_path / "two") == rows


def test_the_test_split_is_never_curated(folder: Any, provider: Any, tmp_path: Path) -> None:
    recipe = answers(folder, provider, {"one": "fine", HELD_OUT: f"the key is {KEY}"})
    assert curate(recipe).drops == {}
    export(recipe, tmp_path / "out")
    assert len(pq.read_table(next((tmp_path / "out").glob("data/test-*.parquet")))) == 1


def test_a_person_brings_back_what_a_filter_dropped(planted: Recipe, tmp_path: Path) -> None:
    leak = row_id(planted, tmp_path / "all", "leak")
    curate(planted)
    speak(planted, leak[:12], "accept", note="a key of the documentation's", said_by="Amal")
    row = exported(planted, tmp_path / "out")["leak"]
    (check,) = [check for check in row["checks"] if check["name"] == "person"]
    assert (row["accepted"], row["drop_reason"], check["passed"]) == (True, None, True)
    assert "Amal" in check["params"]
    found = curate(planted)
    assert found.overruled == {("secrets", "secret"): 1}
    assert "leak" in exported(planted, tmp_path / "again")


def test_of_duplicates_the_one_that_a_person_accepted_stays(planted: Recipe, tmp_path: Path) -> None:
    speak(planted, row_id(planted, tmp_path / "all", "near b"), "accept")
    curate(planted)
    rows = exported(planted, tmp_path / "out")
    assert "near b" in rows
    assert "near a" not in rows


def test_a_person_takes_a_row_out_of_every_part_of_the_dataset(planted: Recipe, tmp_path: Path) -> None:
    speak(planted, row_id(planted, tmp_path / "all", "subject a"), "reject", note="off topic")
    assert export(planted, tmp_path / "out").dropped == {"person:rejected": 1}
    assert "subject a" not in exported(planted, tmp_path / "unfiltered", unfiltered=True)


def test_an_edited_answer_takes_the_place_of_the_teacher_s(planted: Recipe, tmp_path: Path) -> None:
    row = row_id(planted, tmp_path / "all", "subject a")
    speak(planted, row, "edit", answer="It rains.")
    assert exported(planted, tmp_path / "out")["subject a"]["messages"][-1]["content"] == "It rains."
    speak(planted, row, "withdraw")
    assert "little is known" in exported(planted, tmp_path / "out")["subject a"]["messages"][-1]["content"]


def test_a_verdict_on_what_is_no_row_of_train_is_refused(folder: Any, provider: Any, tmp_path: Path) -> None:
    recipe = answers(folder, provider, {"one": "fine", HELD_OUT: "well"})
    export(recipe, tmp_path / "out")
    held_out = pq.read_table(next((tmp_path / "out").glob("data/test-*.parquet"))).to_pylist()[0]["row_id"]
    with pytest.raises(BadInput, match="of the test split"):
        speak(recipe, held_out, "reject")
    with pytest.raises(BadInput, match="no row begins with"):
        speak(recipe, "zz", "reject")


def test_without_a_store_there_is_nothing_to_curate(folder: Any) -> None:
    with pytest.raises(StoreUnusable, match="no store there yet"):
        curate(Recipe.load(folder.path))


def test_the_report_shows_what_was_dropped_but_no_secret(planted: Recipe, tmp_path: Path) -> None:
    found = curate(planted, report=tmp_path / "report")
    page, facts = ((tmp_path / "report" / name).read_text(encoding="utf-8") for name in ("curation.html", FACTS))
    assert json.loads(facts)["dropped"] == found.summary()["dropped"]
    (near,) = json.loads(facts)["examples"]["near_duplicates"]
    assert near["stays"] == PROSE
    assert KEY not in page + facts
    assert "mended nets" in page
    assert sum(band["after"] for band in json.loads(facts)["answer_words"]) == found.after["train"]


def test_a_report_says_what_a_teacher_wrote_and_runs_nothing_of_it(folder: Any, provider: Any, tmp_path: Path) -> None:
    hostile = PROSE + "<script>alert(1)</script> ليس هذا رقماً"
    recipe = answers(folder, provider, {"one": hostile, "two": hostile})
    curate(recipe, report=tmp_path)
    page = (tmp_path / "curation.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "ليس هذا رقماً" in page


def test_the_command_says_what_is_left_and_takes_it_back(planted: Recipe) -> None:
    ran = CliRunner().invoke(cli, ["curate", str(planted.folder)])
    assert ran.exit_code == 0, ran.output
    assert "left: 6 of 8 train" in ran.stdout
    assert (planted.folder / "curation.html").is_file()
    ran = CliRunner().invoke(cli, ["curate", str(planted.folder), "--undo"])
    assert "2 rows taken back" in ran.stdout


def test_the_command_keeps_a_person_s_word(planted: Recipe, tmp_path: Path) -> None:
    row = row_id(planted, tmp_path / "all", "subject a")
    ran = CliRunner().invoke(cli, ["verdict", row[:10], "reject", "--by", "Amal", "--recipe", str(planted.folder)])
    assert (ran.exit_code, ran.stdout) == (0, f"{row}: reject, by Amal\n")
    assert "subject a" not in exported(planted, tmp_path / "out")


def test_an_export_says_whether_its_rows_were_curated(
    planted: Recipe, folder: Any, provider: Any, tmp_path: Path
) -> None:
    def told() -> tuple[str, Any, str]:
        ran = CliRunner().invoke(cli, ["export", str(planted.folder), str(tmp_path / "out")])
        manifest = json.loads((tmp_path / "out" / "harvester.json").read_text(encoding="utf-8"))
        return ran.stdout, manifest["curation"], (tmp_path / "out" / "README.md").read_text(encoding="utf-8")

    said, curation, card = told()
    assert "not curated" in said
    assert curation is None
    assert "Nobody looked for secrets" in card
    curate(planted)
    said, curation, card = told()
    assert "curat" not in said.replace("curate:", "")
    assert "near_duplicates" in curation["settings"]["filters"]
    assert "Curated on" in card
    answers(folder, provider, {"a later one": "It rains."})
    said, curation, card = told()
    assert "since the last curation 1 row came that was not looked through" in said
    assert curation["newer_rows"] == 1
    assert "Since then 1 row came" in card


def test_trace_and_status_tell_what_curation_and_people_said(planted: Recipe, tmp_path: Path) -> None:
    near, leak = (row_id(planted, tmp_path / "all", seed) for seed in ("near b", "leak"))
    curate(planted)
    speak(planted, leak, "accept", note="of the documentation", said_by="Amal")
    of_near, of_leak = (trace(planted.folder / "harvest.db", row) for row in (near, leak))
    assert of_near["curation"]["reason"] == "near_duplicate"
    assert of_near["verdict"] is None
    assert (of_leak["verdict"]["kind"], of_leak["verdict"]["said_by"]) == ("accept", "Amal")
    assert status(planted)["curation"]["dropped"] == {"near_duplicate": 1, "secret": 1}
    ran = CliRunner().invoke(cli, ["trace", leak, "--recipe", str(planted.folder)])
    assert "verdict: accept by Amal" in ran.stdout
    assert "dropped 1 near_duplicate, 1 secret" in CliRunner().invoke(cli, ["status", str(planted.folder)]).stdout


def test_status_tells_of_the_plans_own_rows_and_of_answers_since_a_curation(
    planted: Recipe, folder: Any, provider: Any
) -> None:
    curate(planted)
    assert status(planted)["curation"]["answered_since"] == 0
    answers(folder, provider, {"a later one": "It rains."})  # and of the others none is left
    found = status(Recipe.load(planted.folder))["curation"]
    assert (found["dropped"], found["answered_since"]) == ({}, 1)
    assert "dropped nothing; 1 answer since" in CliRunner().invoke(cli, ["status", str(planted.folder)]).stdout
