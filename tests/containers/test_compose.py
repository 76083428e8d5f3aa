"""docker-compose.yml: valid, pinned, without secrets, and made of commands that exist."""

import json
import re

import click
import compose_files as files
import compose_spec
import pytest
from compose_files import SERVICES

from harvester.profiles import profiles

OURS = sorted(set(SERVICES) - {"teacher"})


def test_it_follows_the_compose_specification() -> None:
    found = compose_spec.PyCompose.from_json(json.dumps(files.compose()))
    assert set(found.service_names()) == set(SERVICES)


@pytest.mark.parametrize(
    ("section", "wrong"),
    [((), "restrat"), (("healthcheck",), "evry"), (("build",), "tarket")],
)
def test_a_misspelt_field_would_be_seen(section: tuple[str, ...], wrong: str) -> None:
    spoilt = files.compose()
    place = spoilt["services"]["collect"]
    for name in section:
        place = place[name]
    place[wrong] = "no"
    with pytest.raises(ValueError, match=wrong):
        compose_spec.PyCompose.from_json(json.dumps(spoilt))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_pinned_and_watched(name: str) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+$", SERVICES[name]["image"])
    kind, *command = SERVICES[name]["healthcheck"]["test"]
    assert kind in ("CMD", "CMD-SHELL")
    assert command


def test_secrets_are_passed_by_name_only() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            assert value is None, f"{name}: {variable}"
    text = files.COMPOSE.read_text() + files.DOCKERFILE
    assert not re.search(r"(sk-|hf_)\w{8}|(?i:password|secret)", text)
    assert not re.search(r"^\s*(ARG|ENV)\b.*(KEY|TOKEN)", files.DOCKERFILE, re.MULTILINE)


def test_collect_is_given_the_key_of_every_provider_known() -> None:
    known = {profile.keys[0] for profile in profiles().values() if profile.keys}
    assert known <= set(SERVICES["collect"]["environment"])
    for name in set(OURS) - {"collect"}:
        assert set(SERVICES[name].get("environment", {})) <= {"HF_TOKEN"}, "no other service asks a provider"


@pytest.mark.parametrize("name", OURS)
def test_a_stop_of_ours_is_not_tried_again(name: str) -> None:
    assert SERVICES[name]["restart"] == "no"
    assert "stop_grace_period" in SERVICES[name]


@pytest.mark.parametrize("name", OURS)
def test_a_stop_reaches_the_command(name: str) -> None:
    # A shell with something left to do does not pass SIGTERM on; `exec` puts the command in its place.
    command = SERVICES[name]["command"]
    if isinstance(command, str):
        assert not command.startswith("sh ")
    else:
        assert command[-1].rpartition("&&")[2].strip().startswith("exec ")


def test_what_needs_a_gpu_is_in_its_profile_and_reserves_one() -> None:
    profile = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert profile == {
        "collect": None,
        "demo": ["demo"],
        "teacher": ["gpu"],
        "finetune": ["gpu"],
        "finetune-cpu": ["cpu"],
    }
    reserving = {name for name, service in SERVICES.items() if "deploy" in service}
    assert reserving == {"teacher", "finetune"}


def test_collect_waits_for_the_teacher_only_where_there_is_one() -> None:
    assert SERVICES["collect"]["depends_on"] == {"teacher": {"condition": "service_healthy", "required": False}}
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)


def test_what_collect_keeps_outside_its_container() -> None:
    mounted = dict(volume.split(":") for volume in SERVICES["collect"]["volumes"])
    assert mounted == {"./runs": "/work", "home": "/home/harvester"}
    assert "WORKDIR /work\n" in files.DOCKERFILE
    assert "useradd --create-home --uid 1000 harvester" in files.DOCKERFILE
    named = {one.split(":")[0] for service in SERVICES.values() for one in service["volumes"] if one[0] != "."}
    assert named == set(files.compose()["volumes"])


@pytest.mark.parametrize("command", files.own_commands(), ids=" ".join)
def test_a_command_is_one_that_exists(command: list[str]) -> None:
    group, name, *arguments = command
    found = files.GROUPS[group].commands[name]
    found.parse_args(click.Context(found, info_name=name), arguments)


def test_every_service_of_ours_runs_a_command_of_ours() -> None:
    assert {(one[0], one[1]) for one in files.own_commands()} == {
        ("harvester", "init"),
        ("harvester", "collect"),
        ("harvester", "status"),
        ("finetune", "train"),
    }


def test_the_how_to_names_only_services_that_exist() -> None:
    page = (files.ROOT / "docs/how-to/docker.md").read_text(encoding="utf-8")
    lines = re.findall(r"docker compose (?:--profile \w+ )?(?:up|run|stop|exec|build) (.*)$", page, re.MULTILINE)
    assert lines
    for line in lines:
        arguments = re.sub(r"--env \w+ ", "", line).split()
        service = next(word.strip("`") for word in arguments if not word.startswith("-"))
        assert service in SERVICES, line
