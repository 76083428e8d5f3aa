"""Addresses that a key may be sent to: by a recipe's URL, and by what a name resolves to when it is connected to."""

import ipaddress
import re
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from harvester.errors import TeacherUnusable
from harvester.yaml_text import MOST_SHOWN

Reach = Literal["loopback", "private", "public", "unusable"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# 100.64/10 lies between a provider and its customers; private networks over the net (Tailscale) use it too.
PRIVATE = [
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
LONGEST_HOST = 253


class AddressRefused(TeacherUnusable):
    """A name resolved to an address that the recipe does not allow: nothing was sent, and nothing will be."""


def reach(address: str) -> Reach:
    """How far an IP address reaches; an IPv4 address inside an IPv6 one (mapped, 6to4, NAT64) is seen as itself.

    Link-local, multicast, unspecified, reserved and documentation addresses are no teacher's: `unusable`.

    Raises:
        ValueError: not an IP address.
    """
    found = _innermost(ipaddress.ip_address(address))
    if found.is_loopback:
        return "loopback"
    if any(found in network for network in PRIVATE):
        return "private"
    site_local = isinstance(found, ipaddress.IPv6Address) and found.is_site_local
    usable = found.is_global and not (found.is_multicast or found.is_reserved or site_local)
    return "public" if usable else "unusable"


def _innermost(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def require_reach(host: str, addresses: list[str], *, local: bool) -> None:
    """Refuse a name that resolves to an address which its recipe does not allow, be it one of several.

    Raises:
        AddressRefused: which address, and the mend.
    """
    for address in addresses:
        found = reach(address)
        if local and found == "public":
            raise AddressRefused(f"{host} is {address}, which is public; without local: true it needs https")
        if not local and found in ("loopback", "private"):
            raise AddressRefused(f"{host} is {address}, which is {found}; if that is meant, state local: true")
        if found == "unusable":
            raise AddressRefused(f"{host} is {address}, where no teacher can be; name another host in base_url")


def check_url(url: str, *, local: bool) -> None:
    """Refuse addresses that would send the key where it must not go.

    Raises:
        ValueError: what is wrong with the URL, and the mend.
    """
    parts = _split_url(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("a user or password in the URL is refused; name a variable in api_key_env")
    if parts.query or parts.fragment:
        raise ValueError("parameters in the URL are refused; keys belong in api_key_env")
    kind = _reach_of(parts)
    if kind == "unusable":
        raise ValueError("no teacher can be at this address; for one on this machine write 127.0.0.1")
    if kind != "public":
        if not local:
            raise ValueError("a loopback or private address needs local: true")
    elif parts.scheme != "https":
        raise ValueError("must be https; only a teacher with local: true may use http")
    elif local:
        raise ValueError("local: true is for loopback and private addresses only")


def _split_url(url: str) -> SplitResult:
    if any(not "!" <= character <= "~" for character in url):
        # urlsplit would drop some of them without a word, and another program may not.
        raise ValueError("not a URL: spaces, control and non-ASCII characters are refused; remove or encode them")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError('not a URL; write https://host/v1, or "embedded" for the teacher that Harvester runs itself')
    if not _is_host(parts.hostname):
        raise ValueError(
            f"not a URL: {parts.hostname[:MOST_SHOWN]!r} is neither a host name nor an address; correct it"
        )
    return parts


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        # 127.0.1 is no name: what begins like an address would be read as one, each program in its own way.
        return len(host) <= LONGEST_HOST and all(map(LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    return True


def _reach_of(parts: SplitResult) -> Reach:
    """By the URL alone; where a name leads is seen when it is resolved (`require_reach`)."""
    host = (parts.hostname or "").rstrip(".")
    try:
        return reach(host)
    except ValueError:
        local = host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host
        return "private" if local else "public"
