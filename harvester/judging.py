"""A stored row → its answer and what the recipe's rules make of it. Pure: replayed at any time, it asks nobody."""

from collections.abc import Mapping

from harvester import verify
from harvester.parsing import parse
from harvester.records import Answer, Json, Outcome, digest
from harvester.store.reading import StoredRow

VERSION = 1
"""Part of the rules' digest: raise it when the same rules would now judge differently."""

NO_ANSWER = Answer("failed")


class Rules:
    """A step's verify block, built once."""

    def __init__(self, resolved: Mapping[str, Json]) -> None:
        """Rules from a resolved verify block (`Recipe.rules`)."""
        self.digest = digest({"version": VERSION, "verify": resolved})
        self._verifiers = verify.build(resolved)

    @property
    def look_at_seeds(self) -> bool:
        """Whether any of them compares an answer with its seed."""
        return bool(self._verifiers)

    def judge(self, answer: Answer, seed: Mapping[str, Json]) -> Outcome:
        """Check an answer."""
        if answer.status != "ok":
            return Outcome(accepted=False, drop_reason=answer.status)
        checks = tuple(check(answer.text, seed) for check in self._verifiers)
        failed = next((check.name for check in checks if not check.passed), None)
        return Outcome(failed is None, failed and f"verify:{failed}", checks)

    def judge_row(self, row: StoredRow) -> tuple[Answer, Outcome]:
        """Read a row's reply and check it; a row without one is an answer that failed."""
        if row.reply is None:
            return NO_ANSWER, Outcome(accepted=False, drop_reason=f"failed: {row.reason or row.state}")
        answer = parse(row.reply.raw)
        return answer, self.judge(answer, row.seed)
