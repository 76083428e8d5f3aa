"""What a reasoning model thinks and what it says, told apart while it writes."""

from enum import Enum, auto

from finetune.rendering import CLOSE, OPEN
from finetune.serving.writing import held_back


class _Now(Enum):
    BEGINNING = auto()
    THINKING = auto()
    CLOSED = auto()
    SPEAKING = auto()


class Thoughts:
    """Splits an answer's text into thought and speech; whatever the pieces, they add up to the same.

    A thought that is never closed has no speech after it.

    Args:
        opened: the template opens the thought, so that the answer begins inside it.
    """

    def __init__(self, *, opened: bool) -> None:
        self._now = _Now.THINKING if opened else _Now.BEGINNING
        self._held = ""

    def feed(self, text: str, *, last: bool = False) -> tuple[str, str]:
        """(thought, speech) that the text adds; with `last` everything that is still held back, too."""
        self._held += text
        if self._now is _Now.BEGINNING:
            self._begin(last=last)
        thought = self._think(last=last) if self._now is _Now.THINKING else ""
        if self._now is _Now.CLOSED:
            self._held = self._held.lstrip("\n")
            self._now = _Now.SPEAKING if self._held else _Now.CLOSED
        speech, self._held = (self._held, "") if self._now is _Now.SPEAKING else ("", self._held)
        return thought, speech

    def _begin(self, *, last: bool) -> None:
        begun = self._held.lstrip()
        if begun.startswith(OPEN):
            self._now, self._held = _Now.THINKING, begun.removeprefix(OPEN)
        elif last or not OPEN.startswith(begun):
            self._now = _Now.SPEAKING

    def _think(self, *, last: bool) -> str:
        thought, closed, rest = self._held.partition(CLOSE)
        if closed:
            self._now, self._held = _Now.CLOSED, rest
            return thought
        upto = len(thought) - (0 if last else held_back(thought, [CLOSE]))
        self._held = thought[upto:]
        return thought[:upto]
