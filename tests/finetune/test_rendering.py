import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import CHATML, make_tokenizer

from finetune.data import Row
from finetune.errors import BadInput
from finetune.rendering import IGNORED, Renderer

EOS = 1
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).filter(lambda text: "<|im_" not in text)


def of_template(template: str | None) -> Renderer:
    tokenizer = make_tokenizer(template)
    return Renderer(tokenizer, [tokenizer.eos_token_id])


RENDERER = of_template(CHATML)


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def row(answer: str, prompt: str = "q") -> Row:
    return Row("r", "s", 0, ({"role": "user", "content": prompt},), answer, "stop", None, None)


@given(TEXT, TEXT)
def test_prompt_ids_are_a_prefix_and_only_the_answer_is_supervised(prompt: str, answer: str) -> None:
    example = RENDERER.example(user(prompt), answer)
    opened = RENDERER.prompt_ids(user(prompt))
    assert example.ids[: len(opened)] == opened
    assert set(example.labels[: len(opened)]) == {IGNORED}
    supervised = example.ids[len(opened) :]
    assert example.labels[len(opened) :] == supervised
    assert supervised[-1] == EOS
    assert RENDERER.tokenizer.decode(supervised[:-1]) == answer


LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' +"
    " m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) +"
    " '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
PHI_3 = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ '<|endoftext|>' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}"
    "{% else %}{{ ' ' + m.content + '</s>' }}{% endif %}{% endfor %}"
)
SHAPES = {  # with their stop tokens; the last one is what the template ends a turn with
    "chatml": (CHATML, ["<|im_end|>"]),
    "llama-3": (LLAMA_3, ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"]),
    "gemma": (GEMMA, ["<eos>", "<end_of_turn>"]),
    "phi-3": (PHI_3, ["<|endoftext|>", "<|assistant|>", "<|end|>"]),
    "mistral": (MISTRAL, ["</s>"]),
}
MARKS = ["<|start_header_id|>", "<|end_header_id|>", "<start_of_turn>", "<|user|>", "[INST]", "[/INST]"]


def of_shape(name: str) -> Renderer:
    template, stops = SHAPES[name]
    tokenizer = make_tokenizer(template)
    tokenizer.add_tokens([*MARKS, *stops], special_tokens=True)
    return Renderer(tokenizer, tokenizer.convert_tokens_to_ids(stops))


BY_SHAPE = {name: of_shape(name) for name in SHAPES}
WORDS = TEXT.filter(lambda text: text.strip() and not any(mark in text for mark in ("<|", "<e", "<s", "</s>", "INST]")))


@pytest.mark.parametrize("shape", SHAPES)
@given(prompt=WORDS, answer=WORDS)
def test_whatever_a_template_ends_with_the_answer_ends_at_its_first_stop_token(
    shape: str, prompt: str, answer: str
) -> None:
    rendered = BY_SHAPE[shape]
    (example,) = rendered.rows([row(answer, prompt)], max_length=999).require()
    opened = rendered.prompt_ids(user(prompt))
    assert example.ids[: len(opened)] == opened
    *said, end = example.ids[len(opened) :]
    assert end in rendered.stop_ids
    assert not set(said) & set(rendered.stop_ids)
    assert rendered.tokenizer.decode(said).strip() == answer.strip()
    # The one that the template writes first: of several, it is what the model was taught to end with.
    assert rendered.tokenizer.decode([end]) == SHAPES[shape][1][-1]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_s_own_stop_token_is_found_in_every_template(shape: str) -> None:
    stop = SHAPES[shape][1][0]
    rows = [row(f"stop {stop} here"), row(f" {stop}{stop}\n")]
    assert BY_SHAPE[shape].rows(rows, max_length=999).dropped == {
        "end-of-turn token inside the answer": 1,
        "empty answer": 1,
    }


def test_an_end_of_turn_that_the_teacher_wrote_out_is_learnt_once() -> None:
    (example,) = RENDERER.rows([row("a<|im_end|>\n")], max_length=999).require()
    assert example == RENDERER.example(user("q"), "a")


def test_an_answer_that_melts_into_the_prompt_keeps_the_prompt_s_ids() -> None:
    # As one text, the template's newline and the answer's first are one token.
    prompt, whole = user("q"), [*user("q"), {"role": "assistant", "content": "\n\nx"}]
    text = RENDERER.tokenizer.apply_chat_template(whole, tokenize=False)
    melted = tuple(RENDERER.tokenizer(text, add_special_tokens=False)["input_ids"])
    assert melted[: len(RENDERER.prompt_ids(prompt))] != RENDERER.prompt_ids(prompt)
    example = RENDERER.example(prompt, "\n\nx")
    assert example.ids[: len(RENDERER.prompt_ids(prompt))] == RENDERER.prompt_ids(prompt)
    assert RENDERER.tokenizer.decode(example.ids[-example.supervised : -1]) == "\n\nx"


def test_the_end_of_turn_is_supervised_though_pad_is_eos() -> None:
    assert RENDERER.tokenizer.pad_token_id == EOS
    example = RENDERER.example(user("q"), "a")
    assert example.labels[-1] == example.ids[-1] == EOS
    assert example.supervised == 2  # the answer's token and the end, not the template's newline after it


def test_a_template_without_an_end_gets_one() -> None:
    bare = of_template(
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    assert bare.example(user("q"), "a").labels[-2:] == (*bare.tokenizer("a")["input_ids"], EOS)
    # An end-of-turn token of the answer's own does not count as the template's, nor does it cut the answer.
    assert bare.rows([row("stop <|im_end|> here")], max_length=99).dropped == {"end-of-turn token inside the answer": 1}


@pytest.mark.parametrize("opening", ["<think>", "<think>\\n", "<think>\\n\\n"])
def test_a_thought_that_the_template_opens_is_closed_before_the_answer(opening: str) -> None:
    thinking = of_template(CHATML.replace("assistant\n'", f"assistant\n{opening}'"))
    example = thinking.example(user("q"), "a")
    opened = thinking.prompt_ids(user("q"))
    assert example.ids[: len(opened)] == opened
    assert thinking.tokenizer.decode(example.ids).endswith("<think>\n\n</think>\n\na<|im_end|>")
    said = thinking.tokenizer.decode(example.ids[len(opened) : -1])
    assert said.lstrip("\n").startswith("</think>")
    assert thinking.spoken(said) == "a"
    assert thinking.spoken("still thinking") == "still thinking"


def test_an_empty_thought_that_the_template_writes_is_learnt_and_not_part_of_the_answer() -> None:
    thought = "('<think>\n\n</think>\n\n' if m.role == 'assistant' and loop.last else '')"
    writing = of_template(
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + " + thought + " + m.content + '<|im_end|>\n' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    example = writing.example(user("q"), "a </think> b")
    opened = writing.prompt_ids(user("q"))
    assert example.ids[: len(opened)] == opened
    said = writing.tokenizer.decode(example.ids[len(opened) : -1])
    assert said == "<think>\n\n</think>\n\na </think> b"
    assert writing.spoken(said) == "a </think> b"


def test_a_mark_of_thought_in_a_plain_model_s_answer_is_its_own() -> None:
    assert RENDERER.spoken("close it with </think> here") == "close it with </think> here"


def test_a_template_that_does_not_only_append_is_refused() -> None:
    other = of_template("{% if add_generation_prompt %}new: {% endif %}" + CHATML)
    with pytest.raises(BadInput, match="differently from an open one"):
        other.example(user("q"), "a")


def test_no_template_and_no_stop_token_are_refused() -> None:
    with pytest.raises(BadInput, match="no chat template"):
        of_template(None)
    with pytest.raises(BadInput, match="no end-of-sequence token"):
        Renderer(make_tokenizer(), [])


def test_rows_that_cannot_be_learnt_are_left_out_and_counted() -> None:
    rows = [row("fine"), row(" "), row("b" * 60), row("stop <|im_end|> here")]
    found = RENDERER.rows(rows, max_length=60)
    assert len(found.examples) == 1
    assert found.dropped == {
        "empty answer": 1,
        "longer than 60 tokens": 1,
        "end-of-turn token inside the answer": 1,
    }


def test_a_row_that_is_cut_loses_the_end_of_its_answer_only() -> None:
    example = RENDERER.example(user("q"), "b" * 60)
    cut = RENDERER.rows([row("b" * 60)], max_length=len(example.ids) - 5, cut=True)
    assert cut.examples[0].ids == example.ids[:-5]
    assert EOS not in cut.examples[0].labels  # its end is not learnt, nor a wrong one
    assert (cut.cut_rows, cut.cut_tokens) == (1, 5)
    prompt = len(RENDERER.prompt_ids(user("q")))
    assert RENDERER.rows([row("b")], max_length=prompt, cut=True).dropped == {f"prompt alone fills {prompt} tokens": 1}


def test_a_row_of_just_max_length_stays_whole() -> None:
    example = RENDERER.example(user("q"), "fine")
    kept = RENDERER.rows([row("fine")], max_length=len(example.ids))
    assert kept.examples == [example]


def test_no_supervised_token_is_an_error() -> None:
    with pytest.raises(BadInput, match=r"no supervised token .*2 empty answer"):
        RENDERER.rows([row(""), row("")], max_length=100).require()


def test_instruction_goes_where_the_template_takes_it() -> None:
    assert RENDERER.with_instruction(user("q"), "Do.") == [{"role": "system", "content": "Do."}, *user("q")]
    system = [{"role": "system", "content": "Be."}, *user("q")]
    assert RENDERER.with_instruction(system, "Do.")[0]["content"] == "Be.\n\nDo."


@pytest.mark.parametrize(
    "guard",
    [
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}",
        "{% if messages[0].role == 'system' %}{% set messages = messages[1:] %}{% endif %}",
    ],
    ids=["refuses", "swallows"],
)
def test_instruction_goes_before_the_user_s_words_where_there_is_no_system_role(guard: str) -> None:
    assert of_template(guard + CHATML).with_instruction(user("q"), "Do.") == user("Do.\n\nq")


def test_a_template_that_refuses_roles_is_one_clear_error() -> None:
    refusing = of_template("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(BadInput, match=r"refuses the roles user \(roles must alternate\)"):
        refusing.prompt_ids(user("q"))
