"""Recipes whose steps are Python functions: what they see, what they may return, and what a changed one asks again."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

import harvester
from harvester import Message, Options, Progress, Recipe, Seeds, Step, Teacher
from harvester.auditing import audit
from harvester.collecting import parse
from harvester.errors import BadInput, StoreUnusable
from harvester.status import status
from harvester.store import StoreReader
from harvester.tracing import trace

from provider import last_line  # isort: skip - a helper beside the tests

SEEDS = 10


def ask(row: Mapping[str, Any]) -> str:
    return f"ask {row['text']}"


@pytest.fixture
def made(folder: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recipe]:
    """Steps → a recipe that is made in Python, in the folder of the seeds."""
    monkeypatch.chdir(folder.path)

    def make(*steps: Step, **more: Any) -> Recipe:
        teacher = Teacher(**folder.data["teacher"])
        return Recipe(
            name="toy",
            teacher=teacher,
            seeds=Seeds(path="train.jsonl"),
            terms=folder.data["terms"],
            steps=steps,
            **more,
        )

    return make


def run(recipe: Recipe, **options: Any) -> Progress:
    return asyncio.run(harvester.collect(recipe, options=Options(**options)))


def asked(provider: Any) -> list[str]:
    """What the provider was asked since the last look, sorted."""
    found = sorted(str(body["messages"][-1]["content"]) for body in provider.asked)
    provider.asked.clear()
    return found


def exported(recipe: Recipe, *, unfiltered: bool = False) -> list[dict[str, Any]]:
    out = recipe.folder / "out"
    harvester.export(recipe, out, unfiltered=unfiltered)
    found = [row for path in (out / "data").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted(found, key=lambda row: str(row["seed"]))


def rows(recipe: Recipe) -> list[Any]:
    with StoreReader.open(recipe.folder / "harvest.db") as reader:
        plan = reader.current_plan("toy")
        assert plan is not None
        return list(reader.rows(plan))


def test_a_prompt_is_what_the_function_returns(made: Any, provider: Any) -> None:
    def talk(row: Mapping[str, Any]) -> list[Message]:
        return [{"role": "system", "content": "be short"}, {"role": "user", "content": row["text"]}]

    recipe = made(Step(name="answer", prompt=talk))
    assert run(recipe).accepted == SEEDS
    assert [message["role"] for message in provider.asked[0]["messages"]] == ["system", "user"]
    assert asked(provider) == [f"seed {number}" for number in range(SEEDS)]
    assert exported(recipe)[3]["messages"][1]["content"] == "seed 3"
    assert audit(recipe.folder / "harvest.db").problems == ()


def test_what_is_rendered_alike_by_template_and_function_is_one_request(made: Any, folder: Any, provider: Any) -> None:
    run(made(Step(name="answer", prompt="answer.j2")))
    asked(provider)
    run(made(Step(name="answer", prompt=lambda row: f"Say something about:\n{row['text']}")))
    assert asked(provider) == []


def test_a_later_step_sees_seed_and_steps_as_a_template_does(made: Any, provider: Any) -> None:
    seen: list[dict[str, Any]] = []

    def grade(row: dict[str, Any]) -> str:
        seen.append(row)
        return f"grade {row['steps']['draft']['json']['title']}"

    def final(row: dict[str, Any]) -> str:
        return f"final {row['steps']['grade']['score']} {row['steps']['draft']['text']}"

    provider.answer = lambda body: {
        "ask": json.dumps({"title": last_line(body)}),
        "grade": '{"reason": "fine", "score": 4}',
        "final": "done",
    }[last_line(body).split()[0]]
    steps = [
        Step(name="draft", prompt=ask),
        Step(name="grade", kind="judge", prompt=grade),
        Step(name="final", kind="revise", prompt=final),
    ]
    run(made(*steps))
    assert "final 4 " + json.dumps({"title": "ask seed 0"}) in asked(provider)
    assert set(seen[0]) == {"text", "steps"}
    assert set(seen[0]["steps"]["draft"]) == {"text", "reasoning", "json", "score", "reason"}
    assert run(made(*steps)).answered == 0
    assert asked(provider) == []


def test_a_changed_function_asks_again_only_what_it_renders_otherwise(made: Any, provider: Any) -> None:
    run(made(Step(name="answer", prompt=ask)))
    asked(provider)

    def louder(row: Mapping[str, Any]) -> str:
        return ask(row).upper() if row["text"].endswith(("3", "4")) else ask(row)

    recipe = made(Step(name="answer", prompt=louder))
    run(recipe)
    assert asked(provider) == ["ASK SEED 3", "ASK SEED 4"]
    assert len(exported(recipe)) == SEEDS
    run(made(Step(name="answer", prompt=ask)))
    assert asked(provider) == []


def test_a_function_that_changed_inside_one_recipe_is_noticed(made: Any, provider: Any) -> None:
    style = {"draft": "plain", "final": "plain"}
    recipe = made(
        Step(name="draft", prompt=lambda row: f"{style['draft']} draft {row['text']}"),
        Step(name="final", kind="revise", prompt=lambda row: f"{style['final']} final {row['text']}"),
    )
    run(recipe)
    assert len(asked(provider)) == 2 * SEEDS
    style["final"] = "new"
    run(recipe)
    assert asked(provider) == [f"new final seed {number}" for number in range(SEEDS)]
    assert [row["messages"][0]["content"] for row in exported(recipe)] == [f"new final seed {n}" for n in range(SEEDS)]


def test_a_run_that_was_limited_goes_on_and_asks_nothing_twice(made: Any, provider: Any) -> None:
    def recipe() -> Any:
        return made(
            Step(name="draft", prompt=ask, samples=2, select="first_accepted"),
            Step(name="final", kind="revise", prompt=lambda row: f"final {row['text']}"),
        )

    for _ in range(6):
        run(recipe(), limit=6)
    everything = asked(provider)
    assert len(everything) == 3 * SEEDS
    assert {everything.count(one) for one in everything} == {1, 2}  # samples ask alike
    assert run(recipe()).answered == 0


def test_what_a_function_does_to_its_row_stays_there(made: Any, provider: Any) -> None:
    def greedy(row: dict[str, Any]) -> str:
        return f"ask {row.pop('text')}"

    recipe = made(Step(name="answer", prompt=greedy, samples=2), Step(name="again", kind="revise", prompt=greedy))
    run(recipe)
    assert json.loads(exported(recipe)[0]["seed"]) == {"text": "seed 0"}


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda row: row["question"], "KeyError: 'question'; the seed has"),
        (lambda _: None, "is neither a text nor a list of messages"),
        (lambda _: "", "is empty"),
        (lambda _: [{"role": "bot", "content": "x"}], "'bot' is none of"),
        (lambda _: "\ud800", "half of a surrogate pair"),
        (lambda _: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_function_that_gives_no_prompt_is_one_line_and_nothing_is_stored(
    made: Any, provider: Any, function: Any, says: str
) -> None:
    recipe = made(Step(name="answer", prompt=function))
    for act in (run, harvester.estimate):
        with pytest.raises(BadInput) as caught:
            act(recipe)
        message = str(caught.value)
        assert message.startswith("recipe toy: steps.0.prompt: ")
        assert "<lambda>" in message
        assert says in message
        assert '"seed 0"' in message
        assert "\n" not in message
    assert asked(provider) == []
    with pytest.raises(StoreUnusable, match=r"run: collect\(recipe\)"):
        harvester.export(recipe, recipe.folder / "out")


def test_a_row_whose_next_question_fails_is_dropped_alone(made: Any, provider: Any) -> None:
    provider.answer = lambda body: "{}" if last_line(body).endswith("3") else '{"title": "x"}'
    recipe = made(
        Step(name="draft", prompt=ask),
        Step(name="final", kind="revise", prompt=lambda row: row["steps"]["draft"]["json"]["title"] + row["text"]),
    )
    run(recipe)
    assert len(asked(provider)) == 2 * SEEDS - 1
    (reason,) = {row.outcome.drop_reason for row in rows(recipe) if not row.outcome.accepted}
    assert reason == "render:final: KeyError: 'title'"


@pytest.mark.parametrize("verify", [lambda *_: True, {"length": {"max_words": 500}}])
def test_a_row_whose_judge_could_not_be_asked_is_exported_with_that_reason_by_other_rules_too(
    made: Any, provider: Any, verify: Any
) -> None:
    provider.answer = lambda body: {"g": '{"reason": "", "score": 5}'}.get(
        last_line(body)[0], "{}" if last_line(body).endswith("3") else '{"title": "x"}'
    )

    def recipe(verify: Any) -> Recipe:
        grade = Step(name="grade", kind="judge", prompt=lambda row: f"g {row['steps']['draft']['json']['title']}")
        return made(Step(name="draft", prompt=ask, verify=verify), grade)

    run(recipe(verify if callable(verify) else {}))
    found = exported(recipe(verify), unfiltered=True)
    assert [row["drop_reason"] for row in found if not row["accepted"]] == ["render:grade: KeyError: 'title'"]
    assert len(found) == SEEDS
    no = recipe(lambda *_: False)
    assert {row["drop_reason"] for row in exported(no, unfiltered=True)} == {"verify:python"}


def number_in(text: str) -> int | None:
    """As `parse`: the number, None where there is none, ValueError where there are several."""
    numbers = [int(word) for word in text.split() if word.isdigit()]
    if len(numbers) > 1:
        raise ValueError(f"{len(numbers)} numbers")
    return numbers[0] if numbers else None


def test_what_parse_reads_is_exported_and_seen_by_later_steps(made: Any, provider: Any) -> None:
    provider.answer = lambda body: f"It is {last_line(body)[-1]} ."
    recipe = made(
        Step(name="first", prompt=ask, parse=number_in),
        Step(name="last", kind="revise", prompt=lambda row: f"{row['steps']['first']['json'] + 1}", parse=number_in),
    )
    run(recipe)
    assert set(asked(provider)) >= {str(number) for number in range(1, SEEDS + 1)}
    answers = [row["messages"][-1]["content"] for row in exported(recipe)]
    assert answers == [str(number)[-1] for number in range(1, SEEDS + 1)]


def test_a_verifying_function_sees_what_was_read(made: Any, provider: Any) -> None:
    provider.answer = lambda body: f"It is {last_line(body)[-1]} ."

    def verify(answer: str, seed: Mapping[str, Any]) -> tuple[bool, str]:
        return int(answer) < 5 and answer == seed["text"][-1], "too large"

    recipe = made(Step(name="answer", prompt=ask, parse=number_in, verify=verify))
    assert run(recipe).accepted == 5
    found = exported(recipe, unfiltered=True)
    assert [row["drop_reason"] for row in found] == [None] * 5 + ["verify:python"] * 5
    (check,) = found[-1]["checks"]
    assert (check["name"], check["reason"]) == ("python", "too large")
    assert json.loads(check["params"]) == {"function": f"{__name__}:{verify.__qualname__}"}


def test_a_reply_that_cannot_be_read_is_a_reason_and_harms_no_other(made: Any, provider: Any) -> None:
    replies = ["no number", "1 2", "3", "4", "5", "6", "7", "8", "9", "10"]
    provider.answer = lambda body: replies[int(last_line(body)[-1])]
    recipe = made(Step(name="answer", prompt=ask, parse=number_in))
    assert run(recipe).accepted == SEEDS - 2
    dropped = [row for row in exported(recipe, unfiltered=True) if not row["accepted"]]
    assert {row["drop_reason"] for row in dropped} == {"parse"}
    assert [row["checks"][0]["reason"] for row in dropped] == ["finds no answer", "2 numbers"]
    assert [row["messages"][-1]["content"] for row in dropped] == replies[:2]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda text: json.loads(text)["gone"], "KeyError: 'gone'"),
        (lambda _: object(), "returns neither text nor JSON: TypeError"),
        (lambda _: float("nan"), "returns neither text nor JSON"),
        (lambda _: "\ud800", "returns half of a surrogate pair"),
        (lambda _: " ", "returns an empty text"),
    ],
)
def test_whatever_parse_does_is_a_reason(made: Any, provider: Any, function: Any, says: str) -> None:
    provider.answer = lambda _: "{}"
    recipe = made(Step(name="answer", prompt=ask, parse=function))
    assert run(recipe).accepted == 0
    assert says in exported(recipe, unfiltered=True)[0]["checks"][0]["reason"]


class Speechless(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("error", [SystemExit("no"), asyncio.CancelledError(), GeneratorExit(), Speechless()])
@pytest.mark.parametrize("field", ["verify", "parse"])
def test_nothing_that_a_function_raises_ends_a_run_or_costs_twice(
    made: Any, provider: Any, error: BaseException, field: str
) -> None:
    provider.answer = last_line

    def raising(answer: str, _seed: Any = None) -> Any:
        if "seed 3" in answer:
            raise error
        return answer if field == "parse" else True

    recipe = made(Step(name="answer", prompt=ask, **{field: raising}))
    found = run(recipe)
    assert (found.answered, found.accepted) == (SEEDS, SEEDS - 1)
    assert len(asked(provider)) == SEEDS
    (dropped,) = (row.outcome for row in rows(recipe) if not row.outcome.accepted)
    assert type(error).__name__ in exported(recipe, unfiltered=True)[3]["checks"][0]["reason"]
    assert dropped.drop_reason == {"verify": "verify:python", "parse": "parse"}[field]


def test_a_prompt_that_ends_the_program_drops_its_row(made: Any, provider: Any) -> None:
    steps = (Step(name="draft", prompt=ask), Step(name="final", kind="revise", prompt=lambda _: sys.exit("no")))
    recipe = made(*steps)
    assert run(recipe).answered == SEEDS
    assert {row.outcome.drop_reason for row in rows(recipe)} == {"render:final: SystemExit: no"}


def test_log_probabilities_of_other_words_are_left_out(made: Any, provider: Any, folder: Any) -> None:
    folder.data["teacher"]["sampling"]["logprobs"] = 1
    token = {"token": "7", "bytes": [55], "logprob": -0.1, "top_logprobs": []}
    message = {"role": "assistant", "content": "7"}
    reply = {"choices": [{"message": message, "finish_reason": "stop", "logprobs": {"content": [token]}}]}
    provider.script = lambda *_: (200, {}, json.dumps(reply).encode())
    recipe = made(Step(name="answer", prompt=ask, parse=str.strip))
    run(recipe)
    assert exported(recipe)[0]["logprobs"]
    recipe = made(Step(name="answer", prompt=ask, parse=lambda text: text + "!"))
    assert exported(recipe)[0]["logprobs"] is None
    assert exported(recipe)[0]["messages"][-1]["content"] == "7!"


def test_a_changed_parse_or_verify_judges_anew_and_asks_for_what_follows(made: Any, provider: Any) -> None:
    provider.answer = lambda body: last_line(body)[-1]

    def recipe(most: int) -> Any:
        return made(
            Step(name="draft", prompt=ask, verify=lambda answer, _: int(answer) < most),
            Step(name="final", kind="revise", prompt=lambda row: f"final {row['text']}"),
        )

    run(recipe(3))
    assert len(asked(provider)) == SEEDS + 3
    run(recipe(5))
    assert asked(provider) == ["final seed 3", "final seed 4"]
    run(recipe(2))
    assert asked(provider) == []
    assert len(exported(recipe(2))) == 2
    assert status(recipe(2))["splits"]["train"]["rows"] == SEEDS + 2


def test_accept_counts_by_the_functions_of_now(made: Any, provider: Any) -> None:
    run(made(Step(name="answer", prompt=ask)))
    recipe = made(Step(name="answer", prompt=ask, verify=lambda *_: False))
    assert run(recipe, accept=5).accepted_rows == 0
    assert parse(recipe) == SEEDS


def test_an_estimate_shows_prompts_and_stands_in_for_what_no_function_can_foresee(made: Any, provider: Any) -> None:
    def final(row: Mapping[str, Any]) -> str:
        return f"final {row['steps']['draft']['text']}"

    def number(row: Mapping[str, Any]) -> str:
        return str(int(row["steps"]["final"]["text"]))

    found = harvester.estimate(
        made(
            Step(name="draft", prompt=ask),
            Step(name="final", kind="revise", prompt=final),
            Step(name="number", kind="revise", prompt=number),
        )
    )
    prompts = [step.prompts[0][0]["content"] for step in found.steps]
    unknown = f"what {__name__}:{number.__qualname__} makes of answers"
    assert prompts == ["ask seed 0", "final \u2039draft.text\u203a", f"\u2039{unknown}\u203a"]
    assert asked(provider) == []


def test_a_secret_in_a_function_is_found_before_it_is_sent(made: Any) -> None:
    def leaky(row: Mapping[str, Any]) -> str:
        return f"hf_{'a1' * 17} {row['text']}"

    found = harvester.estimate(made(Step(name="answer", prompt=leaky))).secrets
    assert {one.kind for one in found} == {"Hugging Face token"}


def test_the_store_keeps_what_can_be_written_of_the_recipe(made: Any) -> None:
    recipe = made(Step(name="answer", prompt=ask, parse=partial(number_in)))
    run(recipe)
    found = trace(recipe.folder / "harvest.db", rows(recipe)[0].row_id)["recipe_text"]
    assert f"prompt: function {__name__}:ask\n" in found
    assert "#     return f\"ask {row['text']}\"" in found
    assert "parse: function functools:partial\n" in found


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("parse", "my_file.py", "steps.0.parse: is a Python function, which no file can hold"),
        ("parse", "function mine:read", "steps.0.parse: is a Python function, which no file can hold"),
        ("prompt", "function mine:ask", "steps.0.prompt: function mine:ask: no file can hold a Python function"),
        ("prompt", 3, "steps.0.prompt: input should be a valid string"),
    ],
)
def test_a_file_that_names_a_function_is_refused_with_the_mend(folder: Any, field: str, value: Any, says: str) -> None:
    folder.data["steps"][0][field] = value
    folder.save()
    with pytest.raises(BadInput) as caught:
        Recipe.load(folder.path)
    assert says in str(caught.value)


def test_an_async_function_is_refused(made: Any) -> None:
    async def later(row: Mapping[str, Any]) -> str:
        return ask(row)

    with pytest.raises(ValidationError, match="is async; give a plain function"):
        Step(name="answer", prompt=later)  # type: ignore[arg-type] # mypy sees it, too


def test_a_plan_that_functions_render_keeps_its_rows_once(made: Any, provider: Any) -> None:
    for _ in range(3):
        run(made(Step(name="answer", prompt=ask), Step(name="more", kind="revise", prompt=ask)))
    assert len(asked(provider)) == SEEDS
    with closing(sqlite3.connect("harvest.db")) as store:
        assert store.execute("SELECT count(*), count(DISTINCT plan_id) FROM rows").fetchone() == (2 * SEEDS, 1)
