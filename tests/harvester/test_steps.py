"""Recipes of several steps, over HTTP: what follows from what, what is selected, what a kill or an edit asks again."""

import asyncio
import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from harvester import catching_up
from harvester.auditing import audit
from harvester.collecting import Options, Progress, collect, parse
from harvester.errors import StoppedEarly, StoreUnusable, TeacherUnusable
from harvester.exporting import export
from harvester.flowing import Flow
from harvester.judging import Rules
from harvester.recipe import Recipe
from harvester.status import status
from harvester.store import StoreReader

from provider import Provider, last_line, serving  # isort: skip - helpers beside the tests

SEEDS = 10


def run(folder: Any, **options: Any) -> Progress:
    return asyncio.run(collect(Recipe.load(folder.path), None, Options(**options)))


def rows(folder: Any, step: str) -> list[Any]:
    with StoreReader.open(folder.path / "harvest.db") as reader:
        plan = reader.current_plan("toy")
        assert plan is not None
        return [row for row in reader.rows(plan) if row.step == step]


def exported(folder: Any) -> list[dict[str, Any]]:
    export(Recipe.load(folder.path), folder.path / "out")
    found = [row for path in (folder.path / "out/data").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted(found, key=lambda row: str(row["seed"]))


def step_of(body: dict[str, Any]) -> str:
    """Every template of these tests begins with its step's name."""
    return str(body["messages"][0]["content"]).split(maxsplit=1)[0]


def asked(provider: Any) -> Counter[str]:
    return Counter(map(step_of, provider.asked))


def by_step(**answers: Callable[[dict[str, Any]], str]) -> Callable[[dict[str, Any]], str]:
    return lambda body: answers[step_of(body)](body)


@pytest.fixture
def three(folder: Any, provider: Any) -> Any:
    """draft → grade (a judge) → final."""
    folder.write("draft.j2", "draft {{ text }}")
    folder.write("grade.j2", "grade {{ text }}\n{{ steps.draft.text }}")
    folder.write("final.j2", "final {{ text }} after {{ steps.draft.text }} with {{ steps.grade.score }}")
    folder.data["steps"] = [
        {"name": "draft", "prompt": "draft.j2"},
        {"name": "grade", "kind": "judge", "prompt": "grade.j2"},
        {"name": "final", "kind": "revise", "prompt": "final.j2"},
    ]
    folder.save()
    provider.answer = by_step(
        draft=lambda body: "about " + last_line(body),
        grade=lambda _: '{"reason": "fine", "score": 4}',
        final=lambda body: "revised " + last_line(body),
    )
    return folder


def test_rows_go_through_every_step_and_come_out_as_the_last_answers(three: Any, provider: Any) -> None:
    progress = run(three)
    assert asked(provider) == {"draft": SEEDS, "grade": SEEDS, "final": SEEDS}
    assert (progress.answered, progress.to_ask, progress.accepted) == (3 * SEEDS, 3 * SEEDS, SEEDS)
    found = exported(three)
    assert [row["step"] for row in found] == ["final"] * SEEDS
    assert found[0]["messages"][-1]["content"] == (
        "revised final seed 0 after about draft seed 0 with 4"  # what each template saw of the others
    )
    assert run(three).answered == 0


def test_no_step_waits_for_the_step_before_it(three: Any, provider: Any) -> None:
    three.data["teacher"]["limits"] = {"concurrency": 1}
    three.save()
    provider.latency_s = 0.05  # the first answer is on disk before the last question is put
    run(three)
    order = [step_of(body) for body in provider.asked]
    assert order.index("final") < len(order) - 1 - order[::-1].index("draft")


def test_a_judges_low_score_and_its_garbage_are_reasons_and_harm_nobody_else(three: Any, provider: Any) -> None:
    said = {"0": '{"reason": "bad", "score": 1}', "1": "I like it", "2": '{"reason": "?", "score": "high"}'}
    three.data["steps"][1] |= {"min_score": 3, "output": {"json_schema": "any.json", "repair": False}}
    three.write("any.json", '{"type": ["object", "string"]}')
    three.save()
    usual = provider.answer
    provider.answer = lambda body: (
        said.get(last_line(body)[-1], usual(body)) if step_of(body) == "grade" else usual(body)
    )
    run(three)
    reasons = Counter(row.outcome.drop_reason for row in rows(three, "grade"))
    assert reasons == {None: SEEDS - 3, "low_score": 1, "output": 1, "no_score": 1}
    assert asked(provider)["final"] == len(exported(three)) == SEEDS - 3


def test_best_of_n_goes_on_and_only_it(three: Any, provider: Any) -> None:
    three.data["steps"][0]["samples"] = 3
    three.data["steps"][1]["select"] = "best_of_n"
    three.data["teacher"]["sampling"]["seed"] = 7  # so that samples differ in what is sent
    three.save()
    provider.answer = by_step(
        draft=lambda body: f"take {body['seed']} of {last_line(body)}",
        grade=lambda body: json.dumps({"reason": "", "score": {"7": 2, "8": 5, "9": 5}[last_line(body).split()[1]]}),
        final=last_line,
    )
    run(three)
    assert asked(provider) == {"draft": 3 * SEEDS, "grade": 3 * SEEDS, "final": SEEDS}
    assert {row["messages"][-1]["content"].split("take ")[1][0] for row in exported(three)} == {"8"}


def test_a_majority_is_of_equal_answers_and_ties_go_to_the_first(folder: Any, provider: Any) -> None:
    folder.write("answer.j2", "answer {{ text }}")
    folder.data["steps"] = [{"name": "answer", "prompt": "answer.j2", "samples": 5, "select": "majority"}]
    folder.data["teacher"]["sampling"]["seed"] = 0
    folder.save()
    provider.answer = lambda body: ["a", "b", "b", "c", "a "][body["seed"]]
    run(folder)
    assert {row["messages"][-1]["content"] for row in exported(folder)} == {"a"}


@pytest.mark.parametrize("more", [{}, {"output": {"json_schema": "any.json"}}, {"kind": "revise"}], ids=str)
def test_a_majority_counts_the_votes_of_answers_from_before_it_selected(folder: Any, provider: Any, more: Any) -> None:
    folder.write("any.json", '{"type": "object"}')
    folder.write("draft.j2", "draft {{ text }}")
    folder.write("final.j2", "final {{ steps.draft.text }}")
    draft = {"name": "draft", "prompt": "draft.j2", "samples": 3, **more}
    final = {"name": "final", "prompt": "final.j2"}
    folder.data["teacher"]["sampling"]["seed"] = 0
    provider.answer = by_step(draft=lambda body: f'{{"n": {min(body["seed"], 1)}}}', final=last_line)
    for select in ("first_accepted", "majority"):
        folder.data["steps"] = [{**draft, "select": select}, final]
        folder.save()
        run(folder)
    assert {row["messages"][-1]["content"] for row in exported(folder)} == {'final {"n": 1}'}


def test_a_judge_at_the_end_gives_the_score_and_drops_rows(three: Any, provider: Any) -> None:
    del three.data["steps"][2]
    three.data["steps"][1]["min_score"] = 3
    three.save()
    provider.answer = by_step(
        draft=lambda body: "about " + last_line(body),
        grade=lambda body: json.dumps({"reason": "", "score": int(last_line(body)[-1])}),
    )
    progress = run(three)
    assert progress.accepted == 7
    found = exported(three)
    assert [(row["step"], row["score"]) for row in found] == [("draft", score) for score in range(3, 10)]
    assert {len(row["terms"]) for row in found} == {1}


def test_the_best_answer_is_the_datasets_where_the_judge_comes_last(three: Any, provider: Any) -> None:
    del three.data["steps"][2]
    three.data["steps"][0]["samples"] = 4
    three.data["steps"][1]["select"] = "best_of_n"
    three.data["teacher"]["sampling"]["seed"] = 0
    three.save()
    provider.answer = by_step(
        draft=lambda body: f"take {body['seed']}",
        grade=lambda body: json.dumps({"reason": "", "score": -abs(int(last_line(body)[-1]) - 2)}),
    )
    run(three)
    assert [row["messages"][-1]["content"] for row in exported(three)] == ["take 2"] * SEEDS
    assert status(Recipe.load(three.path))["splits"]["train"]["rows"] == 8 * SEEDS


def test_an_expanding_step_makes_new_seeds(folder: Any, provider: Any) -> None:
    folder.write("think.j2", "think {{ text }}")
    folder.write("answer.j2", "answer {{ question }} about {{ text }}")
    folder.write("student.j2", "{{ question }}")
    folder.data["steps"] = [
        {"name": "think", "kind": "expand", "prompt": "think.j2"},
        {"name": "answer", "prompt": "answer.j2"},
    ]
    folder.data["student"] = {"prompt": "student.j2"}
    folder.save()
    provider.answer = by_step(
        think=lambda _: (
            '```json\n{"questions": [{"question": "why?"}, {"question": "how?"}, {"question": "why?"}]}\n```'
        ),
        answer=lambda body: "reply to " + last_line(body),
    )
    run(folder)
    assert asked(provider) == {"think": SEEDS, "answer": 2 * SEEDS}
    found = exported(folder)
    assert {row["messages"][0]["content"] for row in found} == {"why?", "how?"}
    assert json.loads(found[0]["seed"]).keys() == {"question", "text"}
    assert len({row["seed_id"] for row in found}) == 2 * SEEDS


def test_an_answer_that_does_not_fit_its_schema_is_asked_for_once_more(folder: Any, provider: Any) -> None:
    folder.write("answer.j2", "answer {{ text }}")
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    folder.data["steps"] = [{"name": "answer", "prompt": "answer.j2", "output": {"json_schema": schema}}]
    folder.data["teacher"]["provider"] = "vllm"
    folder.save()

    def answer(body: dict[str, Any]) -> str:
        number, again = int(body["messages"][0]["content"][-1]), len(body["messages"]) > 1
        return '{"n": 1}' if number > 3 or (again and number > 1) else "sorry"

    provider.answer = answer
    run(folder)
    assert len(provider.asked) == SEEDS + 4
    sent = provider.asked[0]["response_format"]["json_schema"]
    assert (sent["schema"], sent["strict"]) == (schema, False)
    mends = [body["messages"] for body in provider.asked if len(body["messages"]) > 1]
    assert {message[1]["content"] for message in mends} == {"sorry"}
    assert all("not JSON" in messages[2]["content"] for messages in mends)
    found = exported(folder)
    assert len(found) == SEEDS - 2
    assert {len(row["messages"]) for row in found} == {2}  # without what was said to get it mended
    assert run(folder).answered == 0


def test_an_edited_template_asks_again_only_what_depends_on_it(three: Any, provider: Any) -> None:
    run(three)
    provider.asked.clear()
    three.write("final.j2", "final {{ text }}, otherwise")
    run(three)
    assert asked(provider) == {"final": SEEDS}
    provider.asked.clear()
    three.write("final.j2", "final {{ text }} after {{ steps.draft.text }} with {{ steps.grade.score }}")
    run(three)
    assert asked(provider) == {}
    three.write("grade.j2", "grade {{ steps.draft.text }} {{ text }}")
    run(three)
    assert asked(provider) == {"grade": SEEDS}  # the same scores: the same last questions
    assert len(exported(three)) == SEEDS


def test_an_edited_rule_asks_for_what_it_lets_through(three: Any, provider: Any) -> None:
    three.data["steps"][1]["min_score"] = 5
    three.save()
    assert run(three).answered == 2 * SEEDS
    three.data["steps"][1]["min_score"] = 4
    three.save()
    provider.asked.clear()
    run(three)
    assert asked(provider) == {"final": SEEDS}
    three.data["steps"][1]["min_score"] = 5
    three.save()
    assert run(three).answered == 0
    assert exported(three) == []


def test_an_edited_rule_judges_the_answers_of_its_own_step_only(three: Any, provider: Any) -> None:
    judged = three.path / "judged"
    three.write("judge.py", f"def seen(answer, seed):\n    open({str(judged)!r}, 'a').write('x')\n    return True\n")
    three.data["steps"][0]["verify"] = {"python": {"function": "judge:seen"}}
    three.save()
    asyncio.run(collect(Recipe.load(three.path, trust=True)))
    assert len(judged.read_text()) == SEEDS
    three.data["steps"][1]["min_score"] = 5
    three.save()
    asyncio.run(collect(Recipe.load(three.path, trust=True)))
    assert len(judged.read_text()) == SEEDS
    assert {row.outcome.drop_reason for row in rows(three, "grade")} == {"low_score"}
    three.data["steps"][0]["verify"]["length"] = {"max_words": 1}
    three.save()
    asyncio.run(collect(Recipe.load(three.path, trust=True)))
    assert len(judged.read_text()) == 2 * SEEDS
    assert asked(provider) == {"draft": SEEDS, "grade": SEEDS, "final": SEEDS}


def test_steps_of_the_same_rules_are_told_apart(three: Any) -> None:
    short, long = {"length": {"max_words": 1}}, {"length": {"max_words": 99}}
    three.data["steps"] = [
        {"name": "one", "of": "seeds", "prompt": "draft.j2", "verify": short},
        {"name": "two", "of": "seeds", "prompt": "draft.j2", "verify": long},
    ]
    three.save()
    run(three)
    three.data["steps"][0]["verify"] = long
    three.save()
    run(three)
    assert [row.outcome.accepted for row in rows(three, "one")] == [True] * SEEDS


def test_one_added_seed_costs_one_request_a_step(three: Any, provider: Any) -> None:
    run(three)
    provider.asked.clear()
    three.seeds("train.jsonl", ["a new one", *(f"seed {number}" for number in range(SEEDS))])
    run(three)
    assert asked(provider) == {"draft": 1, "grade": 1, "final": 1}
    assert len(exported(three)) == SEEDS + 1


def test_a_row_whose_next_question_cannot_be_put_is_dropped_alone(three: Any, provider: Any) -> None:
    three.write("grade.j2", "grade {{ steps.draft.json.title }}")
    three.save()
    provider.answer = by_step(
        draft=lambda body: "{}" if last_line(body)[-1] == "3" else json.dumps({"title": last_line(body)}),
        grade=lambda _: '{"reason": "", "score": 4}',
        final=lambda _: "done",
    )
    run(three)
    assert asked(provider) == {"draft": SEEDS, "grade": SEEDS - 1, "final": SEEDS - 1}
    (dropped,) = [row.outcome.drop_reason for row in rows(three, "draft") if not row.outcome.accepted]
    assert dropped.startswith("render:grade: ")


def test_rows_that_ask_the_same_share_one_request_at_every_step(three: Any, provider: Any) -> None:
    three.seeds("train.jsonl", ["same"] * 6)
    run(three)
    assert asked(provider) == {"draft": 1, "grade": 1, "final": 1}
    assert len(exported(three)) == 6


def test_a_refused_request_of_one_row_does_not_hold_up_its_group(three: Any, provider: Any) -> None:
    three.data["steps"][0]["samples"] = 2
    three.data["steps"][1]["select"] = "best_of_n"
    three.data["teacher"]["sampling"]["seed"] = 0
    three.save()
    provider.script = lambda body, _: (
        (400, {}, b'{"error": {"message": "no"}}') if (step_of(body), body["seed"]) == ("draft", 1) else None
    )
    run(three)
    assert asked(provider) == {"draft": 2 * SEEDS, "grade": SEEDS, "final": SEEDS}
    assert len(exported(three)) == SEEDS


@pytest.mark.parametrize("last", ["refused", "rejected", "unrenderable"])
def test_a_group_is_decided_by_an_answer_that_never_comes_before_the_judge(
    three: Any, provider: Any, last: str
) -> None:
    three.seeds("train.jsonl", ["seed 0"])
    three.data["steps"][0] |= {"samples": 2, "verify": {"regex": {"pattern": "title"}}}
    three.data["steps"][1]["select"] = "best_of_n"
    three.data["teacher"]["sampling"]["seed"] = 0
    three.write("grade.j2", "grade {{ steps.draft.json.title }}")
    three.save()
    refusal = (400, {}, b'{"error": {"message": "no"}}')
    provider.script = lambda body, _: refusal if last == "refused" and body["seed"] == 1 else None
    late = {"rejected": "nothing", "unrenderable": "no title"}
    provider.answer = by_step(
        draft=lambda body: late.get(last, "") if body["seed"] else '{"title": "fine"}',
        grade=lambda _: '{"reason": "", "score": 4}',
        final=last_line,
    )
    provider.latency_s = lambda body, _: 0.4 * body["seed"]
    run(three)
    assert asked(provider) == {"draft": 2, "grade": 1, "final": 1}


@pytest.fixture
def judged_elsewhere(three: Any) -> Any:
    with serving(Provider()) as judge:
        three.data["judge"] = {
            **three.data["teacher"], "base_url": judge.url, "model": "judge-1", "price": {"input": 10, "output": 10}
        }  # fmt: skip
        three.data["teacher"]["price"] = {"input": 1, "output": 1}
        three.data["terms"]["judge"] = {"license": "MIT"}
        three.save()
        judge.answer = lambda _: '{"reason": "", "score": 4}'
        three.judge = judge
        yield three


def test_each_teacher_has_its_own_price_and_terms(judged_elsewhere: Any, provider: Any) -> None:
    progress = run(judged_elsewhere)
    assert asked(provider) == {"draft": SEEDS, "final": SEEDS}
    assert asked(judged_elsewhere.judge) == {"grade": SEEDS}
    assert {body["model"] for body in judged_elsewhere.judge.asked} == {"judge-1"}
    assert progress.spent_usd == pytest.approx(SEEDS * 15 * (2 + 10) / 1e6)
    (terms,) = {tuple(sorted(one["teacher"] for one in row["terms"])) for row in exported(judged_elsewhere)}
    assert terms == ("judge", "teacher")


def test_a_teacher_that_is_unusable_stops_alone(judged_elsewhere: Any, provider: Any) -> None:
    judged_elsewhere.judge.script = lambda *_: (401, {}, b'{"error": {"message": "no key"}}')
    with pytest.raises(TeacherUnusable, match=r"^judge: .*no key"):
        run(judged_elsewhere)
    assert asked(provider) == {"draft": SEEDS}  # all that could be asked without the judge
    judged_elsewhere.judge.script = lambda *_: None
    run(judged_elsewhere)
    assert asked(provider) == {"draft": SEEDS, "final": SEEDS}


def test_a_limit_counts_requests_of_every_step(three: Any, provider: Any) -> None:
    assert run(three, limit=7).answered == 7
    assert run(three, limit=7).answered == 7
    assert len(provider.asked) == 14
    run(three)
    assert asked(provider) == {"draft": SEEDS, "grade": SEEDS, "final": SEEDS}


def start(folder: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "harvester", "collect", str(folder.path), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("chance", range(3))
def test_killed_at_random_nothing_stored_is_asked_again(three: Any, provider: Any, chance: int) -> None:
    three.seeds("train.jsonl", [f"seed {number}" for number in range(40)])
    three.data["steps"][0]["samples"] = 2
    three.data["steps"][1]["select"] = "best_of_n"
    three.data["teacher"]["sampling"]["seed"] = 0
    three.save()
    usual = provider.answer
    provider.answer = lambda body: f"take {body['seed']}" if step_of(body) == "draft" else usual(body)
    provider.latency_s = 0.01
    whole = 2 * 40 + 2 * 40 + 40
    random.seed(chance)
    asked_before, stored, again = 0, 0, 0
    for at in sorted(random.sample(range(10, whole - 10), 3)):
        process = start(three)
        with contextlib.suppress(AssertionError):  # it may be done before
            provider.wait_until_asked(asked_before + at // 3 + 1, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        asked_before = len(provider.asked)
    process = start(three)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    again = json.loads(out)["maybe_asked_again"]
    times = Counter(json.dumps(body, sort_keys=True) for body in provider.asked)
    assert len(times) == whole
    assert sum(times.values()) - whole <= again
    with StoreReader.open(three.path / "harvest.db") as reader:
        plan = reader.current_plan("toy")
        assert plan is not None
        stored = sum(row.reply is not None for row in reader.rows(plan))
    assert stored == whole
    assert len(exported(three)) == 40
    assert run(three).answered == 0


def test_check_shows_the_steps_and_three_prompts_of_each(three: Any, harvester: Any) -> None:
    code, out, _ = harvester("check", three.path)
    assert code == 0
    assert "   └─ grade (judge): 3 to 10 requests to teacher" in out
    assert out.count("--- prompt") == 9
    assert "final seed 0 after \u2039draft.text\u203a with 0" in out
    code, out, _ = harvester("check", three.path, "--json")
    assert json.loads(out)["requests"] == 3 * SEEDS


def test_terms_of_every_teacher_that_is_asked_must_pass(judged_elsewhere: Any, harvester: Any) -> None:
    del judged_elsewhere.data["terms"]["judge"]
    judged_elsewhere.save()
    code, _, errors = harvester("collect", judged_elsewhere.path)
    assert code == 4
    assert "judge" in errors


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "draft"}, "steps.1.name: draft is the name of an earlier step"),
        ({"of": "nobody"}, "steps.1.of: nobody is no earlier step; there are: seeds, draft"),
        ({"of": "seeds"}, "steps.1.of: a judge reads an earlier step's answers"),
        ({"teacher": "alice"}, "steps.1.teacher: no teacher alice; the recipe has: teacher"),
        ({"samples": 2}, "steps.1: samples: a judge is asked once about each row"),
        ({"select": "majority"}, "steps.1: select: a judge selects by all or best_of_n"),
        ({"kind": "generate", "min_score": 2}, "steps.1: min_score: is for judges"),
        ({"kind": "generate", "select": "best_of_n"}, "steps.1: select: best_of_n needs scores"),
        ({"output": {"json_schema": "gone.json"}}, "steps.1.output.json_schema: there is no file"),
        ({"kind": "jugde"}, "steps.1.kind"),
    ],
)
def test_steps_that_do_not_fit_are_refused_in_one_line(three: Any, harvester: Any, change: Any, says: str) -> None:
    three.data["steps"][1] |= change
    three.save()
    code, _, errors = harvester("check", three.path)
    assert (code, errors.count("\n")) == (2, 1)
    assert says in errors


