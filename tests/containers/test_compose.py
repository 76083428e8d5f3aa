"""docker-compose.yml and Dockerfile: valid, without secrets, and made of commands that exist and run."""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import click
import compose_spec
import pytest
import yaml

import finetune.cli
import harvester.cli

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
GROUPS = {"harvester": harvester.cli.cli, "finetune": finetune.cli.cli}


def words(command: str | list[str]) -> list[str]:
    """A command as the container gets it: defaults of variables filled in."""
    parts = shlex.split(command) if isinstance(command, str) else command
    return [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", part) for part in parts]


def test_it_follows_the_compose_specification() -> None:
    found = compose_spec.PyCompose.from_json(json.dumps(yaml.safe_load(TEXT)))
    assert set(found.service_names()) == {"collect", "collect-local", "teacher", "finetune"}
    spoilt = yaml.safe_load(TEXT)
    spoilt["services"]["collect"]["restrat"] = "no"
    with pytest.raises(ValueError, match="restrat"):
        compose_spec.PyCompose.from_json(json.dumps(spoilt))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_pinned_watched_and_told_no_secret(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert service["healthcheck"]["test"]
    for variable, value in service["environment"].items():
        assert value is None, variable
    assert not re.search(r"(sk-|hf_)\w{8}", TEXT)


@pytest.mark.parametrize("name", ["collect", "collect-local", "finetune"])
def test_a_stop_of_ours_is_not_tried_again(name: str) -> None:
    assert SERVICES[name]["restart"] == "no"
    assert "stop_grace_period" in SERVICES[name]


def test_what_needs_a_gpu_is_in_its_profile_and_reserves_one() -> None:
    in_profile = {name for name, service in SERVICES.items() if service.get("profiles") == ["gpu"]}
    reserving = {name for name, service in SERVICES.items() if "deploy" in service}
    assert in_profile == {"collect-local", "teacher", "finetune"}
    assert reserving == {"teacher", "finetune"}
    assert SERVICES["collect-local"]["depends_on"] == {"teacher": {"condition": "service_healthy"}}


def test_volumes_are_declared_and_targets_exist() -> None:
    named = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service["volumes"]
        if not volume.startswith(".")
    }
    assert named == set(yaml.safe_load(TEXT)["volumes"])
    targets = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))
    assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} <= targets


def test_the_image_runs_as_nobody_in_particular_and_holds_only_what_it_needs() -> None:
    for stage in DOCKERFILE.split("FROM ")[2:]:
        assert "USER harvester" in stage
    assert re.search(r"^FROM python:3\.11\.\d+-slim", DOCKERFILE, re.MULTILINE)
    kept = (ROOT / ".dockerignore").read_text().split()
    copied = {word for line in re.findall(r"^COPY (.*) /source", DOCKERFILE, re.MULTILINE) for word in line.split()}
    assert copied == {line[1:] for line in kept if line.startswith("!")}


def commands() -> list[list[str]]:
    found = []
    for service in SERVICES.values():
        for command in (service["command"], service["healthcheck"]["test"][1:]):
            parts = words(command)
            inner = [shlex.split(one) for one in parts[2].split("&&")] if parts[:2] == ["sh", "-c"] else [parts]
            found += [one for one in inner if one[0] in GROUPS]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_command_is_one_that_exists(command: list[str]) -> None:
    group, name, *arguments = command
    found = GROUPS[group].commands[name]
    context = click.Context(found, info_name=name)
    found.parse_args(context, arguments)


def test_collect_s_command_collects_in_a_folder_laid_out_like_the_container_s(tmp_path: Path, provider: Any) -> None:
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    teacher = {"base_url": provider.url, "local": True, "model": "toy-1", "sampling": {"max_tokens": 5}}
    (recipe / "recipe.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "toy",
                "teacher": teacher,
                "terms": {"teacher": {"license": "Apache-2.0"}},
                "seeds": {"path": "seeds.jsonl", "license": "CC0-1.0"},
                "steps": [{"name": "answer", "prompt": "answer.j2"}],
            }
        )
    )
    (recipe / "answer.j2").write_text("{{ text }}")
    (recipe / "seeds.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in (SERVICES["collect"]["command"], SERVICES["collect"]["healthcheck"]["test"][1:]):
        done = subprocess.run(
            words(command), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["requests"] == {"answered": 2}


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
