"""`ask`: questions of one's own to a recipe's teacher, by the client, limits, budget, terms and store of `collect`."""

from collections.abc import Sequence
from pathlib import Path

from harvester.collecting import Options, ran
from harvester.conversations import conversation
from harvester.errors import BadInput
from harvester.parsing import parse
from harvester.planning import ensure_planned
from harvester.prompting import Requester
from harvester.recipe import TEACHER, Demands, Recipe, Step
from harvester.records import Answer, Asked, Message, Origin, Seed, digest
from harvester.seeds import ID_LENGTH
from harvester.store.plans import New

ASK = Step(name="ask", prompt="none: the prompts are given")
SPLIT = "ask"


async def ask(
    recipe: Recipe,
    prompts: Sequence[str | Sequence[Message]],
    store: Path | None = None,
    options: Options | None = None,
) -> list[Answer | None]:
    """Ask the recipe's teacher these prompts, with its sampling; what the store has an answer to is not asked again.

    Of the recipe only the teacher, the budget and the terms count. The answers are stored under its name + "/ask",
    apart from what `collect` stores, and never become part of its dataset.

    Args:
        recipe: whose teacher to ask.
        prompts: texts, each one user message, or lists of `{"role": ..., "content": ...}`.
        store: the database file; beside the recipe by default. It has one writer: ask many prompts in one call.
        options: limit, budget and progress, as for `collect`.

    Returns:
        One answer a prompt, in their order; None where there is none (refused, out of attempts, beyond the limit).

    Raises:
        BadInput: a prompt is not as above, or the key's variable is not set.
        RefusedByTerms, StoppedEarly, TeacherUnusable, StoreUnusable: as `collect` does. What was answered before a
            stop is stored, and the same call goes on from there.
    """
    conversations = _conversations(prompts)
    if not conversations:
        return []
    requester = Requester(recipe.teacher)
    requests = [requester.request(messages) for messages in conversations]
    by_key = {request.key: (messages, request) for messages, request in zip(conversations, requests, strict=True)}
    planned: list[New] = [
        (_seed(messages), Origin(position), [Asked(ASK.name, TEACHER, [request])])
        for position, (messages, request) in enumerate(by_key.values())
    ]
    asking = _for_questions(recipe)
    fingerprint = digest(list(by_key))
    async with ran(
        asking,
        store,
        options,
        lambda writer: ensure_planned(writer, asking, fingerprint, planned),
    ) as (reader, plan_id, _):
        answers = {row.request_key: parse(row.reply.raw) for row in reader.answered(plan_id) if row.reply}
    return [answers.get(request.key) for request in requests]


def _for_questions(recipe: Recipe) -> Recipe:
    """A recipe of the same teacher under the name that questions are stored under; nobody judges their answers."""
    terms = {name: its for name, its in recipe.terms.items() if name == TEACHER}
    asking = Recipe(
        name=recipe.name, teacher=recipe.teacher, budget=recipe.budget, seeds=recipe.seeds, steps=(ASK,), terms=terms
    )
    asking = asking.model_copy(update={"name": f"{recipe.name}/ask"})
    asking._path, asking._text = recipe._path, recipe.text  # noqa: SLF001 - a copy of our own
    asking._demands = {ASK.name: Demands(verify={})}  # noqa: SLF001 - as above
    return asking


def _seed(messages: list[Message]) -> Seed:
    data = {"messages": messages}
    return Seed(digest(data)[:ID_LENGTH], SPLIT, data)


def _conversations(prompts: Sequence[str | Sequence[Message]]) -> list[list[Message]]:
    if isinstance(prompts, str):
        raise BadInput("prompts: is one text; give a list of prompts")
    return [conversation(prompt, f"prompts.{number}") for number, prompt in enumerate(prompts)]
