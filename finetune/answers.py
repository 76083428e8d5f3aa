"""RUN/answers/: every answer of every arm with its verdict, kept so that anyone can recompute what is said of them.

prompts.jsonl has the held-out prompts in order, ARM.jsonl a line for each answer, ARM.json what they were made with.
Answers that are being made stand in ARM.partial.jsonl.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune import runs
from finetune.data import say
from finetune.heldout import Prompt

Lines = list[dict[str, Any]]
PROMPTS = "prompts"


def line(prompt: Prompt, sample: int, answer: str, *, finished: bool, tokens: int | None) -> dict[str, Any]:
    """One answer with its verdict.

    Args:
        prompt: the question, with its reference.
        sample: which of several answers of one arm.
        answer: the text.
        finished: whether it came to its end.
        tokens: its length in the tokens of whoever gave it; None where it is not known.
    """
    # Imported when needed: the judge is Harvester's, and training does without it.
    from harvester.verify import matches_reference, matching_fields  # noqa: PLC0415

    check = matches_reference(answer, prompt.reference)
    return {
        "seed_id": prompt.seed_id,
        "sample": sample,
        "answer": answer,
        "reference": prompt.reference,
        "passed": check.passed,
        "reason": check.reason,
        "fields": matching_fields(answer, prompt.reference),
        "finished": finished,
        "tokens": tokens,
    }


class Shelf:
    """The answers of one run on disk."""

    def __init__(self, run: Path) -> None:
        self.folder = run / runs.ANSWERS

    def write_prompts(self, prompts: Sequence[Prompt]) -> None:
        """Writes what was asked."""
        lines: Lines = [
            {"seed_id": prompt.seed_id, "messages": list(prompt.messages), "reference": prompt.reference}
            for prompt in prompts
        ]
        runs.write_text(self.folder / f"{PROMPTS}.jsonl", runs.dump_lines(lines))

    def kept(self, arm: str, made_with: Mapping[str, Any], prompts: Sequence[Prompt]) -> tuple[Lines, float] | None:
        """An arm's answers and the seconds they took, if they were made with just this; else None, and says why.

        They are judged anew: the judge may have learnt since.
        """
        facts = self._facts(arm)
        before = facts.get("made_with")
        if not isinstance(before, dict):
            return None
        if before != made_with:
            changed = ", ".join(name for name in made_with if before.get(name) != made_with[name]) or "something else"
            say(f"{arm}: answers of before are made anew, as {changed} changed")
            return None
        try:
            lines = runs.read_lines(self.folder / f"{arm}.jsonl")
            found = [
                line(prompt, one["sample"], one["answer"], finished=one["finished"], tokens=one["tokens"])
                for prompt, one in zip(prompts, lines, strict=True)
                if prompt.seed_id == one["seed_id"]
            ]
        except (OSError, ValueError, KeyError, TypeError):
            found = []
        if len(found) != len(prompts):
            say(f"{arm}: answers of before are made anew, as their file is damaged")
            return None
        if found != lines:
            runs.write_text(self.folder / f"{arm}.jsonl", runs.dump_lines(found))
        return found, float(facts.get("seconds", 0.0))

    def keep(self, arm: str, lines: Lines, made_with: Mapping[str, Any] | None, seconds: float) -> None:
        """Writes an arm's answers; without `made_with` they are not looked for again."""
        facts = self.folder / f"{arm}.json"
        facts.unlink(missing_ok=True)
        runs.write_text(self.folder / f"{arm}.jsonl", runs.dump_lines(lines))
        if made_with is not None:
            runs.write_text(facts, json.dumps({"made_with": made_with, "seconds": seconds}, indent=2) + "\n")
        self._partial(arm).unlink(missing_ok=True)

    def begun(self, arm: str, made_with: Mapping[str, Any]) -> tuple[dict[int, dict[str, Any]], float]:
        """Answers of an arm that was interrupted, by the prompt's place, and the seconds they took."""
        path = self._partial(arm)
        try:
            head, *lines = runs.read_lines(path)
            found = {int(one["place"]): one["line"] for one in lines}
            seconds = sum(float(one["seconds"]) for one in lines)
        except (OSError, ValueError, KeyError, TypeError):  # none yet, none whole, or damaged
            head, lines, found, seconds = None, [], {}, 0.0
        if head != {"made_with": made_with}:
            head, lines, found, seconds = {"made_with": dict(made_with)}, [], {}, 0.0
        # What a kill cut short goes, so that what is appended begins on a line of its own.
        runs.write_text(path, runs.dump_lines([head, *lines]))
        return found, seconds

    def add(self, arm: str, found: Mapping[int, dict[str, Any]], seconds: float) -> None:
        """Appends answers of an arm that is under way."""
        each = seconds / max(1, len(found))
        lines: Lines = [{"place": place, "line": one, "seconds": each} for place, one in found.items()]
        with self._partial(arm).open("a", encoding="utf-8") as file:
            file.write(runs.dump_lines(lines))

    def forget(self, arm: str) -> None:
        """Takes away an arm that is not in the report."""
        for name in (f"{arm}.jsonl", f"{arm}.json"):
            (self.folder / name).unlink(missing_ok=True)

    def _partial(self, arm: str) -> Path:
        return self.folder / f"{arm}.partial.jsonl"

    def _facts(self, arm: str) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / f"{arm}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
