"""Who a batch goes to: a teacher with its Batch API's limits, price and connection."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal

from harvester.batching.api import BatchAPI
from harvester.errors import BadInput
from harvester.pricing import FREE, Price
from harvester.profiles import BatchTerms, batch_terms
from harvester.prompting import teacher_identity
from harvester.recipe import Recipe, Teacher
from harvester.running import Binding
from harvester.store import StoreWriter


@dataclass(frozen=True, slots=True)
class Addressee:
    """One teacher of a recipe."""

    name: str
    teacher: Teacher
    teacher_id: int  # in the store, at the price of a batch
    terms: BatchTerms
    price: Price
    key: str | None
    api: BatchAPI


def batch_price(teacher: Teacher) -> Price:
    """What a teacher's answers cost in a batch."""
    usual, share = teacher.known_price or FREE, Decimal(str(terms_of(teacher).price))
    cached = None if usual.cached_input is None else usual.cached_input * share
    return Price(usual.input * share, usual.output * share, cached)


def terms_of(teacher: Teacher) -> BatchTerms:
    """What a teacher's Batch API takes."""
    return batch_terms(teacher.profile.id, teacher.host or "")


def addressee(store: StoreWriter, name: str, teacher: Teacher, binding: Binding, api: BatchAPI) -> Addressee:
    """A teacher as it is today; its entry in the store has a batch's price, which `trace` shows with its answers."""
    price = batch_price(teacher)
    stated = teacher.price and {field: amount and str(amount) for field, amount in asdict(price).items()}
    teacher_id = store.teacher_id(
        name=name,
        provider=teacher.profile.id,
        identity=teacher_identity(teacher),
        terms=asdict(binding.terms),
        price=stated,
    )
    return Addressee(name, teacher, teacher_id, terms_of(teacher), price, binding.access.key, api)


def require_batches(recipe: Recipe, teachers: Mapping[str, Teacher], say: Callable[[str], None]) -> None:
    """Refuse who has no Batch API for sure, and say where its price is not known to be lower.

    Raises:
        BadInput: a teacher is the embedded one.
    """
    for name, teacher in teachers.items():
        if teacher.embedded:
            raise BadInput(f"{recipe.where_teacher(name)}: the embedded teacher has no Batch API; leave --batch out")
        if teacher.known_price and terms_of(teacher).price >= 1:
            say(f"{name}: no lower price of batches is known of {teacher.profile.id}; the full one is counted")
