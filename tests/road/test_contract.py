"""The dataset is the contract: what harvester writes is what finetune checks for."""

from finetune import data
from harvester.exporting.schema import SCHEMA


def test_both_packages_state_the_same_columns() -> None:
    assert data.CONTRACT.equals(SCHEMA)
