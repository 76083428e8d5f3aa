import re
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import terminal

from finetune.errors import BadInput
from finetune.metrics import Metrics, peak_memory_mb

LINE = {
    "step": 1, "loss": 2.0, "tokens_per_s": 10.0, "total_tokens_per_s": 25.0, "memory_mb": 1500.0, "seconds": 0.5,
}  # fmt: skip


def test_on_a_terminal_a_bar_says_what_the_lines_say_elsewhere(
    toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    with terminal(
        "train", toy_dataset, "--out", tmp_path / "run", "--model", tiny_folder, "--max-steps", 3,
        program="finetune", columns=160,
    ) as screen:  # fmt: skip
        screen.wait_for("supervised tok/s")
        code, out = screen.finish()
    assert code == 0, screen.screen
    assert out.startswith(f"{tmp_path / 'run'}: trained, 3 steps")
    assert "3/3" in screen.screen
    assert "Traceback" not in screen.screen


def test_elsewhere_a_line_has_loss_speed_memory_and_the_time_left(tmp_path: Path, capsys: object) -> None:
    code = (
        "import sys; from pathlib import Path; from finetune.metrics import Metrics\n"
        f"Metrics(Path(sys.argv[1]), 1).show({LINE!r}, dev_loss=0.25, left_s=3725)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    said = "step 1/1  loss 2.000  dev 0.250  10 supervised tok/s (25 in all)  1.5 GB  1:02:05 left"
    assert done.stderr.strip() == said


OWN = "from finetune.metrics import peak_memory_mb; print(peak_memory_mb())"
FROM_A_LARGE_PARENT = f"""
import subprocess, sys
large = b"x" * 500_000_000
subprocess.run([sys.executable, "-c", {OWN!r}], check=True)
"""


def test_the_peak_is_this_process_s_own() -> None:
    small, large = (
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for code in (OWN, FROM_A_LARGE_PARENT)
    )
    assert abs(small - large) < 100
    assert peak_memory_mb() > 0


def test_lines_that_are_not_wanted_go(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, 5)
    for step in (1, 2, 3):
        metrics.add({"step": step, "loss": 1.0})
    assert [line["step"] for line in metrics.keep(lambda line: line["step"] < 3)] == [1, 2]
    assert len(re.findall("\n", (tmp_path / "metrics.jsonl").read_text())) == 2


@pytest.mark.parametrize("damage", [b"\x00\x00\x00\n", b"\xff\n", b"[1]\n", b'{"loss": 1.0}\n', b'{"step": "one"}\n'])
def test_a_damaged_curve_is_one_clear_line(tmp_path: Path, damage: bytes) -> None:
    metrics = Metrics(tmp_path, 5)
    metrics.add({"step": 1, "loss": 1.0})
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + damage)
    with pytest.raises(BadInput, match=rf"{path}: .*delete the file: only the curve is lost") as caught:
        metrics.keep(lambda line: line["step"] < 3)
    assert "\n" not in str(caught.value)
