"""Dockerfile: targets, layers in the order of how often they change, and a user without rights."""

import re
import tomllib

import compose_files as files
import pytest
from compose_files import DOCKERFILE, ROOT, SERVICES, stages


def test_the_targets_that_services_build_exist() -> None:
    built = {service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert built == {"harvester", "finetune"}
    assert built <= set(stages())


def test_the_base_is_pinned_to_a_precise_tag() -> None:
    foreign = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) - set(stages())
    assert [re.fullmatch(r"python:3\.11\.\d+-slim-\w+", image) is not None for image in foreign] == [True]


@pytest.mark.parametrize("target", ["harvester", "finetune"])
def test_dependencies_are_installed_before_the_source_is_copied(target: str) -> None:
    steps = re.findall(r"^(?:RUN pip install|COPY|USER|CMD).*$", stages()[target], re.MULTILINE)
    source = steps.index("COPY . /source")
    assert all("--no-deps" not in step for step in steps[:source])
    assert steps[source + 1] == "RUN pip install --no-deps --force-reinstall /source"
    assert steps[source + 2] == "USER harvester", "what a user runs has no rights over the image"
    # What the dependencies' layer is made of holds no source, else each edit would install everything anew.
    copied = re.findall(r"^COPY (?!--from)(.*)$", stages()["base"] + stages()["declared"], re.MULTILINE)
    assert copied == ["pyproject.toml constraints.txt /source/"]


def test_torch_is_installed_first_and_only_where_it_is_trained_with() -> None:
    first = next(line for line in stages()["finetune"].splitlines() if line.startswith(("RUN", "COPY")))
    assert first == "RUN pip install ${TORCH}"
    pinned = re.search(r"^ARG TORCH=(torch==\S+)$", stages()["finetune"], re.MULTILINE)
    assert pinned
    made = re.search(r"^TORCH \?= (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert made
    assert pinned[1] == made[1]
    assert SERVICES["finetune"]["build"]["args"] == {"TORCH": f"${{TORCH:-{pinned[1]}}}"}
    assert "torch" not in stages()["harvester"].lower()


def test_the_embedded_teacher_finds_the_library_that_its_package_lacks() -> None:
    # In a bare system its server ends with "ImportError: libgomp.so.1".
    assert "[embedded]" in stages()["harvester"]
    assert re.search(r"apt-get install .*\blibgomp1\b", stages()["base"])


def test_the_extras_that_it_installs_exist() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = re.findall(r"/source\[([\w,]+)\]", DOCKERFILE)
    assert asked
    for extras in asked:
        assert set(extras.split(",")) <= set(known)


def test_the_build_is_sent_only_what_the_package_is_made_of() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert lines[0] == "*", "all else stays out: .env, runs with their keys' answers, .git"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    made_of = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"], "LICENSE"}
    assert kept == made_of | {"pyproject.toml", "constraints.txt"}
    # The empty project in which dependencies are installed has every file and folder that building it asks for.
    assert all(re.search(rf"\b{name}\b", stages()["declared"]) for name in made_of)


def test_output_is_not_held_back_and_a_stop_is_a_signal_that_ends_cleanly() -> None:
    assert "PYTHONUNBUFFERED=1" in stages()["base"]
    assert re.search(r"^STOPSIGNAL (SIGTERM|SIGINT)$", DOCKERFILE, re.MULTILINE)
    assert "ENTRYPOINT" not in DOCKERFILE, "docker run IMAGE harvester status"
    assert {
        files.words(re.findall(r'"([^"]+)"', line))[0] for line in DOCKERFILE.splitlines() if line[:3] == "CMD"
    } == set(files.GROUPS)
