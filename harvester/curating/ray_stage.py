"""Row filters on a Ray cluster: candidates stream from this machine to its workers, and what was found comes back.

The spool's batches are the blocks of a Ray dataset. They are read on this machine, where the file is, as fast as
workers ask for them; Ray's object store holds those on their way and no more. A worker takes one CPU, gets the filters
once, and sends back what it found, which is small. What a lost machine was at is done again by another: a batch gives
the same wherever it is looked through.
"""

import json
import logging
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, Dataset, Datasource, ReadTask
from ray.data.block import BlockMetadata
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harvester import __version__
from harvester.curating.base import RowFilter
from harvester.curating.looking import Found, in_batch
from harvester.curating.spool import batches, how_many_batches
from harvester.errors import BadInput, HarvesterError, how_to_install
from harvester.store.curations import Dropped

FOUND = pa.schema([("id", pa.int64()), *((name, pa.string()) for name in ("filter", "reason", "detail"))])
READERS = 2
"""Batches that are read at a time: one takes 30 ms, and a worker looks through it for half a second or more."""
ANSWERS_S = 10
"""A cluster that takes no connection in this time is not there; Ray itself tries for minutes."""
OPTION = "--executor ray"


def on_a_cluster(filters: Sequence[RowFilter], spool: Path) -> Iterator[Found]:
    """The executor of a cluster: the one that this process is connected to, else RAY_ADDRESS's or this machine's.

    Raises:
        BadInput: no such cluster, a machine of it without this Harvester, or workers here that cannot read the spool.
        HarvesterError: the cluster failed while it looked.
    """
    with _connected():
        try:
            _has_harvester_everywhere()
            # None ahead: what is found is small, and told as soon as it is here.
            tables = _looked_through(filters, spool).iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            )
            yield from filter(None, map(_found, tables))
        except ray.exceptions.RayTaskError as error:
            if isinstance(error, OSError):  # it is of the class of its cause, too
                mend = "Ray has to run as the same user and see the same files"
                raise BadInput(f"{OPTION}: workers on this machine cannot read {spool}; {mend}") from None
            raise  # a mistake in a filter, with its place
        except ray.exceptions.RayError as error:
            raise HarvesterError(f"{OPTION}: the cluster failed, and nothing was stored: {_line(error)}") from None


def _looked_through(filters: Sequence[RowFilter], spool: Path) -> Dataset:
    """Tables of what was found, in the order of the spool."""
    source = _Spool(spool)
    # No CPU for readers: workers take all of them, and a reader that waited for one would wait for ever.
    readers = min(READERS, source.many)
    candidates = ray.data.read_datasource(source, override_num_blocks=source.many, num_cpus=0, concurrency=readers)
    cpus = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
    found: Dataset = candidates.map_batches(
        _Worker,
        fn_constructor_args=(ray.put(list(filters)),),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=1,
        compute=ActorPoolStrategy(min_size=1, initial_size=int(cpus)),
    )
    found.context.execution_options.preserve_order = True
    return found


class _Spool(Datasource):
    """A spool as Ray reads it: a block for each batch."""

    supports_distributed_reads = False  # the file is on this machine

    def __init__(self, path: Path) -> None:
        self._path = path
        self.many = how_many_batches(path)

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:  # noqa: ARG002 - Ray's interface
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(partial(_tables, self._path, number), unknown) for number in range(self.many)]


def _tables(spool: Path, number: int) -> Iterable[pa.Table]:
    yield pa.Table.from_batches(batches(spool, number, number + 1))


class _Worker:
    """The filters on one CPU of the cluster."""

    def __init__(self, filters: "ray.ObjectRef[list[RowFilter]]") -> None:
        self._filters = ray.get(filters)

    def __call__(self, table: pa.Table) -> pa.Table:
        found = [one for batch in table.to_batches() for one in in_batch(self._filters, batch)]
        rows = [
            {"id": one.id, "filter": one.filter, "reason": one.reason, "detail": json.dumps(one.detail)}
            for one in found
        ]
        return pa.Table.from_pylist(rows, schema=FOUND)


def _found(table: pa.Table) -> Found:
    return [Dropped(**(row | {"detail": json.loads(row["detail"])})) for row in table.to_pylist()]


@contextmanager
def _connected() -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    _answers(os.environ.get("RAY_ADDRESS", "auto"))
    try:
        ray.init(address="auto", log_to_driver=False, logging_level=logging.WARNING)
    except ConnectionError:
        mend = "set RAY_ADDRESS, or make this machine one of a cluster by `ray start`; --executor local needs none"
        raise BadInput(f"{OPTION}: no Ray cluster: {mend}") from None
    except RuntimeError as error:
        raise BadInput(f"{OPTION}: {_line(error)}") from None  # such as another version of Ray or Python
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    try:
        yield
    finally:
        ray.shutdown()


def _answers(address: str) -> None:
    """Refuse early where RAY_ADDRESS is an address that this cannot use."""
    if address.startswith("ray://"):
        mend = "run this on a machine of the cluster, with RAY_ADDRESS=auto"
        raise BadInput(f"RAY_ADDRESS: {address}: a client's connection cannot stream this machine's rows; {mend}")
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWERS_S).close()
    except (OSError, OverflowError) as error:
        raise BadInput(f"RAY_ADDRESS: {address}: {_line(error)}; is the cluster's head running there?") from None


def _has_harvester_everywhere() -> None:
    """Refuse machines that would look with other filters, or cannot."""
    this_module = __name__

    def installed() -> str:  # inside, so that Ray ships its code: the module may be missing there
        try:
            import_module(this_module)
        except ImportError as error:
            return str(error)
        return str(import_module("harvester").__version__)

    ask = ray.remote(num_cpus=0)(installed)
    asked = [
        (node["NodeManagerAddress"], ask.options(scheduling_strategy=_only(node["NodeID"])).remote())
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]
    for machine, answer in asked:
        if (told := ray.get(answer)) != __version__:
            mend = f"install this version on every machine of the cluster; {how_to_install('ray')}"
            raise BadInput(f"{OPTION}: not Harvester {__version__} on {machine} ({told}); {mend}")


def _only(node_id: str) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node_id, soft=False)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
