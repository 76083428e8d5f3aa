"""Bad recipes: one line that names the file, the field and the mend."""

from typing import Any

import pytest

from harvester.errors import BadInput
from harvester.recipe import Recipe


def problem(folder: Any) -> str:
    folder.save()
    with pytest.raises(BadInput) as caught:
        Recipe.load(folder.path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder.path / "recipe.yaml") in message
    return message


@pytest.mark.parametrize(
    ("field", "value", "mend"),
    [
        ("rpn", 5, "did you mean limits.requests_per_minute?"),
        ("rpm", 5, "did you mean limits.requests_per_minute?"),
        ("modle", "x", "did you mean model?"),
        ("mod", "batch", "did you mean mode?"),
        ("auto_hours", 4, "did you mean batch.auto_hours?"),
        ("temprature", 1, "did you mean sampling.temperature?"),
        ("zzzzzz", 1, "remove it"),
        ("api_key", "sk-secret", "variable's name into api_key_env"),
    ],
)
def test_an_unknown_field_is_refused_with_its_mend(folder: Any, field: str, value: Any, mend: str) -> None:
    folder.data["teacher"][field] = value
    message = problem(folder)
    assert f"teacher.{field}" in message
    assert mend in message
    assert "sk-secret" not in message


@pytest.mark.parametrize(("field", "value"), [("mode", "batch"), ("price", {"input": 1, "output": 2}), ("limits", {})])
def test_a_teachers_field_at_the_top_is_shown_its_place(folder: Any, field: str, value: Any) -> None:
    folder.data[field] = value
    assert f"{field}: unknown field; did you mean teacher.{field}?" in problem(folder)


def test_a_key_where_a_variables_name_belongs_is_not_printed(folder: Any) -> None:
    folder.data["teacher"]["api_key_env"] = "sk-abcdef"
    message = problem(folder)
    assert "ends in _API_KEY or _TOKEN" in message
    assert "sk-abcdef" not in message


@pytest.mark.parametrize(
    ("url", "mend"),
    [
        ("http://api.example.com/v1", "must be https"),
        ("https://user:secret@api.example.com/v1", "name a variable in api_key_env"),
        ("https://api.example.com/v1?key=secret", "keys belong in api_key_env"),
        ("ftp://api.example.com", "not a URL"),
        ("https://api.example.com:99999/v1", "not a URL"),
        ("nonsense", "not a URL"),
    ],
)
def test_an_address_that_would_leak_the_key_is_refused(folder: Any, url: str, mend: str) -> None:
    folder.data["teacher"] |= {"base_url": url, "local": False}
    message = problem(folder)
    assert mend in message
    assert "secret" not in message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.1.2.3", "[::1]", "192.168.0.9", "vllm"])
def test_private_addresses_need_to_be_declared_local(folder: Any, host: str) -> None:
    folder.data["teacher"] |= {"base_url": f"http://{host}:8000/v1", "local": False}
    assert "needs local: true" in problem(folder)
    folder.data["teacher"]["local"] = True
    folder.save()
    assert Recipe.load(folder.path).teacher.host


def test_local_does_not_open_the_door_to_the_open_net(folder: Any) -> None:
    folder.data["teacher"] |= {"base_url": "http://api.example.com/v1", "local": True}
    assert "must be https" in problem(folder)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("teacher", "limits"), {"requests_per_minute": -1}, "teacher.limits.requests_per_minute"),
        (("teacher", "price"), {"input": float("nan"), "output": 1}, "teacher.price.input"),
        (("teacher", "sampling"), {"temperature": "warm"}, "teacher.sampling.temperature"),
        (("steps",), [], "steps"),
        (("steps",), [{"name": "a", "prompt": "a.j2", "samples": 0}], "steps.0.samples"),
        (("steps",), [{"name": "a", "prompt": "a.j2", "verify": {"json_shema": {}}}], "steps.0.verify.json_shema"),
        (("name",), "../up", "name"),
        (("terms",), {"judge": {"license": "MIT"}}, "terms.judge"),
    ],
)
def test_a_wrong_value_names_its_field(folder: Any, path: tuple[str, ...], value: Any, field: str) -> None:
    where = folder.data
    for part in path[:-1]:
        where = where[part]
    where[path[-1]] = value
    assert f": {field}" in problem(folder)


def test_a_budget_without_a_price_or_a_bound_is_refused(folder: Any) -> None:
    folder.data["budget"] = {"usd": 1}
    folder.data["teacher"]["sampling"] = {}
    assert "needs teacher.sampling.max_tokens" in problem(folder)


@pytest.mark.parametrize("text", ["- a list", "a: [", "\x00", "just words"])
def test_something_that_is_no_recipe_is_said_so(folder: Any, text: str) -> None:
    folder.write("recipe.yaml", text)
    with pytest.raises(BadInput, match=r"recipe\.yaml: (not YAML|a recipe is a mapping)"):
        Recipe.load(folder.path)


def test_a_missing_recipe_says_how_to_make_one(tmp_path: Any) -> None:
    with pytest.raises(BadInput, match="harvester init"):
        Recipe.load(tmp_path / "nowhere")


@pytest.mark.parametrize(("named", "says"), [("fireworks", "at most 5 logprobs"), ("mistral", "no logprobs")])
def test_more_logprobs_than_a_provider_gives_are_refused(folder: Any, named: str, says: str) -> None:
    folder.data["teacher"]["provider"] = named
    folder.data["teacher"]["sampling"]["logprobs"] = 6
    folder.save()
    with pytest.raises(BadInput, match=f"sampling.logprobs: {named} gives {says}"):
        Recipe.load(folder.path)
