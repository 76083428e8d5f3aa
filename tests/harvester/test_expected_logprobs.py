"""What `check` says of logprobs: what they take in the store, and what keeps them from their best use."""

import asyncio
import json
import sqlite3
from typing import Any

import pytest

from harvester.cli import check_texts
from harvester.collecting import collect
from harvester.estimating import estimate
from harvester.expected_logprobs import LISTED_BYTES, SAMPLED_BYTES
from harvester.recipe import Recipe
from harvester.teachers import weights

PLAIN = {"temperature": 1, "top_p": 1, "top_k": 0, "min_p": 0, "max_tokens": 100, "logprobs": 20}
C_INSTEAD = "training on soft labels takes --loss bucket"


def warned(folder: Any, **sampling: Any) -> list[str]:
    """The warnings on the folder's recipe with this sampling over `PLAIN`; None leaves a field out."""
    whole = {**PLAIN, **sampling}
    folder.data["teacher"]["sampling"] = {name: value for name, value in whole.items() if value is not None}
    folder.save()
    return list(estimate(Recipe.load(folder.path)).warnings)


# --- size


def test_check_tells_what_they_take(folder: Any, harvester: Any) -> None:
    assert warned(folder) == []
    per_answer = 100 * (SAMPLED_BYTES + 20 * LISTED_BYTES)
    code, out, _ = harvester("check", folder.path, "--json")
    assert code == 0
    size = json.loads(out)["steps"][0]["logprobs"]
    assert size == {
        "step": "answer",
        "listed": 20,
        "tokens": 100,
        "mb_per_1000": per_answer * 1000 / 1e6,
        "mb": [pytest.approx(per_answer * 10 / 10 / 1e6), per_answer * 10 / 1e6],
    }
    line = next(line for line in harvester("check", folder.path)[1].splitlines() if line.startswith("logprobs"))
    per_1000 = f"{per_answer / 1000:.1f} MB"
    assert line == (
        f"logprobs: 20: about {per_1000} in the store per 1,000 answers of 100 tokens;"
        f" for this recipe {per_answer / 1e3:.0f} kB to {per_answer / 1e2:.0f} kB"
    )


def test_without_them_nothing_is_said(folder: Any, harvester: Any) -> None:
    assert warned(folder, logprobs=None, temperature=0.7) == []
    assert "logprobs" not in harvester("check", folder.path)[1]


def test_without_a_bound_nothing_is_said_of_the_whole(folder: Any, harvester: Any) -> None:
    warned(folder, max_tokens=None)
    out = harvester("check", folder.path)[1]
    assert "per 1,000 answers of 1,000 tokens\n" in out


def test_gigabytes_are_told_as_such() -> None:
    size = {"step": "a", "listed": 20, "tokens": 4000, "mb_per_1000": 2016.0, "mb": (3.0, 40_000.0)}
    said = check_texts._logprobs_size(size, several=True)
    assert said.endswith(
        "of a: about 2.0 GB in the store per 1,000 answers of 4,000 tokens; for this recipe 3.0 MB to 40.0 GB"
    )


def test_an_answer_larger_than_a_reply_may_be_is_warned_of(folder: Any) -> None:
    (warning,) = warned(folder, max_tokens=64_000)
    assert "max_tokens: 64000 may come with more than the 64 MiB" in warning
    most = int(warning.split("state at most ")[1].split(",")[0])
    assert warned(folder, max_tokens=most) == []


@pytest.mark.slow
def test_what_check_tells_is_near_what_the_embedded_teacher_takes(folder: Any) -> None:
    pytest.importorskip("xllamacpp")
    stored = {}
    for number in (None, 20):
        sampling = {"temperature": 1, "max_tokens": 32, "logprobs": number}
        folder.data["teacher"] = {"base_url": "embedded", "model": weights.MODEL_NAME, "sampling": sampling}
        folder.data["terms"] = {}
        folder.save()
        asyncio.run(collect(Recipe.load(folder.path)))
        with sqlite3.connect(folder.path / "harvest.db") as connection:
            stored[number] = connection.execute("SELECT sum(length(raw)) FROM replies").fetchone()[0]
    per_token = (stored[20] - 2 * stored[None]) / (10 * 32)  # the store has both
    assert per_token == pytest.approx(SAMPLED_BYTES + 20 * LISTED_BYTES, rel=0.25)


