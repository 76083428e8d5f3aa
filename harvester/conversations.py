"""Prompts that Python code gives: a text, or a list of messages; checked before anything is sent."""

from collections.abc import Mapping, Sequence

from harvester.errors import BadInput
from harvester.records import Json, Message, half_pair

ROLES = ("system", "user", "assistant")


def conversation(prompt: str | Sequence[Message], where: str) -> list[Message]:
    """The messages of a prompt; a text is one message of the user's.

    Args:
        prompt: a text, or messages `{"role": ..., "content": ...}`.
        where: it comes from, for messages.

    Raises:
        BadInput: it is neither, or empty.
    """
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    if not isinstance(messages, Sequence):
        raise BadInput(f"{where}: is neither a text nor a list of messages")
    checked = [_message(message, f"{where}.{number}") for number, message in enumerate(messages)]
    if not any(message["content"].strip() for message in checked):
        raise BadInput(f"{where}: is empty; ask something")
    return checked


def _message(message: Json, where: str) -> Message:
    if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
        raise BadInput(f'{where}: is not a message; give {{"role": ..., "content": ...}}')
    role, content = message["role"], message["content"]
    if role not in ROLES:
        raise BadInput(f"{where}.role: {str(role)[:80]!r} is none of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise BadInput(f"{where}.content: is not text")
    if half_pair(content):
        raise BadInput(f"{where}.content: holds half of a surrogate pair (\\ud800 alone); remove it")
    return {"role": role, "content": content}
