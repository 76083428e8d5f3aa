"""The seeds of prompts/extract-orders: reproducible, disjoint between splits, and answerable by a perfect reader."""

import importlib.util
import json
import re
import string
import sys
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harvester.verify import build, matches_reference, resolve
from harvester.verify.date_in_text import dates_in

FOLDER = Path(__file__).parents[2] / "prompts" / "extract-orders"
SPLITS = ("train", "dev", "heldout")
PAIRS = list(combinations(SPLITS, 2))


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_seeds_of_extract_orders", FOLDER / "make_seeds.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script = load_script()


def seeds(split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def shape(template: str) -> str:
    """A template without its letters' case, so that two spellings of one sentence are the same."""
    return " ".join(re.sub(r"[^a-z{} ]", "", template.lower()).split())


def slots(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("split", SPLITS)
def test_a_rerun_writes_the_same_bytes(split: str) -> None:
    assert script.as_jsonl(script.make_split(split)).encode() == (FOLDER / f"{split}.jsonl").read_bytes()


def test_splits_are_large_enough_and_hold_no_sentence_twice() -> None:
    sizes = {split: len(seeds(split)) for split in SPLITS}
    assert sizes["train"] >= 160
    assert sizes["dev"] == 40
    assert 100 <= sizes["heldout"] <= 120
    assert len({seed["text"] for split in SPLITS for seed in seeds(split)}) == sum(sizes.values())


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_name_and_no_template_is_in_two_splits(one: str, other: str) -> None:
    a, b = script.SPLITS[one], script.SPLITS[other]
    assert not {*a.first_names, *a.last_names} & {*b.first_names, *b.last_names}
    assert not {shape(template) for template in a.templates} & {shape(template) for template in b.templates}


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_name_of_one_split_stands_in_a_sentence_of_another(one: str, other: str) -> None:
    names = {*script.SPLITS[one].first_names, *script.SPLITS[one].last_names}
    text = "\n".join(seed["text"] for seed in seeds(other))
    assert [name for name in sorted(names) if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)] == []


def test_only_train_comes_without_references() -> None:
    assert all(seed.keys() == {"text"} for seed in seeds("train"))
    assert all(seed.keys() == {"text", "reference"} for split in ("dev", "heldout") for seed in seeds(split))


@pytest.mark.parametrize("split", SPLITS)
def test_every_template_asks_for_the_three_fields_and_is_used(split: str) -> None:
    for template in script.SPLITS[split].templates:
        assert {"name", "date", "amount"} <= slots(template)
    assert len(seeds(split)) == len(script.SPLITS[split].templates) * script.SPLITS[split].per_template


def test_train_templates_are_many() -> None:
    assert len(script.TRAIN.templates) >= 25


def test_held_out_is_as_hard_as_train_by_its_shares_of_distracting_numbers_and_people() -> None:
    def share(split: str, *distracting: str) -> float:
        templates = script.SPLITS[split].templates
        return sum(bool(slots(template) & set(distracting)) for template in templates) / len(templates)

    for distracting in (("order", "count"), ("other", "earlier")):
        assert 0.1 <= share("train", *distracting) <= 0.25
        assert abs(share("heldout", *distracting) - share("train", *distracting)) <= 0.05


@pytest.mark.parametrize("split", ["dev", "heldout"])
def test_a_perfect_reader_passes_every_check_and_the_reference_itself(split: str) -> None:
    verifiers = build(resolve(rules(), FOLDER))
    for seed in seeds(split):
        answer = json.dumps(seed["reference"], ensure_ascii=False)
        failed = [
            check for check in (verify(answer, {"text": seed["text"]}) for verify in verifiers) if not check.passed
        ]
        assert failed == [], seed["text"]
        assert matches_reference(answer, seed["reference"]).passed


def test_the_checks_refuse_what_careless_readers_answer() -> None:
    verifiers = build(resolve(rules(), FOLDER))
    text = "Order #20417: three lamps, €45.50, paid by Ana Sousa on March 5, 2024."
    right = {"name": "Ana Sousa", "date": "2024-03-05", "amount": 45.5}
    wrong: list[dict[str, Any]] = [
        *({"name": "Anna Sousa"}, {"name": "Helen Marsh"}, {"date": "2024-03-15"}, {"date": "March 5, 2024"}),
        *({"amount": 20417}, {"amount": 5}, {"amount": 2024}, {"amount": "45.50"}, {"currency": "EUR"}),
    ]
    assert all(verify(json.dumps(right), {"text": text}).passed for verify in verifiers)
    for change in wrong:
        answer = json.dumps({**right, **change})
        assert not all(verify(answer, {"text": text}).passed for verify in verifiers), change


def test_the_teachers_examples_are_right_and_hold_nothing_of_the_seeds() -> None:
    shots = re.findall(
        r"{% user %}(.*?){% enduser %}\s*{% assistant %}(.*?){% endassistant %}",
        (FOLDER / "answer.j2").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert len(shots) >= 4
    verifiers = build(resolve(rules(), FOLDER))
    names = {name for split in script.SPLITS.values() for name in (*split.first_names, *split.last_names)}
    for text, answer in shots:
        assert all(verify(answer, {"text": text}).passed for verify in verifiers), text
        assert not names & set(json.loads(answer)["name"].split()), text


def test_written_dates_never_leave_day_and_month_in_doubt() -> None:
    day = script.date(2024, 3, 5)
    for form in script.written_dates(day):
        assert dates_in(form) == ({day}, [])


def rules() -> dict[str, Any]:
    import yaml

    recipe = yaml.safe_load((FOLDER / "recipe.yaml").read_text(encoding="utf-8"))
    return dict(recipe["steps"][0]["verify"])
