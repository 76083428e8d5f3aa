"""What a teacher may be asked with, and how the store knows it."""

from dataclasses import asdict, dataclass

from harvester.pricing import Price
from harvester.prompting import teacher_identity
from harvester.recipe import Teacher
from harvester.records import Json
from harvester.store import StoreWriter
from harvester.teachers.openai_compat import Access
from harvester.terms import Terms


@dataclass(frozen=True, slots=True)
class Binding:
    """What a teacher may be asked with, and what its answers bind to."""

    access: Access
    terms: Terms


def stated_price(teacher: Teacher) -> Json:
    """What the recipe states, as the store keeps it."""
    return teacher.price and teacher.price.model_dump(mode="json")


def teacher_id(store: StoreWriter, name: str, teacher: Teacher, binding: Binding, price: Price | None = None) -> int:
    """The store's entry of a teacher as it is today: at the price that is stated, or at another where one is given."""
    stated = stated_price(teacher)
    if stated and price:
        stated = {field: amount and str(amount) for field, amount in asdict(price).items()}
    return store.teacher_id(
        name=name,
        provider=teacher.profile.id,
        identity=teacher_identity(teacher),
        terms=asdict(binding.terms),
        price=stated,
    )
