"""Row filters: the recipe's settings choose them, and the project's own texts pass all of them."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvester.curating.base import Drop, Example
from harvester.curating.row_filters import row_filters
from harvester.recipe.curation import Curate, Lengths
from harvester.secret_forms import texts_in

PROMPTS = Path(__file__).parents[3] / "prompts"
ALL = Curate(personal_data="drop", language=("en",), length=Lengths(max_tokens=100))
NONE = Curate(secrets="keep", refusals="keep", repetition="keep", truncated="keep")


class Contamination:
    name = "decontaminate"

    def look(self, example: Example) -> Drop | None:  # noqa: ARG002 - the common form of a filter
        return None


def names(settings: Curate, contamination: Contamination | None = None) -> list[str]:
    return [one.name for one in row_filters(settings, contamination)]


def test_each_filter_is_named_as_its_setting_and_stands_in_the_settings_order() -> None:
    fields = list(Curate.model_fields)
    found = names(ALL, Contamination())
    assert found == fields[: fields.index("decontaminate") + 1]


def test_what_is_off_is_left_out() -> None:
    assert names(NONE) == []
    assert names(Curate()) == ["secrets", "refusals", "repetition", "truncated"]
    assert names(NONE, Contamination()) == ["decontaminate"]


def seeds() -> Iterator[tuple[str, dict[str, object]]]:
    for path in sorted(PROMPTS.glob("*/*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield f"{path.parent.name}/{path.name}:{number}", json.loads(line)


def texts() -> Iterator[tuple[str, str]]:
    for place, seed in seeds():
        yield from ((place, text) for text in texts_in(seed))
    for path in sorted(PROMPTS.glob("*/*")):
        if path.suffix in (".j2", ".txt", ".md", ".yaml"):
            yield path.name, path.read_text(encoding="utf-8")
    for path in sorted(PROMPTS.glob("*/documents/*")):
        yield path.name, path.read_text(encoding="utf-8")


@pytest.mark.parametrize("finish_reason", ["stop", None])
def test_the_projects_own_seeds_templates_and_documents_pass_all_filters(finish_reason: str | None) -> None:
    filters = row_filters(Curate(personal_data="drop"))
    looked = 0
    for place, text in texts():
        row = Example(1, place, "train", "seed", {"text": text}, "", text, text, finish_reason=finish_reason)
        assert [(place, one.look(row)) for one in filters if one.look(row)] == []
        looked += 1
    assert looked > 1_000


def test_filters_travel_to_other_processes_before_they_looked_and_after() -> None:
    row = Example(1, "row", "train", "seed", {}, "A question?", "As an AI language model, I cannot say.")
    refusals = row_filters(Curate())[1]
    before = pickle.loads(pickle.dumps(refusals))  # noqa: S301 - made here
    drop = refusals.look(row)
    assert drop is not None
    after = pickle.loads(pickle.dumps(refusals))  # noqa: S301 - made here
    assert before.look(row) == after.look(row) == drop
