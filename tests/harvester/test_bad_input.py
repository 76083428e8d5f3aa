"""Inputs nobody writes on purpose: each is one line on stderr and its exit code, never a traceback."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from harvester import cli
from harvester.errors import StoppedEarly
from harvester.running import Progress
from harvester.starting import recipes

LONG = "x" * 300


@pytest.fixture
def harvester(capsys: Any, monkeypatch: Any) -> Any:
    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harvester", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return code, *capsys.readouterr()

    return run


def refused(result: tuple[int, str, str], says: str, code: int = 2) -> None:
    got, _, errors = result
    assert (got, errors.count("\n")) == (code, 1), errors
    assert says in errors


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


@pytest.mark.parametrize("many", [False, True])
def test_a_verifiers_source_that_no_seed_has_is_found_before_paying(harvester: Any, folder: Any, many: bool) -> None:
    settings = {"field": "name", "source": "txet"}
    folder.data["steps"][0]["verify"] = {
        "json_schema": {"source": "a word of its own"}, "copied_span": [settings] if many else settings
    }  # fmt: skip
    folder.save()
    refused(harvester("check", folder.path), "steps.0.verify.copied_span.source: the first seed of train has no text")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("collect", "RECIPE", "--budget", "1e999999"), "--budget"),
        (("collect", "RECIPE", "--store", ""), "--store"),
        (("collect", "RECIPE", "--store", "/"), "--store"),
        (("collect", "RECIPE", "--store", "."), "--store"),
        (("collect", "RECIPE", "--store", LONG), "--store"),
        (("verify", "."), "store"),
        (("verify", LONG), "store"),
        (("check", LONG), "File name too long"),
        (("init", LONG), "File name too long"),
        (("export", "RECIPE", LONG), "File name too long"),
        (("trace", "1f", "--recipe", LONG), "File name too long"),
        (("nonsense",), "(see `harvester --help`)"),
        (("collect",), "(see `harvester collect --help`)"),
        (("collect", "RECIPE", "--nope"), "No such option"),
    ],
)
def test_a_command_line(harvester: Any, folder: Any, arguments: tuple[str, ...], says: str) -> None:
    refused(harvester(*(folder.path if one == "RECIPE" else one for one in arguments)), says)


@pytest.mark.parametrize("error", [KeyboardInterrupt, click.Abort])
def test_ctrl_c_says_how_to_go_on(harvester: Any, folder: Any, monkeypatch: Any, error: type[BaseException]) -> None:
    def interrupted(*_: Any) -> None:
        raise error

    monkeypatch.setattr("harvester.status.status", interrupted)
    refused(harvester("status", folder.path), "interrupted; run the same command again to go on", code=3)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_run_that_stops_early_still_says_how_far_it_came(
    harvester: Any, folder: Any, monkeypatch: Any, as_json: bool
) -> None:
    progress = Progress("toy", to_ask=10, answered=4, maybe_asked_again=3)

    async def stopped(*_: Any) -> None:
        error = StoppedEarly("the budget is used up")
        error.progress = progress  # type: ignore[attr-defined]
        raise error

    monkeypatch.setattr("harvester.collecting.collect", stopped)
    code, out, errors = harvester("collect", folder.path, *(["--json"] if as_json else []))
    assert code == 3
    assert "at most 3 requests were sent twice" in errors
    assert "the budget is used up" in errors
    assert (json.loads(out) == dataclasses.asdict(progress)) if as_json else not out


def test_init_copies_nothing_that_work_in_the_recipes_folder_left(
    harvester: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    source = tmp_path / "source"
    for name in (
        "recipe.yaml", "parts/shot.j2", "harvest.db", "harvest.db-wal", "harvest.db.lock", ".hidden", ".git/config",
        "__pycache__/x.pyc", "dataset/harvester.json", "dataset/train.parquet", "student/run.json",
    ):  # fmt: skip
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("x", encoding="utf-8")
    monkeypatch.setattr("harvester.starting.recipes", lambda: {"mine": source})
    code, _, errors = harvester("init", tmp_path / "copy", "--recipe", "mine")
    assert code == 0, errors
    files = {str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert files == {"recipe.yaml", "parts/shot.j2"}


def test_recipes_do_not_tell_to_collect_in_their_own_folder() -> None:
    for folder in recipes().values():
        assert "collect prompts/" not in (folder / "README.md").read_text(encoding="utf-8")
