"""Secrets in what would be sent: told by place and kind, never repeated."""

import dataclasses
import json
from typing import Any

import pytest

from harvester.errors import BadInput
from harvester.estimating import estimate
from harvester.recipe import Recipe
from harvester.secrets_in_seeds import MOST_FOUND, Secret, require_none

# Put together here, so that no scanner of this repository takes them for real ones.
FORMS = {
    "GitHub Token": "ghp_" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb7d",
    "Private Key": "-----BEGIN RSA " + "PRIVATE KEY-----",
}


def test_a_secret_is_told_by_file_line_and_kind_alone(folder: Any) -> None:
    secret = FORMS["GitHub Token"]
    lines = [json.dumps({"text": text}) for text in ("a", f"mine is {secret}", "c")]
    folder.write("train.jsonl", "\n" + lines[0] + "\n\n" + lines[1] + "\n" + lines[2] + "\n")
    folder.seeds("dev.jsonl", ["x", FORMS["Private Key"]])
    folder.data["dev"] = {"path": "dev.jsonl"}
    folder.save()
    found = estimate(Recipe.load(folder.path)).secrets
    assert found == (
        Secret(str(folder.path / "train.jsonl"), 4, "GitHub Token"),
        Secret(str(folder.path / "dev.jsonl"), 2, "Private Key"),
    )
    with pytest.raises(
        BadInput, match=r"train\.jsonl: line 4: GitHub Token, .*dev\.jsonl: line 2: .*take them out"
    ) as it:
        require_none(found)
    assert secret not in str(it.value)
    assert secret not in json.dumps([dataclasses.asdict(one) for one in found])


def test_what_the_template_leaves_out_stays_on_the_machine_and_is_no_matter(folder: Any) -> None:
    seed = {"text": "a", "note": FORMS["GitHub Token"], "reference": FORMS["Private Key"]}
    folder.write("train.jsonl", json.dumps(seed) + "\n")
    assert estimate(Recipe.load(folder.path)).secrets == ()
    folder.write("answer.j2", "{{ text }} {{ note }}")
    assert [one.kind for one in estimate(Recipe.load(folder.path)).secrets] == ["GitHub Token"]


def test_a_secret_in_a_template_is_found_there_once(folder: Any) -> None:
    folder.write("answer.j2", "{% include 'shots.j2' %}\n{{ text }}")
    folder.write("shots.j2", "An example:\n" + FORMS["GitHub Token"])
    expected = (Secret(str(folder.path / "shots.j2"), 2, "GitHub Token"),)
    assert estimate(Recipe.load(folder.path)).secrets == expected
    folder.seeds("train.jsonl", ["a", FORMS["GitHub Token"]])
    found = estimate(Recipe.load(folder.path)).secrets
    assert found == (*expected, Secret(str(folder.path / "train.jsonl"), 2, "GitHub Token"))


def test_many_are_counted_no_further_than_anybody_reads(folder: Any) -> None:
    folder.seeds("train.jsonl", [f"{number} {FORMS['GitHub Token']}" for number in range(MOST_FOUND + 50)])
    found = estimate(Recipe.load(folder.path)).secrets
    assert len(found) == MOST_FOUND
    with pytest.raises(BadInput, match="and 97 more: collecting would send"):
        require_none(found)


def test_none_is_fine() -> None:
    require_none(())
