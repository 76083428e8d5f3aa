"""Rows of which it is known what has to become of them: as seeds, as what a provider says of them, and as a ledger."""

import json
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from provider import Reply, completion  # isort: skip - a helper of the tests

SPLITS = ("train", "dev", "test")  # the order of a dataset's rows in the store
FILES = {"train": "train.jsonl", "dev": "dev.jsonl", "test": "heldout.jsonl"}
TASK, GRADING, ANSWER = "Answer in the language of the text.", "Grade the answer from 0 to 5.", "=== answer ==="
JUDGE = "judge-1"
REJECTED = "REJECTED: "  # begins what the recipe's own verifier refuses
LEAST_SCORE = 1.0
HARMFUL = {"curate:secret", "curate:personal_data", "curate:contaminated"}
"""Reasons to be in no dataset at all."""
_ALPHABETS = {
    "": string.ascii_letters + string.digits, "x": "0123456789abcdef", "d": string.digits,
    "A": string.ascii_uppercase + string.digits,
}  # fmt: skip
KEY = "<the teacher's key>"
ERROR_KEY = f"sk-proj-{'Kx4' * 20}"
"""Of a gateway, which names its own in an error."""
BAD_REQUEST = json.dumps({"error": {"message": f"cannot ask {ERROR_KEY} for {KEY}", "code": KEY}})


@dataclass(frozen=True)
class Row:
    """A seed, the answer to it, and its fate."""

    text: str
    answer: str
    planted: str  # what it is, in words
    split: str = "train"
    reason: str | None = None  # why it has to be left out, as harvester.json has it; None: by its cluster and caps
    harm: str | None = None  # why it is in no unfiltered dataset either, where the reason is another one
    cluster: str | None = None  # of equal or similar rows the best stays
    cluster_reason: str | None = None  # of the others
    topic: str | None = None  # a class
    source: str | None = None
    score: float = 3.0
    reasoning: str | None = None
    finish_reason: str | None = "stop"
    tokens: int = 40
    reference: str | None = None
    status: int = 200

    def reply(self, key: str) -> Reply:
        """What the teacher says; `key` in the place of KEY, where it repeats what it was sent."""
        if self.status != 200:
            return self.status, {}, BAD_REQUEST.replace(KEY, key).encode()
        message = {"role": "assistant", "content": self.answer.replace(KEY, key), "reasoning_content": self.reasoning}
        choice = {"index": 0, "finish_reason": self.finish_reason, "message": message}
        usage = {"prompt_tokens": 10, "completion_tokens": self.tokens, "total_tokens": 10 + self.tokens}
        return 200, {}, completion("", choices=[choice], usage=usage)


@dataclass
class Planted:
    """All rows of a store to come."""

    key: str  # the teacher's
    rows: list[Row] = field(default_factory=list)
    phase: str = ""  # the terms under which is being asked
    asked: dict[tuple[str, str], str] = field(default_factory=dict)  # (text, teacher) → the phase it was asked in
    _by_text: dict[str, Row] = field(default_factory=dict)

    def add(self, *rows: Row) -> None:
        """Rows with one text are asked once, so they have one answer."""
        for row in rows:
            first = self._by_text.setdefault(row.text, row)
            assert (first.answer, first.score) == (row.answer, row.score), row.planted
            self.rows.append(row)

    def numbered(self) -> Iterator[tuple[str, Row]]:
        """(id, row) in the order of the dataset."""
        for place, row in enumerate(sorted(self.rows, key=lambda row: SPLITS.index(row.split))):
            yield f"r{place:05}", row

    def write(self, folder: Path) -> None:
        """The seed files."""
        files: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
        for id_, row in self.numbered():
            seed = {"id": id_, "text": row.text, "topic": row.topic, "source": row.source}
            files[row.split].append(seed | ({"reference": row.reference} if row.reference else {}))
        for split, seeds in files.items():
            lines = "".join(json.dumps(seed, ensure_ascii=False) + "\n" for seed in seeds)
            (folder / FILES[split]).write_text(lines, encoding="utf-8")

    def script(self, body: Mapping[str, Any], _before: int) -> Reply:
        """A provider's answer, noted with the phase."""
        task, _, rest = body["messages"][-1]["content"].partition("\n\n")
        text = rest.partition(f"\n\n{ANSWER}")[0].strip()
        row, teacher = self._by_text[text], "judge" if task == GRADING else "teacher"
        self.asked[text, teacher] = self.phase
        if teacher == "judge":
            return 200, {}, completion(json.dumps({"score": row.score, "reason": "so"}), model=JUDGE)
        return row.reply(self.key)

    def ledger(self, terms: Mapping[str, Mapping[str, str]], verdicts: Mapping[str, Any]) -> dict[str, Any]:
        """What a stranger has to know to recount.

        Args:
            terms: phase → teacher → id of its terms then.
            verdicts: id → verdict and obligations.
        """
        return {
            "format": 1,
            "jaccard": 0.8,
            "class_field": "topic",
            "most_times_the_smallest_class": 2.0,
            "source_field": "source",
            "most_of_a_source": MOST_OF_A_SOURCE,
            "verdicts": verdicts,
            "rows": [self._entry(id_, row, terms) for id_, row in self.numbered()],
        }

    def _entry(self, id_: str, row: Row, terms: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        names = ("planted", "split", "reason", "cluster", "cluster_reason", "topic", "source", "score")
        replied = ("teacher", "judge") if row.status == 200 else ()  # terms come with a reply
        phases = {teacher: self.asked.get((row.text, teacher)) for teacher in replied}
        return {
            "id": id_,
            **{name: getattr(row, name) for name in names},
            "harm": row.reason if row.reason in HARMFUL else row.harm,
            "judged": phases.get("judge") is not None,
            "terms": [[teacher, terms[phase][teacher]] for teacher, phase in phases.items() if phase],
        }


MOST_OF_A_SOURCE = 40


def filled(text: str, random: Random) -> str:
    """A text with random letters in the place of <36>, <16A> and their kind."""
    return re.sub(
        r"<(\d+)([xdA]?)>", lambda found: "".join(random.choices(_ALPHABETS[found[2]], k=int(found[1]))), text
    )
