"""How a run tells what happens: a line for people, an event with fields for programs."""

from typing import Protocol

from harvester.records import Json

NOTE = "note"
"""The event of what has no other name; its line is its only field."""


class Say(Protocol):
    """Hears what happens in a run."""

    def __call__(self, line: str | None, /, *, event: str = NOTE, **fields: Json) -> None:
        """Something happened.

        Args:
            line: what a person should know at once; None for what only a log wants to know.
            event: what it is called in a log.
            fields: what is known of it; JSON, without texts of prompts and answers.
        """


def silent(_line: str | None, /, *, event: str = NOTE, **_fields: Json) -> None:
    """Tells nobody."""
