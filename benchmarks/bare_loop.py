"""The bare loop that Harvester's cost is measured against: aiohttp + sqlite3 in the fewest lines.

It does what cannot be left out: read the prompts, POST each with so many workers, store the bytes of every reply under
the hash of its request, and sync groups of replies to disk (WAL, synchronous=FULL) before the run ends.

It does not: plan before it asks, resume, render templates, compress, count tokens or money, pace, retry, look into a
reply (an error inside a 200 would be stored as an answer), judge it, or stop in order.
"""

import asyncio
import hashlib
import json
import sqlite3
import sys
from pathlib import Path

import aiohttp

WORKERS = 64
GROUP_S = 0.02
"""As Harvester's journal: so long a reply waits for company before the sync."""


async def main(url: str, prompts: Path, store: Path, workers: int) -> None:
    """Ask every line of `prompts`."""
    database = sqlite3.connect(store, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE replies (key TEXT PRIMARY KEY, body BLOB, reply BLOB)")
    database.commit()
    waiting: list[tuple[str, bytes, bytes]] = []
    lines = iter(prompts.read_text(encoding="utf-8").splitlines())  # noqa: ASYNC240 - before anything else runs

    async def work(session: aiohttp.ClientSession) -> None:
        for line in lines:
            messages = [{"role": "user", "content": json.loads(line)["text"]}]
            body = json.dumps({"model": "toy-1", "messages": messages, "temperature": 0.7, "max_tokens": 256}).encode()
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                response.raise_for_status()
                waiting.append((hashlib.sha256(body).hexdigest(), body, await response.read()))

    def commit(group: list[tuple[str, bytes, bytes]]) -> None:
        with database:
            database.executemany("INSERT INTO replies VALUES (?, ?, ?)", group)

    async def keep() -> None:
        while waiting or not asked.done():
            await asyncio.sleep(GROUP_S)
            group = waiting.copy()
            waiting.clear()
            await asyncio.to_thread(commit, group)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        asked = asyncio.gather(*(work(session) for _ in range(workers)))
        await asyncio.gather(asked, keep())
    database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] + "/chat/completions", Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