def test_a_recipe_of_judges_alone_is_refused(folder: Any, harvester: Any) -> None:
    folder.data["steps"] = [{"name": "think", "kind": "expand", "prompt": "answer.j2"}]
    folder.save()
    assert "none of them gives answers" in harvester("check", folder.path)[2]


@pytest.mark.parametrize("select", ["all", "first_accepted"])
def test_accept_stops_at_so_many_rows_and_goes_on_from_them(folder: Any, provider: Any, select: str) -> None:
    folder.write("answer.j2", "answer {{ text }}")
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(60)])
    folder.data["steps"] = [
        {
            "name": "answer",
            "prompt": "answer.j2",
            "samples": 2,
            "select": select,
            "verify": {"regex": {"pattern": "good"}},
        }
    ]
    folder.data["teacher"]["sampling"]["seed"] = 0
    folder.save()
    provider.latency_s = 0.02
    provider.answer = lambda body: "good" if int(last_line(body).split()[-1]) % 2 == 0 else "bad"
    assert run(folder, accept=12).accepted_rows == len(exported(folder))
    first = len(provider.asked)
    assert 12 <= len(exported(folder)) < 30
    assert first < 100
    assert run(folder, accept=12).answered == 0
    assert run(folder, accept=15).accepted_rows >= 15
    assert run(folder, accept=10_000).accepted_rows == len(exported(folder)) == (60 if select == "all" else 30)


