"""Error types; each carries the exit code that the command line gives for it."""

from typing import Any, ClassVar


def how_to_install(extra: str) -> str:
    """What to do where the libraries of an extra are missing; from the checkout, for PyPI's `harvester` is another."""
    return f"run in Harvester's folder: pip install -e '.[{extra}]'"


class HarvesterError(Exception):
    """Base of every error Harvester raises on purpose; its message is one line for the user."""

    exit_code: ClassVar[int] = 1
    progress: Any = None  # how far a run came (`progress.Progress`) before this stopped it


class BadInput(HarvesterError):
    """A recipe, seed, template or argument is wrong: the message names file, field and mend."""

    exit_code = 2


class StoppedEarly(HarvesterError):
    """Stopped before the end (budget, Ctrl-C); everything so far is stored and the run can go on."""

    exit_code = 3


class RefusedByTerms(HarvesterError):
    """The teacher's terms do not let its answers train a student."""

    exit_code = 4


class TeacherUnusable(HarvesterError):
    """The teacher cannot be used: authentication, quota, unreachable."""

    exit_code = 5


class StoreUnusable(HarvesterError):
    """The store cannot be used: locked, unwritable, newer schema, corrupt."""

    exit_code = 6
