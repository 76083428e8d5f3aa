"""What curating dropped is replaced and taken back as a whole, and is there for whoever reads rows."""

from pathlib import Path

from harvester.store import StoreReader, StoreWriter
from harvester.store.curations import Dropped

from toy_store import add_plan  # isort: skip - a helper beside the tests


def reasons(path: Path, plan_id: int) -> list[str | None]:
    with StoreReader.open(path) as reader:
        return [row.curated for row in reader.rows(plan_id)]


def test_a_new_curation_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "harvest.db"
    with StoreWriter.open(path) as store:
        plan = add_plan(store)
        store.keep_curation(
            "toy", {"secrets": "drop"}, 3, {1: Dropped(1, "secrets", "secret", {"kind": "token"}), 2: None}
        )
        store.keep_curation("toy", {}, 2, {1: None, 3: Dropped(3, "exact_duplicates", "duplicate", {"of": "x"})})
    assert reasons(path, plan) == [None, None, "duplicate"]
    with StoreReader.open(path) as reader:
        assert [row.looked_at for row in reader.rows(plan)] == [True, False, True]
        curation = reader.curation("toy")
        assert curation is not None
        assert (curation.settings, curation.looked_at, curation.dropped) == ({}, 2, {"duplicate": 1})


def test_taking_a_curation_back_leaves_the_rows_and_other_recipes_alone(tmp_path: Path) -> None:
    path = tmp_path / "harvest.db"
    with StoreWriter.open(path) as store:
        one, other = add_plan(store), add_plan(store, recipe="other", fingerprint="g")
        secrets = {row: Dropped(row, "secrets", "secret", {}) for row in (1, 2)}
        store.keep_curation("toy", {}, 3, secrets | {3: None})
        store.keep_curation("other", {}, 3, {4: Dropped(4, "length", "too_long", {})})
        assert store.forget_curation("toy") == 2
        assert store.forget_curation("toy") == 0
    assert reasons(path, one) == [None] * 3
    assert reasons(path, other) == ["too_long", None, None]
    with StoreReader.open(path) as reader:
        assert reader.curation("toy") is None
