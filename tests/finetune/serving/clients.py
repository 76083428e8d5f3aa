"""A server over real HTTP, and what asks it. A helper, not a test."""

# ruff: noqa: N803, N806 - shape suffixes

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import torch

from finetune.serving.engine import Engine
from finetune.serving.rows import Event, Row
from finetune.serving.served import Served
from finetune.serving.server import Running, running

KEY = "a-key-of-the-tests"


@asynccontextmanager
async def serving(engine: Engine, host: str = "127.0.0.1") -> AsyncIterator[Running]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        async with running(engine, listener, host=host, key=KEY) as found:
            yield found


@asynccontextmanager
async def http_client(server: Running, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {server.key}"}
    root = server.base_url.removesuffix("/v1")
    async with httpx.AsyncClient(base_url=root, headers=headers, timeout=60, trust_env=False, **more) as client:
        yield client


def logits(served: Served, ids: Sequence[int]) -> torch.Tensor:
    """Of a plain forward pass over the ids alone, logits_TV."""
    with torch.inference_mode():
        found: torch.Tensor = served.base.model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    return found


class Script:
    """In a head's place: the tokens that are said, whatever the hidden states are."""

    def __init__(self, served: Served, ids: Sequence[int]) -> None:
        self._ids, self._vocabulary = list(ids), served.vocabulary

    def __call__(self, hidden_BD: torch.Tensor) -> torch.Tensor:
        logits_V = torch.zeros(self._vocabulary).index_fill(0, torch.tensor([self._ids.pop(0)]), 50.0)
        return logits_V.expand(len(hidden_BD), -1)


class Told:
    """Rows for an engine that is asked without HTTP, and what it tells of them."""

    def __init__(self) -> None:
        self.events: list[list[Event]] = []

    def row(self, prompt: Sequence[int], max_tokens: int = 4, **more: Any) -> Row:
        events: list[Event] = []
        self.events.append(events)
        return Row(prompt=tuple(prompt), max_tokens=max_tokens, tell=events.append, **more)
