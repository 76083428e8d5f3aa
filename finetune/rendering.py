"""Chat template → token ids and labels.

Only what the student must say is supervised, by construction: the ids are those of the prompt as the model will see it
when it is used, followed by the answer's, followed by the end-of-turn token.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from finetune.alignment import Aligned
from finetune.data import Message, Row
from finetune.errors import BadInput
from finetune.rollout import Rollout
from harvester.records import Json

IGNORED = -100
"""The label of a position that is not supervised."""
OPEN, CLOSE = "<think>", "</think>"
NO_THOUGHT = f"{OPEN}\n\n{CLOSE}\n\n"
"""How templates of reasoning models write that nothing was thought."""


@dataclass(frozen=True, slots=True)
class Example:
    """One row for the model; `labels[i]` is `ids[i]` where token i is to be learnt, else IGNORED (not shifted)."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    soft: Aligned | Rollout | None = None  # what the teacher said of the supervised tokens

    @property
    def length(self) -> int:
        """Tokens in a forward pass."""
        return len(self.ids)

    @property
    def supervised(self) -> int:
        """Tokens that enter the loss; the first token has no position before it that could predict it."""
        return sum(label != IGNORED for label in self.labels[1:])

    @property
    def weight(self) -> int:
        """What it counts for in a mean: every token the same, in whatever row."""
        return self.supervised


@dataclass(frozen=True, slots=True)
class Rendered:
    """The examples of one split, and how many rows were left out for which reason."""

    examples: list[Example]
    dropped: Mapping[str, int]
    rows: Sequence[Row] = ()  # of the examples
    cut_rows: int = 0  # learnt without their answer's end
    cut_tokens: int = 0  # what they lost

    def require(self) -> list[Example]:
        """The examples, of which there must be some; each has a supervised token, as it ends with the end of turn.

        Raises:
            BadInput: no row is left.
        """
        if not self.examples:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items()) or "it has no rows"
            raise BadInput(f"split train: no supervised token is left to train on ({reasons}); see --max-length")
        return self.examples


