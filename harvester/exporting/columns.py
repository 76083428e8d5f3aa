"""One stored row → the values of its columns."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from harvester import logprobs
from harvester.exporting.lineages import Lineage
from harvester.judging import NO_ANSWER
from harvester.pricing import usd
from harvester.recipe import REPAIR, Recipe
from harvester.records import Check, Json, Message, canonical, decoded
from harvester.templating import student_template

NOT_SAMPLING = frozenset({"model", "messages"})


class Columns:
    """Turns rows of one recipe into column values."""

    def __init__(self, recipe: Recipe) -> None:
        """Compile the student's template; without one the student sees the teacher's own prompt.

        Raises:
            BadInput: the template is wrong.
        """
        self._recipe = recipe
        self._student = student_template(recipe)
        self._teacher = recipe.teacher_name(recipe.answer_step)
        # What rows share, as the last one had it.
        self._last_checks: tuple[tuple[Check, ...], list[dict[str, Json]]] = (), []
        self._last_sampling = "", ""
        self._last_terms: tuple[str, Mapping[str, Json], list[dict[str, Json]]] = "", {}, []

    def values(self, lineage: Lineage) -> dict[str, Any]:
        """Values for `schema.SCHEMA`, by column name."""
        row, answer, outcome = lineage.row, lineage.answer or NO_ANSWER, lineage.outcome
        request = decoded(row.request_body)
        reply = row.reply
        return {
            "messages": [*self.prompt(lineage, request), {"role": "assistant", "content": answer.text}],
            "tools": None,
            "reasoning": answer.reasoning,
            "logprobs": logprobs.read(answer.logprobs),
            "sampling": self._sampling(request),
            "row_id": row.row_id,
            "request_key": row.request_key,
            "seed_id": row.seed_id,
            "seed": row.seed_text,
            "sample": row.sample,
            "step": row.step.removesuffix(REPAIR),
            "recipe": self._recipe.name,
            "teacher": reply.teacher if reply else self._teacher,
            "model": answer.model or request["model"],
            "provider": reply.provider if reply else None,
            "terms": self._terms_of(lineage),
            "finish_reason": answer.finish_reason,
            "prompt_tokens": answer.usage.input_tokens,
            "completion_tokens": answer.usage.output_tokens,
            "cost_usd": usd(reply.cost_nusd) if reply else 0.0,
            "score": outcome.score,
            "checks": self._checks(outcome.checks),
            "accepted": outcome.accepted,
            "drop_reason": outcome.drop_reason,
            "reference": None if row.reference is None else _json(row.reference),
            "collected_at": datetime.fromisoformat(reply.received_at) if reply else None,
        }

    def prompt(self, lineage: Lineage, request: Json = None) -> list[Message]:
        """What the student sees; `request` is the row's, where it is read already."""
        if self._student:
            several = {"steps": lineage.steps} if len(self._recipe.steps) > 1 else {}
            return self._student.render({**lineage.row.seed, **several})
        row = lineage.row
        if row.step.endswith(REPAIR):  # not what was said to get it mended
            request = decoded(lineage.made_from[-1].request_body)
        messages: list[Message] = (request or decoded(row.request_body))["messages"]
        return messages

    def _sampling(self, request: Mapping[str, Json]) -> str:
        sampling = {name: value for name, value in request.items() if name not in NOT_SAMPLING}
        said = repr(sampling)  # equal only where the JSON is: 1, 1.0 and True are equal themselves
        if said != self._last_sampling[0]:
            self._last_sampling = said, _json(sampling)
        return self._last_sampling[1]

    def _terms_of(self, lineage: Lineage) -> list[dict[str, Json]]:
        """Of every teacher that wrote, revised or judged the row, each once."""
        replies = lineage.replies
        if len(replies) != 1:
            return each_once(_terms(reply.teacher, reply.terms) for reply in replies)
        (reply,) = replies
        teacher, terms, found = self._last_terms
        if reply.terms is not terms or reply.teacher != teacher:
            found = [_terms(reply.teacher, reply.terms)]
            self._last_terms = reply.teacher, reply.terms, found
        return found

    def _checks(self, checks: tuple[Check, ...]) -> list[dict[str, Json]]:
        # Accepted answers of a step share theirs.
        if checks is not self._last_checks[0]:
            self._last_checks = checks, [_check(check) for check in checks]
        return self._last_checks[1]


def _json(value: Json) -> str:
    return canonical(value).decode()


def each_once(values: Iterable[dict[str, Json]]) -> list[dict[str, Json]]:
    """The values without repetitions, in their order."""
    return list({canonical(value): value for value in values}.values())


def _terms(teacher: str, terms: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "teacher": teacher,
        **{name: terms.get(name) for name in ("id", "verdict", "as_of", "basis", "accepted_by")},
    }


def _check(check: Check) -> dict[str, Json]:
    return {"name": check.name, "params": _json(check.params), "passed": check.passed, "reason": check.reason}
