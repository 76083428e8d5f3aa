"""Recounts what `harvester curate` and `export` left of a store in which things were planted; shares no code with them.

    python examples/recount_curation.py DATASET LEDGER

LEDGER is JSON: what was planted, row by row, and what has to become of it (tests/road/curation writes one). Ends with 0
if the dataset is what the ledger and this script's own measures say, 1 if not, 2 if there is nothing to check.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from plain_measures import HeldOut, found_private, similar_pairs, texts_in, words  # isort: skip - beside this file

MOST_SHOWN = 20
STRICTNESS = ("allowed", "conditions", "unknown", "forbidden-competing", "forbidden")
Row = dict[str, Any]
Fates = dict[str, str | None]
"""Id → why the row has to be left out; None: it has to be there."""


def fates(ledger: Row, only_terms: str | None) -> Fates:
    """What has to become of every row: by itself, then of equal and similar ones the best, then the caps."""
    found: Fates = {row["id"]: row["reason"] for row in ledger["rows"]}
    learnt = [row for row in ledger["rows"] if row["split"] != "test"]
    _keep_best(learnt, found, lambda row: row["cluster"], lambda _: 1)
    most = ledger["most_of_a_source"]
    _keep_best(learnt, found, lambda row: _kind(row, ledger["source_field"]), lambda _: most, "curate:per_source")
    field, times = ledger["class_field"], ledger["most_times_the_smallest_class"]
    classes = Counter(_kind(row, field) for row in learnt if found[row["id"]] is None)
    smallest = {
        split: min((n for kind, n in classes.items() if kind and kind[0] == split), default=0)
        for split in ("train", "dev")
    }
    _keep_best(
        learnt, found, lambda row: _kind(row, field), lambda kind: int(smallest[kind[0]] * times), "curate:balance"
    )
    if only_terms:
        for row in ledger["rows"]:
            verdict = strictest(ledger, row["terms"])
            if verdict and STRICTNESS.index(verdict) > STRICTNESS.index(only_terms):
                found[row["id"]] = f"terms:{verdict}"
    return found


def _kind(row: Row, field: str) -> tuple[str, str] | None:
    return (row["split"], row[field]) if row[field] is not None else None


def _keep_best(rows: list[Row], found: Fates, kind_of: Any, most: Any, reason: str | None = None) -> None:
    """Leave out all but the best of each kind, of equals the first ones."""
    groups: defaultdict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        if found[row["id"]] is None and kind_of(row) is not None:
            groups[kind_of(row)].append(row)
    for kind, group in groups.items():
        for row in sorted(group, key=lambda row: -row["score"])[most(kind) :]:
            found[row["id"]] = reason or row["cluster_reason"]


def strictest(ledger: Row, terms: list[list[str]]) -> str | None:
    """The strictest verdict of some teachers' terms."""
    return max((ledger["verdicts"][id_]["verdict"] for _, id_ in terms), key=STRICTNESS.index, default=None)


def is_written(row: Row, fate: str | None, *, unfiltered: bool) -> bool:
    """Whether a row has to be in the dataset; an unfiltered one has all of train that is not harmful."""
    harmless = not row["harm"] and not (fate or "").startswith(("terms:", "person:"))
    return fate is None or (unfiltered and harmless and row["split"] == "train")


def check_rows(ledger: Row, wanted: Fates, written: list[Row], *, unfiltered: bool) -> Iterator[str]:
    """Whether each planted row is where it has to be, once, with its score and its teachers' terms."""
    places: defaultdict[str, list[Row]] = defaultdict(list)
    for one in written:
        places[json.loads(one["seed"])["id"]].append(one)
    for row in ledger["rows"]:
        found, name = places.pop(row["id"], []), f"{row['id']} ({row['planted']})"
        expected = is_written(row, wanted[row["id"]], unfiltered=unfiltered)
        if len(found) != expected:
            where = "missing" if expected else f"in {found[0]['split']}, to be left out ({wanted[row['id']]})"
            yield f"{name}: {where if len(found) < 2 else f'there {len(found)} times'}"  # noqa: PLR2004
        for one in found[:1]:
            terms = sorted([said["teacher"], said["id"], said["verdict"]] for said in one["terms"])
            if one["split"] != row["split"]:
                yield f"{name}: in {one['split']}, planted in {row['split']}"
            if row["judged"] and one["score"] != row["score"]:
                yield f"{name}: score {one['score']}, given {row['score']}"
            if terms != sorted([who, id_, ledger["verdicts"][id_]["verdict"]] for who, id_ in row["terms"]):
                yield f"{name}: terms {terms}, its teachers' were {row['terms']}"
    yield from (f"{id_}: in the dataset, and not in the ledger" for id_ in places)


