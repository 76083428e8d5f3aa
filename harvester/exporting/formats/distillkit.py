"""The teacher's distributions as Arcee's DistillKit reads them (offline, `teacher.kind: dataset`, `prepacked: true`).

Its trainer (distillkit/trainer.py, commit b8ed189) compares the distribution at place i with the student's logits at i,
which are about token i + 1, wherever the label at i is one; it shifts nothing. So a place counts here if the next token
is the answer's or ends it: labels begin and end one token before what they stand for. Its cross-entropy is the model's
own, which shifts: by it the last token of the template before the answer is learnt, and the answer's end is not.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harvester.exporting.formats.prepacked import Prepacked
from harvester.exporting.formats.records import LeftOutError, Record, Row
from harvester.exporting.formats.sidecars import Files
from harvester.exporting.formats.soft_labels import OTHER_TEXT, SoftLabels

MAX_LENGTH = 2048
TOO_LONG = "too_long"
FEWEST_ROWS = 2
"""DistillKit refuses a split of one row."""
ENDING = "/data-00000-of-00001.arrow"
CONFIG, SPLITS = "distillkit.yaml", "dataset_dict.json"
HOW = """\
# Run distillkit in this folder, or put the folder in the place of the dot. `model` is the student whose tokenizer the
# rows are made with. Columns must stay (remove_unused_columns), and rows be taken as they are (prepacked).
"""


@dataclass(slots=True)
class DistillKit:
    """Makes one export's records and files."""

    labels: SoftLabels
    max_length: int  # rows of more tokens are left out
    written: dict[str, Prepacked] = field(default_factory=dict)  # by split

    def record(self, row: Row) -> Record:
        """A row as `Prepacked` takes it, up to the token that ends the answer.

        Raises:
            LeftOutError: the teacher's tokens are not the student's, or there are too many.
        """
        taught = self.labels.taught(row)
        if not taught.begin:  # no place is about the answer's first token
            raise LeftOutError(OTHER_TEXT)
        length = taught.end + 1
        if length > self.max_length:
            raise LeftOutError(TOO_LONG)
        return {
            "ids": taught.ids[:length],
            "begin": taught.begin,
            "listed": taught.listed[: length - taught.begin],
            "row_id": row["row_id"],
        }

    def writer(self, path: Path) -> Prepacked:
        """A writer of a split's folder."""
        split = path.parent.name
        self.written[split] = Prepacked(path, others=self.labels.student.rare)
        return self.written[split]

    def beside(self, name: str, files: Files) -> dict[str, str]:
        """What `datasets.load_from_disk` wants to find its splits, and a configuration that fits the files."""
        text = yaml.safe_dump(self._config(name), sort_keys=False, allow_unicode=True)
        return {SPLITS: json.dumps({"splits": list(files["default"])}) + "\n", CONFIG: HOW + text}

    def _config(self, name: str) -> dict[str, Any]:
        dev = self.written.get("dev")
        k = max((one.most for one in self.written.values()), default=1)
        data = {"train_dataset": {"disk_path": ".", "split": "train"}}
        if dev and dev.rows >= FEWEST_ROWS:
            data["eval_dataset"] = {"disk_path": ".", "split": "dev"}
        exact = {"d": self.labels.student.size, "k": k, "exact_k": k, "exact_dtype": "float32", "residual_bins": []}
        loss = {
            "function": "kl",
            "weight": 1.0,
            "temperature": 1.0,
            "missing_probability_handling": "symmetric_uniform",
        }
        return {
            "project_name": name,
            "model": self.labels.student.path.resolve().name,
            "output_path": "../distilled",
            "sequence_length": max((one.length for one in self.written.values()), default=1),
            "dataset": {**data, "prepacked": True},
            "teacher": {"kind": "dataset", "logprob_compressor": exact},
            "loss_functions": [loss],
            "training_args": {"remove_unused_columns": False},
        }
