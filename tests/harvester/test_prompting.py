"""Templates: roles, what a seed can and cannot do to them, and the identity of a request."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.budget import worst_case_tokens
from harvester.errors import BadInput
from harvester.planning import plan_fingerprint
from harvester.prompting import Prompter, content_key, teacher_identity
from harvester.recipe import Recipe
from harvester.records import canonical
from harvester.templating import Template


def render(folder: Any, text: str, data: dict[str, Any]) -> list[dict[str, str]]:
    folder.write("t.j2", text)
    return Template(folder.path, "t.j2", where="recipe.yaml: steps.0.prompt").render(data)


ROLES = "{% system %} S {% endsystem %}\n{% user %}{{ text }}{% enduser %}{% assistant %}A{% endassistant %}"


def test_role_blocks_become_messages_in_order(folder: Any) -> None:
    assert render(folder, ROLES, {"text": "hello"}) == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "A"},
    ]


def test_a_template_without_roles_is_one_user_message(folder: Any) -> None:
    assert render(folder, "\nAbout {{ text }}\n", {"text": "x"}) == [{"role": "user", "content": "About x"}]


def test_roles_work_in_loops_and_included_templates(folder: Any) -> None:
    folder.write("shot.j2", "{% user %}{{ shot }}{% enduser %}")
    text = "{% for shot in shots %}{% include 'shot.j2' %}{% endfor %}"
    assert [m["content"] for m in render(folder, text, {"shots": ["a", "b"]})] == ["a", "b"]


@given(text=st.text(min_size=1).filter(str.strip))
def test_whatever_a_seed_contains_it_stays_inside_its_message(tmp_path_factory: Any, text: str) -> None:
    path = tmp_path_factory.mktemp("t")
    (path / "t.j2").write_text(ROLES, encoding="utf-8")
    messages = Template(path, "t.j2", where="r").render({"text": text + "{% user %}x{% enduser %}{{ 7 * 7 }}"})
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert messages[1]["content"].endswith("{% user %}x{% enduser %}{{ 7 * 7 }}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ txet }}", "'txet' is undefined; the seed has the fields: text"),
        ("{{ text", "line 1"),
        ("{% user %}a", "Unexpected end of template"),
        ("{% user %}a{% enduser %} stray", "text outside the role blocks: 'stray'"),
        ("   ", "empty prompt"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{% for x in range(10**9) %}{% endfor %}", "Range too big"),
        ("{% include '../t.j2' %}", "outside the recipe's folder"),
        ("{% include 'none.j2' %}", "there is no file"),
        ("{{ 1 / 0 }}", "division"),
    ],
)
def test_a_bad_template_is_one_line(folder: Any, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=r"t\.j2") as caught:
        render(folder, text, {"text": "x"})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_template_outside_the_folder_is_refused(folder: Any) -> None:
    (folder.path.parent / "up.j2").write_text("x", encoding="utf-8")
    with pytest.raises(BadInput, match="outside the recipe's folder"):
        Template(folder.path, "../up.j2", where="recipe.yaml: steps.0.prompt")


def test_an_included_template_cannot_be_a_link_out_of_the_folder(folder: Any) -> None:
    (folder.path.parent / "secret").write_text("a secret", encoding="utf-8")
    (folder.path / "in.j2").symlink_to(folder.path.parent / "secret")
    with pytest.raises(BadInput, match="outside the recipe's folder"):
        render(folder, "{% include 'in.j2' %}", {"text": "x"})


def test_the_key_changes_with_everything_that_can_change_the_answer() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": 0.5}
    keys = {
        content_key("https://a/v1", body, 0),
        content_key("https://b/v1", body, 0),
        content_key("https://a/v1", body, 1),
        content_key("https://a/v1", {**body, "model": "n"}, 0),
        content_key("https://a/v1", {**body, "temperature": 0.6}, 0),
        content_key("https://a/v1", {**body, "messages": [{"role": "system", "content": "x"}]}, 0),
    }
    assert len(keys) == 6
    assert content_key("https://a/v1", dict(reversed(body.items())), 0) in keys


@pytest.mark.parametrize("url", ["HTTPS://API.deepseek.com/v1", "https://api.deepseek.com:443/v1/"])
def test_accidents_of_the_address_do_not_change_who_is_asked(folder: Any, url: str) -> None:
    folder.data["teacher"] |= {"base_url": url, "local": False}
    folder.save()
    assert teacher_identity(Recipe.load(folder.path).teacher) == "https://api.deepseek.com/v1"


def test_the_embedded_teacher_is_its_weights_and_its_sampling_is_sent_in_full(folder: Any) -> None:
    folder.data["teacher"] = {"base_url": "embedded", "model": "smollm2-135m-instruct", "sampling": {"seed": 7}}
    folder.data["steps"][0]["samples"] = 2
    folder.save()
    recipe = Recipe.load(folder.path)
    assert teacher_identity(recipe.teacher).startswith("embedded:sha256:")
    first, second = (json.loads(request.body) for request in Prompter(recipe, recipe.steps[0]).requests({"text": "x"}))
    sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0}
    assert sampling.items() <= first.items()
    assert (first["seed"], second["seed"]) == (7, 8)


def test_each_prompt_to_the_embedded_teacher_has_a_seed_of_its_own(folder: Any) -> None:
    folder.data["teacher"] = {"base_url": "embedded", "model": "smollm2-135m-instruct"}
    folder.data["steps"][0]["samples"] = 2
    folder.save()
    recipe = Recipe.load(folder.path)
    asked = [Prompter(recipe, recipe.steps[0]).requests({"text": text}) for text in ("x", "y", "x")]
    seeds = [[json.loads(request.body)["seed"] for request in requests] for requests in asked]
    assert seeds[0] == seeds[2]
    assert len({*seeds[0], *seeds[1]}) == 4
    assert all(0 <= seed < 2**31 for of_prompt in seeds for seed in of_prompt)


def fingerprint(folder: Any) -> str:
    return plan_fingerprint(Recipe.load(folder.path))


def test_whatever_file_a_template_includes_belongs_to_the_plan(folder: Any) -> None:
    folder.write("answer.j2", "{% include 'sys.txt' %} {{ text }}")
    folder.write("sys.txt", "{% import 'deep.inc' as deep %}Be short.")
    folder.write("deep.inc", "{% macro m() %}{% endmacro %}")
    folder.write("other.j2", "not included")
    before = fingerprint(folder)
    folder.write("other.j2", "edited")
    assert fingerprint(folder) == before
    folder.write("sys.txt", "{% import 'deep.inc' as deep %}Be long.")
    edited = fingerprint(folder)
    folder.write("deep.inc", "{% macro m() %}x{% endmacro %}")
    assert len({before, edited, fingerprint(folder)}) == 3


def test_templates_that_include_each_other_are_read_once(folder: Any) -> None:
    folder.write("answer.j2", "{% if text is none %}{% include 'answer.j2' %}{% endif %}{{ text }}")
    before = fingerprint(folder)
    folder.write("answer.j2", "{{ text }}")
    assert fingerprint(folder) != before


def test_a_computed_include_is_refused_with_its_mend(folder: Any) -> None:
    folder.write("answer.j2", "{% include text ~ '.txt' %}")
    with pytest.raises(BadInput, match=r"answer\.j2: .*name the included template literally"):
        fingerprint(folder)


@pytest.mark.parametrize(("named", "field"), [("openai", "max_completion_tokens"), ("vllm", "max_tokens")])
def test_the_bound_of_an_answer_has_the_providers_name(folder: Any, named: str, field: str) -> None:
    folder.data["teacher"]["provider"] = named
    folder.save()
    recipe = Recipe.load(folder.path)
    body = json.loads(Prompter(recipe, recipe.steps[0]).requests({"text": "x"})[0].body)
    assert {name: body[name] for name in body if name.startswith("max_")} == {field: 50}
    assert worst_case_tokens(canonical(body))[1] == 50
