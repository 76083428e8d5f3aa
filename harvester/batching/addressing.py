"""Who a batch goes to: a teacher with its Batch API's limits, price and connection."""

from dataclasses import asdict, dataclass

from harvester.batching.api import BatchAPI
from harvester.modes import BATCH, price_at, terms_of
from harvester.pricing import FREE, Price
from harvester.profiles import BatchTerms
from harvester.prompting import teacher_identity
from harvester.recipe import Teacher
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


def addressee(store: StoreWriter, name: str, teacher: Teacher, binding: Binding, api: BatchAPI) -> Addressee:
    """A teacher as it is today; its entry in the store has a batch's price, which `trace` shows with its answers."""
    price = price_at(teacher, BATCH) or FREE
    stated = teacher.price and {field: amount and str(amount) for field, amount in asdict(price).items()}
    teacher_id = store.teacher_id(
        name=name,
        provider=teacher.profile.id,
        identity=teacher_identity(teacher),
        terms=asdict(binding.terms),
        price=stated,
    )
    return Addressee(name, teacher, teacher_id, terms_of(teacher), price, binding.access.key, api)
