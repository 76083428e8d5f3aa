"""The registry of terms: who passes, who does not, and what a user's word changes."""

from typing import Any

import pytest

from harvester.errors import BadInput, RefusedByTerms
from harvester.terms import look_up, require


def verdict(host: str | None, model: str, **declared: Any) -> str:
    return look_up(host, model, declared, where="recipe.yaml: terms.teacher").verdict


@pytest.mark.parametrize(
    ("host", "model", "expected"),
    [
        ("api.openai.com", "gpt-4o", "forbidden-competing"),
        ("localhost", "gpt-4o-mini", "forbidden-competing"),
        ("localhost", "openai/o3-mini", "forbidden-competing"),
        ("localhost", "anthropic/claude-3", "forbidden-competing"),
        ("localhost", "grok-4", "forbidden"),
        ("localhost", "gpt-oss-120b", "allowed"),
        ("localhost", "openai/gpt-oss-20b", "allowed"),
        ("api.deepseek.com", "deepseek-chat", "allowed"),
        ("api.deepseek.com", "gpt-4", "forbidden-competing"),
        ("api.mistral.ai", "mistral-large-latest", "conditions"),
        ("localhost", "mistral-large-2411", "forbidden"),
        ("openrouter.ai", "deepseek/deepseek-r1", "conditions"),
        ("api.together.xyz", "Qwen/Qwen3-32B", "forbidden-competing"),
        ("localhost", "meta-llama/Llama-3.1-8B-Instruct", "conditions"),
        ("localhost", "meta-llama/Meta-Llama-3-8B", "forbidden-competing"),
        ("localhost", "DeepSeek-R1-Distill-Llama-8B", "conditions"),
        (None, "smollm2-135m-instruct", "allowed"),
        ("localhost", "my-own-model", "unknown"),
        ("api.z.ai", "glm-4.5", "unknown"),
    ],
)
def test_host_and_model_both_bind_and_the_stricter_wins(host: str | None, model: str, expected: str) -> None:
    assert verdict(host, model) == expected


def test_a_declared_licence_opens_a_model_that_the_registry_does_not_know() -> None:
    terms = look_up("localhost", "mine", {"license": "apache-2.0"}, where="w")
    assert (terms.verdict, terms.id) == ("allowed", "declared:Apache-2.0")
    assert "not checked" in terms.source


def test_a_declared_licence_does_not_open_a_closed_model() -> None:
    assert verdict("localhost", "gpt-4o", license="MIT") == "forbidden-competing"


def test_a_declared_licence_brings_its_obligations() -> None:
    terms = look_up("localhost", "mine", {"license": "Llama-3.1"}, where="w")
    assert any("starts with Llama" in text for text in terms.obligations)


def test_an_unknown_licence_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"w\.license: 'WTFPL' .*Apache-2\.0"):
        look_up("localhost", "mine", {"license": "WTFPL"}, where="w")


@pytest.mark.parametrize("model", ["gpt-4o", "unknown-model", "grok-4"])
def test_what_is_not_allowed_is_refused_until_the_user_states_a_basis(model: str) -> None:
    terms = look_up("localhost", model, None, where="w")
    with pytest.raises(RefusedByTerms, match="accepted_by"):
        require(terms, teacher="teacher", where="recipe.yaml: teacher")
    claimed = look_up("localhost", model, {"basis": "a contract of ours", "accepted_by": "A. Person"}, where="w")
    require(claimed, teacher="teacher", where="recipe.yaml: teacher")
    assert claimed.basis == "a contract of ours"
    assert claimed.verdict == terms.verdict
