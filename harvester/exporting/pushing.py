"""A finished dataset → a repository on the hub, in one commit.

The token is the client library's own affair (HF_TOKEN, or `hf auth login`), and so is the address (HF_ENDPOINT). What a
server says is cut, and the token taken out of it: it may repeat what it was sent.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harvester import __version__
from harvester.errors import BadInput, HarvesterError, RefusedByTerms, StoppedEarly, how_to_install
from harvester.exporting.dataset import OURS, Exported
from harvester.exporting.manifest import MANIFEST
from harvester.records import printable, size_of
from harvester.terms import CLAIMED, PASSING, together

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
REPO = re.compile(f"{_NAME}/{_NAME}")
KIND = "dataset"
FIRST_ANSWER_S = 30.0
"""For the hub's first answer; the library itself would wait for ever."""
MOST_SAID = 200
NOT_OURS_TO_KEEP = frozenset({".gitattributes", "README.md", "LICENSE", "LICENSE.md", "LICENSE.txt"})
"""What a repository may hold before its first dataset: those that the hub makes, and a licence."""
LATER = (408, 409, 412, 425, 429)
MENDS = {
    401: "the token is missing or wrong; set HF_TOKEN, or run `hf auth login`",
    403: "the token may not write there; take one with write access, or another USER/NAME",
    404: "there is no such user or organisation, or the token may not see it",
}

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pushed:
    """What is on the hub now."""

    url: str
    commit: str
    files: int  # of the dataset
    deleted: int  # of earlier exports


def require_pushable(repo: str) -> None:
    """See, before anything is written, that a push could begin.

    Raises:
        BadInput: `repo` is no name for a repository, the library is missing, or nobody is logged in.
    """
    if not REPO.fullmatch(repo) or "--" in repo or ".." in repo:
        raise BadInput(
            f"--push: {repo[:100]!r} names no repository; give USER/NAME of letters, digits, '.', '_' and '-'"
        )
    hub = _library()
    if hub.constants.is_offline_mode():
        raise BadInput("--push: HF_HUB_OFFLINE is set; take it away")
    with _told("--push", None):
        token = hub.get_token()
    if token is None:
        raise BadInput("--push: nobody is logged in; set HF_TOKEN to a token with write access, or run `hf auth login`")


def push(exported: Exported, repo: str, *, private: bool = False, tell: Tell = lambda _: None) -> Pushed:
    """Upload a dataset's folder in one commit, which takes out what earlier exports left in the repository.

    Args:
        exported: as `export` returned it.
        repo: USER/NAME; it is made where there is none.
        private: make it a private one.
        tell: called with what binds whoever takes the dataset, and with what is going on, a line at a time.

    Raises:
        BadInput: the hub refuses (token, rights, name, card), or the repository holds something else or is public.
        RefusedByTerms: a row's terms do not pass, and nobody stated a right to it.
        StoppedEarly: the hub cannot be reached, or asks to come again later.
    """
    require_pushable(repo)
    _require_right(exported)
    for line in _binding(exported):
        tell(line)
    hub = _library()
    with _told(f"{repo}: is not pushed, {exported.path} is written", hub.get_token()), _quiet(hub):
        return _Push(hub.HfApi(), repo, exported, tell).run(private=private)


def _require_right(exported: Exported) -> None:
    for one in exported.terms.values():
        if one["verdict"] not in PASSING and not one["basis"]:
            raise RefusedByTerms(
                f"{exported.path}: is written, and not pushed: training on the answers of {one['teacher']} is"
                f" {one['verdict']} ({one['id']}; {one['source']}), and nobody stated a right to it; leave its rows out"
                " (--only-terms conditions)"
            )


def _binding(exported: Exported) -> Iterator[str]:
    overall = together(exported.terms.values())
    yield f"terms of the whole: {overall['verdict'] or 'none, there are no answers'}"
    yield from (f"  obligation: {text}" for text in overall["obligations"])
    yield from (f"  a student's name begins with: {text}" for text in overall["name_prefixes"])
    yield from (f"  a student's card shows: {text}" for text in overall["show"])
    yield from (f"  to hand along: {text}" for text in overall["pass_on"])
    for one in exported.terms.values():
        if one["verdict"] not in PASSING:
            basis = f"the card states the basis {printable(one['basis'])!r}, {CLAIMED}"
            yield f"  training on the answers of {one['teacher']} is {one['verdict']}; {basis}"


