"""examples/recount_curation.py on small datasets: as they have to be, and with one thing wrong in them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harbour_run import RECOUNT  # isort: skip - a helper beside the tests
from prose import Prose  # isort: skip

sys.path.insert(0, str(RECOUNT.parent))  # scripts, and no package
from plain_measures import HeldOut, found_private, similar_pairs
from recount_curation import main

Table = list[dict[str, Any]]
Recount = Callable[..., tuple[int, str, str]]
TERMS = {
    "apache": {"verdict": "allowed", "obligations": []},
    "llama": {"verdict": "conditions", "obligations": ["name"]},
}
CARD = """| `train` | 3 | \n| `test` | 1 |\nOf the whole: **conditions**\n- obligation: name
| curate:secret | 1 |\n| curate:near\\_duplicate | 1 |\n| curate:balance | 1 |\n"""


def ledger() -> dict[str, Any]:
    """Seven rows of which three are left out: for themselves, for a better one, and as one too many."""
    common = {
        "split": "train", "reason": None, "harm": None, "cluster": None, "cluster_reason": None, "topic": None,
        "source": None, "score": 3.0, "judged": True, "planted": "p",
        "terms": [["teacher", "apache"]],
    }  # fmt: skip
    pair = {"cluster": "c", "cluster_reason": "curate:near_duplicate"}
    special: Table = [
        {"topic": "a"},
        {"reason": "curate:secret", "harm": "curate:secret"},
        {**pair, "score": 2.0},
        {**pair, "score": 4.0, "terms": [["teacher", "apache"], ["judge", "llama"]]},
        {"topic": "b", "score": 2.0},
        {"topic": "b", "score": 1.0},
        {"split": "test"},
    ]
    return {
        "jaccard": 0.8, "class_field": "topic", "most_times_the_smallest_class": 1.0, "source_field": "source",
        "most_of_a_source": 1, "verdicts": TERMS,
        "rows": [{**common, "id": f"r{number}", **more} for number, more in enumerate(special)],
    }  # fmt: skip


def dataset(folder: Path, damage: Callable[[Table, dict[str, Any]], object]) -> Path:
    """What has to be left of the seven, damaged."""
    prose, rows = Prose(1), []
    for row in ledger()["rows"]:
        text, answer = prose.text(), prose.text()
        if row["id"] in ("r0", "r3", "r4", "r6"):
            terms = [{"teacher": who, "id": id_, "verdict": TERMS[id_]["verdict"]} for who, id_ in row["terms"]]
            said = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
            seed = json.dumps({"id": row["id"], "text": text})
            rows.append({
                "messages": said, "reasoning": "", "logprobs": 0, "seed": seed, "seed_id": row["id"],
                "reference": "null", "terms": terms, "score": row["score"], "accepted": True, "drop_reason": "",
                "checks": [{"name": "regex"}], "split": row["split"],
            })  # fmt: skip
    dropped = {"curate:secret": 1, "curate:near_duplicate": 1, "curate:balance": 1}
    manifest = {
        "rows": {"train": 3, "test": 1}, "dropped": dropped, "asked": 6, "accepted": 6, "unfiltered": False,
        "only_terms": None, "overall": {"verdict": "conditions", "obligations": ["name"]}, "card": CARD,
    }  # fmt: skip
    damage(rows, manifest)
    (folder / "data").mkdir(parents=True)
    for split in {row["split"] for row in rows}:
        table = pa.Table.from_pylist([row for row in rows if row["split"] == split]).drop_columns("split")
        pq.write_table(table, folder / "data" / f"{split}-0.parquet")
    (folder / "README.md").write_text(manifest.pop("card"), encoding="utf-8")
    (folder / "harvester.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture
def recount(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Recount:
    def run(*words: Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["recount_curation.py", *map(str, words)])
        return main(), *capsys.readouterr()

    return run


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps(ledger()), encoding="utf-8")
    return path


def test_what_has_to_be_left_is_all_there(tmp_path: Path, written: Path, recount: Recount) -> None:
    out = dataset(tmp_path / "out", lambda _rows, _manifest: None)
    said = "4 of 7 planted rows are there, and all of the others are left out as planted\n"
    assert recount(out, written) == (0, said, "")


def _say(row: dict[str, Any], text: str) -> None:
    row["messages"] = [row["messages"][0], {"role": "assistant", "content": text}]


def _rename(row: dict[str, Any], id_: str) -> None:
    row["seed"] = row["seed"].replace(row["seed_id"], id_)


DAMAGES: dict[str, Callable[[Table, dict[str, Any]], object]] = {
    "r0 (p): missing": lambda rows, _: rows.pop(0),
    "r6 (p): missing": lambda rows, _: rows.pop(),
    "r3 (p): there 2 times": lambda rows, _: rows.append(dict(rows[1])),
    "r2 (p): in train, to be left out (curate:near_duplicate)": lambda rows, _: _rename(rows[1], "r2"),
    "r5 (p): in train, to be left out (curate:balance)": lambda rows, _: _rename(rows[2], "r5"),
    "r1 (p): in train, to be left out (curate:secret)": lambda rows, _: _rename(rows[0], "r1"),
    "r9: in the dataset, and not in the ledger": lambda rows, _: _rename(rows[0], "r9"),
    "r0 (p): in dev, planted in train": lambda rows, _: rows[0].update(split="dev"),
    "r0 (p): score 5.0, given 3.0": lambda rows, _: rows[0].update(score=5.0),
    "r3 (p): terms [['teacher', 'apache', 'allowed']]": lambda rows, _: rows[1]["terms"].pop(),
    "harvester.json: asked 5, recounted 6": lambda _, manifest: manifest.update(asked=5),
    "harvester.json: verdict allowed, recounted conditions": lambda _, manifest: manifest["overall"].update(
        verdict="allowed"
    ),
    "harvester.json: obligations [], recounted ['name']": lambda _, manifest: manifest["overall"].update(
        obligations=[]
    ),
    "harvester.json: dropped {": lambda _, manifest: manifest["dropped"].pop("curate:balance"),
    "README.md: does not say 'obligation: name'": lambda _, manifest: manifest.update(card=""),
    "r0: holds a key": lambda rows, _: rows[0].update(reasoning=f"ghp_{'a1' * 18}"),
    "r0: holds an e-mail address": lambda rows, _: _say(rows[0], "ask mona@posteo.de"),
    "r0: holds held-out words: ": lambda rows, _: _say(rows[0], rows[3]["messages"][0]["content"][30:]),
    "r0, r3: similar (1.000)": lambda rows, _: _say(rows[0], rows[1]["messages"][1]["content"].upper()),
}


@pytest.mark.parametrize("said", DAMAGES)
def test_what_is_wrong_is_said(said: str, tmp_path: Path, written: Path, recount: Recount) -> None:
    code, out, err = recount(dataset(tmp_path / "out", DAMAGES[said]), written)
    assert (code, err) == (1, "")
    assert said in out
    assert " problems in " in out


def test_where_there_is_nothing_to_check_it_says_so(tmp_path: Path, written: Path, recount: Recount) -> None:
    for code, out, err in (recount(tmp_path / "none", written), recount(tmp_path, tmp_path / "none.json")):
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert "nothing to check against" in err
    assert recount()[0] == 2


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("a password: postgres://ada:s3cretpassw@db.io/x", True),
        ("postgres://user:password@localhost/x", False),
        ("DE44 5001 0517 5407 3249 31", True),
        ("DE45 5001 0517 5407 3249 31", False),
        ("从81.169.145.72来", True),
        ("192.168.17.20", False),
    ],
)
def test_private_is_what_is_somebody_s(text: str, private: bool) -> None:
    assert bool(found_private(text)) == private


def test_similar_is_what_shares_four_fifths() -> None:
    words = [f"w{number}" for number in range(94)]
    texts = [" ".join([*words[: 94 - k], *(f"x{k}{n}" for n in range(k))]) for k in (0, 10, 11)]
    rows = [
        {"seed": "{}", "seed_id": n, "messages": [{"content": str(n)}, {"content": text}]}
        for n, text in enumerate(texts)
    ]
    assert sorted(similar_pairs(rows, 0.8)) == [(0, 1, 0.8)]


def test_held_out_is_what_no_fifth_of_the_items_shares() -> None:
    prose = Prose(3)
    task = "Read all of the following lines with care and tell what they say: "
    items = [[task + prose.text()] for _ in range(10)]
    held_out = HeldOut(items)
    assert held_out.in_text(task + prose.text()) is None
    assert all(held_out.in_text(text) for (text,) in items)
