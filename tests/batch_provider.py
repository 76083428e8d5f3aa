"""A Batch API's stand-in over real HTTP: files and batches by the OpenAI protocol, with faults to order."""

import asyncio
import json
import random
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from provider import completion, last_line  # isort: skip - helpers beside the tests
from serving_thread import serving_app  # isort: skip

Line = dict[str, Any]
Spoil = Callable[[list[bytes]], list[bytes]]
"""Lines of an output file, without their ends → the lines that are given out."""
Refusal = tuple[int, dict[str, str], bytes]


def answered(custom_id: str, body: bytes, status: int = 200) -> Line:
    """A line of an output file."""
    response = {"status_code": status, "request_id": "r", "body": json.loads(body)}
    return {"id": f"line-{custom_id[:8]}", "custom_id": custom_id, "response": response, "error": None}


def erred(custom_id: str, code: str, message: str = "it was not done") -> Line:
    """A line of an error file."""
    return {"id": "line", "custom_id": custom_id, "response": None, "error": {"code": code, "message": message}}


@dataclass
class Made:
    """One batch."""

    id: str
    file_id: str
    metadata: dict[str, str] | None
    window: str
    created_at: int
    status: str = "validating"
    looks: int = 0  # times it was asked for
    output: bytes | None = None
    errors: bytes | None = None
    problem: str = ""
    completed: int = 0
    failed: int = 0
    total: int = 0


