"""The real embedded teacher: its own process, its own key, and an end with its parent."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from harvester.collecting import collect
from harvester.errors import BadInput, TeacherUnusable
from harvester.parsing import parse
from harvester.recipe import Recipe
from harvester.status import status
from harvester.store import StoreReader
from harvester.teachers import embedded, weights

pytest.importorskip("xllamacpp")


async def post(url: str, key: str | None, body: dict[str, Any]) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as response:
        return response.status, await response.json()


QUESTION = {"messages": [{"role": "user", "content": "Say hi."}], "max_tokens": 4, "temperature": 0}


def test_it_answers_only_who_has_the_key_of_this_start() -> None:
    async def scenario() -> tuple[int, int, Any, str]:
        async with embedded.running(weights.MODEL_NAME, slots=1, where="recipe.yaml") as first:
            url = first.base_url + "/chat/completions"
            refused, _ = await post(url, None, QUESTION)
            status, reply = await post(url, first.key, QUESTION)
            return refused, status, reply, first.key

    refused, answered, reply, key = asyncio.run(scenario())
    assert (refused, answered) == (401, 200)
    assert reply["usage"]["completion_tokens"] <= 4
    assert reply["choices"][0]["message"]["content"]
    assert len(key) > 30


def test_another_model_name_is_refused() -> None:
    async def scenario() -> None:
        async with embedded.running("gpt-9", slots=1, where="recipe.yaml"):
            pass

    with pytest.raises(BadInput, match="the embedded teacher is smollm2-135m-instruct"):
        asyncio.run(scenario())


def test_collecting_from_it_stores_its_answers(folder: Any) -> None:
    folder.data |= {
        "teacher": {
            "base_url": "embedded",
            "model": weights.MODEL_NAME,
            "sampling": {"temperature": 0, "max_tokens": 4, "logprobs": 2},
        },
        "terms": {},
    }
    folder.seeds("train.jsonl", ["one", "two"])
    folder.save()
    recipe = Recipe.load(folder.path)
    assert asyncio.run(collect(recipe)).answered == 2
    assert status(recipe)["usd"] == 0.0
    with StoreReader.open(folder.path / "harvest.db") as reader:
        replies = [json.loads(row.reply.raw) for row in reader.rows(1) if row.reply]
    assert all(reply["choices"][0]["logprobs"]["content"] for reply in replies)


def test_it_ends_when_its_parent_is_killed() -> None:
    code = (
        "import asyncio\n"
        "from harvester.teachers import embedded, weights\n"
        "async def main():\n"
        "    async with embedded.running(weights.MODEL_NAME, slots=1, where='r') as running:\n"
        "        print(running.base_url, flush=True)\n"
        "        await asyncio.sleep(100)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    assert parent.stdout.readline().startswith("http://127.0.0.1:")
    (child,) = (int(pid) for pid in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split())
    handle = os.pidfd_open(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    ended, _, _ = select.select([handle], [], [], 20)  # readable once the process has ended
    os.close(handle)
    assert ended


def test_the_openai_sdk_talks_to_it_and_reads_what_is_stored_as_its_own_types(folder: Any) -> None:
    openai = pytest.importorskip("openai")

    async def scenario() -> Any:
        async with embedded.running(weights.MODEL_NAME, slots=1, where="recipe.yaml") as running:
            client = openai.AsyncOpenAI(base_url=running.base_url, api_key=running.key, max_retries=0)
            async with client:
                raw = await client.chat.completions.with_raw_response.create(model=weights.MODEL_NAME, **QUESTION)
                return raw.parse(), parse(raw.content)

    completion, answer = asyncio.run(scenario())
    assert answer.text == completion.choices[0].message.content.strip()
    assert answer.usage.output_tokens == completion.usage.completion_tokens
    assert (answer.model, answer.finish_reason) == (completion.model, completion.choices[0].finish_reason)


def test_a_server_that_dies_in_the_middle_is_said_so_at_once(folder: Any) -> None:
    folder.data |= {
        "teacher": {"base_url": "embedded", "model": weights.MODEL_NAME, "sampling": {"max_tokens": 200, "seed": 1}},
        "terms": {},
    }
    folder.seeds("train.jsonl", [f"Tell me a long story about {number}." for number in range(40)])
    folder.save()

    async def kill_the_server() -> None:
        while not (children := Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()):  # noqa: ASYNC110, ASYNC240 - another process
            await asyncio.sleep(0.05)
        await asyncio.sleep(2.0)
        os.kill(int(children[0]), signal.SIGKILL)

    async def scenario() -> None:
        killing = asyncio.create_task(kill_the_server())
        try:
            await asyncio.wait_for(collect(Recipe.load(folder.path)), 90)  # an attempt may take 600
        finally:
            await killing

    with pytest.raises(TeacherUnusable, match="embedded teacher: ended"):
        asyncio.run(scenario())


def serve(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "harvester", "teacher", "serve", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_teacher_serve_prints_its_address_and_key_and_a_taken_port_is_said_so() -> None:
    process = serve("--json", "--slots", "1")
    assert process.stdout
    told = json.loads(process.stdout.readline())
    assert asyncio.run(post(told["base_url"] + "/chat/completions", told["api_key"], QUESTION))[0] == 200
    second = serve("--port", told["base_url"].split(":")[2].split("/")[0])
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "Address already in use; name another" in errors
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_weights_that_were_tampered_with_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARVESTER_CACHE", str(tmp_path))
    (tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"not a model")
    with pytest.raises(TeacherUnusable, match="SHA-256 is"):
        weights.embedded_weights()


def test_offline_the_message_says_where_to_put_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARVESTER_CACHE", str(tmp_path))
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_EXTRA_INDEX_URL": ""}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TeacherUnusable, match=f"put the file SmolLM2.* into {tmp_path}"):
        weights.embedded_weights()
    assert list(tmp_path.iterdir()) == []
