"""Documents → a seed for each chunk: `text`, `source`, `chunk` (from 1 on) and `title` (null where none is known)."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from harvester.errors import BadInput
from harvester.seeds.chunking import chunks
from harvester.seeds.finding import Source
from harvester.seeds.tokens import Weigh, counted, estimated
from harvester.seeds_spec import Chunk, Seeds

Read = Callable[[Path], tuple[str, str | None]]
"""A document's file → its text and title."""


class Documents:
    """Reads the documents of one split."""

    def __init__(self, folder: Path, spec: Seeds, where: str) -> None:
        """Open the tokenizer, where the recipe names one.

        Raises:
            BadInput: it cannot be read.
        """
        self._chunk = spec.chunk or Chunk()
        name = self._chunk.tokenizer
        self._weigher: Callable[[str], Weigh] = (
            counted(folder, name, f"{where}.chunk.tokenizer") if name is not None else estimated
        )

    def rows(self, source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
        """(chunk, fields) of every chunk of a document.

        Raises:
            BadInput: the document cannot be read, or has no text.
        """
        read: Read = import_module(f"harvester.seeds.{source.kind}").read
        text, title = read(source.path)
        if not text.strip():
            raise BadInput(f"{source}: has no text; take it out")
        cut = chunks(text, self._weigher(text), tokens=self._chunk.tokens, overlap=self._chunk.overlap)
        for number, chunk in enumerate(cut, start=1):
            yield number, {"text": chunk, "source": source.name, "chunk": number, "title": title}
