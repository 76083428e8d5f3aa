"""Three batches with every fault at once: each row answered, nothing asked twice, each nano-dollar accounted for."""

import json
import math
import signal
import sqlite3
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from batch_provider import BatchProvider, Line, Made, answered, erred, serving_batches  # isort: skip - helpers
from provider import last_line  # isort: skip

DUPLICATES, UNKNOWN, BAD, WITHHELD = 300, 50, 20, 3
EXPIRED_SHARE = 0.6
PRICE = {"input": 0.1234567, "output": 0.7654321}  # USD per million tokens; a batch's is half of it, and rounds
RUN = """
import os, signal, sys
import harvester.modes
from harvester.batching.api import BatchAPI
from harvester.batching.waiting import Patience
from harvester.cli import main
from harvester.profiles import BatchTerms
harvester.modes.batch_terms = lambda *_: BatchTerms(requests={most}, price=0.5)
Patience.next_wait_s = lambda *_, **__: 0.05
uploads, upload = 0, BatchAPI.upload
async def uploading(self, *given):
    global uploads
    file_id = await upload(self, *given)
    uploads += 1
    if uploads == {killed_after}:
        os.kill(os.getpid(), signal.SIGKILL)
    return file_id
BatchAPI.upload = uploading
main()
"""


def number_of(body: dict[str, Any]) -> int:
    return int(last_line(body).split()[1])


