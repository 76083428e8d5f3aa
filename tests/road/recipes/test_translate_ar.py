"""The recipe translate-ar with scripted answers: directions, the judge's choice, and Arabic that stays as it was."""

import json
import runpy
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from harvester.starting import recipes
from harvester.status import status

FOLDERS = Path(__file__).parents[2] / "finetune" / "reporting" / "folders.py"
"""Makes the folder of an evaluated run."""
BAKERY, BUS, WINDOW, KEY = (
    "يفتح المخبز الذي في الزاوية الساعة السادسة صباحًا.",
    "Where can I buy a ticket for the bus?",
    "هل يمكنك إغلاق النافذة من فضلك؟ الجو يبرد.",
    "I left my key at home this morning.",
)
SAID = {
    "The bakery": ["The bakery opens at six.", BAKERY],
    "للحافلة": [BUS, "Where bus?"],
    "close the window": [WINDOW, "Pourriez-vous fermer la fenêtre, s'il vous plaît ? Il commence à faire froid."],
    "نسيت مفتاحي": ["نسيت مفتاحي في المنزل.", "لقد نسيت المفتاح."],
}
SCORES = {"The bakery opens at six.": 1, BAKERY: 5, BUS: 5, "Where bus?": 2, WINDOW: 4}
HARD = "قالت: «عَلَّمَتْني جدّتي ٣ وصفات» - ثم فتحت Word 2024 (نسخة 16.0) وكتبت: ﻻ بأس؟"
"""Vowel marks, both kinds of digits, quotation marks, Latin words and a ligature of the presentation forms."""


def said(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def translate(body: dict[str, Any]) -> str:
    return next(texts[body["seed"]] for words, texts in SAID.items() if words in said(body))


def compare(body: dict[str, Any]) -> str:
    score = SCORES.get(said(body).rpartition(":\n")[2], 1)
    return json.dumps({"reason": "المعنى نفسه" if score > 3 else "not that", "score": score}, ensure_ascii=False)


@pytest.fixture
def translated(shipped: Any, provider: Any) -> Any:
    recipe = shipped("translate-ar", provider=provider, limit=4)
    recipe.answers(translate=translate, compare=compare)
    assert recipe.collect().failed == 0
    return recipe


def test_the_better_translation_into_the_right_language_is_kept(translated: Any) -> None:
    assert translated.collect().answered == 0
    assert translated.steps() == {
        "translate": {"rows": 8, "accepted": 7, "dropped": {"verify:language": 1}},
        "compare": {"rows": 7, "accepted": 3, "dropped": {"low_score": 4}},
    }
    assert translated.export().dropped == {"compare:low_score": 4, "verify:language": 1}
    rows = translated.rows()
    assert [(row["sample"], row["score"], row["messages"][-1]["content"]) for row in rows] == [
        (1, 5.0, BAKERY),
        (0, 5.0, BUS),
        (0, 4.0, WINDOW),
    ]
    assert [row["messages"][0]["content"] for row in rows] == [
        "Into {to}:\n{text}".format(**json.loads(row["seed"])) for row in rows
    ]


def test_the_judge_sees_both_texts_and_the_direction(translated: Any, as_golden: Any) -> None:
    (messages,) = [one for one in translated.asked("compare") if BAKERY in one[-1]["content"]]
    as_golden("translate-ar", "compare-asked", messages)


def test_both_directions_are_in_the_seeds_equally_often_for_each_topic() -> None:
    text = (recipes()["translate-ar"] / "train.jsonl").read_text(encoding="utf-8")
    seeds = [json.loads(line) for line in text.splitlines()]
    assert len({seed["text"] for seed in seeds}) == len(seeds) == 40
    into = {to: Counter(seed["topic"] for seed in seeds if seed["to"] == to) for to in ("Arabic", "English")}
    assert into["Arabic"].keys() == into["English"].keys()
    assert into["Arabic"].total() == into["English"].total()
    for seed in seeds:
        arabic = sum("ARABIC" in unicodedata.name(letter) for letter in seed["text"])
        assert (arabic > len(seed["text"]) / 2) == (seed["to"] == "English"), seed


def test_a_direction_that_is_never_accepted_is_seen(translated: Any, provider: Any) -> None:
    assert status(translated.recipe)["balance"]["to"].keys() == {"Arabic", "English"}
    path = translated.path / "recipe.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["steps"][0]["verify"]["language"] = {"is": "en"}
    data["seeds"]["limit"] = 40
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    translated.answers(
        translate=lambda body: BAKERY if "Into Arabic" in said(body) else BUS,
        compare=lambda _: '{"reason": "", "score": 5}',
    )
    translated.collect()
    assert any("Arabic" in warning for warning in status(translated.recipe)["warnings"])


def command(*words: Any) -> str:
    done = subprocess.run([sys.executable, "-m", "harvester", *map(str, words)], capture_output=True, check=True)
    return done.stdout.decode("utf-8")


def test_arabic_goes_through_the_whole_road_letter_by_letter(shipped: Any, provider: Any, tmp_path: Path) -> None:
    recipe = shipped("translate-ar", provider=provider, limit=1)
    path = recipe.path / "recipe.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["seeds"] = {"path": "جُمَل.jsonl", "license": "رخصة المشاع"}
    path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
    seed = {"text": HARD, "to": "Arabic", "topic": "يوميات"}
    (recipe.path / "جُمَل.jsonl").write_text(json.dumps(seed, ensure_ascii=False), encoding="utf-8")
    recipe.answers(translate=lambda _: HARD, compare=lambda _: '{"reason": "المعنى نفسه", "score": 5}')
    recipe.collect()
    assert {messages[-1]["content"] for messages in recipe.asked("translate")} == {f"Into Arabic:\n{HARD}"}
    assert recipe.asked("compare")[0][-1]["content"].count(HARD) == 2
    recipe.export()
    (row,) = recipe.rows()
    assert json.loads(row["seed"]) == seed
    assert [message["content"] for message in row["messages"]] == [f"Into Arabic:\n{HARD}", HARD]
    card = (recipe.path / "out" / "README.md").read_text(encoding="utf-8")
    assert "| `train` | `جُمَل.jsonl` | رخصة المشاع |" in card
    notes = json.loads((recipe.path / "out" / "harvester.json").read_text(encoding="utf-8"))
    (noted,) = notes["seeds"]
    assert (noted["split"], noted["path"], noted["license"]) == ("train", "جُمَل.jsonl", "رخصة المشاع")
    for shown in (command("trace", row["row_id"], "--recipe", recipe.path), command("check", recipe.path)):
        assert f"Into Arabic:\n{HARD}" in "\n".join(line.strip() for line in shown.splitlines())


def test_a_report_shows_arabic_as_it_is_and_from_right_to_left(tmp_path: Path) -> None:
    from finetune.reporting import write_report

    run = runpy.run_path(str(FOLDERS))["make_run"](tmp_path / "run", prompts=8, say=lambda _arm, _number: HARD)
    prompts = run / "answers" / "prompts.jsonl"
    lines = [json.loads(line) for line in prompts.read_text(encoding="utf-8").splitlines()]
    asked = [{**line, "messages": [{"role": "user", "content": f"ترجم:\n{HARD}"}]} for line in lines]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in asked), encoding="utf-8")
    page = write_report(run).read_text(encoding="utf-8")
    assert f'<pre dir="auto">ترجم:\n{HARD}</pre>' in page
    assert f'<pre dir="auto">{HARD}</pre>' in page
