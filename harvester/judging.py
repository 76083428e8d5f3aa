"""A stored reply → what the recipe's rules make of it. Pure: replayed at any time, it asks nobody."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from harvester import verify
from harvester.calling import read_answer, verifier
from harvester.errors import BadInput
from harvester.parsing import bare, parse
from harvester.recipe import Recipe, Step
from harvester.records import Answer, Check, Json, Outcome, RuleDigests, digest, unanswered
from harvester.store.stored import StoredRow
from harvester.verify.answers import read_json
from harvester.verify.base import Failed, Verifier

VERSION = 2
"""Part of the rules' digest: raise it when the same rules would now judge differently."""

NO_ANSWER = Answer("failed")
LISTED = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.):])\s+")
"""What begins a line of a list."""
RENDER = "render:"
"""Begins the reason of a row whose next question could not be put."""
PARSE = "parse"
"""The reason of a reply in which the step's own function finds no answer."""
FORM = "output"
"""The reason of an answer that is not of the form that its step asks for: it is asked for once more."""


@dataclass(frozen=True, slots=True)
class _StepRules:
    step: Step
    form: Verifier | None  # of the answer, by the step's schema
    verifiers: tuple[Verifier, ...]
    slow: bool  # so that nothing should wait for it


class Rules:
    """What a recipe's steps ask of their answers, built once."""

    def __init__(self, recipe: Recipe) -> None:
        """The rules of a loaded recipe."""
        self._recipe = recipe
        of_steps = _digests(recipe)
        self._of_steps = {name: of_steps[step.name] for name, step in recipe.by_name.items()}
        self.digests = RuleDigests(_together(list(of_steps.values())), frozenset(of_steps.values()))
        self._by_step = {name: _of_step(recipe, step) for name, step in recipe.by_name.items()}

    def require_step(self, name: str) -> None:
        """Refuse a row of a step that the recipe lacks: it was edited since the row was planned.

        Raises:
            BadInput: it is of one.
        """
        if name not in self._by_step:
            raise BadInput(
                f"{self._recipe.path}: steps: the store's plan has rows of {name}, which the recipe lacks, as it was"
                f" edited since; run: {self._recipe.how_to_collect}"
            )

    def of_step(self, name: str) -> str:
        """Digest of the rules by which a step's answers are judged; second attempts by those of the first."""
        return self._of_steps[name]

    def step_of(self, name: str) -> str:
        """The step that a row's name stands for: its own, or the one whose form a second attempt mends."""
        return self._by_step[name].step.name

    def is_slow(self, name: str) -> bool:
        """Whether judging an answer to a step takes so long that nothing should wait for it."""
        return self._by_step[name].slow

    @property
    def look_at_seeds(self) -> bool:
        """Whether any of them compares an answer with its seed."""
        return any(rules.verifiers for rules in self._by_step.values())

    def read(self, step: str, answer: Answer) -> tuple[Answer, Outcome | None]:
        """The answer as the step's own function reads it; where there is none to read, what is made of that, too."""
        if answer.status != "ok":
            return answer, Outcome(accepted=False, drop_reason=answer.status)
        try:
            return read_answer(self._by_step[step].step, answer), None
        except Failed as failed:
            check = Check(PARSE, {}, passed=False, reason=failed.reason)
            return answer, Outcome(accepted=False, drop_reason=PARSE, checks=(check,))

    def judge(self, step: str, answer: Answer, seed: Mapping[str, Json]) -> Outcome:
        """Check a reply to a step's question."""
        answer, outcome = self.read(step, answer)
        return outcome or self._judge(step, answer, seed)

    def _judge(self, step: str, answer: Answer, seed: Mapping[str, Json]) -> Outcome:
        rules = self._by_step[step]
        text = answer.text if rules.step.kind in ("generate", "revise") else bare(answer.text)
        checks: tuple[Check, ...] = ()
        if rules.form:
            checks = (rules.form(text, seed),)
            if not checks[0].passed:
                return Outcome(accepted=False, drop_reason=FORM, checks=checks)
        checks += tuple(check(text, seed) for check in rules.verifiers)
        failed = next((check.name for check in checks if not check.passed), None)
        return _of_kind(rules.step, Outcome(failed is None, failed and f"verify:{failed}", checks), text)

    def judge_row(self, row: StoredRow, *, again: bool = False) -> tuple[Answer, Outcome]:
        """Read a row's reply and check it; a row without one is an answer that failed.

        What took long is kept with the row, and not done again for the same rules unless `again` asks for it. That its
        next question could not be put is kept by other rules too, as long as they accept it.
        """
        if row.reply is None:
            return NO_ANSWER, unanswered(row.state, row.reason)
        answer, outcome = self.read(row.step, parse(row.reply.raw))
        kept = None if again else row.outcome
        if kept is not None and self.is_slow(row.step) and row.rules == self.of_step(row.step):
            return answer, kept
        outcome = outcome or self._judge(row.step, answer, row.seed)
        return answer, kept if kept is not None and is_unrenderable(kept) and outcome.accepted else outcome