class Renderer:
    """Renders with one model's tokenizer and chat template.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        stop_ids: tokens that end an answer when generating; the first one is taught where the template gives none.

    Raises:
        BadInput: the tokenizer has no chat template, or there is no stop token.
    """

    def __init__(self, tokenizer: Any, stop_ids: Sequence[int]) -> None:
        if tokenizer.chat_template is None:
            raise BadInput(f"--model {tokenizer.name_or_path}: no chat template; use an instruction-tuned model")
        if not stop_ids:
            raise BadInput(f"--model {tokenizer.name_or_path}: no end-of-sequence token, it would never stop answering")
        self.tokenizer = tokenizer
        self.stop_ids = tuple(stop_ids)

    def prompt_ids(self, messages: Sequence[Message], tools: Json = None) -> tuple[int, ...]:
        """Ids of the messages plus the opening of the assistant's turn: where generation starts."""
        return self._encode(self._text(messages, tools, opening=True))

    def example(self, messages: Sequence[Message], answer: str, tools: Json = None) -> Example:
        """Ids and labels of a prompt with its answer.

        The supervised part ends with an end-of-turn token, always: what the template puts after it is cut (it is never
        generated), and where the template has none the first of `stop_ids` is added.

        Raises:
            BadInput: the template does not open the assistant's turn as it renders one.
        """
        prompt = self._text(messages, tools, opening=True)
        full = self._text([*messages, {"role": "assistant", "content": answer}], tools, opening=False)
        if not full.startswith(prompt):
            full = self._with_thought_closed(prompt, full)
        prompt_ids, full_ids = self._encode(prompt), self._encode(full)
        if full_ids[: len(prompt_ids)] == prompt_ids:
            answer_ids = full_ids[len(prompt_ids) :]
        else:
            # A token spans the border (an answer that opens with a newline, say). When generating, the model sees the
            # prompt's own ids, so these must stay.
            answer_ids = self._encode(full[len(prompt) :])
        answer_ids = self._ended(answer_ids)
        return Example(ids=prompt_ids + answer_ids, labels=(IGNORED,) * len(prompt_ids) + answer_ids)

    def spoken(self, text: str) -> str:
        """What a model said, without the thought that its template makes it open or close."""
        thought = text.lstrip().startswith(OPEN) or self._opens_thought()
        return text.partition(CLOSE)[2].lstrip("\n") if thought and CLOSE in text else text

    def learnable(
        self, messages: Sequence[Message], answer: str, max_length: int, tools: Json = None, *, cut: bool = False
    ) -> Example | str:
        """A prompt with its answer, or why it cannot be learnt from. With `cut` its end may be too long by some.

        Args:
            messages: the prompt.
            answer: to it.
            max_length: tokens of prompt and answer together.
            tools: as the chat template takes them.
            cut: whether some of the answer need only fit.
        """
        if self._says_nothing(answer):
            return "empty answer"
        example = self.example(messages, answer, tools)
        lost = example.length - max_length
        if any(token in self.stop_ids for token in example.labels[:-1]):
            return "end-of-turn token inside the answer"
        if lost >= example.supervised:
            return f"prompt alone fills {max_length} tokens"
        if lost > 0 and not cut:
            return f"longer than {max_length} tokens"
        return example

    def rows(self, rows: Sequence[Row], max_length: int, *, cut: bool = False) -> Rendered:
        """Examples of a split; rows that cannot be learnt from are left out and counted.

        Args:
            rows: the split.
            max_length: tokens of prompt and answer together.
            cut: take the end off an answer that is too long, and with it the end of turn: its beginning is learnt, and
                nothing about stopping. Never the prompt's: the student would learn to answer another question. Without
                it such rows are left out.
        """
        dropped: Counter[str] = Counter()
        examples, kept, cut_rows, cut_tokens = [], [], 0, 0
        for row in rows:
            example = self.learnable(row.prompt, row.answer, max_length, row.tools, cut=cut)
            if isinstance(example, str):
                dropped[example] += 1
                continue
            lost = max(example.length - max_length, 0)
            cut_rows, cut_tokens = cut_rows + (lost > 0), cut_tokens + lost
            examples.append(Example(example.ids[:max_length], example.labels[:max_length]))
            kept.append(row)
        return Rendered(examples, dict(dropped), kept, cut_rows, cut_tokens)

    def with_instruction(self, messages: Sequence[Message], instruction: str) -> list[Message]:
        """The prompt with an instruction: a system message or, where the template has none, before the first words."""
        head, *rest = messages
        if head["role"] == "system":
            return [{"role": "system", "content": f"{head['content']}\n\n{instruction}"}, *rest]
        candidate = [{"role": "system", "content": instruction}, *messages]
        try:
            taken = instruction.strip() in self._text(candidate, None, opening=True)
        except BadInput:
            taken = False
        return candidate if taken else [{**head, "content": f"{instruction}\n\n{head['content']}"}, *rest]

    def _says_nothing(self, answer: str) -> bool:
        for mark in map(self.tokenizer.decode, self.stop_ids):
            answer = answer.replace(mark, "")
        return not answer.strip()

    def _opens_thought(self) -> bool:
        try:
            return self._text([{"role": "user", "content": "?"}], None, opening=True).rstrip().endswith(OPEN)
        except BadInput:
            return False

    def _with_thought_closed(self, prompt: str, full: str) -> str:
        """The whole text where the template opens a thought for the model and leaves it out of past turns.

        The student finds the thought open, so what it learns begins with closing it.

        Raises:
            BadInput: that is not what the template does.
        """
        head = prompt[: prompt.rfind(OPEN)] if prompt.rstrip().endswith(OPEN) else prompt
        opening = prompt[len(head) :]
        if not (opening and full.startswith(head)):
            raise BadInput(
                f"--model {self.tokenizer.name_or_path}: its chat template renders an answered prompt differently from "
                "an open one, so prompt and answer cannot be told apart; use a model whose template only appends"
            )
        closing = NO_THOUGHT.removeprefix(opening) if NO_THOUGHT.startswith(opening) else f"\n{CLOSE}\n\n"
        return prompt + closing + full[len(head) :].removeprefix(NO_THOUGHT)

    def _ended(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """The ids up to the first stop token after which only stop tokens and blanks follow.

        A template may write several (Phi-3: end of turn, newline, end of text), and generating halts at the first.
        Where words follow, it is the answer's own and not the template's.
        """
        stops, end = [place for place, token in enumerate(ids) if token in self.stop_ids], len(ids)
        for place in reversed(stops):
            if self.tokenizer.decode(ids[place + 1 : end]).strip():
                break
            end = place
        return (*ids[:end], ids[end] if end < len(ids) else self.stop_ids[0])

    def _encode(self, text: str) -> tuple[int, ...]:
        # The template writes the special tokens itself.
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _text(self, messages: Sequence[Message], tools: Json, *, opening: bool) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                list(messages), tools=tools, tokenize=False, add_generation_prompt=opening
            )
        except jinja2.TemplateError as error:
            roles = ", ".join(message["role"] for message in messages)
            raise BadInput(
                f"--model {self.tokenizer.name_or_path}: its chat template refuses the roles {roles} ({error})"
            ) from error
        return text
