import io
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
    assert "pip install 'harvester[finetune]'" in err


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
    assert "torch is not installed; run: pip install 'harvester[finetune]'" in done.stderr


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

    monkeypatch.setattr("finetune.cli.base.cli", broken)
    code, _, err = finetune("train")
    assert code == 1
    assert "Traceback" in err
    assert "please report it" in err.splitlines()[-1]
