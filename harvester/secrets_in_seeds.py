"""Secrets in what is about to leave the machine, told by file and line."""

from collections.abc import Sequence
from dataclasses import dataclass

from harvester.errors import BadInput
from harvester.prompting import template_texts
from harvester.recipe import Recipe
from harvester.records import Message, Seed
from harvester.secret_forms import kinds, texts_in
from harvester.seeds import Place, places

MOST_FOUND = 100
"""More would say no more."""
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is, never what it is."""

    file: str
    line: int
    kind: str
    unit: str = "line"  # what `line` counts: in tables rows, in documents chunks


@dataclass(frozen=True, slots=True)
class _InSeed:
    """A secret in a split's seed number so and so."""

    split: str
    number: int
    kind: str

    def at(self, place: Place) -> Secret:
        """As it is told."""
        return Secret(place.file, place.number, self.kind, place.unit)


class Scan:
    """Looks through every rendered prompt of a recipe."""

    def __init__(self, recipe: Recipe) -> None:
        """Begin with the templates themselves.

        Raises:
            BadInput: as `prompting.Template` does.
        """
        self._recipe = recipe
        self._count = {split: 0 for split, _ in recipe.seed_files}  # split → seeds looked through
        self._found: dict[Secret | _InSeed, None] = {}
        self._own: set[str] = set()  # kinds that the templates hold, and so every prompt
        self._clean: dict[int, str] = {}  # place of a message → the last text there without a secret
        for path, text in template_texts(recipe):
            for number, line in enumerate(text.splitlines(), start=1):
                for kind in kinds(line):
                    self._own.add(kind)
                    self._add(Secret(str(path), number, kind))

    def look(self, seed: Seed, messages: Sequence[Message]) -> None:
        """Look through one seed's prompt: what the template leaves out of it stays here and is no matter."""
        self._count[seed.split] += 1
        if len(self._found) == MOST_FOUND:
            return
        for place, message in enumerate(messages):
            text = message["content"]
            if self._clean.get(place) == text:  # instructions and examples, the same in every prompt
                continue
            found = kinds(text)
            if not found:
                self._clean[place] = text
            for kind in found:
                if kind not in self._own or kind in kinds("\n".join(texts_in(seed.data))):
                    self._add(_InSeed(seed.split, self._count[seed.split], kind))

    def _add(self, secret: "Secret | _InSeed") -> None:
        if len(self._found) < MOST_FOUND:
            self._found[secret] = None

    @property
    def found(self) -> tuple[Secret, ...]:
        """What was found so far, at most MOST_FOUND. Reads the seeds' files again for the places."""
        wanted: dict[str, set[int]] = {}
        for one in self._found:
            if isinstance(one, _InSeed):
                wanted.setdefault(one.split, set()).add(one.number)
        read = {split: places(self._recipe, split, numbers) for split, numbers in wanted.items()}
        return tuple(one if isinstance(one, Secret) else one.at(read[one.split][one.number]) for one in self._found)


def require_none(secrets: Sequence[Secret]) -> None:
    """Refuse seeds and templates that hold secrets.

    Raises:
        BadInput: the first ones, and the mend.
    """
    if secrets:
        first = ", ".join(f"{one.file}: {one.unit} {one.line}: {one.kind}" for one in secrets[:SHOWN])
        more = f" and {len(secrets) - SHOWN} more" if len(secrets) > SHOWN else ""
        raise BadInput(f"{first}{more}: collecting would send these secrets to the teacher; take them out")
