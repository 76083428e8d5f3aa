"""Error types; each carries the exit code that the command line gives for it."""

from typing import ClassVar

TELLS, TOLD = "this process tells of it", "another process of this machine tells of it"
"""Notes (PEP 678) on an error that the processes of a run know of together: one of each machine tells the user."""


class FinetuneError(Exception):
    """Base of every error finetune raises on purpose; its message is one line naming file, field and mend."""

    exit_code: ClassVar[int] = 1


class BadInput(FinetuneError):
    """A dataset, model, run folder or argument is wrong: the message names what and how to mend it."""

    exit_code = 2


class Stopped(FinetuneError):
    """Stopped before the end (Ctrl-C); a checkpoint is stored and the run can go on."""

    exit_code = 3


class RefusedByTerms(FinetuneError):
    """The terms of a teacher or of the base model do not let the student leave, or not under this name."""

    exit_code = 4