@dataclass
class BatchProvider:
    """Counts what it was asked; every field below says how it fails."""

    answer: Callable[[dict[str, Any]], str] = lambda body: "answer to " + last_line(body)
    line: Callable[[str, dict[str, Any]], Line | None] = lambda _id, _body: None  # a line of the test's own
    looks_until_done: int = 1  # GETs of a batch that say it is not done yet
    looks_until_cancelled: int = 0  # the same after a cancel
    ends: str = "completed"  # or failed, expired, cancelled
    done_share: float = 1.0  # of the requests, where it expires or is cancelled
    hide_failures: bool = False  # counts say that nothing failed
    names_output: bool = True  # whether a finished batch names its files
    spoil: Spoil = lambda lines: lines
    truncate: int = 0  # bytes that the output file lacks at its end
    refuse: Callable[[str, int], Refusal | None] = lambda _call, _number: None  # (method and path's kind, from 1 on)
    cut: Callable[[str, int], bool] = lambda _call, _number: False  # close the connection when the call was done
    keep_metadata: bool = True
    delay_s: float = 0.0  # of answers that are asked for one by one
    page: int = 100
    seed: int = 0
    shuffle: bool = True
    files: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # of uploaded files
    batches: list[Made] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    called_at: list[tuple[str, float]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)  # bodies that were answered, in any batch
    asked_online: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    arrived: threading.Condition = field(default_factory=threading.Condition)

    # --- the protocol

    async def upload(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        part = form["file"]
        if form["purpose"] != "batch" or not isinstance(part, web.FileField):
            return _refused(400, "purpose must be batch")
        file_id = f"file-{len(self.files) + 1}"
        self.files[file_id], self.names[file_id] = part.file.read(), part.filename
        return web.json_response(
            {"id": file_id, "object": "file", "bytes": len(self.files[file_id]), "created_at": 1, "purpose": "batch",
             "filename": part.filename, "status": "processed"}
        )  # fmt: skip

    async def list_files(self, _request: web.Request) -> web.StreamResponse:
        data = [{"id": name, "object": "file", "filename": self.names.get(name)} for name in self.files]
        return web.json_response({"object": "list", "data": data, "has_more": False})

    async def content(self, request: web.Request) -> web.StreamResponse:
        found = self.files.get(request.match_info["id"])
        return _refused(404, "no such file") if found is None else web.Response(body=found)

    async def create(self, request: web.Request) -> web.StreamResponse:
        said = await request.json()
        if said["input_file_id"] not in self.files or said["endpoint"] != "/v1/chat/completions":
            return _refused(400, "no such file or endpoint")
        metadata = said.get("metadata") if self.keep_metadata else None
        made = Made(
            f"batch_{len(self.batches) + 1}", said["input_file_id"], metadata, said["completion_window"],
            int(time.time()),
        )  # fmt: skip
        made.total = len(self.files[made.file_id].splitlines())
        self.batches.append(made)
        return web.json_response(self._shown(made))

    async def list_batches(self, request: web.Request) -> web.StreamResponse:
        newest = self.batches[::-1]
        after = request.query.get("after")
        begin = next((place + 1 for place, one in enumerate(newest) if one.id == after), 0)
        size = min(self.page, int(request.query.get("limit", 20)))
        data = [self._shown(one) for one in newest[begin : begin + size]]
        more = begin + size < len(newest)
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return web.json_response({"object": "list", "data": data, "has_more": more, "first_id": first, "last_id": last})

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        made = self._of(request)
        if made is None:
            return _refused(404, "no such batch")
        made.looks += 1
        if made.status in ("validating", "in_progress", "cancelling"):
            made.status = "in_progress" if made.status == "validating" else made.status
            cancelling = made.status == "cancelling"
            if made.looks > (self.looks_until_cancelled if cancelling else self.looks_until_done):
                self._finish(made, "cancelled" if cancelling else self.ends)
        return web.json_response(self._shown(made))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        made = self._of(request)
        if made is None:
            return _refused(404, "no such batch")
        if made.status in ("validating", "in_progress"):
            made.status, made.looks = "cancelling", 0
        return web.json_response(self._shown(made))

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """The other door of the same provider: one request at a time."""
        body = await request.json()
        self.asked_online.append(body)
        await asyncio.sleep(self.delay_s)
        return web.Response(body=completion(self.answer(body)), content_type="application/json")

    # --- inside

    def _of(self, request: web.Request) -> Made | None:
        return next((made for made in self.batches if made.id == request.match_info["id"]), None)

    def _finish(self, made: Made, status: str) -> None:
        made.status = status
        asked = [json.loads(line) for line in self.files[made.file_id].splitlines()]
        if status == "failed":
            made.problem = "line 1 is not to our liking"
            return
        done = asked if status == "completed" else asked[: round(len(asked) * self.done_share)]
        good, bad = [], []
        for one in done:
            self.asked.append(one["body"])
            line = self.line(one["custom_id"], one["body"]) or answered(
                one["custom_id"], completion(self.answer(one["body"]))
            )
            response = line.get("response") or {}
            (good if response.get("status_code") == 200 or self.hide_failures else bad).append(line)
        bad += [erred(one["custom_id"], "batch_" + status) for one in asked[len(done) :]]
        made.completed, made.failed = len(good), len(bad)
        self._write(made, good, bad)

    def _write(self, made: Made, good: list[Line], bad: list[Line]) -> None:
        if self.shuffle:
            random.Random(self.seed).shuffle(good)  # noqa: S311 - seeded on purpose
        lines = self.spoil([json.dumps(line).encode() for line in good])
        whole = b"".join(line + b"\n" for line in lines)
        made.output = whole[: len(whole) - self.truncate]
        self.files[f"out-{made.id}"] = made.output
        if bad:
            made.errors = b"".join(json.dumps(line).encode() + b"\n" for line in bad)
            self.files[f"err-{made.id}"] = made.errors

    def _shown(self, made: Made) -> dict[str, Any]:
        named = self.names_output and made.status in ("completed", "expired", "cancelled")
        errors = {"object": "list", "data": [{"code": "bad", "message": made.problem, "line": 1}]}
        return {
            "id": made.id, "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": made.file_id,
            "completion_window": made.window, "created_at": made.created_at, "status": made.status,
            "output_file_id": f"out-{made.id}" if named and made.output is not None else None,
            "error_file_id": f"err-{made.id}" if named and made.errors is not None else None,
            "errors": errors if made.problem else None, "metadata": made.metadata,
            "request_counts": {"total": made.total, "completed": made.completed, "failed": made.failed},
        }  # fmt: skip

    # --- the door

    def handler(self, call: str, handle: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        """Count a call, refuse it or cut it off where that is ordered, and else handle it."""

        async def handled(request: web.Request) -> web.StreamResponse:
            self.calls[call] += 1
            number = self.calls[call]
            self.headers.append(dict(request.headers))
            self.called_at.append((call, time.monotonic()))
            if refusal := self.refuse(call, number):
                status, headers, body = refusal
                return web.Response(status=status, headers=headers, body=body)
            response: web.StreamResponse = await handle(request)
            with self.arrived:
                self.arrived.notify_all()
            if self.cut(call, number) and request.transport:
                request.transport.abort()
            return response

        return handled

    def wait_for(self, call: str, times: int = 1) -> None:
        """Block the test, not the provider, until a call has come so often."""
        with self.arrived:
            if not self.arrived.wait_for(lambda: self.calls[call] >= times, 30):
                raise AssertionError(f"{call} came {self.calls[call]} times, not {times}")


def _refused(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=status)


def _routes(provider: BatchProvider) -> web.Application:
    app = web.Application(client_max_size=1 << 30)
    for method, path, call, handle in (
        ("POST", "/v1/files", "upload", provider.upload),
        ("GET", "/v1/files", "files", provider.list_files),
        ("GET", "/v1/files/{id}/content", "content", provider.content),
        ("POST", "/v1/chat/completions", "chat", provider.chat),
        ("POST", "/v1/batches", "create", provider.create),
        ("GET", "/v1/batches", "list", provider.list_batches),
        ("GET", "/v1/batches/{id}", "retrieve", provider.retrieve),
        ("POST", "/v1/batches/{id}/cancel", "cancel", provider.cancel),
    ):
        app.router.add_route(method, path, provider.handler(call, handle))
    return app


@contextmanager
def serving_batches(provider: BatchProvider) -> Iterator[BatchProvider]:
    """Serve in a thread of its own."""
    with serving_app(lambda: _routes(provider)) as provider.url:
        yield provider


def answers(stored: Callable[[str], list[Any]]) -> dict[str, str]:
    """Prompt → answer, of every reply in a store that `stored` asks."""
    found = stored("SELECT body, raw FROM replies JOIN requests ON requests.id = request_id")
    return {
        last_line(json.loads(zlib.decompress(body))): json.loads(zlib.decompress(raw))["choices"][0]["message"][
            "content"
        ]
        for body, raw in found
    }


EVERY = {f"seed {number}": f"answer to seed {number}" for number in range(10)}
