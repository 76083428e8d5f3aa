"""Rows as cells, for people with a spreadsheet."""

from collections.abc import Sequence

from harvester.exporting.formats.records import Record, Row
from harvester.exporting.formats.turns import PARAGRAPH
from harvester.exporting.schema import SCHEMA
from harvester.records import Message

FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
"""Begin what a spreadsheet would take for a formula, and run: the signs, also in full width, and what it cuts off."""
TEXTS = ("system", "prompt", "answer")
PLAIN = (
    "reasoning", "score", "accepted", "drop_reason", "teacher", "model", "finish_reason", "prompt_tokens",
    "completion_tokens", "cost_usd", "seed", "reference", "seed_id", "sample", "row_id",
)  # fmt: skip
"""Columns that are cells as they are."""
TYPES = {"double": "float64"}
"""Arrow's name of a type → that of `datasets`, where they differ."""
FEATURES = (
    *({"name": name, "dtype": "string"} for name in TEXTS),
    *({"name": name, "dtype": TYPES.get(kind, kind)} for name in PLAIN if (kind := str(SCHEMA.field(name).type))),
)


def cells(row: Row) -> Record:
    """A row's texts and what is known of it, by name of the column; no text is a formula."""
    *prompt, answer = row["messages"]
    record = {
        "system": PARAGRAPH.join(message["content"] for message in prompt if message["role"] == "system"),
        "prompt": _prompt([message for message in prompt if message["role"] != "system"]),
        "answer": answer["content"],
        **{name: row[name] for name in PLAIN},
    }
    return {name: no_formula(value) if isinstance(value, str) else value for name, value in record.items()}


def no_formula(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _prompt(messages: Sequence[Message]) -> str:
    if len(messages) == 1:
        return messages[0]["content"]
    return PARAGRAPH.join(f"{message['role']}: {message['content']}" for message in messages)
