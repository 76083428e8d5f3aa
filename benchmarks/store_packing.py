"""What compressing stored requests and replies wins and costs: none, zlib, zstd, and zstd with a dictionary.

The answers are the embedded teacher's, prose with 20 tokens listed at each place, and the same without their log
probabilities; or those of stores that exist (`--store`). Dictionaries learn from one half of them, everything is
measured on the other. CPU is of one thread, for each codec the least of three rounds in which all of them take turns.
Then one store of each kind is compacted: what its file takes per 1,000 rows before and after, and how long that was.

    python benchmarks/store_packing.py [--rows 160] [--tokens 128] [--store harvest.db …]
"""

import argparse
import hashlib
import json
import random
import shutil
import sqlite3
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import zstandard
from logprobs_storage import write_recipe
from measuring import harvester, report, run_measured, table

from harvester.store import StoreWriter
from harvester.store.choosing import SIZES, trained
from harvester.store.compacting import compact
from harvester.store.dictionaries import read
from harvester.store.packing import REPLIES, deflated

LISTED = 20
ROUNDS = 3
ZLIB_SEES = 1 << zlib.MAX_WBITS
"""The most of a dictionary that is of use to it, in bytes."""
TAKEN = """
    SELECT sum(pgsize) FROM dbstat WHERE name IN
    (SELECT name FROM sqlite_schema WHERE tbl_name IN ('replies', 'requests', 'rows', 'seeds', 'outcomes'))
"""
Codec = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]


