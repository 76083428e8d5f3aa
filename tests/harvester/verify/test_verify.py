"""The verify block as a whole: names, settings, files, and what importing and judging must never do."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import BadInput
from harvester.verify import build, resolve

SCHEMA = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}}
SPEC: dict[str, Any] = {
    "date_in_text": {"field": "date", "source": "text"},
    "json_schema": SCHEMA,
    "copied_span": {"field": "name", "source": "text"},
    "number_in_text": {"field": "amount", "source": "text"},
}
SEED = {"text": "Ana Sousa paid €1,250.50 on the 5th of March 2024."}
GOOD = '{"name": "Ana Sousa", "date": "2024-03-05", "amount": 1250.5}'


def checks(answer: str, spec: dict[str, Any] = SPEC, seed: dict[str, Any] = SEED) -> list[Any]:
    return [verify(answer, seed) for verify in build(resolve(spec, Path()))]


def test_a_right_answer_passes_every_check_in_the_order_of_the_spec() -> None:
    found = checks(GOOD)
    assert [check.name for check in found] == ["date_in_text", "json_schema", "copied_span", "number_in_text"]
    assert all(check.passed and check.reason is None for check in found)


def test_params_say_what_was_checked() -> None:
    by_name = {check.name: check.params for check in checks(GOOD)}
    assert by_name["copied_span"] == {"field": "name", "source": "text"}
    assert list(by_name["json_schema"]) == ["sha256"]
    assert len(by_name["json_schema"]["sha256"]) == 12


def test_the_schemas_hash_follows_its_meaning_and_not_its_layout() -> None:
    def hash_of(schema: dict[str, Any]) -> str:
        return str(checks(GOOD, {"json_schema": schema})[0].params["sha256"])

    assert hash_of({"type": "object", "title": "x"}) == hash_of({"title": "x", "type": "object"})
    assert hash_of({"type": "object", "title": "x"}) != hash_of({"type": "object", "title": "y"})


def test_a_list_of_settings_uses_a_verifier_several_times() -> None:
    spec = {"copied_span": [{"field": "name", "source": "text"}, {"field": "payer", "source": "text"}]}
    assert [check.passed for check in checks(GOOD, spec)] == [True, False]


def test_a_schemas_file_is_read_into_the_block(tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text(json.dumps(SCHEMA))
    resolved = resolve({"json_schema": "order.json"}, tmp_path)
    assert resolved == {"json_schema": SCHEMA}


def test_a_resolved_block_survives_json_and_resolves_to_itself() -> None:
    resolved = resolve(SPEC, Path())
    assert resolve(json.loads(json.dumps(resolved)), Path("/nonexistent")) == resolved


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"json_shema": "order.json"}, ["verify.json_shema", "did you mean json_schema?"]),
        ({"zzz": {}}, ["verify.zzz", "there are json_schema, "]),
        ({"copied_span": "name"}, ["verify.copied_span", "{field: …, source: …}"]),
        ({"copied_span": {"field": "name"}}, ["verify.copied_span.source", "missing"]),
        ({"copied_span": {"feild": "name", "source": "text"}}, ["copied_span.feild", "did you mean field?"]),
        ({"copied_span": {"field": 3, "source": "text"}}, ["copied_span.field", "must be text, not 3"]),
        ({"date_in_text": {"field": "a", "source": "b", "day_first": "yes"}}, ["day_first", "true or false"]),
        ({"number_in_text": {"field": "a", "source": "b", "day_first": True}}, ["day_first", "unknown field"]),
        ({"json_schema": "none.json"}, ["verify.json_schema", "none.json"]),
        ({"json_schema": 3}, ["verify.json_schema", "must be a schema"]),
        ({"json_schema": {"type": "objekt"}}, ["verify.json_schema", "not a JSON Schema", "$.type"]),
        ({"json_schema": {"properties": {"a": {"pattern": "("}}}}, ["verify.json_schema", "not a JSON Schema"]),
        ({"json_schema": {"$ref": "https://example.org/s.json"}}, ["verify.json_schema", "leaves the schema"]),
        ({"json_schema": {"$ref": "#/$defs/none"}}, ["verify.json_schema", "no target"]),
        ({"json_schema": {"$schema": "https://example.org/draft"}}, ["verify.json_schema.$schema", "no known draft"]),
        ({"json_schema": {"$schema": []}}, ["verify.json_schema.$schema", "no known draft"]),
        ({"copied_span": []}, ["verify.copied_span", "no settings"]),
        ({"copied_span": None}, ["verify.copied_span", "no settings"]),
        ({3: {}}, ["verify.3", "unknown verifier"]),
        (["json_schema"], ["verify", "must map"]),
    ],
)
def test_a_wrong_block_is_refused_with_its_field_and_mend(spec: Any, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        resolve(spec, tmp_path)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_messages_start_where_the_caller_says() -> None:
    with pytest.raises(BadInput, match=r"^recipe.yaml: steps.0.verify.zzz: "):
        resolve({"zzz": {}}, Path(), where="recipe.yaml: steps.0.verify")


def test_a_schema_that_is_not_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text('{"type": }')
    with pytest.raises(BadInput, match="is not JSON"):
        resolve({"json_schema": "order.json"}, tmp_path)


@pytest.mark.parametrize("name", ["../secret.json", "link.json", "linked/secret.json", "/etc/hostname"])
def test_files_outside_the_recipes_folder_are_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "recipe"
    folder.mkdir()
    (tmp_path / "secret.json").write_text("{}")
    (folder / "link.json").symlink_to("../secret.json")
    (folder / "linked").symlink_to(tmp_path)
    with pytest.raises(BadInput, match="outside the recipe's folder"):
        resolve({"json_schema": name}, folder)


DEEP = "[" * 100_000
WILD = [
    *(
        "",
        " ",
        "null",
        "true",
        "3",
        '"text"',
        "[]",
        "{}",
        "{",
        DEEP,
        '{"a":' * 50_000,
        "NaN",
        "Infinity",
        "\x00",
        "\ud800",
    ),
    *('{"amount": NaN}', '{"amount": 1e999}', '{"amount": ' + "9" * 5000 + "}", '{"amount": true}', '{"amount": "45"}'),
    *(
        '{"name": "\\ud800"}',
        '{"\\ud800": 1}',
        '{"name": ""}',
        '{"name": {}}',
        '{"date": 20240305}',
        '{"date": "2024-02-30"}',
    ),
    *('{"name": "Ana Sousa", "name": "Ana"}', "```json\n" + GOOD + "\n```", "Here it is: " + GOOD, GOOD + GOOD),
    *(
        "{" + ", ".join(f'"k{i}": {i}' for i in range(20_000)) + "}",
        "a" * 2_000_000,
        '{"date": "\u0662\u0660\u0662\u0664-\u0660\u0663-\u0660\u0665"}',
    ),
]


@pytest.mark.parametrize("answer", WILD, ids=range(len(WILD)))
def test_wild_answers_fail_with_a_reason_that_can_be_stored(answer: str) -> None:
    for check in checks(answer):
        assert not check.passed
        assert check.reason
        assert len(check.reason) < 300
        check.reason.encode("utf-8")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "date", "amount", "x"]), inner)
    ),
    max_leaves=12,
)


@given(answer=st.one_of(st.text(), VALUES.map(json.dumps)), seed=st.dictionaries(st.just("text"), VALUES))
def test_no_answer_and_no_seed_makes_a_verifier_raise(answer: str, seed: dict[str, Any]) -> None:
    for check in checks(answer, seed=seed):
        assert check.passed == (check.reason is None)
        (check.reason or "").encode("utf-8")


@given(st.text())
def test_an_answer_with_anything_around_it_fails(extra: str) -> None:
    passed = all(check.passed for check in checks(GOOD + extra))
    assert passed == (not extra.strip(" \t\r\n"))


def test_a_verifier_is_total_for_a_schema_that_refers_to_itself_without_end() -> None:
    (check,) = checks("{}", {"json_schema": {"$ref": "#"}})
    assert not check.passed
    assert check.reason == "nested too deeply"


def test_a_recursive_schema_judges_nested_answers() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": False}
    assert checks('{"next": {"next": {}}}', {"json_schema": tree})[0].passed
    assert not checks('{"next": {"prev": {}}}', {"json_schema": tree})[0].passed


def test_importing_verifiers_loads_nothing_heavy() -> None:
    code = "import sys, harvester.verify; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"torch", "sqlalchemy", "httpx", "openai", "pyarrow", "jsonschema", "dateutil", "pydantic"}
    assert not loaded & heavy


@pytest.mark.parametrize("answer", ["1e999", "NaN", "-Infinity", "9" * 5000, "0." + "1" * 5000])
def test_numbers_that_could_not_be_stored_fail_even_where_the_schema_takes_any_number(answer: str) -> None:
    assert checks("1e3", {"json_schema": {"type": "number"}})[0].passed
    assert not checks(answer, {"json_schema": {"type": "number"}})[0].passed


def test_a_schemas_format_is_asserted() -> None:
    day = {"json_schema": {"type": "string", "format": "date"}}
    assert checks('"2024-02-29"', day)[0].passed
    assert not checks('"2024-02-30"', day)[0].passed
