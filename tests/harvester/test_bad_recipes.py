"""Recipes, templates and seeds nobody writes on purpose: each is one line on stderr and exit code 2."""

import json
from pathlib import Path
from typing import Any

import pytest
from refusing import refused

LONG = "x" * 300

RECIPE = """
name: toy
teacher: {base_url: "https://api.example.com/v1", model: toy-1, sampling: {max_tokens: 5}}
seeds: {path: train.jsonl}
steps: [{name: answer, prompt: answer.j2, verify: {VERIFY}}]
terms: {teacher: {license: MIT}}
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("max_tokens: 5", "max_tokns: 5", "teacher.sampling.max_tokns: unknown field; did you mean max_tokens?"),
        ("max_tokens: 5", "max_tokens: five", "teacher.sampling.max_tokens: input should be a valid integer"),
        ("model: toy-1", "model: toy-1, api_key: sk-1", "teacher.api_key: a key in a recipe is refused"),
        ("model: toy-1", "model: toy-1, api_key_env: sk-1", "teacher.api_key_env: names an environment variable"),
        ("model: toy-1", "model: toy-1, limits: {concurrency: 0}", "teacher.limits.concurrency"),
        ("model: toy-1", "model: toy-1, limits: {concurrency: 1.5}", "teacher.limits.concurrency"),
        ("model: toy-1", "model: toy-1, price: {input: .nan, output: 1}", "teacher.price.input"),
        ("name: toy", "name: toy\nbudget: {usd: -1}", "budget.usd: input should be greater than or equal to 0"),
        ("name: toy", "name: 7", "name: input should be a valid string, not 7; put quotation marks around it"),
        ("name: toy", "name: yes", "name: input should be a valid string, not True; put quotation marks around it"),
        ("prompt: answer.j2", "prompt: answer.j2, samples: yes", "steps.0.samples: is a number; yes, no, on and off"),
        ("max_tokens: 5", "temperature: on", "teacher.sampling.temperature: is a number; yes, no, on and off"),
        ("max_tokens: 5", "logprobs: true", "teacher.sampling.logprobs: is how many tokens are listed at each place"),
        ("max_tokens: 5", "top_logprobs: 5", "teacher.sampling.top_logprobs: unknown field; did you mean logprobs?"),
        ("model: toy-1", "model: toy-1, price: {input: no, output: 1}", "teacher.price.input: is a number; yes"),
        ("{path: train.jsonl}", "{path: train.jsonl, limit: yes}", "seeds.limit: is a number; yes, no, on and off"),
        ("steps:", "step:", "recipe.yaml: step: unknown field; did you mean steps?\n"),
        ("base_url", "baseurl", "recipe.yaml: teacher.baseurl: unknown field; did you mean base_url?\n"),
        ("base_url", "address", "recipe.yaml: teacher.address: unknown field; teacher.base_url is missing\n"),
        ("model:", "model_name:", "recipe.yaml: teacher.model_name: unknown field; did you mean model?\n"),
        ("prompt:", "template:", "recipe.yaml: steps.0.template: unknown field; did you mean prompt?\n"),
        ("VERIFY", "labels: {labels: [a, b]}", "labels.labels: unknown field; of is missing: list the labels"),
        ("name: toy", "name: toy\ncurate: {secret: drop}", "curate.secret: unknown field; did you mean secrets?"),
        ("name: toy", "name: toy\ncurate: {api_key: sk}", "curate.api_key: a key in a recipe is refused"),
        ("name: toy", "name: toy\nteachers: {b: {base_url: x, modle: y}}", "teachers.b.modle: unknown field; did you"),
        ("prompt: answer.j2", "prompt: answer.j2, of: b", "recipe.yaml: steps.0.of: b is no earlier step"),
        ("api.example.com", "user:word@api.example.com", "a user or password in the URL is refused"),
        ("/v1", "/v1?api_key=sk-1", "parameters in the URL are refused"),
        ("train.jsonl", ".", "seeds.path: there is no file"),
        ("train.jsonl", "/etc/hostname", "seeds.path: /etc/hostname is outside the recipe's folder"),
        ("{path: train.jsonl}", "train.jsonl", "seeds: is a mapping with path, license, columns, limit"),
        ("{max_tokens: 5}", "[5]", "teacher.sampling: is a mapping with temperature,"),
        ("max_tokens: 5", "stop: end", "teacher.sampling.stop: is a list, not 'end'"),
        ("terms: {teacher: {license: MIT}}", "terms: MIT", "terms: is a mapping"),
        ("verify: {VERIFY}}]", "}, {name: b, prompt: b.j2}]", "steps.1.prompt: there is no file"),
        ("VERIFY", "json_shema: {}", "unknown verifier; did you mean json_schema?"),
        ("max_tokens: 5", "max_tokens: 5, repeat_penalty: .inf", "teacher.sampling.repeat_penalty"),
        ("max_tokens: 5", "max_tokens: 5, top_p: .nan", "teacher.sampling.top_p"),
        ("max_tokens: 5", 'max_tokens: 5, stop: ["\\ud800"]', "teacher.sampling.stop.0: holds half of a surrogate"),
        ("max_tokens: 5", f"max_tokens: {10**400}", "teacher.sampling.max_tokens: the number is too large"),
        ("model: toy-1", f"model: toy-1, limits: {{requests_per_minute: {10**400}}}", "limits.requests_per_minute"),
        ("model: toy-1", f"model: toy-1, limits: {{requests_per_minute: {10**12}}}", "limits.requests_per_minute"),
        ("model: toy-1", "model: toy-1, price: {input: 1e10, output: 1}", "teacher.price.input"),
        ("model: toy-1", "model: toy-1, price: {input: 1e999999, output: 1}", "teacher.price.input"),
        ("model: toy-1", "model: 2024-13-45", "not YAML: a value does not fit its type"),
        ("model: toy-1", "model: toy-1, model: toy-2", "line 3: the key 'model' is given twice"),
        ("model: toy-1", "model: toy-1, 1: 2", "teacher: the key 1 is not text; quote it"),
        ("name: toy", 'name: "\\ud800"', "name: holds half of a surrogate pair"),
        ("name: toy", 'name: toy\n"\\udfff": 1', "recipe: a key holds half of a surrogate pair"),
        ("name: toy", "name: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("name: toy", "name: &a [*a]", "nested too deeply"),
        ("name: toy", "name: !!int x", "not YAML: a value does not fit its type"),
        ("api.example.com", "api.exa mple.com", "spaces, control and non-ASCII"),
        ("api.example.com", "api.exa\\tmple.com", "spaces, control and non-ASCII"),
        ("api.example.com", "api.example.com\\n", "spaces, control and non-ASCII"),
        ("api.example.com", "\uff41pi.example.com", "spaces, control and non-ASCII"),
        ("api.example.com", "a..b", "neither a host name nor an address"),
        ("api.example.com", "a" * 64 + ".com", "neither a host name nor an address"),
        ("api.example.com", "10.0.1", "neither a host name nor an address"),
        ("VERIFY", "json_schema: {const: 2024-01-01}", "steps.0.verify.json_schema: not JSON"),
        ("VERIFY", "json_schema: {minimum: .nan}", "steps.0.verify.json_schema: not JSON"),
        ("VERIFY", "json_schema: {properties: {1: {}, a: {}}}", "the key 1 is not text; quote it"),
        ("VERIFY", "json_schema: " + "{not: " * 200 + "{}" + "}" * 200, "steps.0.verify: nested too deeply"),
        ("VERIFY", "json_schema: nan.json", "steps.0.verify.json_schema: not JSON"),
        ("https://api.example.com/v1", "embedded", "teacher.model: the embedded teacher is"),
        ("license: MIT", "license: ' '", "terms.teacher.license"),
        ("license: MIT", "basis: ' ', accepted_by: A", "terms.teacher.basis"),
        ("license: MIT", "basis: a contract, accepted_by: ' '", "terms.teacher.accepted_by"),
        ("prompt: answer.j2", 'prompt: ""', "steps.0.prompt: there is no file"),
        ("prompt: answer.j2", 'prompt: "a\\0b"', "steps.0.prompt: 'a\\x00b' is not a usable path"),
        ("prompt: answer.j2", f"prompt: {LONG}", "steps.0.prompt"),
    ],
)
def test_a_recipe(harvester: Any, folder: Any, old: str, new: str, says: str) -> None:
    folder.write("nan.json", '{"minimum": NaN}')
    text = RECIPE.replace(old, new).replace("VERIFY", "")
    folder.write("recipe.yaml", text)
    refused(harvester("check", folder.path), says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "a recipe is a mapping with name, teacher, seeds and steps"),
        (b"\xff\xfen\x00", "recipe.yaml: not UTF-8 text"),
        (b"name: a\x00b", "not YAML: unacceptable character"),
        (b"name: [", "not YAML: line 1"),
        (None, "recipe.yaml: no such recipe; `harvester init NAME` makes one"),
    ],
)
def test_a_recipes_file(harvester: Any, folder: Any, text: bytes | None, says: str) -> None:
    (folder.path / "recipe.yaml").unlink()
    if text is not None:
        (folder.path / "recipe.yaml").write_bytes(text)
    for command in ("check", "collect", "status", "parse"):
        refused(harvester(command, folder.path), says)


def test_byte_order_marks_and_line_ends_of_windows_are_read_over(harvester: Any, folder: Any) -> None:
    folder.write("answer.j2", "{% user %}{{ text }}{% enduser %}")
    for name in ("recipe.yaml", "answer.j2", "train.jsonl"):
        path = folder.path / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    code, out, errors = harvester("check", folder.path, "--json")
    assert code == 0, errors
    assert json.loads(out)["prompts"][0] == [{"role": "user", "content": "seed 0"}]


def test_files_that_are_links_out_of_the_folder(harvester: Any, folder: Any, tmp_path: Path) -> None:
    for name, field in (("answer.j2", "steps.0.prompt"), ("train.jsonl", "seeds.path")):
        own = folder.path / name
        own.rename(tmp_path / name)
        own.symlink_to(tmp_path / name)
        refused(harvester("check", folder.path), f"{field}: {name} is outside the recipe's folder")
        own.unlink()
        (tmp_path / name).rename(own)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "train.jsonl: has no seeds; write one JSON object per line"),
        (b"\n \n", "train.jsonl: has no seeds"),
        (b'{"text": "a"}\n{"text":\n', "train.jsonl: line 2: not JSON"),
        (b"[1]\n", "train.jsonl: line 1: a seed is a JSON object"),
        (b'{"text": "\xff"}\n', "train.jsonl: not UTF-8 text"),
    ],
)
def test_a_seed_file(harvester: Any, folder: Any, text: bytes, says: str) -> None:
    (folder.path / "train.jsonl").write_bytes(text)
    refused(harvester("check", folder.path), says)


def test_a_key_in_a_place_of_its_own_is_not_repeated(harvester: Any, folder: Any) -> None:
    for teacher in ([{"api_key": "sk-secret"}], {"base_url": "embedded", "model": "m", "api_key_env": ["sk-secret"]}):
        folder.data["teacher"] = teacher
        folder.save()
        result = harvester("check", folder.path)
        refused(result, "recipe.yaml: teacher")
        assert "secret" not in result[2]


def test_aliases_of_aliases(harvester: Any, folder: Any) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    folder.write("recipe.yaml", "\n".join(lines))
    refused(harvester("check", folder.path), "more than 100000 values")


def test_the_embedded_teacher_with_too_many_slots(harvester: Any, folder: Any) -> None:
    folder.data["teacher"] = {
        "base_url": "embedded", "model": "smollm2-135m-instruct", "limits": {"concurrency": 65}
    }  # fmt: skip
    folder.save()
    refused(harvester("check", folder.path), "teacher.limits: the embedded teacher takes a concurrency of at most 64")


@pytest.mark.parametrize("prompt", ["", ".", "none.j2", "/etc/hostname", LONG])
@pytest.mark.parametrize("command", ["check", "collect"])
def test_a_prompt_that_is_no_file_of_the_folder(harvester: Any, folder: Any, command: str, prompt: str) -> None:
    folder.data["steps"][0]["prompt"] = prompt
    folder.save()
    refused(harvester(command, folder.path), "steps.0.prompt")


def test_a_seed_with_a_number_beyond_range(harvester: Any, folder: Any) -> None:
    folder.write("train.jsonl", '{"text": 1e999}\n')
    refused(harvester("check", folder.path), "line 1: not JSON: 1e999 is beyond the range")


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ text ", "answer.j2: line 1: unexpected end of template"),
        ("a\nb\n{% if %}", "answer.j2: line 3"),
        ("{{ txet }}", "'txet' is undefined; the seed has the fields: text"),
        ('{{ "\\ud800" }}', "renders half of a surrogate pair"),
        ("{{ 1|dictsort }}", "answer.j2: "),
        ("{{ 1|xmlattr }}", "answer.j2: "),
        ('{{ "a"*10**12 }}', "the result of * is too large"),
        ("{{ 10**(10**10) }}", "the result of ** is too large"),
        ('{{ "%9999999999999d"|format(1) }}', "answer.j2: "),
        ("{{ " + "(" * 5000 + ")" * 5000 + " }}", "answer.j2: "),
        ("{% for x in y %}" * 30 + "{% endfor %}" * 30, "cannot be compiled"),
        ("{% include text %}", "name the included template literally"),
    ],
)
def test_a_template(harvester: Any, folder: Any, template: str, says: str) -> None:
    folder.write("answer.j2", template)
    refused(harvester("check", folder.path), says)


def test_a_students_template_that_fails_for_one_seed_is_found_before_paying(harvester: Any, folder: Any) -> None:
    folder.write("student.j2", "{{ note }}")
    folder.write("train.jsonl", '{"text": "a", "note": "b"}\n{"text": "a"}\n')
    folder.data["student"] = {"prompt": "student.j2"}
    folder.save()
    refused(harvester("check", folder.path), "'note' is undefined")


def test_a_students_template_with_a_misspelt_field_is_refused_before_the_first_request(
    harvester: Any, folder: Any, provider: Any
) -> None:
    folder.write("student.j2", "{{ txet }}")
    folder.data["student"] = {"prompt": "student.j2"}
    folder.save()
    for command in ("check", "collect"):
        refused(harvester(command, folder.path), "student.j2: 'txet' is undefined; the seed has the fields: text")
    assert not provider.asked


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ txet }}", "student.j2: 'txet' is undefined"),
        ("{{ text }} {{ steps.darft.text }}", "has no attribute 'darft'"),
        ("{{ text }} {{ steps.draft.txet }}", "has no attribute 'txet'"),
        ("{{ text }} {{ steps.draft-1.text }}", "student.j2: 'dict object' has no attribute 'draft'; write steps[\""),
        ("{{ text }} {{ steps['draft-1'].text[:9].strip() }} {{ steps.second.json.a[:2].strip() }}", None),
    ],
)
def test_a_students_template_of_several_steps(harvester: Any, folder: Any, template: str, says: str | None) -> None:
    name = "draft-1" if "draft-1" in template else "draft"
    folder.write("student.j2", template)
    folder.data |= {
        "student": {"prompt": "student.j2"},
        "steps": [{"name": name, "prompt": "answer.j2"}, {"name": "second", "kind": "revise", "prompt": "answer.j2"}],
    }
    folder.save()
    if says:
        refused(harvester("check", folder.path), says)
    else:
        assert harvester("check", folder.path)[0] == 0


def test_a_steps_name_with_a_hyphen_is_written_in_brackets(harvester: Any, folder: Any) -> None:
    folder.write("second.j2", "{{ text }} {{ steps.first-label.text }}")
    folder.data["steps"] = [{"name": "first-label", "prompt": "answer.j2"}, {"name": "second", "prompt": "second.j2"}]
    folder.save()
    refused(harvester("check", folder.path), 'write steps["first-label"] for steps.first-label')
    folder.write("second.j2", '{{ text }} {{ steps["first-label"].text }}')
    assert harvester("check", folder.path)[0] == 0


@pytest.mark.parametrize("command", ["check", "collect"])
def test_a_seed_that_lacks_a_templates_field_is_located(harvester: Any, folder: Any, command: str) -> None:
    folder.write("mails.csv", "mail,channel\nhello,web\n")
    folder.write("faq.md", "# Questions\n\nNone.\n")
    folder.write("answer.j2", "{{ mail }}")
    folder.data["seeds"] = {"path": ["mails.csv", "faq.md"]}
    folder.save()
    refused(harvester(command, folder.path), f"(in {folder.path / 'faq.md'}: chunk 1)")
    folder.write("a.jsonl", '{"mail": "x"}\n\n{"channel": "y"}\n')
    folder.data |= {"seeds": {"path": "mails.csv"}, "heldout": {"path": "a.jsonl"}}
    folder.save()
    refused(harvester(command, folder.path), f"the seed has the fields: channel (in {folder.path / 'a.jsonl'}: line 3)")


def test_check_warns_of_seeds_that_are_trained_on_and_measured_with(harvester: Any, folder: Any) -> None:
    folder.write("train.jsonl", '{"text": "a"}\n{"text": "a"}\n{"text": "b", "reference": 1}\n{"text": "c"}\n')
    folder.write("held.jsonl", '{"text": "a"}\n{"text": "b", "reference": 2}\n{"text": "d"}\n{"text": "a"}\n')
    folder.seeds("dev.jsonl", ["e"])
    folder.data |= {"heldout": {"path": "held.jsonl"}, "dev": {"path": "dev.jsonl"}}
    folder.save()
    code, out, errors = harvester("check", folder.path, "--json")
    assert code == 0, errors
    (warning,) = json.loads(out)["warnings"]
    assert warning.startswith("heldout: 3 of 4 seeds are also in seeds; they would be trained on")
    assert f"WARNING: {warning}\n" in harvester("check", folder.path)[1]
    folder.seeds("dev.jsonl", ["c"])
    assert "dev: 1 of 1 seeds are also in seeds" in harvester("check", folder.path)[1]
    folder.seeds("train.jsonl", ["x"])
    assert json.loads(harvester("check", folder.path, "--json")[1])["warnings"] == []


@pytest.mark.parametrize("curate", [{"balance": {"field": "lable"}}, {"per_source": {"field": "lable", "most": 2}}])
def test_a_field_that_curation_counts_by_and_no_seed_has_is_found_before_paying(
    harvester: Any, folder: Any, curate: dict[str, Any]
) -> None:
    folder.data["curate"] = curate
    folder.save()
    says = f"curate.{next(iter(curate))}.field: no seed has the field 'lable'; they have: text"
    refused(harvester("check", folder.path), says)
    folder.write("train.jsonl", '{"text": "a"}\n{"text": "a", "lable": "b"}\n')
    assert harvester("check", folder.path)[0] == 0


def test_balance_by_the_answer_needs_no_field(harvester: Any, folder: Any) -> None:
    folder.data["curate"] = {"balance": {"field": "answer"}}
    folder.save()
    assert harvester("check", folder.path)[0] == 0


@pytest.mark.parametrize("many", [False, True])
def test_a_verifiers_source_that_no_seed_has_is_found_before_paying(harvester: Any, folder: Any, many: bool) -> None:
    settings = {"field": "name", "source": "txet"}
    folder.data["steps"][0]["verify"] = {
        "json_schema": {"source": "a word of its own"}, "copied_span": [settings] if many else settings
    }  # fmt: skip
    folder.save()
    where = f"copied_span{'.0' if many else ''}.source"
    refused(harvester("check", folder.path), f"steps.0.verify.{where}: the first seed of train has no text")
