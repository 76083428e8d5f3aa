"""Rows as records of chat messages; each function takes a row's values by column name, and needs no other row."""

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]
Record = dict[str, Any]


class LeftOutError(Exception):
    """A row that a format cannot hold; the message is the reason that it is counted under."""


def prompt_completion(row: Row) -> Record:
    """As TRL's trainers take it, in its conversational form; the loss is on the completion only."""
    return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:], "row_id": row["row_id"]}


def preference(pair: Row) -> Record:
    """As TRL's preference trainers take it, with the prompt apart."""
    return {name: pair[name] for name in ("prompt", "chosen", "rejected", "row_id_chosen", "row_id_rejected")}


def openai(row: Row) -> Record:
    """A line of a file for the fine-tuning API, which refuses fields that it does not know."""
    return {"messages": row["messages"]}


def axolotl(row: Row) -> Record:
    """Chat messages for a template; reasoning stands where Axolotl looks for it."""
    *prompt, answer = row["messages"]
    if row["reasoning"]:
        answer = {"role": answer["role"], "reasoning_content": row["reasoning"], "content": answer["content"]}
    return {"messages": [*prompt, answer], "row_id": row["row_id"]}
