"""docker-compose.yml and Dockerfile as the tests read them. A helper, not a test."""

import re
import shlex
from pathlib import Path
from typing import Any

import click
import yaml

import finetune.cli
import harvester.cli

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
GROUPS: dict[str, click.Group] = {"harvester": harvester.cli.cli, "finetune": finetune.cli.cli}


def compose() -> dict[str, Any]:
    """The file's own copy for whoever wants to spoil it: anchors resolved, nothing shared between two calls."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return found


SERVICES: dict[str, Any] = compose()["services"]


def words(command: str | list[str]) -> list[str]:
    """A command as the container gets it: defaults of variables filled in."""
    parts = shlex.split(command) if isinstance(command, str) else command
    return [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", part) for part in parts]


def own_commands() -> list[list[str]]:
    """Every harvester and finetune command of services and healthchecks, those inside `sh -c` too."""
    found = []
    for service in SERVICES.values():
        for command in (service["command"], service["healthcheck"]["test"][1:]):
            parts = words(command)
            inner = [shlex.split(one) for one in parts[2].split("&&")] if parts[:2] == ["sh", "-c"] else [parts]
            found += [one[1:] if one[0] == "exec" else one for one in inner]
    return [one for one in found if one[0] in GROUPS]


def stages() -> dict[str, str]:
    """The Dockerfile's targets and their instructions."""
    parts = re.split(r"^FROM \S+ AS (\w+)$", DOCKERFILE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
