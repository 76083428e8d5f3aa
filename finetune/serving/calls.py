"""One request's rows, and what the model thread tells of them, in the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Self

from finetune.serving.engine import Engine
from finetune.serving.refusals import Refused
from finetune.serving.rows import End, Event, Failure, Piece, PromptScores, Row, Token

Told = tuple[int, Event]
MakeRow = Callable[[int, Callable[[Event], None]], Row]
"""A row's place among the request's, and where its events go → the row."""


class Call:
    """Rows that were taken by the engine. As a context: left early, they are dropped.

    Args:
        engine: answers them.
        count: how many.
        make: makes each.

    Raises:
        Refused: as `Engine.submit`.
    """

    def __init__(self, engine: Engine, count: int, make: MakeRow) -> None:
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Queue[Told] = asyncio.Queue()
        self.rows = [make(place, partial(self._tell, place)) for place in range(count)]
        engine.submit(self.rows)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for row in self.rows:
            row.dropped = True

    async def events(self) -> AsyncIterator[Told]:
        """What is told, with the row's place, until every row ended.

        Raises:
            Refused: one of them failed.
        """
        left = len(self.rows)
        while left:
            place, event = await self._told.get()
            if isinstance(event, Failure):
                raise Refused(event.message, status=event.status)
            left -= isinstance(event, End)
            yield place, event

    def _tell(self, place: int, event: Event) -> None:
        """In the model thread."""
        if not self.rows[place].dropped or isinstance(event, Failure):
            self._loop.call_soon_threadsafe(self._told.put_nowait, (place, event))


class Answered:
    """What was told of a row, put together."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self.tokens: list[Token] = []
        self.offsets: list[int] = []
        self.scores: PromptScores | None = None
        self.end = End("length", 0)

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self._texts)

    def add(self, event: Event) -> None:
        """Adds what was told next."""
        if isinstance(event, Piece):
            self._texts.append(event.text)
            self.tokens += event.tokens
            self.offsets += event.offsets
        elif isinstance(event, PromptScores):
            self.scores = event
        elif isinstance(event, End):
            self.end = event


async def gather(call: Call) -> Sequence[Answered]:
    """Every row's answer, in their order.

    Raises:
        Refused: one of them failed.
    """
    found = [Answered() for _ in call.rows]
    async for place, event in call.events():
        found[place].add(event)
    return found
