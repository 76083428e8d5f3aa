"""RUN/answers/: every answer of every arm with its verdict, kept so that anyone can recompute what is said of them.

prompts.jsonl has the held-out prompts in order, ARM.jsonl a line for each answer, ARM.json what they were made with.
Answers that are being made stand in ARM.partial.jsonl.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finetune import runs
from finetune.data import say
from finetune.heldout import Prompt

Lines = list[dict[str, Any]]
PROMPTS = "prompts"
DAMAGE = (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError)
"""What reading a file that is missing or damaged raises."""


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


def _again(prompt: Prompt, one: Any) -> dict[str, Any]:
    """A stored answer, judged anew: the judge may have learnt since.

    Raises:
        ValueError: it is no answer to this prompt.
    """
    match one:
        case {
            "seed_id": str(seed),
            "sample": int(sample),
            "answer": str(answer),
            "finished": bool(finished),
            "tokens": int() | None as tokens,
        } if seed == prompt.seed_id:
            return line(prompt, sample, answer, finished=finished, tokens=tokens)
    raise ValueError("not an answer to this prompt")


class Shelf:
    """The answers of one run on disk."""

    def __init__(self, run: Path) -> None:
        self.folder = run / runs.ANSWERS

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps every other process from evaluating the run.

        Raises:
            BadInput: another one does, or the folder cannot be made.
        """
        busy = f"{self.folder.parent}: another process evaluates it; wait for it to end"
        with runs.alone_in(self.folder, where=str(self.folder), mend="mend that and evaluate again", busy=busy):
            yield

    def write_prompts(self, prompts: Sequence[Prompt]) -> None:
        """Writes what was asked."""
        lines: Lines = [
            {"seed_id": prompt.seed_id, "messages": list(prompt.messages), "reference": prompt.reference}
            for prompt in prompts
        ]
        runs.write_text(self.folder / f"{PROMPTS}.jsonl", runs.dump_lines(lines))

    def has(self, arm: str) -> bool:
        """Whether an arm has answered, be it in an earlier evaluation."""
        return (self.folder / f"{arm}.jsonl").exists()

    def kept(self, arm: str, made_with: Mapping[str, Any], prompts: Sequence[Prompt]) -> tuple[Lines, float] | None:
        """An arm's answers and the seconds they took, if they were made with just this; else None, and says why."""
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
            found = [_again(prompt, one) for prompt, one in zip(prompts, lines, strict=True)]
            seconds = float(facts["seconds"])
        except DAMAGE:
            say(f"{arm}: answers of before are made anew, as their file is damaged")
            return None
        if found != lines:
            runs.write_text(self.folder / f"{arm}.jsonl", runs.dump_lines(found))
        return found, seconds

    def keep(self, arm: str, lines: Lines, made_with: Mapping[str, Any] | None, seconds: float) -> None:
        """Writes an arm's answers; without `made_with` they are not looked for again."""
        facts = self.folder / f"{arm}.json"
        facts.unlink(missing_ok=True)
        runs.write_text(self.folder / f"{arm}.jsonl", runs.dump_lines(lines))
        if made_with is not None:
            runs.write_text(facts, json.dumps({"made_with": made_with, "seconds": seconds}, indent=2) + "\n")
        self._partial(arm).unlink(missing_ok=True)

    def begun(
        self, arm: str, made_with: Mapping[str, Any], prompts: Sequence[Prompt]
    ) -> tuple[dict[int, dict[str, Any]], float]:
        """Answers of an arm that was interrupted, by the prompt's place, and the seconds they took."""
        path, head, found, seconds = self._partial(arm), {"made_with": dict(made_with)}, {}, 0.0
        lines: Lines = []
        try:
            first, *others = runs.read_lines(path)
            if first == head:
                found = {int(one["place"]): _again(prompts[one["place"]], one["line"]) for one in others}
                seconds, lines = sum(float(one["seconds"]) for one in others), others
        except DAMAGE:  # none yet, none whole, or damaged
            found = {}
        # What a kill cut short goes, so that what is appended begins on a line of its own.
        runs.write_text(path, runs.dump_lines([head, *lines]))
        return found, seconds

    def add(self, arm: str, found: Mapping[int, dict[str, Any]], seconds: float) -> None:
        """Appends answers of an arm that is under way."""
        each = seconds / max(1, len(found))
        lines: Lines = [{"place": place, "line": one, "seconds": each} for place, one in found.items()]
        with self._partial(arm).open("a", encoding="utf-8") as file:
            file.write(runs.dump_lines(lines))

    def _partial(self, arm: str) -> Path:
        return self.folder / f"{arm}.partial.jsonl"

    def _facts(self, arm: str) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / f"{arm}.json").read_text(encoding="utf-8"))
        except DAMAGE:
            return {}
        return found if isinstance(found, dict) else {}
