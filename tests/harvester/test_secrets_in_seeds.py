"""Secrets in what would be sent: found by their form, told by place and kind, never repeated."""

import base64
import dataclasses
import hashlib
import json
import random
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import BadInput
from harvester.estimating import estimate
from harvester.recipe import Recipe
from harvester.secrets_in_seeds import MOST_FOUND, Secret, kinds, require_none

LETTERS = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb7dEf0hIj3kLm6nOp9qRs2tUv5wXy8zAb1dEf4hIj7kLm0nOp3qRs6tUv9wXy2z"
HEX = "0123456789abcdef" * 4


# Put together here, so that no scanner of this repository takes them for real ones.
FORMS = {
    "Anthropic API key": "sk-" + "ant-api03-" + LETTERS,
    "AWS Access Key": "AKIA" + "IOSFODNN7EXAMPLE",
    "Azure Storage Account access key": "AccountKey=" + LETTERS[:86] + "==",
    "Basic Auth Credentials": "https://me:hunter2" + "@example.com/",
    "GitHub Token": "ghp_" + LETTERS[:36],
    "GitHub fine-grained token": "github_pat_" + LETTERS[:82],
    "GitLab Token": "glpat-" + LETTERS[:20],
    "Google API key": "AIza" + LETTERS[:35],
    "Groq API key": "gsk_" + LETTERS[:52],
    "Hugging Face token": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
    "JSON Web Token": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + LETTERS[:43],
    "Mailchimp Access Key": HEX[:32] + "-us12",
    "NVIDIA API key": "nvapi-" + LETTERS[:64],
    "OpenAI API key": "sk-" + "proj-" + LETTERS,
    "OpenAI Token": "sk-" + LETTERS[:20] + "T3BlbkFJ" + LETTERS[20:40],
    "OpenRouter API key": "sk-or-v1-" + HEX,
    "Private Key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "Replicate token": "r8_" + LETTERS[:37],
    "SendGrid API Key": "SG." + LETTERS[:22] + "." + LETTERS[:43],
    "sk- API key": "sk-" + HEX[:32],
    "Slack Token": "xoxb-" + "123456789012-123456789012-" + LETTERS[:24],
    "Stripe Access Key": "sk_live_" + LETTERS[:24],
    "Twilio API Key": "SK" + HEX[:32],
    "xAI API key": "xai-" + LETTERS[:80],
}


@pytest.mark.parametrize(("kind", "secret"), FORMS.items(), ids=FORMS.keys())
@pytest.mark.parametrize("around", ["{}", "my key is {}, keep it", "KEY={}\nnext line", '{{"key": "{}"}}', "«{}»"])
def test_a_secret_is_found_wherever_it_stands(kind: str, secret: str, around: str) -> None:
    assert kind in kinds(around.format(secret))


def ordinary() -> dict[str, list[str]]:
    chance = random.Random(7)  # noqa: S311 - the same texts every time
    hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(300)]
    return {
        "hashes": [
            f"key {one} token: {one[:40]} AC {one[:32]} build 20240101:{one[:40]} sha256:{one}" for one in hashes
        ],
        "uuids": [f"id={uuid.UUID(int=chance.getrandbits(128))} SK-{chance.getrandbits(64):x}" for _ in range(300)],
        "base64": [base64.b64encode(chance.randbytes(300)).decode() for _ in range(300)],
        "numbers": [f"{chance.random()} {chance.getrandbits(256)} 192.168.1.{number}" for number in range(300)],
        "urls": [
            "see https://en.wikipedia.org/wiki/Distillation_(machine_learning)?a=b&c=d#History_and_background",
            "write to someone@example.com or open http://localhost:8080/a/b@c, port 5432:5432, //cdn.example.com/x",
            "git@github.com:owner/repository.git, ssh://git@example.com/owner/repository.git",
        ],
        "words": [
            "The password is your first pet's name; a token of thanks; the key: Donaudampfschifffahrtsgesellschaft",
            "APARTMENTHOUSES, APFELSTRUDELTEIG and AKCELERATIONS in capitals; sk-eleton, task-oriented, disk-"
            + HEX[:20],
            "pneumonoultramicroscopicsilicovolcanoconiosis, __init__, max_completion_tokens, x" * 3,
            "cloudant key: abcdefghijklmnopqrstuvwx, api_key = YOUR_API_KEY_HERE_PLEASE_REPLACE_THIS_WITH_A_REAL",
            "データ蒸留は大きなモデルから小さなモデルへ知識を移す手法であり、教師の答えを集めて生徒を訓練する。",
        ],
    }


@pytest.mark.parametrize("texts", ordinary().values(), ids=ordinary().keys())
def test_ordinary_texts_hold_none(texts: list[str]) -> None:
    assert [text for text in texts if kinds(text)] == []


def test_the_recipes_own_seeds_hold_none() -> None:
    files = sorted((Path(__file__).parents[2] / "prompts").glob("*/*.jsonl"))
    assert files
    assert not [line for file in files for line in file.read_text(encoding="utf-8").splitlines() if kinds(line)]


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


def test_prose_loads_no_detector() -> None:
    code = (
        "import sys\n"
        "from harvester.secrets_in_seeds import kinds\n"
        "assert not kinds('Kofi Grimaldi paid 418.63 dollars on Aug 4, 2022; Matteo Sato signed for it.')\n"
        "assert not {'detect_secrets', 'requests'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
