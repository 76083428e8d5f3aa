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


async def main(url: str, prompts: Path, store: Path, workers: int, steps: int) -> None:
    """Ask every line of `prompts`; with several steps, ask about each answer in turn."""
    database = sqlite3.connect(store, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE replies (key TEXT PRIMARY KEY, body BLOB, reply BLOB)")
    database.commit()
    waiting: list[tuple[str, bytes, bytes]] = []
    lines = iter(prompts.read_text(encoding="utf-8").splitlines())  # noqa: ASYNC240 - before anything else runs

    async def work(session: aiohttp.ClientSession) -> None:
        for line in lines:
            text = asked_about = json.loads(line)["text"]
            for step in range(steps):
                body = request(text)
                async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                    response.raise_for_status()
                    reply = await response.read()
                waiting.append((hashlib.sha256(body).hexdigest(), body, reply))
                if step + 1 < steps:
                    said = json.loads(reply)["choices"][0]["message"]["content"]
                    text = f"Step {step + 2}. {asked_about}\n{said}"

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


def request(text: str) -> bytes:
    """The body that asks one question."""
    messages = [{"role": "user", "content": text}]
    return json.dumps({"model": "toy-1", "messages": messages, "temperature": 0.7, "max_tokens": 256}).encode()


if __name__ == "__main__":
    URL, PROMPTS, STORE, AT_ONCE, *MORE = sys.argv[1:]
    STEPS = int(MORE[0]) if MORE else 1
    asyncio.run(main(URL + "/chat/completions", Path(PROMPTS), Path(STORE), int(AT_ONCE), STEPS))
