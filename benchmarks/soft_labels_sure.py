"""A teacher that is sure of what it says, for soft_labels.py: made once in a folder, and served.

No model that packages carry is sure of a task: the embedded one, however many examples it is shown, leaves a tenth of
its probability outside the 20 listed tokens. So it is trained first: on records that a rule writes, which stands behind
an address as a provider would, by the commands that a user has.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from measuring import harvester, run_measured

LINE = re.compile(r"(?P<name>\w+) is an? (?P<job>\w+) in (?P<city>\w+), aged (?P<age>\d+)\.")
NAME, KEY = "sure", "SOFT_LABELS_API_KEY"


def record(text: str) -> str:
    """The JSON that a prompt's last line is to be rewritten as."""
    found = [*LINE.finditer(text)][-1].groupdict()
    return json.dumps(found | {"age": int(found["age"])})


class Rule(BaseHTTPRequestHandler):
    """Answers chat completions by `record`."""

    def do_POST(self) -> None:
        """One completion."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": record(asked["messages"][-1]["content"])}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 30, "completion_tokens": 30}
        body = json.dumps({"model": asked["model"], "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: a benchmark prints its table."""


def sure_teacher(keep: Path, write_recipe: Callable[[Path, dict[str, Any]], None]) -> Path:
    """The trained teacher's folder, a model of its own; `write_recipe` writes a recipe that asks a given teacher."""
    folder, recipe = keep / "teacher-sure", keep / "exact"
    if folder.exists():
        return folder
    server = ThreadingHTTPServer(("127.0.0.1", 0), Rule)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    write_recipe(recipe, {"base_url": f"http://127.0.0.1:{server.server_port}/v1", "model": "rule", "local": True})
    run_measured(harvester("collect", recipe, "--json"))
    server.shutdown()
    run_measured(harvester("export", recipe, recipe / "dataset", "--unfiltered", "--json"))
    run_measured(finetune("train", recipe / "dataset", "--out", recipe / "run", "--json"))
    run_measured(finetune("export", recipe / "run", folder, "--name", NAME, "--json"))
    return folder


@contextmanager
def served(folder: Path) -> Iterator[dict[str, Any]]:
    """A model behind `finetune serve`, as the teacher of a recipe; its key is in the environment meanwhile."""
    command = finetune("serve", folder, "--name", NAME, "--dtype", "float32", "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = json.loads(process.stdout.readline())
        os.environ[KEY] = said["api_key"]
        try:
            yield {
                "base_url": said["base_url"], "model": NAME, "local": True, "provider": "vllm", "api_key_env": KEY,
                "limits": {"concurrency": 4},
            }  # fmt: skip
        finally:
            process.terminate()


def finetune(*arguments: object) -> list[str]:
    """A command line."""
    return [sys.executable, "-m", "finetune", *map(str, arguments)]
