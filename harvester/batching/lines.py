"""The lines of a batch's files: a request as it is sent, and what an answer's line says."""

from dataclasses import dataclass

from harvester.batching.api import ENDPOINT
from harvester.records import canonical, decoded, printable
from harvester.retry import GiveUp, Received, Reply, Retry, decide

HTTP = range(100, 600)
STRANGE = "its line says nothing of an answer"


def request_line(key: str, body: bytes) -> bytes:
    """The line that asks for one request; its content key is how its answer is told among the others."""
    return b'{"body":%s,"custom_id":"%s","method":"POST","url":"%s"}\n' % (body, key.encode(), ENDPOINT.encode())


@dataclass(frozen=True, slots=True)
class Failed:
    """A line that says why there is no answer."""

    reason: str
    again: bool
    maybe_billed: bool = False


def read_line(raw: bytes) -> tuple[str, Reply | Failed] | None:
    """(custom_id, what the line says); None where it is no line of an output file."""
    try:
        line = decoded(raw)
    except (ValueError, RecursionError):
        return None
    custom_id = line.get("custom_id") if isinstance(line, dict) else None
    if not isinstance(custom_id, str):
        return None
    return custom_id, _said(line)


def _said(line: dict[str, object]) -> Reply | Failed:
    response, error = line.get("response"), line.get("error")
    status = response.get("status_code") if isinstance(response, dict) else None
    if isinstance(response, dict) and isinstance(status, int) and status in HTTP:
        return _answered(status, response.get("body"))
    if isinstance(error, dict):
        text = printable(f"{error.get('code') or 'error'}: {error.get('message') or 'no message'}")[:200]
        return Failed(text.encode("utf-8", "replace").decode(), again=True)
    return Failed(STRANGE if status is None else f"status {status!r}"[:80], again=True)


def _answered(status: int, body: object) -> Reply | Failed:
    try:
        decision = decide(Received(status, {}, body.encode() if isinstance(body, str) else canonical(body)))
    except (ValueError, RecursionError):  # half of a surrogate pair, NaN: nothing that a store could hold
        return Failed("reply is not JSON", again=True, maybe_billed=True)
    if isinstance(decision, Retry):
        return Failed(decision.reason, again=True, maybe_billed=decision.maybe_billed)
    if isinstance(decision, GiveUp):  # what is true of every request is not this one's fault
        return Failed(decision.reason, again=decision.stops_teacher, maybe_billed=decision.maybe_billed)
    return decision