def test_accept_counts_groups_that_a_judge_selects_from(three: Any, provider: Any) -> None:
    del three.data["steps"][2]
    three.data["steps"][0] |= {"samples": 3, "output": {"json_schema": {"type": "object"}}}
    three.data["steps"][1]["select"] = "best_of_n"
    three.data["teacher"]["sampling"]["seed"] = 0
    three.save()
    provider.answer = by_step(
        draft=lambda body: '{"again": 1}' if len(body["messages"]) > 1 else "no JSON" if body["seed"] else "{}",
        grade=lambda _: '{"reason": "", "score": 4}',
    )
    assert run(three, accept=10_000).accepted_rows == len(exported(three)) == SEEDS
    assert audit(three.path / "harvest.db").problems == ()


@pytest.mark.parametrize("judged", [False, True])
def test_accept_counts_nothing_that_was_made_from_an_answer_no_longer_taken(
    three: Any, provider: Any, judged: bool
) -> None:
    """The first or the best sample of each question is out of attempts in the first run, and comes in the second."""
    three.data["teacher"] |= {"max_attempts": 1}
    three.data["teacher"]["sampling"]["seed"] = 0
    three.data["steps"][0]["samples"] = 2
    three.data["steps"][1]["select"] = "best_of_n"
    if not judged:
        del three.data["steps"][1]
        three.write("final.j2", "final {{ steps.draft.text }}")
    three.save()
    late = [0]
    provider.script = lambda body, _: (503, {}, b"{}") if [body["seed"]] == late and step_of(body) == "draft" else None
    provider.answer = by_step(
        draft=lambda body: f"number {body['seed']}",
        grade=lambda body: json.dumps({"reason": "", "score": 5 - int(last_line(body).split()[-1])}),
        final=last_line,
    )
    run(three)
    late.clear()
    assert run(three, accept=10_000).accepted_rows == len(exported(three)) == SEEDS


