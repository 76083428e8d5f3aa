"""Datasets in the hub's layout, on the hub or in a folder. The library `datasets` says which files they are made of."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from harvester.errors import BadInput, how_to_install
from harvester.seeds.arrow_values import Values
from harvester.seeds.finding import TABLES, Source, one_of
from harvester.seeds_spec import Seeds

BATCH_ROWS = 256


def rows(source: Source, spec: Seeds) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row, fields) of every row of the split.

    A folder's own tables are read as if they were named one by one, what is elsewhere or packed by the library.

    Raises:
        BadInput: no such dataset, config or split, or a column or value that JSON cannot hold.
    """
    with _told(source):
        builder = _builder(source, spec)
        files = builder.config.data_files or {}
        split = one_of([str(name) for name in files], spec.split, "split", str(source))
        paths = [Path(name) for name in files[split]]
    if source.files and all(path.suffix.lower() in TABLES for path in paths):
        yield from enumerate(_of_tables(paths, spec), start=1)
    else:
        with _told(source):
            yield from enumerate(_streamed(source, builder, split), start=1)


def fingerprint(source: Source, spec: Seeds) -> list[str]:
    """What changes when a dataset of the hub does: the addresses of its files, which name their revision.

    Raises:
        BadInput: no such dataset or config.
    """
    with _told(source):
        files = _builder(source, spec).config.data_files or {}
        return [f"{split} {name}" for split, names in files.items() for name in names]


def _of_tables(paths: list[Path], spec: Seeds) -> Iterator[dict[str, Any]]:
    for path in paths:
        kind = TABLES[path.suffix.lower()]
        table = Source(str(path), path, kind, (path,))
        for _, row in import_module(f"harvester.seeds.{kind}").rows(table, spec):
            yield row


def _streamed(source: Source, builder: Any, split: str) -> Iterator[dict[str, Any]]:
    import datasets  # noqa: PLC0415 - takes 0.7 s, and is installed only where somebody wants it

    had_torch = datasets.config.TORCH_AVAILABLE
    datasets.config.TORCH_AVAILABLE = False  # else it loads torch, to make one of torch's own datasets of it
    try:
        stream = builder.as_streaming_dataset(split=split).with_format("arrow")
    finally:
        datasets.config.TORCH_AVAILABLE = had_torch
    number = 1
    values: Values | None = None
    for table in stream.iter(batch_size=BATCH_ROWS):
        values = values or Values(table.schema, str(source))
        yield from values.rows(table, number)
        number += table.num_rows


def _builder(source: Source, spec: Seeds) -> Any:
    try:
        import datasets  # noqa: PLC0415 - as above
    except ImportError:
        what = "a folder of data files" if source.files else "no file of the recipe's folder, so an id on the hub"
        mend = f"needs the library `datasets`; {how_to_install('datasets')}"
        raise BadInput(f"{source}: is {what}, which {mend}") from None
    # An absolute path is never looked for on the hub.
    path = str(source.path.resolve()) if source.files else source.name
    config = one_of(datasets.get_dataset_config_names(path), spec.config, "config", str(source))
    builder = datasets.load_dataset_builder(path, config)
    if source.files:
        _require_own_files(source, builder)
    return builder


def _require_own_files(source: Source, builder: Any) -> None:
    """Refuse a card that names files out of its folder, or on other machines."""
    own = {path.resolve() for path in source.files}
    for names in (builder.config.data_files or {}).values():
        for name in names:
            if Path(name).resolve() not in own:
                raise BadInput(f"{source}: its README.md names {name}, which is no file of the folder; copy it there")


@contextmanager
def _told(source: Source) -> Iterator[None]:
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001 - the library's own, its client's, Arrow's: it is the data's mistake
        said = next(iter(str(error).splitlines()), "") or type(error).__name__
        nowhere = isinstance(error, OSError) and not source.files  # not found, not reached
        where = "; it is neither a file of the recipe's folder nor a dataset of the hub" if nowhere else ""
        raise BadInput(f"{source}: cannot be read as a dataset: {said[:300]}{where}") from None
