"""Tokens → text as it can be given away: whole characters, and nothing of what ends the answer."""

from collections.abc import Callable, Sequence

from finetune.serving.rows import Piece, Token

BROKEN = "\N{REPLACEMENT CHARACTER}"
"""What decoding gives for bytes that are no character, or not yet."""


def held_back(text: str, marks: Sequence[str]) -> int:
    """How many characters at a text's end may be the beginning of one of the marks."""
    sizes = (size for mark in marks for size in range(1, len(mark)) if text.endswith(mark[:size]))
    return max(sizes, default=0)


class Writer:
    """The text of one answer, token by token; the pieces add up to it.

    Args:
        decode: token ids → text, as the whole answer would be decoded.
        stops: texts that end the answer.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = ()) -> None:
        self._decode, self._stops = decode, stops
        self._ids: list[int] = []
        self._begin, self._read = 0, 0  # the window's first token, and the first whose text is not out yet
        self._text, self._given = "", 0
        self._waiting: list[tuple[int, Token]] = []  # with the place in the text where they begin
        self.stopped = False

    def push(self, token: Token) -> Piece:
        """What can be given away now that the token is known; after a stop's text `stopped` is set."""
        self._waiting.append((len(self._text), token))
        self._ids.append(token.id)
        return self._give(self._fresh())

    def end(self, last: Token | None = None) -> Piece:
        """The rest; `last` is the token that ended the answer, which has no text."""
        whole = self._decode(self._ids)
        rest = whole[len(self._text) :] if whole.startswith(self._text) else ""
        piece = self._give(rest)
        if self.stopped:
            return piece
        tail = self._text[self._given :]
        tokens = [*self._waiting] + ([(len(self._text), last)] if last else [])
        return Piece(
            piece.text + tail,
            piece.tokens + tuple(token for _, token in tokens),
            piece.offsets + tuple(place for place, _ in tokens),
        )

    def _fresh(self) -> str:
        """The text that the newest tokens add.

        Decoded in a window, with tokens that are out already: some tokenizers write a token by what stands before it,
        and decoding all of the answer at every token would take longer and longer.
        """
        before = self._decode(self._ids[self._begin : self._read])
        now = self._decode(self._ids[self._begin :])
        if len(now) <= len(before) or now.endswith(BROKEN):
            return ""
        self._begin, self._read = self._read, len(self._ids)
        return now[len(before) :]

    def _give(self, fresh: str) -> Piece:
        start = max(self._given, len(self._text) - max(map(len, self._stops), default=1) + 1)
        self._text += fresh
        found = [place for stop in self._stops if (place := self._text.find(stop, start)) >= 0]
        if found:
            self.stopped, self._text = True, self._text[: min(found)]
        upto = len(self._text) - (0 if found else held_back(self._text[self._given :], self._stops))
        text, self._given = self._text[self._given : upto], upto
        out = [(place, token) for place, token in self._waiting if place < upto]
        self._waiting = self._waiting[len(out) :]
        return Piece(text, tuple(token for _, token in out), tuple(place for place, _ in out))