def test_what_takes_long_to_check_is_not_run_again_by_an_export(folder: Any, provider: Any) -> None:
    folder.write("judge.py", "import pathlib\n\ndef count(answer, seed):\n    return 'answer' in answer, 'no'\n")
    folder.data["steps"][0]["verify"] = {"python": "judge:count"}
    folder.save()
    recipe = Recipe.load(folder.path, trust=True)
    asyncio.run(collect(recipe))
    (checks,) = {tuple(check.name for check in row.outcome.checks) for row in rows(folder, "answer")}
    assert checks == ("python",)
    export(recipe, folder.path / "out")
    first = [path.read_bytes() for path in (folder.path / "out/data").iterdir()]
    store = folder.path / "harvest.db"
    assert len(first) == 1
    with contextlib.closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE outcomes SET accepted = 0, drop_reason = 'as stored'")
    export(recipe, folder.path / "out")
    assert not list((folder.path / "out/data").iterdir())


def test_a_recipes_own_code_is_run_only_if_trusted(folder: Any, harvester: Any) -> None:
    folder.write("judge.py", "def count(answer, seed):\n    return True\n")
    folder.data["steps"][0]["verify"] = {"python": "judge:count"}
    folder.save()
    for command in ("check", "collect", "status"):
        code, _, errors = harvester(command, folder.path)
        assert code == 2
        assert "--trust-recipe" in errors
    assert harvester("collect", folder.path, "--trust-recipe")[0] == 0
    assert harvester("status", folder.path, "--trust-recipe")[0] == 0


