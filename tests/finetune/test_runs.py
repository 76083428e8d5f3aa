import os
import subprocess
import sys
from pathlib import Path

import pytest

from finetune import runs


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the disk and what is renamed, in order."""
    seen: list[str] = []
    sync, replace, rename = os.fsync, Path.replace, Path.rename

    def fsync(handle: int) -> None:
        seen.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", lambda path, target: (seen.append("rename"), replace(path, target))[1])
    monkeypatch.setattr(Path, "rename", lambda path, target: (seen.append("rename"), rename(path, target))[1])
    return seen


def test_a_text_is_on_the_disk_before_its_name_is_and_then_the_name(tmp_path: Path, order: list[str]) -> None:
    runs.write_text(tmp_path / "run.json", "{}")
    assert order[0].startswith(".run.json-")
    assert order[1:] == ["rename", tmp_path.name]


def test_a_folder_is_on_the_disk_before_its_name_is_and_then_the_name(tmp_path: Path, order: list[str]) -> None:
    with runs.new_folder(tmp_path / "adapter") as new:
        (new / "inner").mkdir()
        (new / "inner" / "weights").write_text("w")
        (new / "config").write_text("c")
    assert set(order[:4]) == {"inner", "weights", "config", "new"}
    assert order[4:] == ["rename", tmp_path.name]


def test_a_text_that_finds_no_room_leaves_the_one_before_and_no_scrap(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    runs.write_text(path, "before")
    code = (
        "import resource, sys; from pathlib import Path; from finetune import runs\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try: runs.write_text(Path(sys.argv[1]), 'x' * 1000)\nexcept OSError as error: print(error.strerror)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "File too large"
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("run.json", "before")]
