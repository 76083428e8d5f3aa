"""What the services run, run here: in a folder laid out like the container's /work, without an engine."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from compose_files import COMPOSE, DOCKERFILE, SERVICES, words

from harvester.addresses import check_url, require_reach
from harvester.teachers.weights import cache_dir
from harvester.trusting import trust_list

COLLECT = words(SERVICES["collect"]["command"])
STATUS = words(SERVICES["collect"]["healthcheck"]["test"][1:])


@pytest.fixture
def environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run(command: list[str], work: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_collect_collects_and_is_healthy(folder: Any, provider: Any, tmp_path: Path, environment: Any) -> None:
    done = run(COLLECT, tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert len(provider.answered) == 10
    assert (tmp_path / "recipe" / "harvest.db").exists()
    healthy = run(STATUS, tmp_path, environment)
    assert json.loads(healthy.stdout)["requests"] == {"answered": 10}


def test_collect_without_a_recipe_is_not_healthy(tmp_path: Path, environment: Any) -> None:
    assert run(COLLECT, tmp_path, environment).returncode == 2
    assert run(STATUS, tmp_path, environment).returncode != 0


def test_a_stop_is_exit_code_3_and_the_same_command_goes_on(
    folder: Any, provider: Any, tmp_path: Path, environment: Any
) -> None:
    provider.latency_s = 0.3
    folder.data["teacher"]["limits"] = {"concurrency": 1}
    folder.save()
    going = subprocess.Popen(COLLECT, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    provider.wait_until_asked(2, going)
    assert run(STATUS, tmp_path, environment).returncode == 0, "healthy while it collects"
    going.send_signal(signal.SIGTERM)
    _, said = going.communicate(timeout=60)
    assert going.returncode == 3, said
    provider.latency_s = 0
    assert run(COLLECT, tmp_path, environment).returncode == 0
    assert len(provider.asked) == 10, "what was under way at the stop was answered and stored"


def test_trust_and_weights_lie_on_the_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    # `compose run --rm` removes the container: what `--trust` agreed to must outlive it.
    assert not re.search(r"XDG_|HARVESTER_CACHE|HF_HOME", DOCKERFILE + COMPOSE.read_text(encoding="utf-8"))
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HARVESTER_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "/home/harvester")
    volume = next(one for one in SERVICES["collect"]["volumes"] if one.startswith("home:")).removeprefix("home:")
    assert trust_list().is_relative_to(volume)
    assert cache_dir().is_relative_to(volume)


def test_a_teacher_named_like_its_service_is_a_local_one() -> None:
    check_url("http://teacher:8000/v1", local=True)
    require_reach("teacher", ["172.18.0.2"], local=True)  # what Compose's own DNS answers
    with pytest.raises(ValueError, match="local: true"):
        check_url("http://teacher:8000/v1", local=False)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_teacher_s_healthcheck_tells_a_server_that_is_up(status: int, healthy: bool) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _, python, *rest = SERVICES["teacher"]["healthcheck"]["test"]
        assert python == "python3"
        code = [part.replace(":8000/", f":{server.server_port}/") for part in rest]
        done = subprocess.run([sys.executable, *code], capture_output=True, check=False, timeout=30)
        server.shutdown()
    assert (done.returncode == 0) is healthy


@pytest.mark.parametrize(("age_s", "healthy"), [(60, True), (3600, False)])
def test_finetune_is_healthy_while_it_writes_steps(age_s: int, healthy: bool, tmp_path: Path) -> None:
    metrics = tmp_path / "recipe" / "student" / "metrics.jsonl"
    metrics.parent.mkdir(parents=True)
    metrics.touch()
    then = metrics.stat().st_mtime - age_s
    os.utime(metrics, (then, then))
    (line,) = words(SERVICES["finetune"]["healthcheck"]["test"][1:])
    assert (subprocess.run(["sh", "-c", line], cwd=tmp_path, check=False).returncode == 0) is healthy