def test_preference_pairs_are_the_best_and_the_worst_answer_to_one_question(three: Any, provider: Any) -> None:
    del three.data["steps"][2]
    three.data["steps"][0]["samples"] = 4
    three.data["steps"][1]["select"] = "best_of_n"
    three.data["teacher"]["sampling"]["seed"] = 0
    three.data["export"] = {"preference": True}
    three.save()
    scores = {"0": 2, "1": 5, "2": "none", "3": 3}
    provider.answer = by_step(
        draft=lambda body: "same" if last_line(body).endswith("seed 9") else f"take {body['seed']} {last_line(body)}",
        grade=lambda body: json.dumps({"reason": "", "score": scores.get(last_line(body).removeprefix("take ")[0], 1)}),
    )
    run(three)
    assert len(exported(three)) == SEEDS
    (path,) = (three.path / "out/preference").iterdir()
    pairs = pq.read_table(path).to_pylist()
    assert len(pairs) == SEEDS - 1  # where all samples are the same there is nothing to prefer
    for pair in pairs:
        assert pair["chosen"][0]["content"].startswith("take 1 draft seed ")
        assert pair["rejected"][0]["content"].startswith("take 0 draft seed ")
        assert (pair["score_chosen"], pair["score_rejected"], len(pair["prompt"])) == (5, 2, 1)
    loaded = datasets.load_dataset(str(three.path / "out"), "preference", split="train")
    assert loaded.num_rows == SEEDS - 1
    assert datasets.load_dataset(str(three.path / "out"), split="train").num_rows == SEEDS


