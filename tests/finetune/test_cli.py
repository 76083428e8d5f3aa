import json
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
        (("train", "d", "--out", "x", "--epochs", "0"), "training.epochs: Input should be greater than or equal to 1"),
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


def test_a_bug_exits_1_with_a_traceback_and_where_to_report(finetune: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_options: object) -> Never:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "cli", broken)
    code, _, err = finetune("train")
    assert code == 1
    assert "Traceback" in err
    assert "please report it" in err.splitlines()[-1]
