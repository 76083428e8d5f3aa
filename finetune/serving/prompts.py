"""What is asked → token ids, as the model was taught to read them."""

from collections.abc import Sequence

import jinja2

from finetune.errors import BadInput
from finetune.serving.refusals import Refused
from finetune.serving.requests import ChatMessage
from finetune.serving.served import Served

TOO_LONG = "context_length_exceeded"
MOST_SCORED = 1 << 21
"""Log probabilities of prompts in one reply: some 250 MB while it is made."""


def chat_ids(served: Served, messages: Sequence[ChatMessage]) -> tuple[int, ...]:
    """A conversation with the opening of the assistant's turn.

    Raises:
        Refused: the model has no chat template, the template does not take the messages, or nobody is to answer.
    """
    if served.renderer is None:
        raise Refused(f"{served.name} has no chat template; ask /v1/completions", param="messages", code="no_template")
    if messages[-1].role == "assistant":
        raise Refused("messages: the last one must not be the assistant's", param="messages", code="invalid_value")
    try:
        return served.renderer.prompt_ids([message.plain() for message in messages])
    except BadInput as error:
        raise Refused(str(error).removeprefix("--model "), param="messages", code="invalid_value") from error


def closed_chat_ids(served: Served, messages: Sequence[ChatMessage]) -> tuple[int, ...]:
    """A conversation as it stands, without an opening.

    Raises:
        Refused: as `chat_ids`.
    """
    if served.renderer is None:
        raise Refused(f"{served.name} has no chat template", param="messages", code="no_template")
    try:
        text = served.base.tokenizer.apply_chat_template([one.plain() for one in messages], tokenize=False)
    except jinja2.TemplateError as error:
        raise Refused(f"the chat template refuses it ({error})", param="messages", code="invalid_value") from error
    return text_ids(served, text, special=False)


def text_ids(served: Served, text: str, *, special: bool) -> tuple[int, ...]:
    """A text's tokens; with `special` those that the tokenizer puts around a text as well."""
    return tuple(served.base.tokenizer(text, add_special_tokens=special)["input_ids"])


def completion_ids(served: Served, prompt: str | Sequence[int], *, special: bool) -> tuple[int, ...]:
    """A prompt's tokens; ids stay exactly as they were sent.

    Raises:
        Refused: it is empty, or an id is no token of the model.
    """
    ids = text_ids(served, prompt, special=special) if isinstance(prompt, str) else tuple(prompt)
    if not ids:
        raise Refused("prompt: has no tokens", param="prompt", code="invalid_value")
    require_ids(served, ids, "prompt")
    return ids


def require_ids(served: Served, ids: Sequence[int], field: str) -> None:
    """Refuse what is no token.

    Raises:
        Refused: an id is none of the model's.
    """
    if wrong := [token for token in ids if not 0 <= token < served.vocabulary]:
        raise Refused(
            f"{field}: {wrong[0]} is no token; ids go from 0 to {served.vocabulary - 1}",
            param=field,
            code="invalid_value",
        )


def room(served: Served, ids: Sequence[int], most_tokens: int | None) -> int:
    """How many tokens may follow a prompt: what was asked for, or all that the context has left.

    Raises:
        Refused: they do not fit into the context.
    """
    left = served.context - len(ids)
    if left < (1 if most_tokens is None else most_tokens):
        wanted = "an answer" if most_tokens is None else f"{most_tokens} of the answer"
        raise Refused(
            f"the model's context is {served.context} tokens: {len(ids)} of the prompt and {wanted} do not fit",
            param="messages" if most_tokens is None else "max_tokens",
            code=TOO_LONG,
        )
    return left if most_tokens is None else most_tokens


def require_scorable(ids: Sequence[Sequence[int]], choices: int, top: int) -> None:
    """Refuse more log probabilities of prompts than memory is meant for.

    Raises:
        Refused: too many.
    """
    wanted = sum(map(len, ids)) * choices * (top + 1)
    if wanted > MOST_SCORED:
        raise Refused(
            f"prompt_logprobs: {wanted:,} log probabilities in one reply, {MOST_SCORED:,} at most; send fewer prompts",
            param="prompt_logprobs",
            code="invalid_value",
        )


def stop_ids(served: Served, stops: Sequence[str]) -> frozenset[int]:
    """Special tokens among the texts that end an answer: as they have no text in it, they would never be found."""
    tokenizer = served.base.tokenizer
    special = dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))
    return frozenset(special[stop] for stop in stops if stop in special)
