"""A base model from a hub of our own: asked once, loaded, and loaded again from the cache when the hub is gone."""

import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from toys import make_llama

FIRST, SECOND = "1" * 40, "2" * 40


class Hub(http.server.ThreadingHTTPServer):
    """Has `org/tiny`: one folder for each commit, the last of which is main; weights come slowly."""

    def __init__(self, commits: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.commits, self.slow_s = commits, 0.0
        self.asked: list[str] = []


class Answers(http.server.BaseHTTPRequestHandler):
    """The part of the hub's protocol that loading a model needs."""

    server: Hub

    def do_HEAD(self) -> None:
        self.send_file(body=False)

    def do_GET(self) -> None:
        self.send_file(body=True)

    def send_file(self, *, body: bool) -> None:
        self.server.asked.append(self.path)
        prefix, _, rest = self.path.partition("/resolve/")
        revision, _, name = rest.partition("/")
        commit = list(self.server.commits)[-1] if revision == "main" else revision
        path = self.server.commits.get(commit, Path("/nowhere")) / name
        if prefix != "/org/tiny" or not path.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if "/org/tiny" in self.path else "RepoNotFound")
            self.send_header("X-Repo-Commit", commit)
            self.end_headers()
            return
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            if name.endswith(".safetensors"):
                self.wfile.flush()
                time.sleep(self.server.slow_s)
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def hub(tiny_folder: Path) -> Iterator[Hub]:
    with Hub({FIRST: tiny_folder}) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


LOAD = """
from finetune.identity import digest
from finetune.student import load_base
base = load_base("org/tiny")
print(digest("org/tiny"), base.model.config.num_hidden_layers, base.tokenizer.chat_template is not None)
"""
FIND = """
from finetune.errors import BadInput
from finetune.identity import digest
try:
    print(digest("org/none"))
except BadInput as error:
    print(error)
"""


def run(code: str, home: Path, hub: Hub, **more: str) -> tuple[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_HOME": str(home), "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", **more}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=50)
    return done.stdout, done.stderr


@pytest.mark.slow
def test_a_base_stays_what_was_cached_though_the_hub_moves_on_or_goes(hub: Hub, tmp_path: Path) -> None:
    hub.slow_s = 2.5  # longer than a hub may take to answer at all
    assert run(LOAD, tmp_path, hub, HF_HUB_ETAG_TIMEOUT="2")[0] == f"{FIRST} 2 True\n"
    hub.commits[SECOND] = make_llama(tmp_path / "newer")
    assert run(LOAD, tmp_path, hub)[0] == f"{FIRST} 2 True\n"
    hub.shutdown()
    hub.server_close()
    out, err = run(LOAD, tmp_path, hub)
    assert out == f"{FIRST} 2 True\n"
    assert "Retrying" not in err


def test_a_model_that_the_hub_does_not_have_is_one_line(hub: Hub, tmp_path: Path) -> None:
    out, err = run(FIND, tmp_path, hub)
    assert out.startswith("--model org/none: neither a local folder nor a loadable hub id (http://127.0.0.1:")
    assert "has none of that name, or shows it only after `hf auth login`)\n" in out
    assert (out.count("\n"), err) == (1, "")
