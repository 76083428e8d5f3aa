"""The model hub, asked once and with a bound: what is cached serves without it, and a hub that is down is one line.

`huggingface_hub` would ask a hub that does not answer a dozen times, 46 s long, and tell each on stderr. Once a hub has
answered, downloads keep that library's own patience.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import huggingface_hub as hub
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HFValidationError, RemoteEntryNotFoundError, RepositoryNotFoundError

CONFIG = "config.json"


class NoAnswer(Exception):
    """The hub cannot be asked for a model, or does not have it; says why."""


def is_id(name: str) -> bool:
    """Whether the hub could have a model of that name."""
    try:
        hub.hf_hub_url(name, CONFIG)
    except HFValidationError:
        return False
    return True


def cached(hub_id: str) -> Path | None:
    """The snapshot of a model that lies in the local cache, named after its commit; it may lack files."""
    found = hub.try_to_load_from_cache(hub_id, CONFIG)
    return Path(found).parent if isinstance(found, str) else None


def fetch_config(hub_id: str) -> Path:
    """Downloads a model's config.json and pins the model's newest commit in the cache by it.

    Returns:
        The snapshot's folder.

    Raises:
        NoAnswer: the hub does not answer, or has no such model.
    """
    ask(hub_id, None)
    try:
        return Path(hub.hf_hub_download(hub_id, CONFIG)).parent
    except (OSError, ValueError, httpx2.HTTPError) as error:
        raise NoAnswer(_line(error)) from error


def ask(hub_id: str, commit: str | None) -> None:
    """Sees that the hub is there and has a model; `HF_HUB_ETAG_TIMEOUT` seconds at most, 10 where it is not set.

    Args:
        hub_id: owner/name.
        commit: the one that is wanted; None for the newest.

    Raises:
        NoAnswer: it is not there, does not have it, or wants to know who asks.
    """
    if problem := _problem(hub_id, commit):
        raise NoAnswer(problem)


@cache  # for the life of the process, which may load the model several times
def _problem(hub_id: str, commit: str | None) -> str | None:
    if constants.is_offline_mode():
        return "HF_HUB_OFFLINE is set, and not all of it is in the cache"
    patience_s = constants.HF_HUB_ETAG_TIMEOUT
    url = hub.hf_hub_url(hub_id, CONFIG, revision=commit)
    try:
        _within(patience_s, lambda: hub.get_hf_file_metadata(url, timeout=patience_s))
    except (httpx2.HTTPError, OSError, ValueError) as error:
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    where = constants.ENDPOINT
    match error:
        case GatedRepoError():
            return "it is gated: accept its terms on its page, then run `hf auth login`"
        case RepositoryNotFoundError():
            return f"{where} has none of that name, or shows it only after `hf auth login`"
        case RemoteEntryNotFoundError():
            return f"it has no {CONFIG} at {where}: not a transformers model"
        case TimeoutError() | httpx2.TimeoutException():
            wait = f"within {constants.HF_HUB_ETAG_TIMEOUT:g} s; HF_HUB_ETAG_TIMEOUT=60 waits longer"
            return f"{where} does not answer {wait}"
        case _:
            return f"{where} cannot be asked: {_line(error)}"


def _within(seconds: float, call: Callable[[], Any]) -> None:
    """Runs a call that may hang for longer than it was told to: looking up a name, or address after address."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError
    for error in errors:
        raise error


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]
