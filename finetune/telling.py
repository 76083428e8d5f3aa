"""One error in several processes: one that met it says so, its like keep still, and what only came of it is not told.

A process that left alone would leave the others waiting, or failing with a broken connection that says nothing. So it
leaves a word with torchrun's key-value store, which needs nobody to listen.
"""

import json
from typing import Any

from torch.distributed import DistError

import finetune.errors
import harvester.errors
from finetune.errors import TELLS, TOLD, FinetuneError, Stopped
from finetune.mishaps import mishap
from harvester.errors import HarvesterError

ERROR = "error"
_KINDS: dict[str, Any] = {**vars(harvester.errors), **vars(finetune.errors)}
_BROKEN = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")


class Board:
    """Where the processes of a run leave word of their errors.

    Args:
        store: torch.distributed's key-value store.
        machine: this process's; each machine has a user of its own to tell.
    """

    def __init__(self, store: Any, machine: str) -> None:
        self._store, self._machine = store, machine

    def settle(self, error: Exception) -> Exception:
        """The error that this process should end with, noted with which process tells of it."""
        found = mishap(error) or error
        try:
            if not isinstance(found, FinetuneError | HarvesterError):
                found = self._cause() or _lost(found) or found
            word = portable(found)
            self._store.set(ERROR, json.dumps([type(word).__name__, str(word)]))
            found.add_note(TELLS if self._store.add(f"told/{self._machine}/{word}", 1) == 1 else TOLD)
        except DistError:
            pass  # the store is gone, and with it the machine that had it: each machine's first process tells
        return found

    def _cause(self) -> Exception | None:
        """What another process left word of."""
        if not self._store.check([ERROR]):
            return None
        kind, text = json.loads(self._store.get(ERROR))
        cause: Exception = _KINDS[kind](text)
        return cause


def portable(error: Exception) -> FinetuneError | HarvesterError:
    """An error as another process can be given it."""
    if isinstance(error, FinetuneError | HarvesterError):
        return error
    return mishap(error) or FinetuneError(f"{type(error).__name__}: {error}")


def _lost(error: Exception) -> Stopped | None:
    if isinstance(error, DistError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in _BROKEN)
    ):
        return Stopped(
            "a process of this run ended without a word (killed, or its machine gone); run the same command again to "
            "go on from the last checkpoint"
        )
    return None
