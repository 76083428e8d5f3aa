"""A teacher's server over HTTP, and what went wrong there in one line."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import httpx2
import openai

from finetune.errors import BadInput
from finetune.teacher_address import TeacherAddress
from harvester.errors import TeacherUnusable
from harvester.records import printable

DEADLINE_S = 600.0
"""For a reply, attempts and the waits between them included; no byte that trickles in extends it."""
CONNECT_S = 10.0
AT_FIRST, LATER = 1, 8
"""Attempts after the first one, with waits that double up to 8 s or are as long as Retry-After says, two minutes at
most. A server that never answered is likely not there; one that did may be starting anew."""
LONGEST_TEXT = 300
SENT_HEADERS = frozenset({"host", "accept", "accept-encoding", "connection", "content-length", "content-type"})
NO_KEY, TOO_MANY, SERVER_S = frozenset({401, 403}), 429, 500
Result = TypeVar("Result")


class Client:
    """Asks one server. Every call has a connection of its own, so there is nothing to close.

    Args:
        address: of the server.

    Raises:
        BadInput: the address is none, or would send the key where others read it, or the variable has no key.
    """

    def __init__(self, address: TeacherAddress) -> None:
        self._root, self._key = address.root(), address.key()
        self.url = f"{self._root}/v1"
        self._again = AT_FIRST
        self._certificates = httpx2.create_ssl_context(trust_env=False)  # once: it takes a tenth of a second

    def ask(self, path: str, body: Any = None, *, mend: str) -> dict[str, Any]:
        """A reply's JSON object, of a POST where there is a body.

        Args:
            path: from the server's root on.
            body: to be sent as JSON.
            mend: what a user may do where the server refuses what is asked.

        Raises:
            BadInput: the server refuses it.
            TeacherUnusable: it cannot be reached, does not take the key, or does not come to an answer.
        """
        found = _in_thread(lambda: self._ask(path, body, mend))
        if not isinstance(found, dict):
            raise BadInput(f"--teacher {self.url}: {path} gives no JSON object; {mend}")
        self._again = LATER
        return found

    async def _ask(self, path: str, body: Any, mend: str) -> Any:
        try:
            async with asyncio.timeout(DEADLINE_S), self._open() as client:
                if body is None:
                    return await client.get(self._root + path, cast_to=object)
                return await client.post(self._root + path, body=body, cast_to=object)
        except (TimeoutError, openai.APITimeoutError):
            raise TeacherUnusable(f"--teacher {self.url}: no reply in time; see what the server does") from None
        except openai.APIStatusError as error:
            raise self._refused(path, error, mend) from None
        except openai.APIConnectionError as error:
            reason = _one_line(str(error.__cause__ or error))
            raise TeacherUnusable(
                f"--teacher {self.url}: cannot be reached ({reason}); start the server, or mend the address"
            ) from None
        except (openai.OpenAIError, ValueError) as error:
            raise BadInput(f"--teacher {self.url}: {path} gives no JSON ({_one_line(str(error))}); {mend}") from None

    def _open(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=self.url,
            api_key=self._key or "none",
            max_retries=self._again,
            http_client=httpx2.AsyncClient(
                follow_redirects=False,
                trust_env=False,
                verify=self._certificates,
                timeout=httpx2.Timeout(DEADLINE_S, connect=CONNECT_S),
                event_hooks={"request": [self._keep_to_what_is_needed]},
            ),
        )

    async def _keep_to_what_is_needed(self, request: httpx2.Request) -> None:
        """The SDK tells of this machine, and sends what OPENAI_* variables hold, which is for somebody else."""
        for name in list(request.headers):
            if name not in SENT_HEADERS and not (name == "authorization" and self._key):
                del request.headers[name]

    def _refused(self, path: str, error: openai.APIStatusError, mend: str) -> Exception:
        status, body = error.status_code, error.body
        told = body.get("message") if isinstance(body, dict) else None
        text = told if isinstance(told, str) else error.response.reason_phrase
        if self._key:
            text = text.replace(self._key, "(the key)")
        said = f"--teacher {self.url}: {path}: HTTP {status}: {_one_line(text)}"
        if status in NO_KEY:
            return TeacherUnusable(f"{said}; name the variable that holds the server's key: --teacher-key-env NAME")
        if status == TOO_MANY or status >= SERVER_S:
            return TeacherUnusable(f"{said}; see what the server does, and run the same command again")
        return BadInput(f"{said}; {mend}")


def _one_line(text: str) -> str:
    return printable(text)[:LONGEST_TEXT] or "no message"


def _in_thread(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """What a coroutine gives: in another thread, as the caller may have an event loop and Ctrl-C must reach it."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(asyncio.run(work()))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's
            future.set_exception(error)

    threading.Thread(target=run, name="teacher", daemon=True).start()
    return future.result()
