"""Addresses that a key may be sent to."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from harvester.yaml_text import MOST_SHOWN

LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
LONGEST_HOST = 253


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
    if _is_local(parts):
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


def _is_local(parts: SplitResult) -> bool:
    host = (parts.hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host
    return address.is_loopback or address.is_private
