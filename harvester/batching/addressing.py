"""Who a batch goes to: a teacher with its Batch API's limits, price and connection."""

from dataclasses import dataclass

from harvester.batching.api import BatchAPI
from harvester.binding import Binding, teacher_id
from harvester.modes import BATCH, price_at, terms_of
from harvester.pricing import FREE, Price
from harvester.profiles import BatchTerms
from harvester.recipe import Teacher
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
    its_id = teacher_id(store, name, teacher, binding, price)
    return Addressee(name, teacher, its_id, terms_of(teacher), price, binding.access.key, api)
