"""decontaminate: which rows hold a held-out text."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.curating.contamination import Contamination

sys.path.insert(0, str(Path(__file__).parent))
from corpora import prose, row  # isort: skip - a helper beside the tests

QUESTION = (
    "A farmer keeps 17 sheep in the upper field and 25 goats in the lower one; how many animals has she got in all?"
)


def of(*texts: str) -> Contamination:
    return Contamination.from_texts(("heldout.jsonl", str(number), text) for number, text in enumerate(texts, start=1))


def test_a_run_of_thirteen_words_is_told_with_its_item() -> None:
    drop = of(prose("other", 30), QUESTION).look(row(1, "Solve. " + QUESTION, "42"))
    assert drop is not None
    assert drop.reason == "contaminated"
    ngram = "a farmer keeps 17 sheep in the upper field and 25 goats in"
    assert drop.detail == {"in": "heldout.jsonl", "item": "2", "ngram": ngram, "part": "prompt"}


@pytest.mark.parametrize("part", ["prompt", "answer", "reasoning"])
def test_every_part_is_looked_through(part: str) -> None:
    drop = of(QUESTION).look(row(1, **{part: f"So: {QUESTION.upper().replace(' ', '  ')} Well."}))
    assert drop is not None
    assert drop.detail["part"] == part


def test_case_and_punctuation_make_no_difference() -> None:
    said = QUESTION.replace("sheep", "SHEEP").replace(";", " —").replace("field", "**field**")
    assert of(QUESTION).look(row(1, said)) is not None


@pytest.mark.parametrize(("shared", "drops"), [(12, False), (13, True), (14, True)])
def test_twelve_words_in_common_are_not_enough(shared: int, drops: bool) -> None:
    held_out = prose("held out", 40)
    part = " ".join(held_out.split()[10 : 10 + shared])
    assert (of(held_out).look(row(1, f"before {part} after")) is not None) == drops


@pytest.mark.parametrize("words", range(5, 13))
def test_a_shorter_text_has_to_stand_there_as_a_whole(words: int) -> None:
    held_out = prose("short", words)
    drop = of(held_out).look(row(1, "Say it.", f"Well: {held_out}!"))
    assert drop is not None
    assert drop.detail["ngram"] == held_out
    most_of_it = " ".join(held_out.split()[:-1])
    assert of(held_out).look(row(1, most_of_it, most_of_it)) is None


def test_labels_and_numbers_as_answers_are_no_copies() -> None:
    held_out = of("refund", "42", "Who wrote Hamlet?", "not a refund case")
    for answer in ("refund", "42", "not a refund case"):
        assert held_out.look(row(1, "Which label?", answer, seed={"label": answer})) is None


def test_a_text_of_fewer_than_five_words_has_to_be_the_prompt_or_the_seeds_longest_text() -> None:
    held_out = of("Who wrote Hamlet?", "drama")
    whole = held_out.look(row(1, "who wrote HAMLET"))
    assert whole is not None
    assert whole.detail == {"in": "heldout.jsonl", "item": "1", "ngram": "who wrote hamlet", "part": "prompt"}
    asked = {"seed": {"question": "Who wrote Hamlet?", "field": "drama"}}
    assert held_out.look(row(1, "Answer briefly.\nWho wrote Hamlet?", **asked)) is not None
    assert held_out.look(row(1, "Tell me who wrote Hamlet, and when.")) is None
    other = {"seed": {"question": "Who wrote Faust, and when?", "field": "drama"}}
    assert held_out.look(row(1, "Who wrote Faust, and when? (drama)", **other)) is None


def test_in_scripts_without_spaces_two_letters_are_a_word() -> None:
    text = "床前明月光疑是地上霜举头望明月低头思故乡春眠不觉晓处处闻啼鸟"
    held_out = of(text)
    assert held_out.look(row(1, "背诵:" + text[:26])) is not None
    assert held_out.look(row(1, "背诵:" + text[:25])) is None
    short = of("床前明月光疑是地上霜")
    assert short.look(row(1, "诗:床前明月光,疑是地上霜。")) is not None
    assert of("床前明月光").look(row(1, "诗:床前明月光,疑是地上霜。")) is None


def test_an_instruction_that_many_items_share_is_not_looked_for_but_their_own_texts_are() -> None:
    instruction = prose("instruction", 30)
    texts = [f"{instruction}\n{prose(number, 30)}" for number in range(20)]
    held_out = of(*texts)
    assert held_out.look(row(1, f"{instruction}\nsomething else")) is None
    assert held_out.look(row(1, f"{instruction}\n{prose(7, 30)}")) is not None


@pytest.mark.parametrize(("items", "of_all", "drops"), [(2, 2, True), (3, 3, False), (2, 99, True), (3, 99, False)])
def test_what_three_different_items_share_is_no_item_s_own(items: int, of_all: int, drops: bool) -> None:
    shared = prose("shared", 20)
    texts = [f"{shared} {prose(n, 20)}" if n < items else prose(n, 20) for n in range(of_all)]
    assert (of(*texts).look(row(1, shared)) is not None) == drops
    assert all(of(*texts).look(row(1, text)) is not None for text in texts)


def test_each_of_several_instructions_is_shared_whether_it_is_a_field_or_a_part_of_one() -> None:
    instructions = [prose(f"instruction {n}", 20) for n in range(6)]
    items = [(str(n), instructions[n % 6], prose(n, 11)) for n in range(24)]
    fields = [("a.jsonl", item, text) for item, *both in items for text in both]
    whole = [("a.jsonl", item, f"{instruction} {own}") for item, instruction, own in items]
    for texts in (fields, whole):
        held_out = Contamination.from_texts(texts)
        assert [n for n in range(24) if held_out.look(row(n, f"{instructions[n % 6]} {prose(-n - 1, 11)}"))] == []
        assert all(held_out.look(row(1, f"{instruction} {own}")) for _, instruction, own in items)


@pytest.mark.parametrize("copies", [2, 4, 9])
@pytest.mark.parametrize("form", ["{text}", "{text} Number {n}.", "{text} {more}"])
def test_an_item_of_which_a_set_holds_near_copies_is_found(copies: int, form: str) -> None:
    text = prose("copied", 60)
    near = [form.format(text=text, n=n, more=prose("more", 10 * n)) for n in range(copies)]
    held_out = of(*near, *[prose(n, 30) for n in range(50)])
    assert held_out.look(row(1, text)) is not None


def test_copies_with_names_of_their_own_are_one_thing() -> None:
    text = prose("copied", 30)
    texts = [("a.jsonl", str(n), one) for n in range(3) for one in (f"question {n}", text)]
    assert Contamination.from_texts(texts).look(row(1, text)) is not None


def test_an_instruction_of_the_rows_is_not_looked_for_though_a_small_set_has_it_once() -> None:
    instructions = [prose("instruction", 20), prose("short instruction", 6)]
    held = [("a.jsonl", str(n), text) for n in range(2) for text in (instructions[n], prose(n, 11))]
    rows = [row(n, f"{instructions[n % 2]} {prose(-n - 1, 11)}") for n in range(60)]
    copies = [row(100 + n, f"{instructions[n]} {prose(n, 11)}") for n in range(2)]
    held_out = Contamination.from_texts(held, [*rows, *copies])
    assert [one.row_id for one in [*rows, *copies] if held_out.look(one)] == ["r100", "r101"]


def test_an_item_that_a_prompt_with_many_answers_holds_is_found() -> None:
    rows = [row(n, QUESTION, prose(n, 20)) for n in range(50)]
    assert Contamination.from_texts([("a.jsonl", "1", QUESTION)], rows).look(rows[0]) is not None


@pytest.mark.parametrize("form", ["{instruction} {own}", "{own} {instruction}"])
def test_what_holds_a_shared_instruction_and_little_more_is_no_item_s_own(form: str) -> None:
    instruction, shared = prose("instruction", 30), "what is the"
    texts = [form.format(instruction=instruction, own=f"{shared} {prose(n, 20)} {shared}") for n in range(8)]
    held_out = of(*texts, *[form.format(instruction=instruction, own=prose(-n, 20)) for n in range(1, 80)])
    assert (
        held_out.look(row(1, form.format(instruction=instruction, own=f"{shared} {prose('new', 20)} {shared}"))) is None
    )
    assert held_out.look(row(1, texts[7])) is not None
    assert held_out.look(row(1, prose(7, 20))) is not None


@pytest.mark.parametrize("form", ["{instruction} {own}", "{own} {instruction}", "{instruction} {own} {instruction}"])
@pytest.mark.parametrize("own_words", [1, 2, 6, 7])
def test_an_item_of_few_words_beside_a_shared_instruction_is_found(form: str, own_words: int) -> None:
    texts = [form.format(instruction=prose("instruction", 30), own=prose(n, own_words)) for n in range(50)]
    assert all(of(*texts).look(row(1, text)) is not None for text in texts)


def test_an_item_that_says_the_same_thing_often_makes_no_boilerplate() -> None:
    text = prose("again", 20)
    held_out = Contamination.from_texts([("a.jsonl", "1", text)] * 10 + [("a.jsonl", "2", prose(2, 20))])
    assert held_out.look(row(1, text)) is not None


@pytest.mark.parametrize(("items", "drops"), [(1, True), (2, True), (3, False)])
def test_a_short_text_of_three_items_is_a_label_or_a_phrase(items: int, drops: bool) -> None:
    phrase = "Which of the following is true?"
    held_out = of(*[phrase] * items, *[prose(n, 20) for n in range(97)])
    assert (held_out.look(row(1, "Look. " + phrase)) is not None) == drops


def test_boilerplate_of_one_source_is_not_looked_for_because_of_another() -> None:
    shared = prose("shared", 20)
    held_out = Contamination.from_texts(
        [("a.jsonl", str(n), f"{shared} {prose(n, 20)}") for n in range(10)] + [("b.jsonl", "1", shared)]
    )
    assert held_out.look(row(1, shared)) is None


@pytest.mark.parametrize("texts", [[], [""], ["…", "?!"], ["same words for each of them"] * 5])
def test_nothing_to_look_for(texts: list[str]) -> None:
    assert of(*texts).look(row(1, "any prompt of some words", "", reasoning="")) is None


def test_dev_rows_are_looked_at_too() -> None:
    assert of(QUESTION).look(row(1, QUESTION, split="dev")) is not None


words_of_two = st.lists(st.sampled_from(["a", "b", "c"]), max_size=22)


@settings(deadline=None)
@given(st.lists(words_of_two, min_size=1, max_size=3), words_of_two)
def test_a_row_is_dropped_exactly_where_a_search_for_every_run_finds_one(held: list[list[str]], own: list[str]) -> None:
    texts = [" ".join(words) for words in held]
    prompt = " ".join(own)

    def stands(words: list[str]) -> bool:
        return any(own[at : at + len(words)] == words for at in range(len(own) - len(words) + 1))

    expected = False
    for words in held:
        if len(words) >= 13:
            expected |= any(stands(words[at : at + 13]) for at in range(len(words) - 12))
        elif len(words) >= 5:
            expected |= stands(words) and texts.count(" ".join(words)) < 3
        elif words:
            expected |= own == words and texts.count(" ".join(words)) < 3
    assert (of(*texts).look(row(1, prompt)) is not None) == expected