def check_counts(ledger: Row, wanted: Fates, manifest: Row, card: str) -> Iterator[str]:
    """Whether harvester.json and the card count and bind as the ledger does."""
    unfiltered, only_terms = manifest["unfiltered"], manifest["only_terms"]
    rows, dropped = Counter[str](), Counter[str]()
    for row in ledger["rows"]:
        if is_written(row, fate := wanted[row["id"]], unfiltered=unfiltered):
            rows[row["split"]] += 1
        else:
            barred = unfiltered and row["split"] == "train" and not str(fate).startswith(("terms:", "person:"))
            dropped[row["harm"] if barred else str(fate)] += 1
    by_itself = fates(ledger, None)
    learnt = [by_itself[row["id"]] for row in ledger["rows"] if row["split"] != "test"]
    accepted = [fate for fate in learnt if fate is None or fate.startswith("curate:")]
    admitted = [row["terms"] for row in ledger["rows"] if not (wanted[row["id"]] or "").startswith("terms:")]
    everything = [term for terms in admitted for term in terms]
    verdict = strictest(ledger, everything)
    rules = {rule for _, id_ in everything for rule in ledger["verdicts"][id_]["obligations"]}
    expected: Row = {
        "rows": dict(rows), "dropped": dict(dropped), "asked": len(learnt), "accepted": len(accepted),
        "only_terms": only_terms, "verdict": verdict, "obligations": sorted(rules),
    }  # fmt: skip
    overall = manifest["overall"]
    said = manifest | {"verdict": overall["verdict"], "obligations": sorted(overall["obligations"])}
    yield from (
        f"harvester.json: {name} {said[name]}, recounted {value}" for name, value in expected.items()
        if said[name] != value
    )  # fmt: skip
    lines = [f"| `{split}` | {count} |" for split, count in rows.items()]
    lines += [f"Of the whole: **{verdict}**", *(f"obligation: {rule}" for rule in rules)]
    lines += [f"| {reason} | {count} |" for reason, count in dropped.most_common(10)]
    plain = re.sub(r"\\([^a-zA-Z0-9\s])", r"\1", card)  # marks of Markdown are escaped
    yield from (f"README.md: does not say {line!r}" for line in lines if line not in plain)


def check_texts(ledger: Row, written: list[Row]) -> Iterator[str]:
    """What this script's own measures find in rows to learn from; what a person let in is not looked at."""
    held_out = HeldOut(
        texts_in([json.loads(row["seed"]), json.loads(row["reference"] or "null")])
        for row in written if row["split"] == "test"
    )  # fmt: skip
    learnt = [
        row for row in written
        if row["split"] != "test" and not any(check["name"] == "person" for check in row["checks"])
    ]  # fmt: skip
    for row in learnt:
        seed, messages = json.loads(row["seed"]), row["messages"]
        for text in (*(message["content"] for message in messages), row["reasoning"] or "", *texts_in(seed)):
            if private := found_private(text):
                yield f"{seed['id']}: holds {private}"
            if run := held_out.in_text(text):
                yield f"{seed['id']}: holds held-out words: {run[:80]}"
        if any(tuple(words(text)) in held_out.whole for text in texts_in(seed)):
            yield f"{seed['id']}: asks a held-out question"
    kept = [row for row in learnt if not row["drop_reason"]]
    for one, other, similarity in similar_pairs(kept, ledger["jaccard"]):
        first, second = (json.loads(kept[place]["seed"])["id"] for place in (one, other))
        yield f"{first}, {second}: similar ({similarity:.3f})"


def recount(dataset: Path, ledger: Row) -> int:
    """Print what is not as it has to be, and how much is; returns the exit code.

    Raises:
        OSError, ValueError, KeyError, TypeError, pa.ArrowException: there is nothing to check.
    """
    manifest, card = (
        json.loads((dataset / "harvester.json").read_text("utf-8")),
        (dataset / "README.md").read_text("utf-8"),
    )
    written = [
        row | {"split": path.name.partition("-")[0]}
        for path in sorted(dataset.glob("data/*.parquet"))
        for row in pq.read_table(path).drop_columns("logprobs").to_pylist()
    ]
    if not written:
        raise ValueError("it holds no rows")
    wanted = fates(ledger, manifest["only_terms"])
    problems = [
        *check_rows(ledger, wanted, written, unfiltered=manifest["unfiltered"]),
        *check_counts(ledger, wanted, manifest, card),
        *check_texts(ledger, written),
    ]
    for problem in problems[:MOST_SHOWN]:
        print(problem)
    if problems:
        print(f"{len(problems)} problems in {len(written)} rows")
        return 1
    print(f"{len(written)} of {len(wanted)} planted rows are there, and all of the others are left out as planted")
    return 0


def main() -> int:
    """Check the dataset that the command line names."""
    if len(sys.argv) != 3:  # noqa: PLR2004 - the script, the folder and the ledger
        print(__doc__)
        return 2
    dataset, ledger = map(Path, sys.argv[1:])
    try:
        return recount(dataset, json.loads(ledger.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        problem = f"{type(error).__name__}: {error}".partition("\n")[0]
        print(f"{dataset}: nothing to check against {ledger}: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
