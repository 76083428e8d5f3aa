"""The web application: who may ask, by which name of the host, and errors in one shape."""

import hmac
import ipaddress
import sys
import traceback
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from finetune.serving.engine import A_BUG, Engine
from finetune.serving.handlers import Api, error_reply
from finetune.serving.refusals import FORBIDDEN, INTERNAL, UNAUTHORIZED, Refused

MOST_BYTES = 16 << 20
"""Of a request's body."""
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN_PATHS = frozenset({"/health"})
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(engine: Engine, *, key: str, host: str) -> web.Application:
    """The application of one model.

    Args:
        engine: answers.
        key: what every request but those for health must bear.
        host: what the server is bound to.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _require_host(request, host)
            if request.path not in OPEN_PATHS:
                _require_key(request, key)
            return await handler(request)
        except Refused as error:
            return error_reply(error)
        except web.HTTPException as error:  # aiohttp's own: no such path, no such method, too large a body
            return error_reply(Refused(error.reason, status=error.status, code="http_error"))
        except ConnectionError:
            raise  # whoever asked is gone
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets OpenAI's shape
            traceback.print_exception(error, file=sys.stderr)
            return error_reply(Refused(A_BUG, status=INTERNAL))

    app = web.Application(middlewares=[guarded], client_max_size=MOST_BYTES)
    app.add_routes(Api(engine).routes())
    return app


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _require_host(request: web.Request, bound: str) -> None:
    """A page of the web can make its own name lead here; then it is not a name of this server.

    Bound to all of a machine's addresses, a server cannot know its names; the key is what protects it.

    Raises:
        Refused: another name.
    """
    if bound in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not bound to
        return
    try:
        named = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:  # no name, nor an address
        named = request.host
    if named not in LOCAL_NAMES | {bound.lower()}:
        raise Refused(f"this server is not {named!r}", status=FORBIDDEN, code="wrong_host")


def _require_key(request: web.Request, key: str) -> None:
    """Refuse whoever does not bear the key.

    Raises:
        Refused: none, or another one.
    """
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # Header values may hold any bytes, as surrogates.
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), key.encode())
    if scheme.lower() != "bearer" or not same:
        raise Refused(
            "no or wrong key; send it as Authorization: Bearer KEY",
            status=UNAUTHORIZED,
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
