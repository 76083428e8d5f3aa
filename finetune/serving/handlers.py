"""The endpoints."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from aiohttp import web

from finetune.serving import prompts
from finetune.serving.calls import Answered, Call, gather
from finetune.serving.engine import Engine
from finetune.serving.limits import read_body
from finetune.serving.refusals import NOT_FOUND, Refused, stopping
from finetune.serving.replies import ChatForm, CompletionForm, Form
from finetune.serving.requests import (
    Asked,
    ChatAsked,
    CompletionAsked,
    DetokenizeAsked,
    TokenizeAsked,
    read,
)
from finetune.serving.rows import Event, Row
from finetune.serving.streams import reply, stream
from finetune.serving.tokens import readable
from harvester.records import Json

Result = TypeVar("Result")
Ids = tuple[int, ...]


class Api:
    """What a server of one model answers.

    Args:
        engine: answers, with the model.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._served = engine, engine.served
        self._created = int(time.time())
        # Long texts take long to cut into tokens: the event loop goes on meanwhile. One thread, one text at a time.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="tokens")

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.get("/health", self.health),
            web.get("/v1/models", self.models),
            web.post("/v1/chat/completions", self.chat),
            web.post("/v1/completions", self.complete),
            web.post("/tokenize", self.tokenize),
            web.post("/detokenize", self.detokenize),
        ]

    async def health(self, _: web.Request) -> web.Response:
        """Whether it takes requests."""
        if self._engine.closing:
            raise stopping()
        return reply({"status": "ok"})

    async def models(self, _: web.Request) -> web.Response:
        """The one model."""
        model = {
            "id": self._served.name,
            "object": "model",
            "created": self._created,
            "owned_by": "finetune",
            "max_model_len": self._served.context,
        }
        return reply({"object": "list", "data": [model]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        asked = read(ChatAsked, await read_body(request))
        self._require_model(asked.model)
        ids = await self._read(lambda: prompts.chat_ids(self._served, asked.messages))
        most = prompts.room(self._served, ids, asked.most_tokens)
        call = self._call(asked, [ids], [most], top=asked.top)
        return await self._respond(request, asked, call, ChatForm(self._served, asked, [ids]))

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        asked = read(CompletionAsked, await read_body(request))
        self._require_model(asked.model)
        special = asked.add_special_tokens
        ids = await self._read(
            lambda: [prompts.completion_ids(self._served, one, special=special) for one in asked.prompt]
        )
        most = [prompts.room(self._served, one, asked.max_tokens) for one in ids]
        if asked.prompt_logprobs is not None:
            prompts.require_scorable(ids, asked.n, asked.prompt_logprobs)
        call = self._call(asked, ids, most, top=asked.logprobs, prompt_top=asked.prompt_logprobs)
        return await self._respond(request, asked, call, CompletionForm(self._served, asked, ids))

    async def tokenize(self, request: web.Request) -> web.Response:
        """POST /tokenize."""
        asked = read(TokenizeAsked, await read_body(request))
        self._require_model(asked.model)
        ids = await self._read(lambda: self._tokens(asked))
        texts = [readable(self._served.spell(token)) for token in ids] if asked.return_token_strs else None
        return reply(
            {"count": len(ids), "max_model_len": self._served.context, "tokens": list(ids), "token_strs": texts}
        )

    async def detokenize(self, request: web.Request) -> web.Response:
        """POST /detokenize."""
        asked = read(DetokenizeAsked, await read_body(request))
        self._require_model(asked.model)
        prompts.require_ids(self._served, asked.tokens, "tokens")
        return reply({"prompt": await self._read(lambda: self._served.base.tokenizer.decode(asked.tokens))})

    def _tokens(self, asked: TokenizeAsked) -> Ids:
        if asked.messages is None:
            special = asked.add_special_tokens is not False
            return prompts.text_ids(self._served, asked.prompt or "", special=special)
        if asked.add_special_tokens:
            raise Refused("add_special_tokens: the chat template writes its own", param="add_special_tokens")
        opened = prompts.chat_ids if asked.add_generation_prompt else prompts.closed_chat_ids
        return opened(self._served, asked.messages)

    def _call(
        self,
        asked: Asked,
        ids: Sequence[Ids],
        most: Sequence[int],
        *,
        top: int | None,
        prompt_top: int | None = None,
    ) -> Call:
        stop_ids = prompts.stop_ids(self._served, asked.stop)

        def make(place: int, tell: Callable[[Event], None]) -> Row:
            prompt, choice = divmod(place, asked.n)
            return Row(
                prompt=ids[prompt],
                max_tokens=most[prompt],
                tell=tell,
                sampling=asked.sampling,
                seed=None if asked.seed is None else f"{asked.seed}/{choice}",
                top=top,
                prompt_top=prompt_top,
                stops=tuple(asked.stop),
                stop_ids=stop_ids,
            )

        return Call(self._engine, len(ids) * asked.n, make)

    async def _respond(self, request: web.Request, asked: Asked, call: Call, form: Form) -> web.StreamResponse:
        async with call:
            if asked.stream:
                return await stream(request, call, form, with_usage=asked.with_usage)
            answered: Sequence[Answered] = await gather(call)
            return reply(await self._read(lambda: form.whole(answered)))

    def _require_model(self, model: str | None) -> None:
        if model not in (None, self._served.name):
            raise Refused(
                f"there is no model {model!r}; this server has {self._served.name!r}",
                status=NOT_FOUND,
                param="model",
                code="model_not_found",
            )

    async def _read(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._reader, work)


def error_reply(error: Refused) -> web.Response:
    """An error as OpenAI's API writes it."""
    body: Json = error.body
    return reply(body, status=error.status, headers=error.headers)
