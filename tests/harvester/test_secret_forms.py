"""Keys, tokens and passwords are found by their form, and ordinary texts hold none."""

import base64
import hashlib
import random
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from harvester.secret_forms import LONGER_RUN, SIGNS, detectors, kinds, texts_in, without_secrets

LETTERS = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb7dEf0hIj3kLm6nOp9qRs2tUv5wXy8zAb1dEf4hIj7kLm0nOp3qRs6tUv9wXy2z"
HEX = "0123456789abcdef" * 4


# Put together here, so that no scanner of this repository takes them for real ones.
FORMS = {
    "Anthropic API key": "sk-" + "ant-api03-" + LETTERS,
    "AWS Access Key": "AKIA" + "IOSFODNN7QWERTZU",
    "Azure Storage Account access key": "AccountKey=" + LETTERS[:86] + "==",
    "Basic Auth Credentials": "https://me:hunter2" + "@example.com/",
    "Cloudant Credentials": "cloudant" + f"_apikey = '{HEX}'",
    "GitHub Token": "ghp_" + LETTERS[:36],
    "GitHub fine-grained token": "github_pat_" + LETTERS[:82],
    "GitLab Token": "glpat-" + LETTERS[:20],
    "Google API key": "AIza" + LETTERS[:35],
    "Groq API key": "gsk_" + LETTERS[:52],
    "Hugging Face token": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
    "IBM COS HMAC Credentials": "cos_hmac_secret" + f"_access_key: {HEX[:48]}",
    "IBM Cloud IAM Key": "ibm_cloud" + f"_api_key: {LETTERS[:44]}",
    "JSON Web Token": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + LETTERS[:43],
    "Mailchimp Access Key": HEX[:32] + "-us12",
    "NVIDIA API key": "nvapi-" + LETTERS[:64],
    "NPM tokens": "//npm.example.com/:_auth" + "Token=npm_" + LETTERS[:36],
    "OpenAI API key": "sk-" + "proj-" + LETTERS,
    "OpenAI Token": "sk-" + LETTERS[:20] + "T3BlbkFJ" + LETTERS[20:40],
    "OpenRouter API key": "sk-or-v1-" + HEX,
    "Private Key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "PyPI Token": "pypi-" + "AgEIcHlwaS5vcmc" + LETTERS[:80],
    "Replicate token": "r8_" + LETTERS[:37],
    "SendGrid API Key": "SG." + LETTERS[:22] + "." + LETTERS[:43],
    "sk- API key": "sk-" + HEX[:32],
    "Slack Token": "xoxb-" + "123456789012-123456789012-" + LETTERS[:24],
    "SoftLayer Credentials": "softlayer" + f"_api_key: {HEX}",
    "Square OAuth Secret": "sq0csp-" + LETTERS[:43],
    "Stripe Access Key": "sk_live_" + LETTERS[:24],
    "Telegram Bot Token": "123456789:" + LETTERS[:35],
    "Twilio API Key": "SK" + HEX[:32],
    "xAI API key": "xai-" + LETTERS[:80],
}


@pytest.mark.parametrize(("kind", "secret"), FORMS.items(), ids=FORMS.keys())
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "my key is {}, keep it",
        "KEY={}\nnext line",
        '{{"key": "{}"}}',
        "«{}»",
        "密钥是{}没有人知道",
        "والمفتاح{}هنا",
    ],
)
def test_a_secret_is_found_wherever_it_stands(kind: str, secret: str, around: str) -> None:
    assert kind in kinds(around.format(secret))


@pytest.mark.parametrize("secret", [secret for kind, secret in FORMS.items() if kind != "Private Key"])
def test_a_secret_is_taken_out_of_what_is_said(secret: str) -> None:
    said = without_secrets(f"密钥是{secret}\nand {secret}, I think")
    assert said.count("[key]") >= 2
    assert kinds(said) == set()
    assert without_secrets("nothing here") == "nothing here"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("glpat-" + "LqQCIRElwYyJUSaFtXYZ", {"GitLab Token"}),
        ("AKIA" + "QWERTZUIOPASDFGH", {"AWS Access Key"}),
        ("sk_live_" + "aKqRtZuWxVbNmLpOiUYtrEWq", {"Stripe Access Key"}),
        ("ghp_" + "YourPersonalAccessTokenGoesRightHere", set()),
        ("glpat-" + "xxxxxxxxxxxxxxxxxxxx", set()),
        ("glpat-" + "YOUR_TOKEN_GOES_HERE", set()),
        ("AKIA" + "XXXXXXXXXXXXXXXX", set()),
        ("AKIA" + "IOSFODNN7EXAMPLE", set()),
        ("aws_secret_key = '" + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'", set()),
        ("sk_live_" + "the_key_that_is_not_there", set()),
    ],
)
def test_a_key_without_a_digit_is_told_from_words_in_its_place(text: str, found: set[str]) -> None:
    assert kinds(f"It is {text}, I think.") == found


def test_what_is_known_of_the_librarys_forms_is_of_forms_that_it_has() -> None:
    assert {*LONGER_RUN, *SIGNS} <= {detector.secret_type for detector in detectors()}


def test_every_form_that_is_passed_over_without_a_sign_is_found_with_it() -> None:
    assert {*LONGER_RUN, *SIGNS} <= set(FORMS)


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


@pytest.mark.parametrize(
    "text",
    [
        "postgres://user:password" + "@localhost:5432/shop",
        "postgresql://scott:tiger" + "@localhost:5432/mydb",
        "mysql://scott:tiger" + "@127.0.0.1.",
        "redis://scott:tiger" + "@[::1]/0",
        "redis://:your_password" + "@cache:6379",
        "https://admin:${TOKEN}" + "@example.com/",
        "mongodb://{user}:{password}" + "@host",
        "ftp://me:***" + "@example.com",
    ],
)
def test_the_place_of_a_password_is_none(text: str) -> None:
    assert kinds(text) == set()


def test_a_text_is_found_however_deep_it_stands() -> None:
    deep: object = "bottom"
    for _ in range(5_000):
        deep = [deep]
    assert list(texts_in({"a": ["b", {"c": "d", "n": 1}], "e": None, "f": deep})) == ["b", "d", "bottom"]


@pytest.mark.parametrize("texts", ordinary().values(), ids=ordinary().keys())
def test_ordinary_texts_hold_none(texts: list[str]) -> None:
    assert [text for text in texts if kinds(text)] == []


def test_the_recipes_own_seeds_hold_none() -> None:
    files = sorted((Path(__file__).parents[2] / "prompts").glob("*/*.jsonl"))
    assert files
    assert not [line for file in files for line in file.read_text(encoding="utf-8").splitlines() if kinds(line)]


def test_prose_loads_no_detector() -> None:
    code = (
        "import sys\n"
        "from harvester.secret_forms import kinds\n"
        "assert not kinds('Kofi Grimaldi paid 418.63 dollars on Aug 4, 2022; Matteo Sato signed for it.')\n"
        "assert not {'detect_secrets', 'requests'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
