"""Two real processes over gloo, started as a user starts them, against one."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from toys import make_pair, make_row, make_told_row, write_dataset, write_pairs

from finetune import checkpoint, runs, stored
from finetune.distributed import World

pytestmark = pytest.mark.slow

CLOCKS = {"seconds", "tokens_per_s", "total_tokens_per_s", "memory_mb"}


def train(processes: int, *arguments: object, patch: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command; `patch` is a folder with a sitecustomize.py for its processes."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*(torchrun if processes > 1 else [sys.executable]), "-m", "finetune", "train", *map(str, arguments)]
    paths = [str(Path(__file__).parents[2]), *([str(patch)] if patch else [])]
    environment = os.environ | {"PYTHONPATH": ":".join(reversed(paths)), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=100)


def write_patch(folder: Path, code: str) -> Path:
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return folder


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("finetune:")]


def curve(run: Path) -> list[dict[str, Any]]:
    lines = runs.read_lines(run / runs.METRICS)
    return [{name: value for name, value in line.items() if name not in CLOCKS} for line in lines]


def student(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(next(run.glob("*/*model.safetensors")))


SETTINGS = ("--epochs", 2, "--dtype", "float32", "--batch-size", 2, "--grad-accum", 3, "--seed", 5)


@pytest.mark.parametrize(
    ("method", "steps", "more"),
    [
        ("lora", 8, ("--no-packing",)),
        ("full", 8, ()),
        # 22 rows in steps of 21: the last step has 1, and a process none.
        ("lora", 4, ("--batch-size", 3, "--grad-accum", 7)),
        ("full", 4, ("--batch-size", 3, "--grad-accum", 7)),
    ],
)
def test_two_processes_train_the_student_of_one(
    method: str, steps: int, more: tuple[object, ...], toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    settings = (*SETTINGS, "--model", tiny_folder, "--method", method, "--learning-rate", 0.01, *more)
    for processes in (1, 2):
        done = train(processes, toy_dataset, "--out", tmp_path / str(processes), *settings)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("trained") == 1  # one process talks
    one, two = curve(tmp_path / "1"), curve(tmp_path / "2")
    assert len(one) == len(two) == steps + 3
    for mine, theirs in zip(one, two, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
    assert runs.read_facts(tmp_path / "2").processes == 2
    weights = student(tmp_path / "2")
    for name, weight in student(tmp_path / "1").items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-4)


def test_two_processes_learn_the_same_of_the_teacher_s_probabilities(tiny_folder: Path, tmp_path: Path) -> None:
    rows = [make_told_row(n, prompt="ask " + "x" * (n % 5), answer="abc" * (1 + n % 4)) for n in range(9)]
    dataset = write_dataset(tmp_path / "data", {"train": [*rows, make_row(20), make_row(21)]}, picked=False)
    settings = (*SETTINGS, "--model", tiny_folder, "--learning-rate", 0.01, "--loss", "sampled")
    for processes in (1, 2):
        done = train(processes, dataset, "--out", tmp_path / str(processes), *settings)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("9 of 11 rows have the teacher's probabilities") == 1
    for mine, theirs in zip(curve(tmp_path / "1"), curve(tmp_path / "2"), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


# The last one stops right after a look at dev, which leaves the shards' root whole unless it is told not to.
@pytest.mark.parametrize(("method", "more"), [("lora", ()), ("full", ()), ("full", ("--dev-every", 3))])
def test_a_run_goes_on_with_another_number_of_processes(
    method: str, more: tuple[object, ...], toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    settings = ("--model", tiny_folder, "--method", method, "--learning-rate", 0.01, *SETTINGS, *more)
    done = train(1, toy_dataset, "--out", tmp_path / "whole", *settings)
    assert done.returncode == 0, done.stderr
    patch = write_patch(tmp_path / "patch", STOP_AFTER_3)
    first = train(2, toy_dataset, "--out", tmp_path / "parts", *settings, patch=patch)
    assert first.returncode != 0
    assert "stopped after step 3 of 8" in first.stderr
    rest = train(1, toy_dataset, "--out", tmp_path / "parts", *settings)
    assert rest.returncode == 0, rest.stderr
    assert "going on after step 3 of 8" in rest.stderr
    for mine, theirs in zip(curve(tmp_path / "whole"), curve(tmp_path / "parts"), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


# One of the two processes gets the wish to stop; both must.
STOP_AFTER_3 = """
import os
if os.environ.get("RANK") == "1":
    import finetune.loop as loop
    step = loop.Loop._step
    def wishing(self, progress):
        if progress.step == 2:
            os.kill(os.getpid(), 2)
        return step(self, progress)
    loop.Loop._step = wishing
"""


def test_bad_input_is_said_by_one_process_and_ends_both(toy_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    done = train(2, toy_dataset, "--out", tmp_path / "mine")
    assert done.returncode != 0
    (line,) = told(done)
    assert "exists and is not a run" in line


IN_THE_SECOND = """
import os
if os.environ.get("RANK") == "1":
    {}
