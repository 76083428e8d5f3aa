import errno
import os

import pytest
import torch

from finetune.errors import BadInput
from finetune.mishaps import clear, mishap


def test_too_little_memory_of_a_gpu_says_what_takes_less() -> None:
    text = (
        "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1 MiB is free"
    )
    found = mishap(torch.OutOfMemoryError(text))
    assert isinstance(found, BadInput)
    assert str(found).startswith("the GPU's memory is full (2.50 GiB more were asked for); give a smaller --batch-size")
    assert "--gradient-checkpointing" in str(found)


def test_too_little_memory_of_the_machine_is_the_same() -> None:
    with pytest.raises(BadInput, match=r"memory is full \(40000000000000000 bytes more .*--batch-size"), clear():
        torch.empty(10**16)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_disk_that_takes_nothing_is_named_with_its_file(number: int) -> None:
    found = mishap(OSError(number, os.strerror(number), "run/metrics.jsonl"))
    assert str(found).startswith(f"run/metrics.jsonl: {os.strerror(number)}; ")
    assert str(found).endswith("and run the same command again")
    assert str(mishap(OSError(number, os.strerror(number)), where="run")).startswith("run: ")


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "x"), OSError("x"), RuntimeError("x"), BrokenPipeError()]
)
def test_any_other_error_is_no_mishap(error: Exception) -> None:
    assert mishap(error) is None
    with pytest.raises(type(error)), clear():
        raise error
