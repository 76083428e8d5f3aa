"""README's quickstart, command by command, on the real teacher and a real student."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MINUTES = 60.0


def quickstart() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## Quickstart")[1]
    block = re.search(r"```bash\n(.*?)```", text, re.DOTALL)
    assert block
    return block[1].splitlines()


def test_make_demo_runs_the_very_commands_of_the_readme() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    run = re.search(r"^RUN := (.*)$", makefile, re.MULTILINE)
    assert run
    recipe = makefile.split("\ndemo: .venv/installed\n")[1].split("\n\n")[0]
    assert [line.strip().replace("$(RUN)", run[1]) for line in recipe.splitlines()] == quickstart()


def run(command: str, folder: Path) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("xllamacpp")
    folder = tmp_path_factory.mktemp("road")
    started = time.monotonic()
    for command in quickstart():
        run(command, folder)
    (folder / "minutes").write_text(str((time.monotonic() - started) / MINUTES))
    return folder


pytestmark = pytest.mark.timeout(2400)


@pytest.mark.slow
def test_the_student_learnt_from_its_teacher_and_the_report_says_how_much(road: Path) -> None:
    report: dict[str, Any] = json.loads((road / "runs/extract-orders/student/report.json").read_text(encoding="utf-8"))
    arms = report["arms"]
    assert set(arms) >= {"base", "base_instruction", "teacher", "student"}
    for arm in arms.values():
        assert arm["n"] >= 100
        assert arm["interval"][0] <= arm["score"] <= arm["interval"][1]
    # The student beats its base beyond doubt; how near it comes to its teacher is what the report is for.
    assert arms["student"]["interval"][0] > arms["base"]["interval"][1]
    assert arms["teacher"]["interval"][0] > arms["base"]["interval"][1]
    assert report["gap_recovered"]["value"] is not None
    assert report["overlap"]["prompts"] == 0
    assert report["usd"] == 0.0


@pytest.mark.slow
def test_a_second_round_asks_the_teacher_nothing_and_changes_no_row(road: Path) -> None:
    dataset = road / "runs/extract-orders/dataset"
    before = {path.name: path.read_bytes() for path in (dataset / "data").iterdir()}
    init, collect, export, train, _ = quickstart()
    run(init, road)
    assert json.loads(run(f"{collect} --json", road))["sent"] == 0
    run(export, road)
    assert {path.name: path.read_bytes() for path in (dataset / "data").iterdir()} == before
    assert json.loads(run(f"{train} --json", road))["status"] == "trained"
    assert json.loads(run("harvester status --json", road))["requests"] == {"answered": 300}


@pytest.mark.slow
def test_the_student_answers(road: Path) -> None:
    """README's own example; greedy decoding, though another CPU may round otherwise, so the fields only."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.search(r"^    \$ (finetune generate .*)$", text, re.MULTILINE)
    assert example
    assert set(json.loads(run(example[1], road))) == {"name", "date", "amount"}