class _Push:
    """One push, through the hub's own client."""

    def __init__(self, api: "HfApi", repo: str, exported: Exported, tell: Tell) -> None:
        self._api, self._repo, self._exported, self._tell = api, repo, exported, tell

    def run(self, *, private: bool) -> Pushed:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete  # noqa: PLC0415 - only who pushes has it

        there = self._there() or self._made(private=private)
        self._require_fitting(there, private=private)
        paths = _files(self._exported.path)
        stale = sorted(name for name in _names(there) if name.split("/")[0] in OURS and name not in paths)
        size = sum(path.stat().st_size for path in paths.values())
        seen = "private" if there.private else "public"
        self._tell(f"pushing {len(paths)} files, {size_of(size)}, to {self._repo} ({seen})")
        done = self._api.create_commit(
            self._repo,
            [
                *(CommitOperationAdd(name, path) for name, path in paths.items()),
                *(CommitOperationDelete(name, is_folder=False) for name in stale),
            ],
            commit_message=_message(self._exported),
            repo_type=KIND,
            parent_commit=there.sha,
        )
        return Pushed(f"{self._api.endpoint}/datasets/{self._repo}", done.oid, len(paths), len(stale))

    def _there(self) -> Any:
        """The repository as it is; None where there is none that the token can see."""
        from huggingface_hub.errors import RepositoryNotFoundError  # noqa: PLC0415

        try:
            return self._api.dataset_info(self._repo, timeout=FIRST_ANSWER_S)
        except RepositoryNotFoundError:
            return None

    def _made(self, *, private: bool) -> Any:
        self._api.create_repo(self._repo, repo_type=KIND, private=private or None, exist_ok=True)
        return self._api.dataset_info(self._repo, timeout=FIRST_ANSWER_S)

    def _require_fitting(self, there: Any, *, private: bool) -> None:
        names = _names(there)
        if MANIFEST not in names and names - NOT_OURS_TO_KEEP:
            raise BadInput(f"{self._repo}: exists and holds no dataset of Harvester's; name another repository")
        if private and not there.private:
            raise BadInput(f"{self._repo}: exists and is public; make it private in its settings, or name another one")


def _names(there: Any) -> set[str]:
    return {one.rfilename for one in there.siblings or ()}


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _message(exported: Exported) -> str:
    rows = ", ".join(f"{count} {split}" for split, count in exported.rows.items()) or "no"
    return f"Export {rows} rows with Harvester {__version__}"


def _library() -> Any:
    try:
        # Half a second, and installed only where somebody wants it. The package does not load its modules by itself.
        import huggingface_hub.constants  # noqa: PLC0415
        import huggingface_hub.utils  # noqa: PLC0415
    except ImportError:
        raise BadInput(f"--push: needs the library `huggingface_hub`; {how_to_install('hub')}") from None
    return huggingface_hub


@contextmanager
def _quiet(hub: Any) -> Iterator[None]:
    """Without the client's progress bars and warnings; what the hub has against a card is told as a line."""
    shown = not hub.utils.are_progress_bars_disabled()
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    hub.utils.disable_progress_bars()
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        if shown:
            hub.utils.enable_progress_bars()


@contextmanager
def _told(where: str, token: str | None) -> Iterator[None]:
    """Whatever goes wrong in the client becomes one line, without the token, and without what came before it."""
    try:
        yield
    except HarvesterError:
        raise
    except Exception as error:  # noqa: BLE001 - the client's own, its transport's, its JSON's: all the hub's doing
        raise _explained(where, _cause(error), token) from None


def _cause(error: Exception) -> Exception:
    """The client wraps what went wrong with one of several files."""
    return error.__cause__ if type(error) is RuntimeError and isinstance(error.__cause__, Exception) else error


def _explained(where: str, error: Exception, token: str | None) -> HarvesterError:
    response = getattr(error, "response", None)
    if response is None:
        text = _safe(f"{type(error).__name__}: {error}", token)
        if _is_transport(error):
            return StoppedEarly(f"{where}: the hub cannot be reached ({text}); run the same command again")
        return BadInput(f"{where}: the hub refuses it, or is none ({text})")
    status = response.status_code
    said = f"{status}, {_safe(getattr(error, 'server_message', None) or response.reason_phrase, token)}"
    if status in LATER or status >= 500:  # noqa: PLR2004 - HTTP's own border
        return StoppedEarly(f"{where}: the hub says {said}; run the same command again")
    return BadInput(f"{where}: the hub says {said}{'; ' + MENDS[status] if status in MENDS else ''}")


def _safe(text: str, token: str | None) -> str:
    return printable(text.replace(token, "…") if token else text)[:MOST_SAID]


def _is_transport(error: Exception) -> bool:
    import httpx2  # noqa: PLC0415 - of huggingface_hub, which is here by now

    return isinstance(error, httpx2.TransportError | ConnectionError | TimeoutError)
