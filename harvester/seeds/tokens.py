"""How many tokens a part of a text has."""

from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harvester.errors import BadInput, how_to_install
from harvester.paths import inside

Weigh = Callable[[int, int], float]
"""(begin, end) of a text, in characters → tokens that begin there."""

BYTES_PER_TOKEN = 4
"""English has four to five bytes of UTF-8 a token in today's vocabularies, most other languages two to five."""
MOST_AT_ONCE = 100_000
"""Characters given to a tokenizer: it keeps some 200 bytes for each token."""


def estimated(text: str) -> Weigh:
    """By the length in UTF-8."""
    return lambda begin, end: len(text[begin:end].encode()) / BYTES_PER_TOKEN


def open_tokenizer(path: Path, *, where: str, mend: str) -> Any:
    """A tokenizer that neither cuts texts nor fills them up.

    Args:
        path: of its tokenizer.json.
        where: the field or option that names it, for messages.
        mend: what to name instead of a file that is none.

    Raises:
        BadInput: no tokenizer in it, or no library to read it with.
    """
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - installed only where somebody wants it
    except ImportError:
        raise BadInput(f"{where}: needs the library `tokenizers`; {how_to_install('tokenizers')}") from None
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - the library raises bare Exceptions
        said = next(iter(str(error).splitlines()), "")
        raise BadInput(f"{path}: is no tokenizer: {said}; {mend}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def counted(folder: Path, name: str, where: str) -> Callable[[str], Weigh]:
    """By the user's own tokenizer.

    Args:
        folder: the recipe's.
        name: of the tokenizer.json.
        where: the recipe's file and field, for messages.

    Raises:
        BadInput: no such file, no tokenizer in it, or no library to read it with.
    """
    path = inside(folder, name, where=where)
    tokenizer = open_tokenizer(path, where=where, mend="name the tokenizer.json of a model")

    def weigher(text: str) -> Weigh:
        begins = _begins(tokenizer, text)
        return lambda begin, end: bisect_left(begins, end) - bisect_left(begins, begin)

    return weigher


def _begins(tokenizer: Any, text: str) -> list[int]:
    """Where every token of the text begins, in characters."""
    begins: list[int] = []
    at = 0
    while at < len(text):
        end = at + MOST_AT_ONCE
        if end < len(text):
            end = text.rfind("\n", at, end) + 1 or text.rfind(" ", at, end) or end
            end = end if end > at else at + MOST_AT_ONCE
        encoding = tokenizer.encode(text[at:end], add_special_tokens=False)
        begins += [at + begin for begin, _ in encoding.offsets]
        at = end
    return begins
