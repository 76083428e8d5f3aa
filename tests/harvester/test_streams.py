"""Where output goes and input comes from may be gone, full or of another encoding: never a traceback."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def shell(line: str, folder: Any, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of bash in which $H is harvester and $R the recipe; its exit code is that of $H."""
    names = {"H": f"{sys.executable} -m harvester", "R": str(folder.path)}
    return subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, **names, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("$H check $R | head -0; exit ${PIPESTATUS[0]}", 0),
        ("$H --help | head -0; exit ${PIPESTATUS[0]}", 0),
        ("$H collect $R --json | head -0; exit ${PIPESTATUS[0]}", 0),
        ("$H collect $R 2>&1 | head -0; exit ${PIPESTATUS[0]}", 0),
        ("$H nonsense 2>&1 | head -0; exit ${PIPESTATUS[0]}", 2),
        ("$H collect $R <&-", 0),
        ("$H check $R >&-", 0),
        ("$H check nothing 2>&-", 2),
        ("$H collect $R <&- >&- 2>&-", 0),
    ],
)
def test_a_stream_that_is_gone(folder: Any, line: str, code: int) -> None:
    done = shell(line, folder)
    assert (done.returncode, done.stderr) == (code, "")


def test_a_full_disk_behind_stdout(folder: Any) -> None:
    done = shell("$H check $R --json > /dev/full", folder)
    assert done.returncode == 2
    assert done.stderr == "harvester: stdout: cannot be written: No space left on device; send the result elsewhere\n"


def test_a_stdout_that_is_not_unicode(folder: Any) -> None:
    folder.seeds("train.jsonl", ["5 €"])
    done = shell("$H check $R --json", folder, PYTHONIOENCODING="latin-1")
    assert "5 €" in json.loads(done.stdout)["prompts"][0][0]["content"]
    done = shell("$H check $R", folder, PYTHONIOENCODING="latin-1")
    assert (done.returncode, "5 \\u20ac" in done.stdout) == (0, True)


def test_names_that_are_no_text(folder: Any) -> None:
    done = shell("$H init $R/$'\\xff' --json", folder)
    assert json.loads(done.stdout)["folder"].endswith("\udcff")
    done = shell("$H check $R/$'\\xfe'", folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_working_folder_that_is_gone(folder: Any) -> None:
    done = shell('mkdir "$R/gone"; cd "$R/gone"; rmdir "$R/gone"; $H status', folder, PYTHONPATH=str(Path.cwd()))
    assert (done.returncode, done.stderr) == (2, "harvester: no recipe here; name its folder\n")


def test_a_port_that_is_taken(folder: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = shell(f"$H teacher serve --port {port}", folder)
    assert done.returncode == 2
    assert done.stderr == (
        f"harvester: --port: {port}: Address already in use; name another, or leave it out for a free one\n"
    )
