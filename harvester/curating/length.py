"""length: the answer has too few tokens or too many, as its reply counted them."""

from harvester.curating.base import Drop, Example
from harvester.recipe.curation import Lengths

BYTES_PER_TOKEN = 4
"""Where the reply gave no count."""


class Length:
    """Drops answers out of bounds."""

    name = "length"

    def __init__(self, bounds: Lengths) -> None:
        self._bounds = bounds

    def look(self, example: Example) -> Drop | None:
        """Which bound is passed, and by what count."""
        tokens = example.completion_tokens
        if tokens is None:
            size = len(example.answer.encode("utf-8", "replace"))
            tokens = -(-size // BYTES_PER_TOKEN)  # rounded up: a short answer is one token at least
        least, most = self._bounds.min_tokens, self._bounds.max_tokens
        if least is not None and tokens < least:
            return Drop("too_short", {"tokens": tokens, "min_tokens": least})
        if most is not None and tokens > most:
            return Drop("too_long", {"tokens": tokens, "max_tokens": most})
        return None
