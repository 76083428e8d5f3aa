import datetime as dt
import json
from pathlib import Path

import pytest
from toys import make_row, write_dataset

from finetune.data import open_dataset
from finetune.describing import POINTS, describe, usd_per_answer
from finetune.reporting.data import data_card
from finetune.reporting.report import Data
from finetune.runs import Facts

FACTS = Facts(
    status="trained", config_sha256="", dataset="", dataset_sha256="", recipe="toy", dropped={"empty answer": 1}
)
BEGAN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_the_dataset_is_described_from_its_columns(tmp_path: Path) -> None:
    rows = [
        make_row(n)
        | {
            "teacher": "t",
            "model": f"m{n % 2}",
            "cost_usd": 0.01,
            "completion_tokens": n,
            "collected_at": BEGAN + dt.timedelta(minutes=199 - n),  # the last row first
        }
        for n in range(200)
    ]
    test = [make_row(300, reference=1) | {"cost_usd": 0.5}, make_row(301, reference=1) | {"cost_usd": None}]
    data = open_dataset(write_dataset(tmp_path / "d", {"train": rows, "test": test}))
    found = describe(data, FACTS)
    assert found["rows"] == {"train": 200, "test": 2}
    assert (found["teachers"], found["models"], found["providers"]) == (["t"], ["m0", "m1"], [])
    assert found["left_out"] == {"harvest": None, "training": {"empty answer": 1}}
    assert found["completion_tokens"][::10] == [0, pytest.approx(100, abs=1), 199]
    minutes, usd = zip(*found["spend"], strict=True)
    assert len(minutes) == POINTS
    assert minutes[0] == 0
    assert (minutes[-1], usd[-1]) == (199, pytest.approx(2.5))
    assert list(minutes) == sorted(minutes)
    assert list(usd) == sorted(usd)
    assert usd_per_answer(data.path) == 0.5  # of the answers whose price is known


def test_what_the_dataset_does_not_say_is_empty(tmp_path: Path) -> None:
    data = open_dataset(write_dataset(tmp_path / "d", {"train": [make_row(1)], "test": [make_row(2, reference=1)]}))
    found = describe(data, FACTS)
    assert (found["spend"], found["completion_tokens"], found["teachers"]) == ([], [], [])
    assert (found["terms"], found["asked"], found["seeds"]) == (None, None, [])
    assert usd_per_answer(data.path) is None


def test_that_nothing_was_dropped_is_told_from_not_knowing(tmp_path: Path) -> None:
    path = write_dataset(tmp_path / "d", {"train": [make_row(1)]})
    assert describe(open_dataset(path), FACTS)["left_out"]["harvest"] is None
    notes = json.loads((path / "harvester.json").read_text())
    (path / "harvester.json").write_text(json.dumps(notes | {"dropped": {}}))
    assert describe(open_dataset(path), FACTS)["left_out"]["harvest"] == {}


def test_what_was_learnt_from_is_what_the_steps_reached_and_dev_is_no_part_of_it(tmp_path: Path) -> None:
    data = open_dataset(write_dataset(tmp_path / "d", {"train": [make_row(1)]}))
    facts = FACTS.model_copy(update={"rows": {"train": 9, "dev": 4}, "tokens": {"supervised": 90, "total": 900}})
    stopped = facts.model_copy(update={"seen": {"rows": 5, "supervised": 50, "total": 500}})
    found = describe(data, stopped)
    assert found["learnt_from"] == {"rows": 5, "of": 10, "passes": 1, "supervised": 50, "total": 500}
    assert found["dev_rows"] == 4
    twice = facts.model_copy(update={"seen": {"rows": 18, "supervised": 180, "total": 1800}})
    assert describe(data, twice)["learnt_from"] == {"rows": 9, "of": 10, "passes": 2, "supervised": 180, "total": 1800}
    older = describe(data, facts)["learnt_from"]
    assert older == {"rows": None, "of": 10, "passes": None, "supervised": None, "total": None}


def test_what_was_learnt_of_the_teacher_s_probabilities_is_told(tmp_path: Path) -> None:
    data = open_dataset(write_dataset(tmp_path / "d", {"train": [make_row(1)], "test": [make_row(2, reference=1)]}))
    soft = {"loss": "bucket", "rows": 1, "positions": 1200, "rest": 0.1873, "other_tokens": 0, "hard_rows": {}}
    card = data_card(Data.model_validate(describe(data, FACTS.model_copy(update={"soft": soft}))))
    told = dict(card.facts)["The teacher's probabilities"]
    assert told == "learnt from 1 rows at 1,200 tokens; what it did not list had 0.187 on average; loss: bucket"
    without = data_card(Data.model_validate(describe(data, FACTS)))
    assert "The teacher's probabilities" not in dict(without.facts)
