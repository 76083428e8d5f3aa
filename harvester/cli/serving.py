"""Teachers that Harvester runs itself."""

import socket

import click

from harvester.cli.base import Commands, as_json, show
from harvester.errors import BadInput


@click.group(cls=Commands, epilog="Example: harvester teacher serve --port 8808")
def teacher() -> None:
    """Teachers that Harvester runs itself."""


@teacher.command(epilog="Example: harvester teacher serve --port 8808")
@click.option(
    "--port", metavar="N", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; default: a free one."
)
@click.option(
    "--slots", metavar="N", type=click.IntRange(1, 64), default=4, show_default=True, help="Requests answered at once."
)
@as_json
def serve(port: int, slots: int, as_json: bool) -> None:
    """Serve the embedded teacher on loopback until Ctrl-C; prints its address and the key it asks for."""
    from harvester.teachers.embedded import serve_forever

    _require_free(port)
    serve_forever(
        port=port,
        slots=slots,
        ready=lambda url, key: show(
            {"base_url": url, "api_key": key}, as_json=as_json, text=lambda r: f"{r['base_url']}  key: {r['api_key']}"
        ),
    )


def _require_free(port: int) -> None:
    """The server itself would say it in twenty lines of its own.

    Raises:
        BadInput: another program listens on the port, or this user may not.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was closed just now is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BadInput(f"--port: {port}: {error.strerror}; name another, or leave it out for a free one") from None
