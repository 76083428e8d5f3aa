"""language: the answer is written in a language that is not asked for."""

from collections.abc import Sequence
from pathlib import Path

from harvester.curating.base import Drop, Example
from harvester.errors import BadInput
from harvester.verify.base import BadSettings
from harvester.verify.language import LANGUAGE


class Language:
    """Drops answers of another language, as the verifier `language` decides it: too short to tell passes."""

    name = "language"

    def __init__(self, codes: Sequence[str]) -> None:
        """Read the codes.

        Raises:
            BadInput: an unknown one.
        """
        try:
            settings = LANGUAGE.resolve({"is": list(codes)}, Path(), "curate.language")
        except BadSettings as error:
            raise BadInput(f"curate.language: {error.mend}") from None
        self._verify = LANGUAGE.build(settings)

    def look(self, example: Example) -> Drop | None:
        """Which language or script was found."""
        check = self._verify(example.answer, {})
        return None if check.passed else Drop("language", {"found": check.reason})
