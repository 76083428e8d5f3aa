import asyncio

import httpx
import pytest
from clients import KEY, http_client, serving
from openai import AsyncOpenAI, AuthenticationError

from finetune.serving import app
from finetune.serving.engine import Engine
from finetune.serving.served import Served
from finetune.serving.server import Running

PATHS = [("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("POST", "/v1/completions"), ("POST", "/tokenize")]


@pytest.mark.parametrize(("method", "path"), [*PATHS, ("POST", "/detokenize"), ("GET", "/nothing")])
@pytest.mark.parametrize(
    "given", [{}, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": "Bearer"}, {"Authorization": f"Basic {KEY}"}]
)
async def test_without_the_key_nothing_is_told(server: Running, method: str, path: str, given: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=server.base_url.removesuffix("/v1"), trust_env=False) as client:
        reply = await client.request(method, path, headers=given)
    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == "invalid_api_key"
    assert KEY not in reply.text


async def test_a_key_of_any_bytes_is_only_wrong(server: Running) -> None:
    async with httpx.AsyncClient(base_url=server.base_url, trust_env=False) as client:
        reply = await client.get("/models", headers={b"Authorization": b"Bearer \xff\xfe"})
    assert reply.status_code == 401


async def test_the_sdk_sees_a_wrong_key(server: Running) -> None:
    async with AsyncOpenAI(base_url=server.base_url, api_key="wrong", max_retries=0) as client:
        with pytest.raises(AuthenticationError):
            await client.models.list()


async def test_health_is_for_everybody(server: Running) -> None:
    async with httpx.AsyncClient(base_url=server.base_url.removesuffix("/v1"), trust_env=False) as client:
        reply = await client.get("/health")
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})


async def test_the_model_is_listed(openai: AsyncOpenAI) -> None:
    [model] = (await openai.models.list()).data
    assert (model.id, model.owned_by) == ("tiny", "finetune")
    assert model.max_model_len == 512  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("bound", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:1", 200),
        ("127.0.0.1", "localhost", 200),
        ("127.0.0.1", "[::1]:5", 200),
        ("127.0.0.1", "evil.example", 403),
        ("127.0.0.1", "127.0.0.1.evil.example:80", 403),
        ("127.0.0.1", "[", 403),
        ("127.0.0.1", "[localhost]", 403),
        ("teacher", "teacher:8000", 200),
        ("teacher", "other:8000", 403),
        ("0.0.0.0", "any.example", 200),  # noqa: S104 - its name, not bound to
    ],
)
async def test_names_that_lead_here_without_being_this_server_are_refused(
    served: Served, bound: str, host: str, status: int
) -> None:
    async with serving(Engine(served), host=bound) as server, http_client(server) as http:
        assert (await http.get("/v1/models", headers={"Host": host})).status_code == status
        assert (await http.get("/health", headers={"Host": host})).status_code == status


async def test_no_other_origin_is_let_in(http: httpx.AsyncClient) -> None:
    reply = await http.get("/v1/models", headers={"Origin": "https://evil.example"})
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]
    assert (await http.options("/v1/models", headers={"Origin": "https://evil.example"})).status_code == 405


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/v1/completions", 405)])
async def test_what_is_not_there_is_said_in_the_same_shape(
    http: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    reply = await http.request(method, path)
    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


async def test_a_body_beyond_all_measure_is_refused(http: httpx.AsyncClient) -> None:
    reply = await http.post("/tokenize", content=b" " * (app.MOST_BYTES + 1))
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "http_error")


async def test_too_many_that_wait_are_told_when_to_come_again(served: Served) -> None:
    async with serving(Engine(served, most_waiting=2)) as server, http_client(server) as http:
        body = {"model": "tiny", "prompt": ["a", "b", "c"], "max_tokens": 1}
        reply = await http.post("/v1/completions", json=body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (429, "queue_full")
        assert int(reply.headers["Retry-After"]) >= 1
        assert (await http.post("/v1/completions", json=body | {"prompt": "a"})).status_code == 200


async def test_what_runs_is_finished_and_what_is_new_refused_once_it_is_to_end(served: Served) -> None:
    engine = Engine(served)
    async with serving(engine) as server, http_client(server) as http:
        body = {"model": "tiny", "prompt": "a", "max_tokens": 300, "temperature": 0, "stream": True}
        async with http.stream("POST", "/v1/completions", json=body) as reply:
            lines = reply.aiter_lines()
            await anext(lines)
            engine.close()
            late = await http.post("/v1/completions", json=body)
            health = await http.get("/health")
            rest = [line async for line in lines]
        assert (late.status_code, late.json()["error"]["code"]) == (503, "stopping")
        assert health.status_code == 503
        assert rest[-2] == "data: [DONE]"
        await asyncio.to_thread(engine.join)
