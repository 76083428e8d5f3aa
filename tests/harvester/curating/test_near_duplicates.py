"""near_duplicates: what is similar, what is not, and which row stays."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.curating.base import Example
from harvester.curating.near_duplicates import NearDuplicates
from harvester.recipe import curation

sys.path.insert(0, str(Path(__file__).parent))
from corpora import Rereadable, edited, ids, jaccard, left, prose, row, run  # isort: skip - a helper beside the tests

NEAR = NearDuplicates(curation.NearDuplicates())
ANSWERS = NearDuplicates(curation.NearDuplicates(prompts=None))
PROMPTS = NearDuplicates(curation.NearDuplicates(answers=None))

INSTRUCTION = prose("instruction", 300)


def planted(changes: int, words: int = 200) -> list[Example]:
    """Two rows with answers of which one is the other with some words replaced."""
    text = prose("answer", words)
    return [row(1, "one", text), row(2, "two", edited(text, changes))]


@pytest.mark.parametrize("changes", range(1, 9))
def test_the_similarity_told_is_the_exact_one_and_the_threshold_decides(changes: int) -> None:
    rows = planted(changes)
    similarity = jaccard(rows[0].answer, rows[1].answer)
    expected = {"r2": {"of": "r1", "similarity": round(similarity, 3), "part": "answer"}} if similarity >= 0.8 else {}
    assert run(NEAR, rows) == expected


def test_all_planted_pairs_around_the_threshold_are_found_and_no_others() -> None:
    rows, wanted = [], {}
    for number in range(0, 600, 2):
        text = prose(number, 20 + 7 * number % 280)
        copy = edited(text, number // 2 % 9, number)
        rows += [row(number, "p", text), row(number + 1, "q", copy)]
        if (similarity := jaccard(text, copy)) >= 0.8:
            wanted[f"r{number + 1}"] = {"of": f"r{number}", "similarity": round(similarity, 3), "part": "answer"}
    assert 60 < len(wanted) < 240
    assert run(NEAR, rows) == wanted


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        ("今天天气很好。我们一起去公园散步。然后在湖边的小店里吃了午饭。下午才慢慢走回家。",
         "今天天气很好,我们一起去公园散步,然后在湖边的小店里吃了午饭,下午才慢慢走回家了!"),
        ("เมื่อวานนี้ฉันไปตลาดกับแม่เพื่อซื้อผลไม้และผักสดสำหรับทำอาหารเย็นให้ครอบครัวของเรา",
         "เมื่อวานนี้ฉันไปตลาดกับแม่เพื่อซื้อผลไม้และผักสดสำหรับทำอาหารเย็นให้ครอบครัวของเราค่ะ"),
        (f"{prose('ru', 30)} мама мыла раму", f"{prose('ru', 30)} {'мама мыла раму'.upper()}!"),
        (" ".join(f"کتاب{n} را" for n in range(20)), " ".join(f"کتاب{n} را" for n in range(20)) + " خواندم"),
    ],
)  # fmt: skip
def test_every_script_is_compared(text: str, copy: str) -> None:
    assert list(run(NEAR, [row(1, "p", text), row(2, "q", copy)])) == ["r2"]


@pytest.mark.parametrize("text", ["refund", prose(1, 19), "好的" * 8, '{"label": "refund"}'])
def test_fewer_than_twenty_words_are_compared_with_nothing(text: str) -> None:
    assert run(NEAR, [row(1, text, text), row(2, text, text)]) == {}


def test_twenty_words_are_compared() -> None:
    assert list(run(ANSWERS, [row(1, "p", prose(1, 20)), row(2, "q", prose(1, 20))])) == ["r2"]


def test_the_best_scored_row_stays() -> None:
    text = prose(1, 100)
    rows = [row(1, "p", text), row(2, "q", text, score=2.0), row(3, "r", text, score=4.0), row(4, "s", text, score=4.0)]
    assert {name: detail["of"] for name, detail in run(NEAR, rows).items()} == dict.fromkeys(("r1", "r2", "r4"), "r3")


def test_of_a_chain_only_what_is_like_a_row_that_stays_is_dropped() -> None:
    first = prose(1, 200)
    rows = [row(number, f"p{number}", edited(first, 3 * number, "same")) for number in range(3)]
    words = rows[1].answer.split()
    rows[2] = row(2, "p2", " ".join([*words[:100], *edited(" ".join(words[100:]), 2, 2).split()]))
    assert jaccard(rows[0].answer, rows[1].answer) >= 0.8
    assert jaccard(rows[1].answer, rows[2].answer) >= 0.8
    assert jaccard(rows[0].answer, rows[2].answer) < 0.8
    assert list(run(NEAR, rows)) == ["r1"]


def test_each_part_has_its_threshold_or_is_not_compared() -> None:
    text = prose(1, 100)
    alike = [row(1, text, prose(2, 50)), row(2, text, prose(3, 50))]
    assert run(NEAR, alike) == {"r2": {"of": "r1", "similarity": 1.0, "part": "prompt"}}
    assert run(ANSWERS, alike) == {}
    assert run(NearDuplicates(curation.NearDuplicates(prompts=None, answers=None)), alike) == {}


def test_samples_of_one_seed_are_no_duplicates_by_their_prompt_but_by_their_answers() -> None:
    prompt, answer = prose("p", 60), prose("a", 60)
    rows = [row(1, prompt, answer, seed_id="s"), row(2, prompt, answer, seed_id="s"), row(3, prompt, "no", seed_id="s")]
    assert run(NEAR, rows) == {"r2": {"of": "r1", "similarity": 1.0, "part": "answer"}}


def of_seed(number: int, template: str, **seed: object) -> Example:
    prompt = template.format(**seed)
    return row(number, prompt, f"answer {number}", seed=seed)


def test_a_long_instruction_makes_no_two_prompts_alike() -> None:
    template = INSTRUCTION + "\n\n{text}"
    apart = [of_seed(number, template, text=prose(number, 25), channel="mail") for number in range(3)]
    assert jaccard(apart[0].prompt, apart[1].prompt) > 0.8
    assert run(PROMPTS, apart) == {}
    alike = [of_seed(1, template, text=prose(1, 60)), of_seed(2, template, text=edited(prose(1, 60), 1))]
    assert list(run(PROMPTS, alike)) == ["r2"]


def test_short_values_in_a_long_template_are_told_apart() -> None:
    numbers = [of_seed(n, INSTRUCTION + " Make {target} of {numbers}.", target=40 + n, numbers=[n, 7]) for n in (1, 2)]
    assert run(PROMPTS, numbers) == {}
    names = [of_seed(1, INSTRUCTION + " {word}", word="house"), of_seed(2, INSTRUCTION + " {word}", word="mouse")]
    assert run(PROMPTS, names) == {}


def test_questions_about_one_passage_are_no_duplicates() -> None:
    passage = prose("passage", 300)
    rows = [
        of_seed(n, "{text}\n\nQuestion: {question}", text=passage, question=f"What of {prose(n, 4)}?") for n in (1, 2)
    ]
    assert jaccard(rows[0].prompt, rows[1].prompt) > 0.8
    assert run(PROMPTS, rows) == {}


def test_a_prompt_that_a_step_wrote_is_compared_as_a_whole() -> None:
    rows = [row(1, prose(1, 60), seed={"topic": "birds"}), row(2, edited(prose(1, 60), 1), seed={"topic": "fish"})]
    assert list(run(PROMPTS, rows)) == ["r2"]


def test_names_of_fields_make_no_two_json_answers_alike() -> None:
    def form(value: str) -> str:
        return "{" + ", ".join(f'"field_{n}": null' for n in range(60)) + f', "name": "{value}"}}'

    assert run(ANSWERS, [row(1, "p", form("Ada")), row(2, "q", form("Alan"))]) == {}
    summaries = [row(n, f"p{n}", f'{{"summary": "{prose(1, 40)}", "field_{n}": "short"}}') for n in (1, 2)]
    assert list(run(ANSWERS, summaries)) == ["r2"]
    broken = [row(n, f"p{n}", "{" + prose(1, 40)) for n in (1, 2)]
    assert list(run(ANSWERS, broken)) == ["r2"]


@pytest.mark.parametrize(
    ("one", "other", "drops"),
    [
        ({"rating": 5}, {"rating": 1}, []),
        ({"paid": True}, {"paid": False}, []),
        ({"paid": None}, {"paid": False}, []),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}, []),
        ({"items": [{"n": 1}, {"n": 2}]}, {"items": [{"n": 1}, {"n": 3}]}, []),
        ({"a": 1, "b": 2.0}, {"b": 2, "a": 1}, ["r2"]),
    ],
)
def test_json_answers_are_alike_only_where_their_numbers_and_truth_values_are(
    one: dict[str, Any], other: dict[str, Any], drops: list[str]
) -> None:
    rows = [row(n, f"p{n}", json.dumps({"said": prose(1, 40)} | rest)) for n, rest in enumerate((one, other), start=1)]
    assert list(run(ANSWERS, rows)) == drops


def test_a_dev_row_is_compared_with_those_of_train() -> None:
    assert list(run(ANSWERS, [row(1, "p", prose(1, 40)), row(2, "q", prose(1, 40), split="dev")])) == ["r2"]


def test_no_rows() -> None:
    assert NEAR.drops([]) == {}


def test_texts_are_read_once_for_each_part_and_once_more_for_names() -> None:
    rows = Rereadable(planted(1))
    assert NEAR.drops(rows)
    assert rows.readings == 3


# Few texts, few edits: clusters, chains and ties by the dozen.
BASES = [prose(number, 60) for number in range(3)]
variants = st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 1)).map(
    lambda made: edited(BASES[made[0]], made[1], made[2])
)
rows_of = st.lists(
    st.tuples(variants | st.just("short"), variants | st.just("short"), st.sampled_from([None, 1.0, 2.0]),
              st.integers(0, 4)), max_size=12,
).map(lambda made: [row(n, prompt, answer, score=score, seed_id=f"s{seed}", split="dev" if n % 3 else "train")
                    for n, (prompt, answer, score, seed) in enumerate(made)])  # fmt: skip


def alike(one: Example, other: Example) -> bool:
    of_prompts = one.seed_id != other.seed_id and jaccard(one.prompt, other.prompt) >= 0.8
    return of_prompts or jaccard(one.answer, other.answer) >= 0.8


@settings(deadline=None)  # the machine may be busy
@given(rows_of)
def test_what_stays_is_what_going_through_the_rows_by_score_leaves(rows: list[Example]) -> None:
    expected: list[Example] = []
    for one in sorted(rows, key=lambda one: -(one.score or float("-inf"))):
        if not any(alike(one, other) for other in expected):
            expected.append(one)
    assert sorted(ids(left(NEAR, rows))) == sorted(ids(expected))


@settings(deadline=None)  # the machine may be busy
@given(rows_of)
def test_every_dropped_row_is_like_a_better_one_that_stays_and_a_second_run_drops_nothing(rows: list[Example]) -> None:
    by_name = {one.row_id: one for one in rows}
    kept = left(NEAR, rows)
    dropped = run(NEAR, rows)
    for name, detail in dropped.items():
        one, other = by_name[name], by_name[detail["of"]]
        assert other in kept
        texts = (one.prompt, other.prompt) if detail["part"] == "prompt" else (one.answer, other.answer)
        assert detail["similarity"] == round(jaccard(*texts), 3) >= 0.8
        assert (other.score or float("-inf")) >= (one.score or float("-inf"))
    assert run(NEAR, kept) == {}
    assert len(kept) + len(dropped) == len(rows)


@settings(deadline=None)  # the machine may be busy
@given(rows_of, st.randoms(use_true_random=False))
def test_the_order_of_rows_decides_only_between_equal_scores(rows: list[Example], chance: random.Random) -> None:
    scored = [row(n, one.prompt, one.answer, score=float(n), seed_id=one.seed_id) for n, one in enumerate(rows)]
    shuffled = list(scored)
    chance.shuffle(shuffled)
    assert run(NEAR, scored) == run(NEAR, shuffled)