"""
AT_STEP_2 = """
    import sys
    import finetune.loop as loop
    step = loop.Loop._step
    def failing(self, progress):
        if progress.step == 2:
            {}
        return step(self, progress)
    loop.Loop._step = failing
"""


MISSING = """
    import finetune.data as data, finetune.errors as errors
    def missing(path):
        raise errors.BadInput("data: not here; copy it")
    data.read_notes = missing
"""


@pytest.mark.parametrize(
    ("failing", "line"),
    [
        (
            AT_STEP_2.format("import torch; raise torch.OutOfMemoryError('Tried to allocate 2.00 GiB.')"),
            "the GPU's memory is full (2.00 GiB more were asked for); give a smaller --batch-size",
        ),
        (AT_STEP_2.format("os.kill(os.getpid(), 9)"), "a process of this run ended without a word"),
        (
            "import finetune.data as data; data.fingerprint = lambda path: 'another'",
            "process 1 of 2 has another dataset than the first (another, not ",
        ),
        (
            "import finetune.identity as identity; identity.digest = lambda name: 'another'",
            "process 1 of 2 has another base model than the first",
        ),
        (
            MISSING,
            "data: not here; copy it",
        ),
    ],
    ids=["memory", "killed", "dataset", "base", "missing"],
)
def test_what_goes_wrong_in_one_process_is_said_once_and_ends_both(
    failing: str, line: str, toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    patch = write_patch(tmp_path / "patch", IN_THE_SECOND.format(failing.strip()))
    settings = ("--model", tiny_folder, "--method", "lora", *SETTINGS)
    done = train(2, toy_dataset, "--out", tmp_path / "run", *settings, patch=patch)
    assert done.returncode != 0
    (said,) = told(done)
    assert said.startswith(f"finetune: {line}")
    assert re.search(r"exitcode\s*: (2|-9)", done.stderr)


ON_A_DISK_OF_ITS_OWN = """
import os, sys
if os.environ.get("RANK") == "1" and "--out" in sys.argv:
    place = sys.argv.index("--out") + 1
    sys.argv[place] += "-elsewhere"
"""


@pytest.mark.parametrize("method", ["lora", "full"])
def test_machines_without_a_common_disk_go_on_together_and_end_with_the_best(
    method: str, toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    settings = (
        "--model", tiny_folder, "--method", method, *SETTINGS, "--learning-rate", 0.3, "--schedule", "constant",
        "--dev-every", 1, "--patience", 2, "--epochs", 20,
    )  # fmt: skip
    stop = write_patch(tmp_path / "stop", ON_A_DISK_OF_ITS_OWN + STOP_AFTER_3.replace("== 2", "== 0"))
    first = train(2, toy_dataset, "--out", tmp_path / "run", *settings, patch=stop)
    assert "stopped after step 1" in first.stderr, first.stderr
    patch = write_patch(tmp_path / "patch", ON_A_DISK_OF_ITS_OWN)
    rest = train(2, toy_dataset, "--out", tmp_path / "run", *settings, patch=patch)
    assert rest.returncode == 0, rest.stderr
    assert "going on after step 1" in rest.stderr
    assert not (tmp_path / "run-elsewhere").exists()
    facts = runs.read_facts(tmp_path / "run")
    assert facts.ended_by == "patience"
    kept = stored.read(checkpoint.best(tmp_path / "run" / runs.CHECKPOINTS, facts.best_step))[1]
    saved = student(tmp_path / "run")
    for name, weight in kept.items():
        # peft leaves the adapter's name out of what it saves.
        assert torch.equal(weight, saved[name.replace(".default.", ".")])


def test_one_process_is_the_plain_case() -> None:
    world = World()
    assert world.first
    assert world.by_first(lambda: 3) == 3
    assert world.total(2.5) == [2.5]
    assert world.most(1.0, 2) == [1.0, 2]
    assert [tensor.tolist() for tensor in world.gathered(torch.tensor([1]))] == [[1]]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_two_processes_prefer_as_one(method: str, toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> None:
    pairs = [make_pair(n, prompt=f"ask {n}", chosen="y" * (1 + n % 3), rejected="no" * (1 + n % 5)) for n in range(13)]
    write_pairs(toy_dataset, {"train": pairs, "dev": pairs[:3]})
    settings = (*SETTINGS, "--model", tiny_folder, "--method", method, "--learning-rate", 0.003, "--loss", "dpo")
    for processes in (1, 2):
        done = train(processes, toy_dataset, "--out", tmp_path / str(processes), *settings)
        assert done.returncode == 0, done.stderr
    one, two = curve(tmp_path / "1"), curve(tmp_path / "2")
    assert len(one) == len(two) == 6 + 3  # steps of 6, 6 and 1 pairs, where one process has none
    for mine, theirs in zip(one, two, strict=True):
        for line in (mine, theirs):  # before the first update no reward is larger but by rounding
            line.pop("reward_accuracy" if line["step"] == 1 else "dev_reward_accuracy" if line["step"] == 0 else "", 0)
        assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    weights = student(tmp_path / "2")
    for name, weight in student(tmp_path / "1").items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-4)
