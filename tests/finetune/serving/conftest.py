"""A server of the tiny Llama over real HTTP, and the clients that ask it."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from openai import AsyncOpenAI

sys.path.insert(0, str(Path(__file__).parent))  # clients.py is a helper, not a package
from clients import Told, http_client, serving

from finetune.serving.engine import Engine
from finetune.serving.served import Served, load
from finetune.serving.server import Running


@pytest.fixture(scope="session")
def served(tiny_folder: Path) -> Served:
    return load(str(tiny_folder), name="tiny", dtype="float32")


@pytest.fixture
async def server(served: Served) -> AsyncIterator[Running]:
    async with serving(Engine(served)) as found:
        yield found


@pytest.fixture
async def openai(server: Running) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=server.base_url, api_key=server.key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
async def http(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(server) as client:
        yield client


@pytest.fixture
def told() -> Told:
    return Told()
