"""A store in which it is known what has to become of every row: collected over HTTP, curated and exported."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the helpers of this folder are no package
from provider import Provider, serving  # isort: skip

from harbour import PHASES, VERDICTS, plant, terms_ids, write_recipe  # isort: skip
from harbour_run import KEY, REPLY_KEY, Harbour  # isort: skip

TOTAL, TIMES = 10_000, 6
LIMITS = {"first": 9_000, "then": 5_000, "last": None}
"""Requests of a phase: of nearly every row one for its answer and one for its score."""


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Harbour:
    """Collected under three kinds of terms, exported, curated, and exported again."""
    folder = tmp_path_factory.mktemp("road") / "harbour"
    folder.mkdir()
    planted = plant(TOTAL, TIMES, key=KEY, reply_key=REPLY_KEY)
    planted.write(folder)
    found = Harbour(folder, planted)
    with serving(Provider(script=planted.script)) as provider:
        for planted.phase in PHASES:
            write_recipe(folder, provider.url, planted.phase)
            limit = LIMITS[planted.phase]
            found.run("collect", folder, *(["--limit", limit] if limit else []))
    found.ledger = planted.ledger(terms_ids(), VERDICTS)
    found.export("before")
    found.run("curate", folder)
    found.export("after")
    return found