# --- use


def test_a_sample_of_what_the_teacher_says_needs_no_word(folder: Any) -> None:
    assert warned(folder) == []
    assert warned(folder, presence_penalty=0, frequency_penalty=0, repeat_penalty=1) == []


@pytest.mark.parametrize(
    ("sampling", "says"),
    [
        ({"temperature": 0.7}, "logprobs: its sampling does not state temperature: 1: "),
        ({"top_p": None}, "does not state top_p: 1: "),
        ({"top_k": None, "min_p": None}, "does not state top_k: 0, min_p: 0: "),
        ({"top_k": 40}, "does not state top_k: 0: "),
        ({"min_p": 0.05}, "does not state min_p: 0: "),
        ({"repeat_penalty": 1.1, "presence_penalty": 0.5}, "its sampling has presence_penalty, repeat_penalty: "),
        ({"seed": 5}, "its sampling states a seed, so that all prompts are answered by one and the same chance: "),
        ({"temperature": 0, "frequency_penalty": 1}, "state temperature: 1; its sampling has frequency_penalty: "),
    ],
)
def test_other_sampling_is_warned_of_in_one_line(folder: Any, harvester: Any, sampling: Any, says: str) -> None:
    (warning,) = warned(folder, **sampling)
    assert says + C_INSTEAD in warning
    code, out, _ = harvester("check", folder.path)
    assert code == 0
    assert f"WARNING: {warning}" in out.splitlines()


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"verify": {"length": {"max_words": 9}}}, "logprobs: verify picks among its answers: "),
        ({"output": {"json_schema": {"type": "object"}}}, "output picks among its answers: "),
        ({"samples": 2, "select": "majority"}, "select: majority picks among its answers: "),
        ({"samples": 2, "verify": {"length": {"max_words": 9}}}, "verify, select: first_accepted pick among"),
        ({"samples": 2, "select": "all"}, None),
    ],
)
def test_what_picks_among_answers_is_warned_of(folder: Any, step: Any, says: str | None) -> None:
    folder.data["steps"][0] |= step
    warnings = warned(folder)
    assert (says is None) == (not warnings)
    assert says is None or says in warnings[0]


def test_a_judge_picks_and_its_own_logprobs_are_good_for_nothing(folder: Any, harvester: Any) -> None:
    folder.write("grade.j2", "grade {{ steps.answer.text }}")
    folder.data["steps"].append({"name": "grade", "kind": "judge", "prompt": "grade.j2"})
    use, waste = warned(folder)
    assert use.startswith("logprobs of step answer: a judge picks among its answers: ")
    assert waste.startswith(
        "logprobs of step grade are stored and go into no dataset; state `sampling: {logprobs: null}`"
    )
    out = harvester("check", folder.path)[1]
    assert "logprobs: 20 of answer: about" in out
    assert "logprobs: 20 of grade: about" in out
    folder.data["steps"][1]["sampling"] = {"logprobs": None}
    assert warned(folder) == [use]


def test_what_an_api_does_not_take_need_not_be_stated(folder: Any) -> None:
    folder.data["teacher"] |= {"provider": "openai"}
    assert warned(folder, top_k=None, min_p=None) == []


def test_the_embedded_teacher_is_always_sent_everything(folder: Any) -> None:
    folder.data["teacher"] = {"base_url": "embedded", "model": weights.MODEL_NAME}
    folder.data["terms"] = {}
    assert warned(folder, temperature=None, top_p=None, top_k=None, min_p=None) == []
    assert C_INSTEAD in warned(folder, temperature=0.5)[0]