def test_trace_walks_back_to_the_rows_that_a_row_was_made_from(judged_elsewhere: Any, harvester: Any) -> None:
    run(judged_elsewhere)
    row = exported(judged_elsewhere)[0]
    code, out, _ = harvester("trace", row["row_id"], "--recipe", judged_elsewhere.path, "--json")
    found = json.loads(out)
    assert code == 0
    assert [part["step"] for part in found["made_from"]] == ["draft", "grade"]
    assert [part["reply"]["teacher"]["name"] for part in found["made_from"]] == ["teacher", "judge"]
    assert found["led_to"] == []
    draft = found["made_from"][0]["row_id"]
    _, out, _ = harvester("trace", draft, "--recipe", judged_elsewhere.path)
    assert "--- led to row" in out
    assert "[user] grade seed 0" in out


def test_parsing_anew_hides_nothing_that_is_still_to_follow(three: Any, provider: Any) -> None:
    run(three)
    three.data["steps"][1]["min_score"] = 5
    three.save()
    assert run(three).answered == 0
    three.data["steps"][1]["min_score"] = 4
    three.write("final.j2", "final and new {{ text }}")
    three.save()
    provider.asked.clear()
    parse(Recipe.load(three.path))
    run(three)
    assert asked(provider) == {"final": SEEDS}


@pytest.mark.parametrize("parsed", [False, True])
def test_a_plan_that_was_not_followed_to_its_end_is_followed_by_the_next_run(
    three: Any, provider: Any, monkeypatch: Any, parsed: bool
) -> None:
    run(three)
    three.write("grade.j2", "grade anew {{ text }}")
    three.save()
    whole = Flow.pass_on

    def killed(*_: Any) -> Any:
        raise StoreUnusable("gone")

    monkeypatch.setattr(Flow, "pass_on", killed)
    provider.asked.clear()
    with pytest.raises(StoreUnusable):
        run(three)
    assert asked(provider) == {}
    monkeypatch.setattr(Flow, "pass_on", whole)
    if parsed:
        parse(Recipe.load(three.path))
    run(three)
    assert asked(provider) == {"grade": SEEDS}
    assert len(exported(three)) == SEEDS


def test_a_sandbox_that_is_gone_stops_the_run_and_loses_no_answer(folder: Any, provider: Any, monkeypatch: Any) -> None:
    folder.write("judge.py", "def fine(answer, seed):\n    return True\n")
    folder.data["steps"][0]["verify"] = {"python": "judge:fine"}
    folder.save()
    recipe = Recipe.load(folder.path, trust=True)
    whole = Rules.judge

    def gone(*_: Any) -> Any:
        raise StoppedEarly("no worker can be started")

    monkeypatch.setattr(Rules, "judge", gone)
    with pytest.raises(StoppedEarly, match="no worker"):
        asyncio.run(collect(recipe))
    monkeypatch.setattr(Rules, "judge", whole)
    answered = len(provider.answered)
    assert sum(row.reply is not None for row in rows(folder, "answer")) == answered > 0
    asyncio.run(collect(recipe))
    assert len(provider.asked) == SEEDS
    assert all(row.outcome.accepted for row in rows(folder, "answer"))


