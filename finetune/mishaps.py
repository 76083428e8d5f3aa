"""What befalls a machine rather than a program - a full disk, too little memory - as one clear line.

Knows the libraries' errors by name, so that asking costs no import of them.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from finetune.errors import BadInput

_DISK = {
    errno.ENOSPC: "free space",
    errno.EDQUOT: "free space",
    errno.EFBIG: "raise the limit on a file's size (ulimit -f)",
    errno.EACCES: "make it readable and writable",
    errno.EPERM: "make it readable and writable",
    errno.EROFS: "name a folder on a disk that can be written",
    errno.EIO: "look at the disk",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}
_OS_ERROR = re.compile(r"os error (\d+)")  # as safetensors, which is written in Rust, hands it on
_CPU_MEMORY = "DefaultCPUAllocator"


def mishap(error: BaseException, where: object = None) -> BadInput | None:
    """The line for an error of the machine's, or None for any other.

    Args:
        error: as it was caught.
        where: what was being worked on, for an error that names no file.
    """
    kind, text = type(error).__name__, str(error)
    if kind == "OutOfMemoryError":
        return BadInput(_memory("the GPU's memory", text))
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _CPU_MEMORY in text):
        return BadInput(_memory("memory", text))
    if kind == "SafetensorError" and (found := _OS_ERROR.search(text)):
        return _disk(int(found[1]), where)
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError) and error.errno is not None:
        return _disk(error.errno, error.filename or where)
    return None


@contextmanager
def clear(where: object = None) -> Iterator[None]:
    """Turns a mishap within it into its line.

    Raises:
        BadInput: a disk or memory is full, or a file cannot be read or written.
    """
    try:
        yield
    except Exception as error:
        if (found := mishap(error, where)) is not None:
            raise found from error
        raise


def _disk(number: int, where: object) -> BadInput | None:
    if number not in _DISK:
        return None
    return BadInput(f"{where or 'a file'}: {os.strerror(number)}; {_DISK[number]} and run the same command again")


def _memory(what: str, text: str) -> str:
    asked = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", text)
    more = f" ({asked[1]} more were asked for)" if asked else ""
    return (
        f"{what} is full{more}; give a smaller --batch-size, or where a student is trained --gradient-checkpointing "
        "or a smaller --max-length"
    )
