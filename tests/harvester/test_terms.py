"""The registry of terms: who passes, who does not, and what a user's word changes."""

from dataclasses import asdict
from typing import Any

import pytest
from pydantic import ValidationError

from harvester.errors import BadInput, RefusedByTerms
from harvester.terms import _Registry, look_up, require, strictest, together, with_rules
from harvester.yaml_text import packaged


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


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("ft:gpt-4o-mini:acme::abc", "forbidden-competing"),
        ("ft:gpt-4o-mini:acme/x:abc", "forbidden-competing"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "forbidden-competing"),
        ("us.anthropic.claude-3", "forbidden-competing"),
        ("azure-gpt-4o", "forbidden-competing"),
        ("azure_gpt-4o", "forbidden-competing"),
        (" gpt-4o ", "forbidden-competing"),
        ("claude", "forbidden-competing"),
        ("text-davinci-003", "forbidden-competing"),
        ("xai:grok-4", "forbidden"),
        ("openai.gpt-oss-120b-1:0", "allowed"),
        ("azure-gpt-oss-20b", "allowed"),
        ("gpt-oss:20b", "allowed"),
        ("gateway-gpt-oss-gpt-4o", "forbidden-competing"),
        ("deepseek-r1-distill-llama-70b", "conditions"),
        ("qwen3-32b", "allowed"),
        ("my-own-model", "allowed"),
    ],
)
def test_a_closed_makers_name_binds_wherever_it_stands_in_the_model(model: str, expected: str) -> None:
    assert verdict("localhost", model, license="MIT") == expected


@pytest.mark.parametrize("host", ["api.openai.com.", "API.openai.com", "eu.api.openai.com."])
def test_a_dot_at_the_end_of_a_host_changes_nothing(host: str) -> None:
    assert verdict(host, "mine", license="MIT") == "forbidden-competing"


@pytest.mark.parametrize(
    ("host", "model", "declared", "offered"),
    [
        ("localhost", "mine", {}, True),
        ("openrouter.ai", "mine", {}, True),
        ("api.z.ai", "mine", {}, False),
        ("api.z.ai", "mine", {"license": "MIT"}, False),
        ("api.openai.com", "mine", {}, False),
        ("localhost", "gpt-4o", {}, False),
        ("localhost", "kimi-k3", {}, False),
    ],
)
def test_declaring_is_offered_only_where_it_would_do(
    host: str, model: str, declared: dict[str, str], offered: bool
) -> None:
    with pytest.raises(RefusedByTerms) as caught:
        require(look_up(host, model, declared, where="w"), teacher="teacher", where="w")
    assert ("declare the model's licence" in str(caught.value)) == offered
    assert "basis" in str(caught.value)
    if offered:
        require(look_up(host, model, {"license": "MIT"}, where="w"), teacher="teacher", where="w")


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
    assert (claimed.basis, claimed.accepted_by) == ("a contract of ours", "A. Person")
    assert claimed.verdict == terms.verdict


@pytest.mark.parametrize("model", ["meta-llama/Llama-3.1-8B-Instruct", "DeepSeek-R1-Distill-Llama-8B", "llama4:scout"])
def test_llama_s_naming_rule_is_data(model: str) -> None:
    terms = look_up("openrouter.ai", model, None, where="w")
    assert (terms.name_prefix, terms.show) == ("Llama", ("Built with Llama",))
    assert any("https://www.llama.com/" in text for text in terms.pass_on)


def test_every_obligation_to_show_or_name_has_its_rule() -> None:
    registry = packaged("terms.yaml")
    for entry in (*registry["hosts"], *registry["models"], *registry["licenses"]):
        for text in entry.get("obligations", ()):
            assert ("name_prefix" in entry) >= ("name starts with" in text), entry["id"]
            # Kimi K2's words are owed above a number of users only.
            assert ("show" in entry) >= (text.startswith("show ") and "above" not in text), entry["id"]
            assert ("pass_on" in entry) >= text.startswith("pass on "), entry["id"]


def test_terms_stored_without_rules_get_those_of_their_entries() -> None:
    for host, model, declared in (
        ("openrouter.ai", "llama-3.3-70b", None),
        ("localhost", "mine", {"license": "Gemma"}),
        ("api.deepseek.com", "deepseek-chat", None),
        ("localhost", "no-such-model", None),
    ):
        terms = asdict(look_up(host, model, declared, where="w"))
        older = {key: value for key, value in terms.items() if key not in ("name_prefix", "show", "pass_on")}
        assert with_rules(older) == terms
    stored = terms | {"name_prefix": "Kept"}
    assert with_rules(stored) == stored


@pytest.mark.parametrize("wrong", [{"verdict": "maybe"}, {"name_prefx": "Llama"}, {"show": "one text"}])
def test_an_entry_that_is_misspelt_is_refused(wrong: dict[str, Any]) -> None:
    registry = packaged("terms.yaml")
    registry["models"][0] |= wrong
    with pytest.raises(ValidationError):
        _Registry.model_validate(registry)


def test_the_stricter_verdict_binds_the_whole_and_one_of_another_version_most_of_all() -> None:
    assert strictest([]) is None
    assert strictest(["conditions", "allowed", "unknown"]) == "unknown"
    assert strictest(["forbidden", "by-a-later-version", "allowed"]) == "by-a-later-version"


def test_terms_together_have_every_rule_once() -> None:
    bindings = [
        asdict(look_up("openrouter.ai", model, None, where="w")) for model in ("llama-3.3", "llama-4", "qwen3-8b")
    ]
    found = together([*bindings, {"verdict": "allowed"}])
    assert (found["verdict"], found["name_prefixes"], found["show"]) == ("conditions", ["Llama"], ["Built with Llama"])
    assert len(found["obligations"]) == len(set(found["obligations"])) == 5