@dataclass
class Faulty(BatchProvider):
    """Each of its first three batches goes wrong in ways of its own; it writes down what it bills."""

    asked_times: Counter[str] = field(default_factory=Counter)  # custom_id → batches that it came in
    billed: Counter[str] = field(default_factory=Counter)  # custom_id → answers
    delivered: dict[str, tuple[int, int]] = field(
        default_factory=dict
    )  # custom_id → tokens of an answer that came whole
    lost: dict[str, dict[str, Any]] = field(default_factory=dict)  # billed, and not to be read: custom_id → body
    undone: set[str] = field(default_factory=set)  # not billed
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    fetched_in_vain: int = 0

    def of_number(self, custom_id: str, body: dict[str, Any]) -> Line:
        """The first time some lines are none; every answer has tokens of its own."""
        number, first = number_of(body), self.asked_times[custom_id] == 1
        usage = {"prompt_tokens": 10 + number % 7, "completion_tokens": 5 + number % 11}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"answer {number}"}}
        reply: dict[str, Any] = {"id": "c", "model": "toy-1", "choices": [choice], "usage": usage}
        if first and number % 199 in (3, 5):  # under "0 failed"
            self.undone.add(custom_id)
            return answered(custom_id, b'{"error": {"message": "slow down"}}', 429 if number % 199 == 5 else 0)
        self.billed[custom_id] += 1
        if first and number % 199 == 7:
            self.lost[custom_id] = body
            return answered(custom_id, json.dumps({**reply, "choices": []}).encode())
        self.delivered[custom_id] = (usage["prompt_tokens"], usage["completion_tokens"])
        return answered(custom_id, json.dumps(reply).encode())

    def _finish(self, made: Made, status: str) -> None:
        asked = [json.loads(line) for line in self.files[made.file_id].splitlines()]
        self.asked_times.update(one["custom_id"] for one in asked)
        self.bodies.update((one["custom_id"], one["body"]) for one in asked)
        place = self.batches.index(made)
        self.line, self.hide_failures = self.of_number, True
        self.spoil = [self.with_strangers, self.with_its_end_cut, self.with_some_withheld, list][min(place, 3)]
        self.truncate = 40 if place == 1 else 0
        self.done_share = EXPIRED_SHARE
        if place == 2:
            self.undone.update(one["custom_id"] for one in asked[round(len(asked) * EXPIRED_SHARE) :])
        super()._finish(made, "expired" if place == 2 else status)

    def with_strangers(self, lines: list[bytes]) -> list[bytes]:
        ids = [json.loads(line)["custom_id"] for line in lines[:DUPLICATES]]
        again = [json.dumps(erred(key, "another")).encode() for key in ids]
        unknown = [json.dumps(answered(f"{number:064d}", b"{}")).encode() for number in range(UNKNOWN)]
        bad = [b'{"custom_id": %d' % number for number in range(BAD)]
        return [*unknown, *lines[: len(lines) // 2], *bad, *lines[len(lines) // 2 :], *again]

    def with_its_end_cut(self, lines: list[bytes]) -> list[bytes]:
        last = next(one for one in reversed(range(len(lines))) if json.loads(lines[one])["custom_id"] in self.delivered)
        self.lose(lines[last])
        return [*lines[:last], *lines[last + 1 :], lines[last]]

    def with_some_withheld(self, lines: list[bytes]) -> list[bytes]:
        whole = [line for line in lines if json.loads(line)["custom_id"] in self.delivered]
        for line in whole[:WITHHELD]:
            self.lose(line)
        return [line for line in lines if line not in whole[:WITHHELD]]

    def lose(self, line: bytes) -> None:
        custom_id = json.loads(line)["custom_id"]
        del self.delivered[custom_id]
        self.lost[custom_id] = self.bodies[custom_id]

    def not_there_yet(self, call: str, _number: int) -> Any:
        if call == "content" and self.fetched_in_vain < 3:
            self.fetched_in_vain += 1
            return 404, {}, b"{}"
        return None


def nusd(tokens: tuple[int, int]) -> int:
    """At half of the price, rounded up; in fractions, as Harvester does not compute it."""
    prices = (Fraction(str(PRICE["input"])), Fraction(str(PRICE["output"])))
    return math.ceil(sum(Fraction(1000) * price / 2 * count for price, count in zip(prices, tokens, strict=True)))


def worst_nusd(body: dict[str, Any]) -> int:
    text = sum(len(message["content"].encode()) for message in body["messages"])
    return nusd((text + 32 * (len(body["messages"]) + 1), body["max_tokens"]))


def run(folder: Any, most: int, *, killed_after: int = 0) -> dict[str, Any]:
    """A `collect --batch`, killed after so many uploads or to its end; its result."""
    script = RUN.format(most=most, killed_after=killed_after)
    command = [sys.executable, "-c", script, "collect", str(folder.path), "--batch", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == (-signal.SIGKILL if killed_after else 0), done.stderr
    found: dict[str, Any] = json.loads(done.stdout or "{}")
    return found


def ask(folder: Any, query: str) -> list[Any]:
    with closing(sqlite3.connect(folder.path / "harvest.db")) as connection:
        return connection.execute(query).fetchall()


def answers(folder: Any) -> Iterator[tuple[int, str]]:
    """The number in each stored prompt, with the answer that is stored with it."""
    for body, raw in ask(folder, "SELECT body, raw FROM replies JOIN requests ON requests.id = request_id"):
        reply = json.loads(zlib.decompress(raw))
        yield number_of(json.loads(zlib.decompress(body))), reply["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("requests", "most"),
    [(6_000, 2_500), pytest.param(120_000, 50_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_every_fault_at_once_costs_no_row_no_answer_twice_and_no_nano_dollar(
    folder: Any, harvester: Any, requests: int, most: int
) -> None:
    provider = Faulty(looks_until_done=0)
    provider.refuse = provider.not_there_yet
    with serving_batches(provider):
        folder.data["teacher"] |= {"base_url": provider.url, "price": PRICE}
        folder.seeds("train.jsonl", [f"seed {number}" for number in range(requests)])
        folder.save()
        run(folder, most, killed_after=2)
        found = [run(folder, most) for _ in range(3)]

    # Three batches, and one of what they left: the kill between the second's upload and its create made none twice.
    again = provider.undone | set(provider.lost)
    assert [made.total for made in provider.batches] == [most, most, requests - 2 * most, len(again)]
    assert provider.calls["create"] == 4
    assert len({made.file_id for made in provider.batches}) == 4
    assert [one["answered"] for one in found] == [requests - len(again), len(again), 0]

    # Rows = requests, each with its own answer.
    assert ask(folder, "SELECT count(*) FROM rows JOIN outcomes USING (id) WHERE accepted") == [(requests,)]
    assert ask(folder, "SELECT count(*), count(DISTINCT request_id) FROM replies") == [(requests, requests)]
    assert all(said == f"answer {number}" for number, said in answers(folder))

    # Nothing asked twice but what had no answer, nothing billed twice but what was lost.
    assert len(provider.asked_times) == requests
    assert {key for key, times in provider.asked_times.items() if times > 1} == again
    assert set(provider.asked_times.values()) == {1, 2}
    assert {key for key, times in provider.billed.items() if times > 1} == set(provider.lost)
    assert len(provider.lost) > WITHHELD + 1

    # What is nobody's is set aside, and listed.
    show = ("--recipe", folder.path, "--json")
    listed = [json.loads(harvester("batch", "show", f"batch_{one}", *show)[1]) for one in (1, 2, 3)]
    assert [Counter(line["why"] for line in one["set_aside"]) for one in listed] == [
        {"duplicate custom_id": DUPLICATES, "unknown custom_id": UNKNOWN, "not a line of an output file": BAD},
        {"not a line of an output file": 1},
        {},
    ]

    # Each nano-dollar: what came, as it was billed at half of the price; what was lost, at its worst case.
    came = sum(map(nusd, provider.delivered.values()))
    lost = sum(map(worst_nusd, provider.lost.values()))
    assert ask(folder, "SELECT sum(answered_nusd), sum(lost_nusd) FROM spending") == [(came, lost)]
    assert found[-1]["spent_usd"] == (came + lost) / 10**9
    assert ask(folder, "SELECT count(*) FROM batched") == [(0,)]
