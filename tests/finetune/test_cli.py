import io
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Never

import pytest
from toys import Command

from finetune import cli, loop
from finetune.checkpoint import Progress


def test_help_has_an_example_and_loads_no_torch() -> None:
    code = "import sys; from finetune.cli import cli; cli(['train', '--help'], standalone_mode=False); "
    code += "assert not {'torch', 'transformers', 'datasets', 'pydantic'} & sys.modules.keys()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Example: finetune train" in done.stdout


@pytest.mark.parametrize("command", sorted(cli.cli.commands))
def test_each_command_has_an_example_and_json(command: str, finetune: Command) -> None:
    code, out, _ = finetune(command, "--help")
    assert code == 0
    assert f"Example: finetune {command}" in out
    assert "--json" in out


def test_the_road_prints_results_on_stdout_and_talk_on_stderr(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path, finetune: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("network used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    run = tmp_path / "run"
    train = ("train", toy_dataset, "--out", run, "--model", tiny_folder, "--max-steps", 2, "--rank", 2, "--json")
    code, out, err = finetune(*train)
    assert code == 0, err
    assert json.loads(out)["status"] == "trained"
    assert "step 2/2" in err
    config = json.loads((run / "config.json").read_text())
    assert (config["lora"]["rank"], config["lora"]["alpha"]) == (2, 4)
    code, out, err = finetune("evaluate", run, "--limit", 3, "--max-new-tokens", 2, "--json")
    assert code == 0, err
    assert json.loads(out)["arms"]["student"]["n"] == 3
    code, out, err = finetune(*train)
    assert code == 0
    assert "already trained" in err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("train", "nowhere", "--out", "x"), "nowhere/harvester.json: No such file or directory"),
        (("train", "d", "--out", "x", "--epochs", "0"), "--epochs': 0 is not in the range x>=1"),
        (("train", "d", "--out", "x", "--epochs", "many"), "'many' is not a valid integer"),
        (("evaluate", "nowhere"), "nowhere/run.json: No such file or directory"),
        (("generate", "nowhere", "hi"), "nowhere/run.json: No such file or directory"),
        (("trian",), "No such command 'trian'"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    arguments: tuple[str, ...], problem: str, finetune: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = finetune(*arguments)
    assert (code, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1


def test_nothing_to_ask_is_bad_input(finetune: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdin", [])
    code, _, err = finetune("generate", tmp_path)
    assert code == 2
    assert "no prompt" in err


@pytest.mark.parametrize("line", [b"\xff\xfe\n", b'{"prompt": "fine"}\n{"prompt": "\xff"}\n'])
def test_prompts_that_are_not_utf8_are_bad_input(line: bytes, finetune: Command, tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_bytes(line)
    code, _, err = finetune("generate", tmp_path, "--input", tmp_path / "prompts.jsonl")
    assert (code, err.count("\n")) == (2, 1), err
    assert "prompts.jsonl: not UTF-8 text" in err


def test_stdin_that_is_not_utf8_is_bad_input(
    finetune: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="utf-8"))
    code, _, err = finetune("generate", tmp_path)
    assert (code, err.count("\n")) == (2, 1), err
    assert "not UTF-8 text" in err


@pytest.mark.parametrize("module", ["torch", "transformers", "peft", "datasets"])
def test_without_the_extra_the_mend_is_one_line(
    module: str, finetune: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_arguments: object, **_options: object) -> Never:
        raise ModuleNotFoundError(name=f"{module}.nn")

    monkeypatch.setattr("finetune.cli.base.cli", missing)
    code, _, err = finetune("train")
    assert (code, err.count("\n")) == (2, 1), err
    assert "pip install -e '.[finetune]'" in err


@pytest.mark.parametrize(
    "arguments",
    [("train", "d", "--out", "r"), ("evaluate", "r"), ("generate", "r", "hi"), ("export", "r", "o")],
    ids=lambda a: a[0],
)
def test_every_command_says_that_torch_is_missing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from finetune.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "torch is not installed; run in Harvester's folder: pip install -e '.[finetune]'" in done.stderr


def test_stopping_exits_3_and_says_how_to_go_on(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path, finetune: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = loop.Loop._record

    def interrupt(self: loop.Loop, progress: Progress, *rest: Any) -> None:
        record(self, progress, *rest)
        if progress.step == 1:
            signal.raise_signal(signal.SIGINT)

    train = ("train", toy_dataset, "--out", tmp_path / "run", "--model", tiny_folder, "--max-steps", 3)
    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_record", interrupt)
        code, out, err = finetune(*train)
    assert (code, out) == (3, "")
    assert err.endswith("stopped after step 1 of 3; run the same command again to go on\n")
    code, out, err = finetune(*train)
    assert code == 0
    assert "going on after step 1 of 3" in err


IMPATIENT = """
import os, signal, sys
from finetune import training
from finetune.cli import base, main

def loading(*_arguments, **_options):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        exec("raise KeyboardInterrupt")  # as it may come while an imported library makes a dataclass

say = base._say
def saying(*arguments):
    os.kill(os.getpid(), signal.SIGINT)
    return say(*arguments)

training.prepare, base._say = loading, saying
main()
"""


def test_ctrl_c_while_loading_is_one_line_however_often_it_is_pressed(toy_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "impatient.py").write_text(IMPATIENT)  # python -m, as torchrun starts it too, ends in its own way
    command = [sys.executable, "-m", "impatient", "train", str(toy_dataset), "--out", str(tmp_path / "run")]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert (done.returncode, done.stderr) == (3, "finetune: interrupted; run the same command again to go on\n")
    assert not (tmp_path / "run").exists()


def test_a_ctrl_c_that_a_library_made_another_error_of_is_still_one(
    finetune: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object, **_options: object) -> Never:
        raise ImportError("cannot import") from KeyboardInterrupt()

    monkeypatch.setattr("finetune.cli.base.cli", interrupted)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert finetune("train") == (3, "", "finetune: interrupted; run the same command again to go on\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "run/x"), "run/x: No space left on device; free space"),
        (MemoryError(), "memory is full; give a smaller --batch-size"),
    ],
    ids=["disk", "memory"],
)
def test_a_full_disk_or_memory_is_one_line_and_code_2(
    error: Exception, line: str, finetune: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_options: object) -> Never:
        raise error

    monkeypatch.setattr("finetune.cli.base.cli", full)
    code, _, err = finetune("evaluate")
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith(f"finetune: {line}")


def test_a_disk_that_fills_up_while_it_trains_is_one_line_and_code_2(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    # The curve and the facts fit, the checkpoint does not.
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    code += "from finetune.cli import main; main()"
    arguments = ("train", toy_dataset, "--out", tmp_path / "run", "--model", tiny_folder, "--max-steps", 1)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    said = done.stderr.splitlines()[-1]
    assert said.startswith(
        f"finetune: {tmp_path / 'run' / 'checkpoints'}/step-00000001: File too large; raise the limit"
    )
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_a_bug_exits_1_with_a_traceback_and_where_to_report(finetune: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_options: object) -> Never:
        raise ZeroDivisionError

    monkeypatch.setattr("finetune.cli.base.cli", broken)
    code, _, err = finetune("train")
    assert code == 1
    assert "Traceback" in err
    assert "please report it" in err.splitlines()[-1]