def main() -> None:
    """Measure every kind of text, then say it as tables and as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=160, help="answers to collect")
    parser.add_argument("--tokens", type=int, default=128, help="max_tokens")
    parser.add_argument("--store", type=Path, nargs="*", help="stores that exist, instead of collecting one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="harvester-bench-") as folder:
        stores = list(prepared(Path(folder), options))
        codecs = {kind: measured(texts) for kind, texts in kinds(stores)}
        files = [compacted(name, path) for name, path in stores]
    for kind, rows in codecs.items():
        table(f"{kind}: bytes and CPU µs of one", rows)
    table("The store's file", files)
    report("store_packing", {"codecs": codecs, "files": files})


def prepared(folder: Path, options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """Stores with and without log probabilities, of the same answers."""
    found: list[Path] = options.store or []
    if not found:
        write_recipe(folder / "recipe", options.rows, options.tokens, LISTED, stream=False)
        run_measured(harvester("collect", folder / "recipe", "--json"))
        found = [folder / "recipe" / "harvest.db"]
    for number, store in enumerate(found):
        name = store.parent.name if options.store else "prose"
        for kind, change in (("as it came", None), ("no logprobs", stripped)):
            copy = folder / f"{number} {kind}" / "harvest.db"
            copy.parent.mkdir()
            shutil.copy(store, copy)
            with StoreWriter.open(copy):  # of an older schema, maybe
                pass
            if change is None or rewrite(copy, change):
                yield f"{name}, {kind}", copy


def stripped(raw: bytes) -> bytes:
    """A reply without its log probabilities."""
    reply = json.loads(raw)
    for choice in reply["choices"]:
        choice["logprobs"] = None
    return json.dumps(reply, separators=(",", ":"), ensure_ascii=False).encode()


def rewrite(store: Path, change: Callable[[bytes], bytes]) -> bool:
    """Change every reply of a store; whether that changed much."""
    with closing(sqlite3.connect(store)) as connection, connection:
        packing = read(connection)
        raws = {one: packing.restored(raw) for one, raw in connection.execute("SELECT request_id, raw FROM replies")}
        new = {one: change(raw) for one, raw in raws.items()}
        values = [(deflated(raw), hashlib.sha256(raw).digest(), one) for one, raw in new.items()]
        connection.executemany("UPDATE replies SET raw = ?, sha256 = ? WHERE request_id = ?", values)
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("VACUUM")
    return sum(map(len, new.values())) < 0.9 * sum(map(len, raws.values()))


def kinds(stores: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, list[bytes]]]:
    """Every kind of text that stores hold, unpacked, in random order."""
    for name, path in stores:
        with closing(sqlite3.connect(path)) as connection:
            packing = read(connection)
            queries = {"replies": "SELECT raw FROM replies", "requests": "SELECT body FROM requests"}
            for what, query in queries.items():
                if what == "replies" or "no logprobs" not in name:
                    texts = [packing.restored(blob) for (blob,) in connection.execute(query)]
                    random.Random(0).shuffle(texts)  # noqa: S311
                    yield f"{what} of {name}", texts


def measured(texts: Sequence[bytes]) -> list[dict[str, Any]]:
    """What each codec makes of the second half of texts."""
    half = len(texts) // 2
    codecs, test = made(texts[:half]), texts[half:]
    sizes: dict[str, float] = {}
    least: dict[str, list[float]] = {name: [float("inf")] * 2 for name in codecs}
    for _ in range(ROUNDS):
        for name, (pack, unpack) in codecs.items():
            begun = time.process_time()
            packed = [pack(text) for text in test]
            between = time.process_time()
            assert [unpack(blob) for blob in packed] == test
            spent = (between - begun, time.process_time() - between)
            least[name] = [min(pair) for pair in zip(least[name], spent, strict=True)]
            sizes[name] = sum(map(len, packed)) / len(test)
    now, now_s = sizes["zlib 1 (now)"], least["zlib 1 (now)"]
    return [
        {
            "codec": name,
            "bytes": round(sizes[name]),
            "of now": round(sizes[name] / now, 3),
            "write µs": round(write_s / len(test) * 1e6, 1),
            "of now ": round(write_s / now_s[0], 2),
            "read µs": round(read_s / len(test) * 1e6, 1),
            "of now  ": round(read_s / now_s[1], 2),
        }
        for name, (write_s, read_s) in least.items()
    ]


def made(learnt: Sequence[bytes]) -> Mapping[str, Codec]:
    """Every codec; dictionaries learn from these texts."""
    codecs: dict[str, Codec] = {"none": (bytes, bytes), "zlib 1 (now)": (deflated, zlib.decompress)}
    for level in (3, 6, 9):
        codecs[f"zlib {level}"] = (lambda text, level=level: zlib.compress(text, level)), zlib.decompress  # type: ignore[misc]
    for level in (1, 3, 6, 9):
        codecs[f"zstd {level}"] = zstd(level)
    for size in SIZES:
        if found := trained(learnt, REPLIES, size):
            for level in (1, 3, 6):
                codecs[f"zstd {level}, {size >> 10} KiB dictionary"] = zstd(level, found.data)
            codecs[f"zlib 1, up to 32 of {size >> 10} KiB"] = zlib_with(found.data[-ZLIB_SEES:])
    return codecs


def zstd(level: int, dictionary: bytes = b"") -> Codec:
    """With contexts that are kept."""
    prepared = None
    if dictionary:
        prepared = zstandard.ZstdCompressionDict(dictionary)  # of its own: it is made ready for one level
        prepared.precompute_compress(level=level)
    compressor = zstandard.ZstdCompressor(level=level, dict_data=prepared)
    return compressor.compress, zstandard.ZstdDecompressor(dict_data=prepared).decompress


def zlib_with(dictionary: bytes) -> Codec:
    """At level 1 with a preset dictionary, which needs no other library than Python's."""

    def pack(text: bytes) -> bytes:
        stream = zlib.compressobj(1, zdict=dictionary)
        return stream.compress(text) + stream.flush()

    return pack, lambda blob: zlib.decompressobj(zdict=dictionary).decompress(blob)


def compacted(name: str, store: Path) -> dict[str, Any]:
    """Compact a store; its growth is without what an empty store and the dictionaries take."""
    before = per_1000_rows(store)
    begun, begun_s = time.monotonic(), time.process_time()
    found = compact(store)
    after = per_1000_rows(store)
    return {
        "store": name,
        "MB": round(found.bytes_before / 1e6, 2),
        "after": round(found.bytes_after / 1e6, 2),
        "MB per 1,000 rows": round(before / 1e6, 2),
        "then": round(after / 1e6, 2),
        "of before": round(after / before, 3),
        "s": round(time.monotonic() - begun, 1),
        "CPU s": round(time.process_time() - begun_s, 1),
    }


def per_1000_rows(store: Path) -> float:
    """What rows take in the file, in bytes."""
    with closing(sqlite3.connect(store)) as connection:
        rows: int = connection.execute("SELECT count(*) FROM rows").fetchone()[0]
        taken: int = connection.execute(TAKEN).fetchone()[0]
    return taken / rows * 1000


if __name__ == "__main__":
    main()