def is_unrenderable(outcome: Outcome) -> bool:
    """Whether a row was dropped because no template could be rendered with it."""
    return (outcome.drop_reason or "").startswith(RENDER)


def rules_digest(recipe: Recipe, step: Step) -> str:
    """SHA-256 over everything that decides what is made of an answer to a step.

    Where Python functions decide, no digest tells what they would say today: it is another with every call.
    """
    return digest({"version": VERSION, "verify": _resolved(recipe, step)})


def _digests(recipe: Recipe) -> dict[str, str]:
    """Step → digest of its rules; where there are several, steps with the same rules are told apart."""
    found = {step.name: rules_digest(recipe, step) for step in recipe.steps}
    return found if len(found) == 1 else {name: digest([name, its]) for name, its in found.items()}


def _together(digests: Sequence[str]) -> str:
    return digests[0] if len(digests) == 1 else digest(digests)


def _resolved(recipe: Recipe, step: Step) -> Json:
    demands = recipe.demands(step)
    if step.parse or callable(step.verify):
        return uuid4().hex
    if step.kind == "generate" and step.output is None and step.select != "majority":
        return demands.verify
    votes = {"votes": True} if step.select == "majority" else {}
    return votes | {
        "step": step.model_dump(mode="json", include={"name", "kind", "min_score", "vote_by"}),
        "verify": demands.verify,
        "output": demands.output,
    }


def _of_step(recipe: Recipe, step: Step) -> _StepRules:
    demands = recipe.demands(step)
    form = None
    if demands.output is not None:
        (form,) = verify.build({"json_schema": demands.output})
    verifiers = (verifier(step.verify),) if callable(step.verify) else verify.build(demands.verify)
    return _StepRules(step, form, verifiers, verify.is_slow(demands.verify))


def _of_kind(step: Step, outcome: Outcome, text: str) -> Outcome:
    """An outcome with what the step's kind adds to it."""
    if not outcome.accepted:
        return outcome
    if step.kind == "expand" and not new_seeds(text):
        return Outcome(accepted=False, drop_reason="no_new_seeds", checks=outcome.checks)
    if step.judges:
        return _scored(step, outcome, text)
    if step.select == "majority":
        vote = verify.vote_key(text, step.vote_by)
        if vote is None:
            return Outcome(accepted=False, drop_reason="no_vote", checks=outcome.checks)
        return Outcome(accepted=True, drop_reason=None, checks=outcome.checks, vote=vote)
    return outcome


def _scored(step: Step, outcome: Outcome, text: str) -> Outcome:
    said = as_json(text)
    score = said.get("score") if isinstance(said, dict) else said
    if not isinstance(score, int | float) or isinstance(score, bool) or not math.isfinite(score):
        return Outcome(accepted=False, drop_reason="no_score", checks=outcome.checks)
    low = step.min_score is not None and score < step.min_score
    return Outcome(not low, "low_score" if low else None, outcome.checks, score=float(score))


def as_json(text: str) -> Json:
    """The JSON value that a text is, in a ``` fence or not; None where it is none."""
    try:
        return read_json(bare(text))
    except Failed:
        return None


def new_seeds(text: str) -> list[dict[str, Json]]:
    """The seeds that an expanding reply holds, in its order and each once.

    A JSON list of objects, or of texts, or an object whose one list is such; otherwise a text per line, without the
    numbers and dashes of a list. A text becomes `{"text": ...}`.
    """
    said = as_json(text)
    if isinstance(said, dict):
        lists = [value for value in said.values() if isinstance(value, list)]
        said = lists[0] if len(lists) == 1 else [said]
    if not isinstance(said, list):
        said = [LISTED.sub("", line).strip() for line in text.splitlines()]
    found = [one if isinstance(one, dict) else {"text": one} for one in said if one and isinstance(one, dict | str)]
    return list({digest(one): one for one in found}.values())
