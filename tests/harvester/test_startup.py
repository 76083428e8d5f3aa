"""What `harvester --help` may load: it answers at once."""

import subprocess
import sys

ALLOWED = {"click", "harvester"}
"""Top-level modules beside Python's own. A new one costs every command its loading time: import it in its command."""


def loaded_by(code: str) -> tuple[set[str], str]:
    """Top-level modules that a child has loaded after running `code`, without Python's own; and what it printed.

    Compared with a child that runs nothing: what the environment itself loads (.pth files) is not ours.
    """
    shown = "\nimport sys\nprint(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    ran, idle = (
        subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True)
        for text in (code + shown, shown)
    )
    ours = set(ran.stderr.split()) - set(idle.stderr.split())
    return ours - sys.stdlib_module_names, ran.stdout


def test_help_loads_click_and_nothing_else() -> None:
    code = """
import contextlib, sys
from harvester.cli import main
sys.argv = ["harvester", "--help"]
with contextlib.suppress(SystemExit):
    main()
"""
    modules, said = loaded_by(code)
    assert "collect" in said
    assert modules <= ALLOWED


def test_what_is_loaded_is_seen() -> None:
    modules, _ = loaded_by("import harvester.store")
    assert "sqlalchemy" in modules
