"""`finetune serve`: what it loads, what it refuses, and how it ends."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from clients import KEY, http_client, serving
from toys import Command, make_llama

from finetune import generate, train
from finetune.config import make_config
from finetune.errors import BadInput
from finetune.serving import server
from finetune.serving.decoding import answer
from finetune.serving.engine import Engine
from finetune.serving.rows import Piece, Row
from finetune.serving.served import Served, load


@pytest.fixture
def run_folder(toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> Path:
    config = {"model": str(tiny_folder), "training": {"max_steps": 4}, "optimiser": {"learning_rate": 0.1}}
    train(toy_dataset, tmp_path / "run", make_config(config))
    return tmp_path / "run"


async def test_a_run_s_student_is_served(run_folder: Path) -> None:
    served = load(str(run_folder))
    async with serving(Engine(served)) as found, http_client(found) as http:
        body = {"model": "run", "messages": [{"role": "user", "content": "ask"}], "temperature": 0, "max_tokens": 9}
        reply = (await http.post("/v1/chat/completions", json=body)).json()
    assert reply["choices"][0]["message"]["content"] == generate(run_folder, ["ask"], max_new_tokens=9)[0]


def test_a_run_can_be_served_in_another_number_type(run_folder: Path) -> None:
    served = load(str(run_folder), name="student", dtype="bfloat16")
    assert (str(served.base.model.dtype), served.name) == ("torch.bfloat16", "student")


async def test_a_model_without_a_chat_template_completes_texts(tmp_path: Path) -> None:
    folder = make_llama(tmp_path / "base")
    (folder / "chat_template.jinja").unlink()
    async with serving(Engine(load(str(folder)))) as found, http_client(found) as http:
        chat = {"model": "base", "messages": [{"role": "user", "content": "a"}]}
        for path, body in (("/v1/chat/completions", chat), ("/tokenize", {"messages": chat["messages"]})):
            refused = await http.post(path, json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "no_template")
        text = await http.post("/v1/completions", json={"model": "base", "prompt": "a", "max_tokens": 2})
        assert text.status_code == 200


def test_a_model_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^no/such/model: neither a local folder nor a loadable hub id"):
        load("no/such/model")
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(BadInput, match=r"run\.json"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid: no address of this machine"),
        (["--host", "192.0.2.1"], "--host 192.0.2.1 --port 0: "),
        (["--api-key-env", "NO_SUCH_API_KEY"], "--api-key-env: no variable of that name is set"),
        (["--api-key-env", "SPACED_API_KEY"], "--api-key-env: SPACED_API_KEY holds spaces"),
    ],
)
def test_what_cannot_be_is_said_before_the_model_is_loaded(
    finetune: Command, monkeypatch: pytest.MonkeyPatch, options: list[str], problem: str
) -> None:
    monkeypatch.setenv("SPACED_API_KEY", "two words")
    code, out, err = finetune("serve", "no/such/model", *options)
    assert (code, out) == (2, "")
    assert problem in err


@contextmanager
def started(model: Path, *options: str, environment: dict[str, str] | None = None) -> Iterator[Any]:
    command = [sys.executable, "-m", "finetune", "serve", str(model), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | (environment or {})
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_it_says_where_it_is_and_ends_well_with_ctrl_c(tiny_folder: Path) -> None:
    with started(tiny_folder, "--json") as process:
        told = json.loads(process.stdout.readline())
        assert told["model"] == tiny_folder.name
        reply = httpx.get(
            f"{told['base_url']}/models", headers={"Authorization": f"Bearer {told['api_key']}"}, trust_env=False
        )
        assert reply.json()["data"][0]["id"] == told["model"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, ""), err
        assert told["api_key"] not in err


def test_a_key_of_one_s_own_is_asked_for_and_never_printed(tiny_folder: Path) -> None:
    options = ["--api-key-env", "SERVE_API_KEY", "--name", "mine"]
    with started(tiny_folder, *options, environment={"SERVE_API_KEY": KEY}) as process:
        line = process.stdout.readline()
        assert "model: mine  key: that of SERVE_API_KEY" in line
        url = line.split()[0]
        for key, status in ((KEY, 200), ("other", 401)):
            reply = httpx.get(f"{url}/models", headers={"Authorization": f"Bearer {key}"}, trust_env=False)
            assert reply.status_code == status
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert KEY not in line + out + err


async def test_a_second_signal_gives_up_what_the_first_would_have_answered(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    go_on, ready = threading.Event(), asyncio.get_running_loop().create_future()

    def run(served: Served, rows: Sequence[Row]) -> None:
        rows[0].tell(Piece("first"))
        assert go_on.wait(timeout=60)
        answer(served, rows)

    monkeypatch.setattr(server, "Engine", partial(Engine, run=run))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        whole = asyncio.create_task(
            server._until_told(served, listener, host="127.0.0.1", key=KEY, ready=ready.set_result)
        )
        async with http_client(await ready) as http:
            body = {"model": "tiny", "prompt": "a", "max_tokens": 400, "stream": True}
            async with http.stream("POST", "/v1/completions", json=body) as reply:
                lines = reply.aiter_lines()
                await anext(lines)
                os.kill(os.getpid(), signal.SIGTERM)
                while (await http.get("/health")).status_code == 200:
                    pass  # the loop hears of a signal a moment later
                os.kill(os.getpid(), signal.SIGTERM)
                last = [line async for line in lines if line][-1]
            go_on.set()
        await whole
    assert "the server stopped" in last
    assert "stopping after 1 answer more; once more stops at once" in capsys.readouterr().err
