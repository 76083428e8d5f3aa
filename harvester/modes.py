"""Whether a teacher is asked one by one or in batches: by what the recipe says, or by how long asking it would take."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from harvester.pricing import Price
from harvester.profiles import BatchTerms, batch_terms, has_batches
from harvester.recipe import Recipe, Teacher

Mode = Literal["online", "batch"]
ONLINE: Final = "online"
BATCH: Final = "batch"
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Load:
    """What a teacher is to be asked, at least and at most; tokens are those of prompts and answers together."""

    requests: Range
    tokens: Range

    def __add__(self, other: "Load") -> "Load":
        """Both together."""
        return Load(_sum(self.requests, other.requests), _sum(self.tokens, other.tokens))

    def at_most(self, requests: int) -> "Load":
        """So many of them at most."""
        least, most = (min(1.0, requests / max(one, 1)) for one in self.requests)
        (few, many), (short, long) = self.requests, self.tokens
        return Load((min(few, requests), min(many, requests)), (int(short * least), int(long * most)))


def _sum(one: Range, other: Range) -> Range:
    return one[0] + other[0], one[1] + other[1]


def by_teacher(parts: Iterable[tuple[str, Load]]) -> dict[str, Load]:
    """Loads of steps, each with the name of its teacher, as those of teachers."""
    found: dict[str, Load] = {}
    for name, load in parts:
        found[name] = found[name] + load if name in found else load
    return found


@dataclass(frozen=True, slots=True)
class Chosen:
    """How a teacher is asked."""

    teacher: str  # the recipe's name for it
    mode: Mode
    why: str | None = None  # where `auto` chose
    hours: tuple[float, float] | None = None  # that asking one by one takes at its limits; None: not known


def chosen(recipe: Recipe, loads: Mapping[str, Load], override: Mode | None = None) -> dict[str, Chosen]:
    """Name → how a teacher is asked, for those that a step asks.

    Args:
        recipe: says `mode` of each.
        loads: of those whose mode is `auto`, at least.
        override: what the command line says, for all of them.
    """
    return {
        name: _chosen(name, teacher, loads.get(name), override or teacher.mode)
        for name, teacher in recipe.asked_teachers.items()
    }


def _chosen(name: str, teacher: Teacher, load: Load | None, said: Literal["online", "batch", "auto"]) -> Chosen:
    took = hours(teacher, load) if load else None
    if said != "auto":
        return Chosen(name, said, hours=took)
    if why := _never(teacher):
        return Chosen(name, "online", why, took)
    if took is None:
        stated = "state limits.requests_per_minute or limits.tokens_per_minute"
        return Chosen(name, "online", f"how long it takes is not known without its limits; {stated}")
    least = f"asking takes at least {took[0]:.1f} hours at its limits"
    most = f"batch.auto_hours {teacher.batch.auto_hours:g}"
    if took[0] > teacher.batch.auto_hours:
        return Chosen(name, "batch", f"{least}, more than {most}", took)
    return Chosen(name, "online", f"{least}, no more than {most}", took)


def _never(teacher: Teacher) -> str | None:
    """Why `auto` never takes batches of a teacher."""
    if teacher.embedded or teacher.local:
        return "it runs on this machine or network"
    if not has_batches(teacher.profile.id, teacher.host or ""):
        return f"no Batch API is known of {teacher.profile.id}"
    return None


def hours(teacher: Teacher, load: Load) -> tuple[float, float] | None:
    """How long a teacher takes at the limits that its recipe states, at least and at most; None without any."""
    stated = ((load.requests, teacher.limits.requests_per_minute), (load.tokens, teacher.limits.tokens_per_minute))
    minutes = [(few / limit, many / limit) for (few, many), limit in stated if limit is not None]
    if not minutes:
        return None
    least, most = (max(bounds) for bounds in zip(*minutes, strict=True))
    return least / 60, most / 60


def any_batches(recipe: Recipe, override: Mode | None) -> bool:
    """Whether any teacher may be asked in batches."""
    return any((override or teacher.mode) != "online" for teacher in recipe.asked_teachers.values())


def how_to_take_in(recipe: Recipe) -> str:
    """What to run to go on with batches, for messages."""
    return recipe.how_to_collect + ("" if any_batches(recipe, None) else " --batch")


def any_auto(recipe: Recipe) -> bool:
    """Whether any teacher's mode is to be chosen."""
    return any(teacher.mode == "auto" for teacher in recipe.asked_teachers.values())


def terms_of(teacher: Teacher) -> BatchTerms:
    """What a teacher's Batch API takes."""
    return batch_terms(teacher.profile.id, teacher.host or "")


def price_at(teacher: Teacher, mode: Mode) -> Price | None:
    """What a teacher's answers cost; None where no price is known."""
    usual = teacher.known_price
    if usual is None or mode == "online":
        return usual
    share = Decimal(str(terms_of(teacher).price))
    cached = None if usual.cached_input is None else usual.cached_input * share
    return Price(usual.input * share, usual.output * share, cached)
