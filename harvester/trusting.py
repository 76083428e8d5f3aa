"""Which key may go to which host: a recipe from somebody else must not send the user's other secrets away."""

import json
import os
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from harvester.addresses import reach
from harvester.errors import BadInput
from harvester.profiles import hosts_of_key, is_under
from harvester.recipe import Teacher

Pair = tuple[str, str]
"""(host, variable)"""


def require(
    teacher: Teacher,
    *,
    where: str,
    trusted_now: Collection[str] = (),
    ask: Callable[[str], bool] | None = None,
) -> None:
    """Let a teacher's key go to its host, or refuse before it is read.

    A provider's own variable goes to its own hosts, unasked, and to no other. Any other variable may go to this very
    machine; on its first way to another host somebody must agree, and the agreement is kept.

    Args:
        teacher: whose `api_key_env` and host.
        where: the recipe's file and the teacher's field, for messages.
        trusted_now: hosts that the user names for this run.
        ask: puts a yes/no question to the user; None where nobody is there to answer.

    Raises:
        BadInput: the key must not go there, nobody agreed, or the list of agreements cannot be read or written.
    """
    host, variable = teacher.host, teacher.api_key_env
    if host is None or variable is None:
        return
    field = f"{where}.api_key_env"
    tied = hosts_of_key(variable)
    if tied is not None:
        if not is_under(host, tied):
            raise BadInput(
                f"{field}: {_only(variable, tied)}, not to {host}; give {host} a key and variable of its own"
            )
        return
    if _this_machine(host) or (host, variable) in _trusted():
        return
    if host not in {one.lower().rstrip(".") for one in trusted_now}:
        mend = f"if {host} may have the key in {variable}, run again with --trust {host}"
        if ask is None:
            raise BadInput(f"{field}: the key in {variable} was never sent to {host} before; {mend}")
        if not ask(f"The key in {variable} was never sent to {host} before. Send it there, now and in future?"):
            raise BadInput(f"{field}: the key in {variable} is not sent to {host}, as you said; {mend}")
    _trust((host, variable))


def _only(variable: str, hosts: tuple[str, ...]) -> str:
    if not hosts:
        return f"{variable} is the key to something that is no teacher, and is sent to nobody"
    return f"{variable} is sent to {' and '.join(hosts)} only"


def _this_machine(host: str) -> bool:
    try:
        return reach(host) == "loopback"
    except ValueError:
        return host == "localhost"


def trust_list() -> Path:
    """The file with the pairs of host and variable that the user has agreed to.

    Raises:
        BadInput: the user has no home folder.
    """
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config")
    try:
        return config.expanduser() / "harvester" / "trusted.json"
    except RuntimeError:
        raise BadInput("no home folder to keep the list of trusted hosts in; set XDG_CONFIG_HOME") from None


def _trusted() -> set[Pair]:
    path = trust_list()
    try:
        found = json.loads(path.read_bytes())
        return {_pair(entry) for entry in found["trusted"]}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}; it holds the hosts that you trust") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadInput(f"{path}: is not the list of trusted hosts that Harvester wrote; delete it") from None


def _pair(entry: Any) -> Pair:
    host, variable = entry["host"], entry["variable"]
    if not (isinstance(host, str) and isinstance(variable, str)):
        raise TypeError("not text")
    return host, variable


def _trust(pair: Pair) -> None:
    """Add a pair to the list, in one step: whoever reads it sees the old list or the new one."""
    path = trust_list()
    pairs = sorted({*_trusted(), pair})
    text = json.dumps({"trusted": [{"host": host, "variable": variable} for host, variable in pairs]}, indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=path.name, encoding="utf-8", delete=False
        ) as file:
            file.write(text + "\n")  # readable by nobody else: the mode of every temporary file
        Path(file.name).replace(path)
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be written: {error.strerror}; set XDG_CONFIG_HOME to a folder that can"
        ) from None