@pytest.mark.parametrize("kind", ["revise", "expand"])
def test_a_row_and_its_descendant_may_ask_the_same(folder: Any, provider: Any, kind: str) -> None:
    folder.write("same.j2", "same {{ text }}")
    folder.write("last.j2", "last {{ text }}")
    folder.data["steps"] = [
        {"name": "one", "kind": kind, "prompt": "same.j2"},
        {"name": "two", "kind": kind, "prompt": "same.j2"},
        {"name": "last", "prompt": "last.j2"},
    ]
    folder.save()
    provider.answer = lambda body: json.dumps([{"text": last_line(body).split(maxsplit=1)[1]}])
    assert asyncio.run(asyncio.wait_for(collect(Recipe.load(folder.path)), 30)).answered == 2 * SEEDS
    assert asked(provider) == {"same": SEEDS, "last": SEEDS}


def reasons(folder: Any, step: str) -> Counter[str | None]:
    return Counter(row.outcome.drop_reason for row in rows(folder, step) if row.outcome)


def demanding(folder: Any, steps: list[str], pattern: str) -> Recipe:
    """A recipe whose last step's answers must match, its other steps as they are."""
    folder.write("last.j2", "last {{ text }}")
    folder.write("draft.j2", "draft {{ text }}")
    of_steps: list[dict[str, Any]] = [{"name": name, "prompt": f"{name}.j2"} for name in steps]
    of_steps[-1] |= {"verify": {"regex": {"pattern": pattern}}}
    folder.data["steps"] = of_steps
    folder.save()
    return Recipe.load(folder.path)


@pytest.mark.parametrize("steps", [["last"], ["draft", "last"]], ids=str)
def test_a_rule_that_is_edited_back_judges_again_what_was_parsed_by_the_other(folder: Any, steps: list[str]) -> None:
    demanding(folder, steps, "seed")
    run(folder)
    parse(demanding(folder, steps, "never"))
    assert reasons(folder, "last") == {"verify:regex": SEEDS}
    recipe = demanding(folder, steps, "seed")
    assert status(recipe)["judged_by_other_rules"] == SEEDS
    run(folder)
    assert reasons(folder, "last") == {None: SEEDS}
    assert status(recipe)["judged_by_other_rules"] == 0


def test_enough_by_a_rule_that_is_edited_back_is_not_asked_for_again(folder: Any, provider: Any) -> None:
    demanding(folder, ["last"], "seed")
    run(folder, limit=5)
    parse(demanding(folder, ["last"], "never"))
    demanding(folder, ["last"], "seed")
    assert run(folder, accept=5).accepted_rows == 5
    assert len(provider.asked) == 5


@pytest.mark.parametrize("steps", [["last"], ["draft", "last"]], ids=str)
def test_a_rule_that_is_edited_back_after_it_judged_some_rows_judges_those_again(
    folder: Any, monkeypatch: Any, steps: list[str]
) -> None:
    demanding(folder, steps, "seed")
    run(folder)
    with monkeypatch.context() as patched:
        patched.setattr(catching_up, "PAGE", 4)
        pages = iter(range(1))  # of the last step: the others are not come to

        def judged(*those: Any, **more: Any) -> Any:
            if those[0] and those[0][0].step == "last" and next(pages, None) is None:
                raise StoreUnusable("gone")
            return whole(*those, **more)

        whole = catching_up._judged
        patched.setattr(catching_up, "_judged", judged)
        demanding(folder, steps, "never")
        with pytest.raises(StoreUnusable):
            run(folder)
    assert 0 < reasons(folder, "last")["verify:regex"] < SEEDS
    demanding(folder, steps, "seed")
    run(folder)
    assert reasons(folder, "last") == {None: SEEDS}


def test_what_was_parsed_is_not_looked_at_again(folder: Any) -> None:
    demanding(folder, ["last"], "seed")
    run(folder)
    recipe = demanding(folder, ["last"], "never")
    parse(recipe)
    with contextlib.closing(sqlite3.connect(folder.path / "harvest.db")) as connection:
        found = connection.execute("SELECT judged_rules FROM plans").fetchall()
    assert found == [(Rules(recipe).digests.whole,)]


def test_what_one_judge_could_not_do_is_done_later(folder: Any, provider: Any, monkeypatch: Any) -> None:
    folder.write("judge.py", "def fine(answer, seed):\n    return True\n")
    folder.data["steps"][0]["verify"] = {"python": "judge:fine"}
    folder.save()
    recipe = Recipe.load(folder.path, trust=True)
    whole, failures = Rules.judge, iter([StoppedEarly("no worker can be started")])

    def gone_once(*arguments: Any) -> Any:
        if failure := next(failures, None):
            raise failure
        return whole(*arguments)

    monkeypatch.setattr(Rules, "judge", gone_once)
    with pytest.raises(StoppedEarly, match="no worker"):
        asyncio.run(collect(recipe))
    asyncio.run(collect(recipe))
    assert len(provider.asked) == SEEDS
    assert [bool(row.outcome and row.outcome.accepted) for row in rows(folder, "answer")] == [True] * SEEDS


KILL_AT = """
import os, sys
from harvester import cli
from harvester.following import Following
from harvester.store.events import Judged, Replied
whole = Following.after
def after(self, events):
    if any(isinstance(event, {event}) for event in events):
        os._exit(9)
    return whole(self, events)
Following.after = after
cli.main()
"""


