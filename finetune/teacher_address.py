"""Where a teacher's server is, and which key may go there."""

import os
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from finetune.errors import BadInput
from harvester.addresses import Reach, reach
from harvester.records import printable

LIKE_A_NUMBER = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)\.?")
"""A host that ends so is an address or nothing: resolvers read 134744072 and 0x8.8.2056 as addresses, too."""


@dataclass(frozen=True, slots=True)
class TeacherAddress:
    """Who scores what a student samples, as a command line says it."""

    url: str
    model: str | None = None  # None: the only one that the server has
    key_env: str | None = None  # the variable with the server's key; None: none is sent

    def root(self) -> str:
        """The server's own address, without /v1.

        Raises:
            BadInput: it is no address, or holds what may be a key.
        """
        parts = _split(self.url)
        host = parts.hostname or ""
        port = "" if parts.port is None else f":{parts.port}"
        path = parts.path.rstrip("/").removesuffix("/v1")
        return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{path}"

    def key(self) -> str | None:
        """What opens the server, from its variable.

        Raises:
            BadInput: the variable has none, or others could read it on its way.
        """
        if self.key_env is None:
            return None
        key = os.environ.get(self.key_env, "").strip()
        if not key:
            # Its name is not told: it may be the key itself, given by mistake.
            raise BadInput("--teacher-key-env: no variable of that name is set; export it, or leave the option out")
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise BadInput("--teacher-key-env: the variable holds what no key is made of; set it to the server's")
        parts = _split(self.url)
        if parts.scheme == "http" and not _is_near(parts.hostname or ""):
            raise BadInput(
                f"--teacher {self.root()}: others could read the key on its way; write https://, or localhost or a"
                " private network's address in figures"
            )
        return key


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        parts, usable = urlsplit(""), False
    # What is refused here may hold a key: it is not repeated.
    if "@" in url or parts.query or parts.fragment:
        raise BadInput("--teacher: users, passwords and parameters in an address are refused; see --teacher-key-env")
    if not usable:
        raise BadInput(f"--teacher {printable(url)[:100]}: no address; write it as http://127.0.0.1:8000/v1")
    return parts


def _is_host(host: str) -> bool:
    return bool(host) and (not LIKE_A_NUMBER.fullmatch(host) or _reach(host) is not None)


def _is_near(host: str) -> bool:
    """This machine, or one of a private network by its address: what another name leads to, others may decide."""
    return host == "localhost" or host.endswith(".localhost") or _reach(host) in ("loopback", "private")


def _reach(host: str) -> Reach | None:
    """How far an address reaches; None for a name."""
    try:
        return reach(host)
    except ValueError:
        return None
