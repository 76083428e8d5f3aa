"""`harvester teachers`: what the profiles and the registry of terms know, in one place."""

import json
from typing import Any

from harvester import terms
from harvester.known import known
from harvester.profiles import profiles


def by_id() -> dict[str, Any]:
    return {one["id"]: one for one in known()["teachers"]}


def test_every_profile_and_every_host_with_terms_is_listed_once() -> None:
    teachers = known()["teachers"]
    assert [one["id"] for one in teachers][: len(profiles())] == list(profiles())
    hosts = [host for one in teachers for host in one["hosts"]]
    assert len(hosts) == len(set(hosts))
    assert {entry["host"] for entry in terms.entries("hosts")} <= set(hosts)


def test_a_providers_terms_are_its_hosts_own() -> None:
    deepseek = by_id()["deepseek"]
    assert (deepseek["rate_headers"], deepseek["logprobs"]) == (False, 20)
    assert [(one["host"], one["verdict"]) for one in deepseek["terms"]] == [("api.deepseek.com", "allowed")]
    assert deepseek["terms"][0]["as_of"] == "2026-04-29"
    assert by_id()["openai"]["rate_headers"] is True


def test_the_embedded_teacher_is_bound_by_its_model() -> None:
    embedded = by_id()["embedded"]
    assert embedded["hosts"] == []
    assert embedded["terms"][0]["verdict"] == "allowed"
    assert "Apache-2.0" in embedded["terms"][0]["source"]


def test_a_local_server_has_no_terms_of_its_own() -> None:
    assert by_id()["vllm"]["terms"] == [
        {"host": None, "verdict": None, "as_of": None, "obligations": [], "source": None}
    ]


def test_the_table_and_the_json_say_the_same(harvester: Any) -> None:
    assert json.loads(harvester("teachers", "--json")[1]) == known()
    lines = harvester("teachers")[1].splitlines()
    row = next(line for line in lines if line.startswith("fireworks"))
    assert row.split("  ")[0] == "fireworks"
    assert "up to 5" in row
    assert "forbidden-competing" in row
    assert any(line.startswith("claude*") and "2025-06-17" in line for line in lines)
    assert any(line.startswith("vllm") and "the model's licence" in line for line in lines)
