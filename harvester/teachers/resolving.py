"""Names → addresses, checked in the connector itself: what is checked is what is connected to, whenever DNS answers."""

import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from harvester.addresses import require_reach


class CheckedResolver(AbstractResolver):
    """The default resolver, whose answers are refused where a recipe does not allow them.

    aiohttp asks no resolver about a URL's literal address: `addresses.check_url` has seen that one.
    """

    def __init__(self, *, local: bool, unchecked: str | None = None, inner: AbstractResolver | None = None) -> None:
        """A resolver for one teacher.

        Args:
            local: whether the recipe declares the teacher to be on loopback or a private network.
            unchecked: a host that may be anywhere, as the user's own proxy.
            inner: who is asked; the system by default.
        """
        self._local, self._unchecked = local, unchecked
        self._inner = inner or aiohttp.DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Every address of a host.

        Raises:
            AddressRefused: one of them is not allowed. It is no OSError, so aiohttp and httpx pass it on as it is.
            OSError: the name does not resolve.
        """
        found = await self._inner.resolve(host, port, family)
        if host != self._unchecked:
            require_reach(host, [one["host"] for one in found], local=self._local)
        return found

    async def close(self) -> None:
        """Close the resolver underneath."""
        await self._inner.close()
