"""Sentences without end, in three scripts, that say nothing and are all different."""

import re
from pathlib import Path
from random import Random

import yaml

LANGUAGES = ("en", "ar", "zh")


class Prose:
    """Texts from one seed of randomness."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - nothing is kept secret by it
        self._words = yaml.safe_load((Path(__file__).parent / "prose.yaml").read_text(encoding="utf-8"))

    def text(self, language: str = "en", sentences: int = 3) -> str:
        """Some sentences of a language."""
        words = self._words[language]
        text = words["between"].join([words["sentence"]] * sentences)
        return re.sub(r"\{(\w+)\}", lambda found: self.random.choice(words[found[1]].split()), text)
