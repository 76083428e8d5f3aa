"""Replies on the wire: JSON, and server-sent events."""

import json
from collections.abc import Mapping

from aiohttp import web

from finetune.serving.calls import Answered, Call
from finetune.serving.refusals import Refused
from finetune.serving.replies import Form
from harvester.records import Json

DONE = "[DONE]"


def reply(body: Json, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON reply."""
    return web.Response(text=_text(body), status=status, headers=headers, content_type="application/json")


async def stream(request: web.Request, call: Call, form: Form, *, with_usage: bool) -> web.StreamResponse:
    """Replies event by event; what goes wrong once it began is an event, too."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    answered = [Answered() for _ in call.rows]
    for opening in form.openings():
        await _send(response, _text(opening))
    try:
        async for place, event in call.events():
            answered[place].add(event)
            for chunk in form.chunks(place, event):
                await _send(response, _text(chunk))
    except Refused as error:
        await _send(response, _text(error.body))
        return response
    if with_usage:
        await _send(response, _text(form.totals(answered)))
    await _send(response, DONE)
    return response


async def _send(response: web.StreamResponse, data: str) -> None:
    await response.write(f"data: {data}\n\n".encode())


def _text(body: Json) -> str:
    return json.dumps(body, ensure_ascii=False, allow_nan=False)
