"""Imports go to earlier rooms only, and the package's front door is light."""

import ast
import subprocess
import sys
from pathlib import Path

import finetune

ROOMS = [
    "errors",
    "config",
    "data",
    "rendering",
    "collate",
    "losses",
    "schedule",
    "student",
    "checkpoint",
    "runs",
    "loop",
    "generation",
    "intervals",
    "evaluation",
    "report",
    "cli",
]
PACKAGE = Path(finetune.__file__).parent


def imported_rooms(path: Path) -> set[str]:
    """Rooms named by `from finetune… import` anywhere in a file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "finetune":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("finetune."):
                found.add(node.module.split(".")[1])
    return found


def test_every_room_is_in_the_order() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"} == set(ROOMS)


def test_imports_go_to_earlier_rooms_only() -> None:
    later = {
        (room, other)
        for place, room in enumerate(ROOMS)
        for other in imported_rooms(PACKAGE / f"{room}.py")
        if other not in ROOMS[:place]
    }
    assert later == set()


def test_the_verbs_stay_functions_whatever_was_imported_before() -> None:
    code = (
        "import sys, finetune; assert 'torch' not in sys.modules; import finetune.cli, finetune.evaluation; "
        "from finetune import train, evaluate, generate; assert callable(train) and callable(evaluate); "
        "assert callable(generate)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