@pytest.mark.parametrize("event", ["Replied", "Judged"])
def test_killed_before_a_row_is_judged_whose_answer_is_known_it_is_judged_later(
    three: Any, provider: Any, event: str
) -> None:
    three.write("grade.j2", "grade {{ steps.draft.text }}")
    three.seeds("train.jsonl", ["seed 0"])
    three.save()
    usual = provider.answer
    provider.answer = lambda body: "dogs" if step_of(body) == "draft" else usual(body)
    run(three)
    three.seeds("train.jsonl", ["seed 0", "seed 1"])  # leads to a question that is answered already
    command = [sys.executable, "-c", KILL_AT.format(event=event), "collect", str(three.path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 9
    run(three)
    assert asked(provider) == {"draft": 2, "grade": 1, "final": 2}
    assert len(exported(three)) == 2


def test_what_cannot_be_rendered_is_left_out_by_the_export_too(three: Any, provider: Any) -> None:
    three.data["steps"] = [
        {"name": "draft", "prompt": "draft.j2", "samples": 2, "select": "first_accepted"},
        {"name": "final", "kind": "revise", "prompt": "final.j2"},
    ]
    three.data["teacher"]["sampling"]["seed"] = 0
    three.write("final.j2", "final {{ steps.draft.json.title }}")
    three.save()
    provider.answer = by_step(
        draft=lambda body: json.dumps({"title": last_line(body)} if body["seed"] else {}), final=last_line
    )
    run(three)
    assert asked(provider) == {"draft": 2 * SEEDS, "final": SEEDS}
    assert len(exported(three)) == SEEDS
    (reason,) = {row.outcome.drop_reason for row in rows(three, "draft") if not row.outcome.accepted}
    assert reason == "render:final: 'dict object' has no attribute 'title'"
    three.write("final.j2", "final {{ text }}")  # mended: the first sample goes on after all
    three.save()
    provider.asked.clear()
    run(three)
    assert asked(provider) == {"final": SEEDS}
    assert len(exported(three)) == SEEDS


def test_a_bad_item_of_a_list_harms_no_other(folder: Any, provider: Any) -> None:
    folder.write("think.j2", "think {{ text }}")
    folder.write("answer.j2", "answer {{ question }}")
    folder.data["steps"] = [
        {"name": "think", "kind": "expand", "prompt": "think.j2"},
        {"name": "answer", "prompt": "answer.j2"},
    ]
    folder.save()
    provider.answer = by_step(
        think=lambda body: json.dumps([{"question": f"{last_line(body)} {n}"} for n in "ab"] + [{"quesion": "?"}]),
        answer=last_line,
    )
    run(folder)
    assert asked(provider) == {"think": SEEDS, "answer": 2 * SEEDS}


def test_two_names_of_one_teacher_never_ask_the_same_twice(three: Any, provider: Any) -> None:
    three.data["teachers"] = {"other": three.data["teacher"]}
    three.data["terms"]["other"] = {"license": "MIT"}
    three.write("shared.j2", "shared {{ text }}")
    three.data["steps"] = [
        {"name": "draft", "prompt": "draft.j2"},
        {"name": "one", "kind": "revise", "of": "draft", "prompt": "shared.j2"},
        {"name": "two", "kind": "revise", "of": "draft", "prompt": "shared.j2", "teacher": "other"},
    ]
    three.save()
    provider.answer = by_step(draft=last_line, shared=last_line)
    provider.latency_s = 0.02
    run(three)
    assert asked(provider) == {"draft": SEEDS, "shared": SEEDS}


def test_equal_scores_go_to_the_first_sample_however_late_it_comes(three: Any, provider: Any) -> None:
    del three.data["steps"][2]
    three.seeds("train.jsonl", ["seed 0"])
    three.data["steps"][0]["samples"] = 2
    three.data["steps"][1]["select"] = "best_of_n"
    three.data["teacher"]["sampling"]["seed"] = 0
    three.save()
    provider.answer = by_step(draft=lambda body: f"take {body['seed']}", grade=lambda _: '{"reason": "", "score": 4}')
    provider.latency_s = lambda body, _: 0.3 if step_of(body) == "draft" and body["seed"] == 0 else 0.0
    run(three)
    assert [row["sample"] for row in exported(three)] == [0]


def test_a_seeds_field_called_steps_is_the_seeds_own_where_there_are_none(folder: Any, harvester: Any) -> None:
    folder.write("train.jsonl", '{"text": "a", "steps": "boil, eat"}\n')
    folder.write("student.j2", "do {{ steps }}")
    folder.data["student"] = {"prompt": "student.j2"}
    folder.save()
    run(folder)
    assert exported(folder)[0]["messages"][0]["content"] == "do boil, eat"
    folder.data["steps"].append({"name": "more", "kind": "revise", "prompt": "answer.j2"})
    folder.save()
    code, _, errors = harvester("collect", folder.path)
    assert (code, errors.count("\n")) == (2, 1)
    assert "their field 'steps'" in errors


def test_accept_is_refused_where_two_judges_judge_the_same(three: Any, harvester: Any) -> None:
    three.data["steps"] = [*three.data["steps"][:2], {**three.data["steps"][1], "name": "again", "of": "draft"}]
    three.save()
    code, _, errors = harvester("collect", three.path, "--accept", "3")
    assert (code, "grade, again judge the same answers" in errors) == (2, True)
