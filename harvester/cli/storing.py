"""store: what takes the room of a store's file, and making it smaller."""

import time
from pathlib import Path
from typing import Any

import click

from harvester.cli.base import PATH, as_json, complete_recipe, load, say, show, trust_option, usable
from harvester.records import count_of, size_of

TOLD_EVERY_S = 5
LEAST_SHARE = 0.01
"""Of the file: what takes less has no line of its own."""

_what = click.argument(
    "store",
    metavar="RECIPE",
    type=PATH,
    callback=usable,
    shell_complete=complete_recipe,
    help="A recipe's folder, or its file; or a database file.",
)


@click.group(epilog="Example: harvester store info runs/orders")
def store() -> None:
    """Care for a store that has grown: what takes its room, and making it smaller."""


@store.command(epilog="Example: harvester store info runs/orders --json")
@_what
@click.option(
    "--every-page/--estimate",
    default=None,
    help="Read all of the file, or some rows of each table; default: all, where it is below 4 GB.",
)
@trust_option
@as_json
def info(store: Path, every_page: bool | None, as_json: bool) -> None:
    """What is in a store, what takes its room, and what `store compact` would win; may run beside a collection."""
    from dataclasses import asdict

    from harvester.store.room import room

    path = _path(store)
    show({"store": str(path), **asdict(room(path, every_page=every_page))}, as_json=as_json, text=_info)


@store.command(epilog="Example: harvester store compact runs/orders")
@_what
@trust_option
@as_json
def compact(store: Path, as_json: bool) -> None:
    """Write a store anew, smaller and of the newest schema; needs free room as large as what comes out."""
    from dataclasses import asdict

    from harvester.store.compacting import compact as write_anew

    path = _path(store)
    found = write_anew(path, _Telling())
    show({"store": str(path), **asdict(found)}, as_json=as_json, text=_compacted)


def _path(what: Path) -> Path:
    """A store's file: of a recipe, or as it was named."""
    from harvester.collecting import default_store

    return default_store(load(what)) if what.is_dir() or what.suffix in (".yaml", ".yml") else what


class _Telling:
    """Says every few seconds how far the work is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + TOLD_EVERY_S

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + TOLD_EVERY_S
            say(f"{done:,} of {total:,} requests and replies written")


def _info(found: dict[str, Any]) -> str:
    size, counts = found["file_bytes"], found["counts"]
    log, free = size_of(found["log_bytes"]), size_of(found["free_bytes"])
    counted = ", ".join(count_of(counts[name], name[:-1]) for name in ("rows", "requests", "runs"))
    lines = [
        f"{found['store']}: {size_of(size)}, of it {free} in free pages; log {log}; schema {found['schema']}",
        f"{counted}, {counts['replies']} replies",
        *_parts(found["parts"], size, estimated=not found["every_page"]),
        f"requests: {_packed(found['requests'])}",
        f"replies: {_packed(found['replies'])}; log probabilities are {found['logprobs_share']:.0%} of that",
    ]
    if found["bytes_per_1000_rows"]:
        lines.append(f"growth: {size_of(found['bytes_per_1000_rows'])} per 1,000 rows")
    lines.append(
        f"`harvester store compact`: to about {size_of(found['compacted_bytes'])}, "
        f"{found['compacted_bytes'] / size - 1:+.0%}; needs {size_of(found['needed_bytes'])} of free room"
    )
    if found["schema"] != found["newest_schema"]:
        lines.append(
            f"older than this Harvester's schema {found['newest_schema']}: `store compact` or `collect` mends it"
        )
    if found["leftover_bytes"]:
        lines.append(
            f"left by a compaction that was killed: {size_of(found['leftover_bytes'])}; the next one removes it"
        )
    if writer := found["writer"]:
        lines.append(f"in use by process {writer.get('pid', '?')} on {writer.get('host', '?')}")
    return "\n".join(lines)


def _parts(parts: list[dict[str, Any]], size: int, *, estimated: bool) -> list[str]:
    large = [part for part in parts if part["bytes"] >= LEAST_SHARE * size]
    lines = [f"  {size_of(part['bytes']):>10}  {part['bytes'] / size:>4.0%}  {_name(part)}" for part in large]
    return [*lines, "  (estimated from some rows of each table; --every-page reads all)"] if estimated else lines


def _name(part: dict[str, Any]) -> str:
    name, table = part["name"], part["table"]
    return str(name) if name == table else f"{name} (index of {table})"


def _packed(found: dict[str, Any]) -> str:
    return f"{size_of(found['packed_bytes'])}, unpacked {size_of(found['unpacked_bytes'])}"


def _compacted(found: dict[str, Any]) -> str:
    before, after = found["bytes_before"], found["bytes_after"]
    line = f"{found['store']}: {size_of(before)} to {size_of(after)}, {after / before - 1:+.0%}"
    if found["damaged"]:
        line += f"; {found['damaged']} damaged requests and replies stayed as they are, `harvester verify` lists them"
    return line
