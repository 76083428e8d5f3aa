"""`collect --metrics`: the metrics over HTTP, on loopback alone, as long as the run goes on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from harvester.errors import BadInput
from harvester.metrics import Metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ADDRESS, PATH = "127.0.0.1", "/metrics"
LOCAL_NAMES = frozenset({"localhost", ADDRESS})
PATIENCE_S = 5.0
"""Of a connection that asks nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request: one that asks nothing keeps nobody else waiting, and nothing from ending."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Bind, without asking for the address's name: where names are looked up slowly that takes half a minute."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, *_: object) -> None:
        """Whoever asked is gone, or speaks no HTTP: nothing of the run's."""


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE_S  # of the socket, in seconds

    def log_message(self, *_: object) -> None:
        """Nothing: stderr is the run's."""


@contextmanager
def serving(metrics: Metrics, port: int) -> Iterator[str]:
    """Serve them for the length of the context; the URL is returned, with the port that 0 stands for.

    A thread of its own answers: planning a million rows keeps the event loop busy for minutes.

    Raises:
        BadInput: another program listens on the port, or this user may not.
    """
    try:
        server = make_server(ADDRESS, port, _guarded(make_wsgi_app(metrics.registry)), _Server, _Handler)
    except OSError as error:
        raise BadInput(f"--metrics: {port}: {error.strerror}; name another, or 0 for a free one") from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{ADDRESS}:{server.server_port}{PATH}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _guarded(app: "WSGIApplication") -> "WSGIApplication":
    """Nothing but the one page, and only by this machine's names."""

    def guarded(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterator[bytes] | list[bytes]":
        if not _is_local(environ.get("HTTP_HOST", "")):
            return _refuse(start_response, "403 Forbidden", "this server has another name\n")
        if environ.get("PATH_INFO") != PATH:
            return _refuse(start_response, "404 Not Found", f"see {PATH}\n")
        return app(environ, start_response)  # type: ignore[return-value]  # the library gives a list

    return guarded


def _is_local(host: str) -> bool:
    """Whether a Host header names this machine: a page of the web can make a name of its own lead here."""
    try:
        return urlsplit(f"//{host}").hostname in LOCAL_NAMES
    except ValueError:
        return False


def _refuse(start_response: Callable[..., object], status: str, why: str) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [why.encode()]
