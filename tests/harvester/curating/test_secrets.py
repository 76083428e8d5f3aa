"""secrets: found in every part of a row, whatever stands around them, and never repeated."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.curating.base import Drop, Example
from harvester.curating.secrets import Secrets

# Put together here, so that no scanner of this repository takes them for real ones.
LETTERS = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb7dEf0hIj3kLm6nOp9qRs2tUv5wXy8zAb1dEf4hIj7k"
SECRETS = {
    "AWS Access Key": "AKIA" + "IOSFODNN7QWERTZU",
    "Basic Auth Credentials": "https://me:hunter2" + "@example.com/",
    "GitHub Token": "ghp_" + LETTERS[:36],
    "OpenAI API key": "sk-" + "proj-" + LETTERS,
    "Private Key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "Stripe Access Key": "sk_live_" + LETTERS[:24],
}
TEXT = st.text() | st.lists(
    st.sampled_from(["://", "@", ":", "aws", "key='", "x" * 30, "eyJ", "\n", "/", "=" * 90, "k_live_", "{"])
).map(" ".join)
PARTS = ("prompt", "answer", "reasoning", "seed", "reference")
ROW = Example(1, "row", "train", "seed", {"text": "A question?"}, "A question?", "An answer.", "A thought.")


def with_text(part: str, text: str) -> Example:
    changed: dict[str, Any] = {part: {"notes": [{"deep": text}], "n": 3} if part in ("seed", "reference") else text}
    return replace(ROW, **changed)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_told_by_kind_and_part(part: str, kind: str) -> None:
    drop = Secrets().look(with_text(part, f"It is {SECRETS[kind]}, keep it."))
    assert drop == Drop("secret", {"kind": kind, "part": part})


def test_what_the_prompt_holds_of_the_seed_is_told_of_the_prompt() -> None:
    text = f"Mine is {SECRETS['GitHub Token']}."
    drop = Secrets().look(replace(ROW, prompt=f"Answer: {text}", seed={"text": text}))
    assert drop == Drop("secret", {"kind": "GitHub Token", "part": "prompt"})


def test_a_row_without_any_stays() -> None:
    assert Secrets().look(ROW) is None


@given(kind=st.sampled_from(sorted(SECRETS)), part=st.sampled_from(PARTS), before=TEXT, after=TEXT)
@settings(deadline=None)
def test_a_secret_is_found_whatever_stands_around_it_and_not_repeated(
    kind: str, part: str, before: str, after: str
) -> None:
    row = with_text(part, f"{before} {SECRETS[kind]} {after}")
    drop = Secrets().look(row)
    assert drop is not None
    assert drop.detail["part"] == part
    assert SECRETS[kind] not in json.dumps(dict(drop.detail))
    assert Secrets().look(row) == drop
