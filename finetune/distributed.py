"""Several processes that train one student, started by torchrun; one process is the plain case of it."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import distributed

from finetune.errors import BadInput
from finetune.mishaps import clear
from finetune.telling import Board, portable

T = TypeVar("T")
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class World:
    """This process's place among the others. Every method but `first` must be called by all of them."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and talks."""
        return self.rank == 0

    def by_first(self, work: Callable[[], T]) -> T:
        """What the first process's `work` returns, or raises, in all of them."""
        if self.size == 1:
            return work()
        told: list[Any] = [None, None]
        mine: Exception | None = None
        if self.first:
            try:
                told[0] = work()
            except Exception as error:  # noqa: BLE001 - whatever it is, the others must not wait for ever
                mine, told[1] = error, portable(error)
        distributed.broadcast_object_list(told, src=0)
        if told[1] is not None:
            raise mine or told[1]
        result: T = told[0]
        return result

    def by_each(self, work: Callable[[], T]) -> T:
        """What this process's `work` returns; what any process's raises, in all of them.

        Args:
            work: must not wait for other processes.
        """
        if self.size == 1:
            return work()
        result: Any = None
        mine: Exception | None = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - as above
            mine = error
        errors = [error for error in self._told(None if mine is None else portable(mine)) if error is not None]
        if errors:
            raise mine or errors[0]
        found: T = result
        return found

    def agree(self, facts: Mapping[str, str]) -> None:
        """Sees that all processes have the same.

        Args:
            facts: name of a thing → what tells it from others.

        Raises:
            BadInput: some process has another one; in all of them.
        """
        if self.size == 1:
            return
        for rank, theirs in enumerate(all_facts := self._told(dict(facts))):
            for name, value in all_facts[0].items():
                if theirs[name] != value:
                    raise BadInput(
                        f"process {rank} of {self.size} has another {name} than the first ({theirs[name][:12]}, not "
                        f"{value[:12]}); give the processes of every machine the same"
                    )

    def share(self, tensor: torch.Tensor) -> torch.Tensor:
        """The first process's tensor, in all of them; each gives one of its shape, type and device, to be filled."""
        if self.size > 1:
            distributed.broadcast(tensor, src=0)
        return tensor

    def total(self, *values: float) -> list[float]:
        """The sum of each value over all processes."""
        return self._reduced(list(values), distributed.ReduceOp.SUM) if self.size > 1 else list(values)

    def most(self, *values: float) -> list[float]:
        """The largest of each value over all processes."""
        return self._reduced(list(values), distributed.ReduceOp.MAX) if self.size > 1 else list(values)

    def add_gradients(self, weights: Iterable[torch.nn.Parameter]) -> None:
        """Sums the gradients of all processes, in one message; a process without rows has none of its own."""
        if self.size == 1:
            return
        learning = list(weights)
        for weight in learning:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        grads = [weight.grad for weight in learning if weight.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        distributed.all_reduce(flat)
        for grad, summed in zip(grads, torch.split(flat, [grad.numel() for grad in grads]), strict=True):
            grad.copy_(summed.view_as(grad))

    def gathered(self, value: torch.Tensor) -> list[torch.Tensor]:
        """A CPU tensor of every process, by rank."""
        if self.size == 1:
            return [value]
        found = [torch.empty_like(value) for _ in range(self.size)]
        distributed.all_gather(found, value)
        return found

    def exchanged(self, value: T) -> list[T]:
        """A value of every process, by rank."""
        return [value] if self.size == 1 else self._told(value)

    def _told(self, value: Any) -> list[Any]:
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value)
        return found

    def _reduced(self, values: list[float], how: Any) -> list[float]:
        # On the CPU, in float64: counts and clocks come out as they went in.
        tensor = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(tensor, op=how)
        return [float(value) for value in tensor]


@contextmanager
def join() -> Iterator[World]:
    """The world that torchrun's environment tells of; without it, one of a single process.

    An error that leaves it ends the others as well, with the same one where they can tell.

    Raises:
        BadInput: a disk or memory is full.
        Stopped: another process is gone.
    """
    size, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(local)
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if size == 1:
        with clear():
            yield World(device=device)
        return
    c10d: Any = distributed  # its stores have no type information
    store, rank, size = next(iter(c10d.rendezvous("env://")))
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=c10d.PrefixStore("processes", store), rank=rank, world_size=size,
    )  # fmt: skip
    board = Board(c10d.PrefixStore("errors", store), machine=os.environ.get("GROUP_RANK", "0"))
    try:
        yield World(rank=rank, size=size, device=device)
    except Exception as error:
        settled = board.settle(error)
        if settled is error:
            raise
        raise settled from error
    finally:
        distributed.destroy_process_group()
