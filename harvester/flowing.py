"""From judged rows to the rows that are made from them: which go on, and what is asked about them next."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from harvester.errors import BadInput
from harvester.judging import FORM, RENDER, Rules, as_json, new_seeds
from harvester.parsing import parse
from harvester.prompting import Prompter
from harvester.recipe import REPAIR, Recipe, Step
from harvester.records import Answer, Asked, Json, Origin, Outcome, Seed, digest
from harvester.seeds import ID_LENGTH
from harvester.selection import Node, decide
from harvester.store import nodes, trees
from harvester.store.plans import New, Planned, add_rows
from harvester.store.trees import TreeRow


def leads_on(recipe: Recipe) -> bool:
    """Whether any row of a recipe can be followed by another."""
    return len(recipe.steps) > 1 or any(step.repairs for step in recipe.steps)


@dataclass(frozen=True, slots=True)
class Flow:
    """A plan's rules, and its steps ready to render what follows from what they judge."""

    recipe: Recipe
    plan_id: int
    rules: Rules
    prompters: Mapping[str, Prompter]

    @classmethod
    def of(cls, recipe: Recipe, plan_id: int) -> "Flow":
        """The flow of a recipe's plan.

        Raises:
            BadInput: a template is wrong.
        """
        steps = recipe.steps if leads_on(recipe) else ()
        return cls(recipe, plan_id, Rules(recipe), {step.name: Prompter(recipe, step) for step in steps})

    @property
    def leads_on(self) -> bool:
        """Whether any row can be followed by another."""
        return bool(self.prompters)

    def pass_on(self, connection: Connection, outcomes: Mapping[int, Outcome]) -> list[int]:
        """Plan what follows from rows whose outcomes were written on this connection; returns the new rows' parents.

        A row that cannot be rendered for its next step is dropped, with that reason; others are not harmed.
        """
        rows = trees.rows_by_id(connection, outcomes)
        mended = [row for row in rows if self._is_mended(row, outcomes[row.id])]
        self._add(connection, list(self._mends(connection, mended)))
        followed = [row.id for row in mended]
        step_of = self.recipe.by_name
        read = [row for row in rows if self.recipe.readers(step_of[row.step].name)]
        competing = {row.id for row in read if self.recipe.competes(step_of[row.step])}
        going = [row for row in read if row.id not in competing and outcomes[row.id].accepted]
        gone_on = set(self._follow(connection, going))
        followed += gone_on
        decided = [row for row in read if row.id not in gone_on and self._is_awaited(step_of[row.step])]
        for position in dict.fromkeys(row.position for row in decided):
            # Whom the selection takes may have no question to be put next: then it takes another.
            while chosen := self._selected(connection, position):
                followed += self._follow(connection, chosen)
        return followed

    # --- second attempts

    def _is_mended(self, row: TreeRow, outcome: Outcome) -> bool:
        step = self.recipe.by_name[row.step]
        return outcome.drop_reason == FORM and row.step == step.name and step.repairs

    def _mends(self, connection: Connection, rows: Sequence[TreeRow]) -> Iterator[New]:
        replies = trees.replies_of(connection, rows)
        for row in rows:
            answer = parse(replies[row.id])
            why = self.rules.judge(row.step, answer, row.seed.data).checks[0].reason
            request = self.prompters[row.step].repair(trees.body(connection, row), answer.text, why or "", row.sample)
            asked = Asked(row.step + REPAIR, row.teacher, [request], first_sample=row.sample)
            yield row.seed, _origin(row), [asked]

    # --- next steps

    def _is_awaited(self, step: Step) -> bool:
        """Whether rows that compete wait for what becomes of a step's: for themselves, or to be judged or not to be."""
        judges = (reader for reader in self.recipe.readers(step.name) if reader.judges)
        return self.recipe.competes(step) or any(map(self._is_awaited, judges))

    def _selected(self, connection: Connection, position: int) -> list[TreeRow]:
        tree = nodes.of_seed(connection, self.plan_id, position, self.rules.digests)
        reasons = decide(self.recipe, tree)
        followed = {(node.parent, node.step) for node in tree}
        chosen = [
            node.id for node in tree if reasons.get(node.id, "") is None and self._follows_a_selection(node, followed)
        ]
        return trees.rows_by_id(connection, chosen)

    def _follows_a_selection(self, node: Node, followed: set[tuple[int | None, str]]) -> bool:
        """Whether a row's step selects among its rows, and this one was not followed yet."""
        step = self.recipe.by_name[node.step]
        readers = self.recipe.readers(step.name)
        if not readers or not self.recipe.competes(step):
            return False
        return not any((node.id, reader.name) in followed for reader in readers)

    def _follow(self, connection: Connection, rows: Sequence[TreeRow]) -> list[int]:
        contexts = _Contexts(self.rules, self.recipe, connection, rows)
        new: list[New] = []
        followed = []
        for row in rows:
            try:
                new += list(self._children(row, contexts))
                followed.append(row.id)
            except _Unrenderable as error:
                trees.drop(connection, row.id, str(error))
        self._add(connection, new)
        return followed

    def _children(self, row: TreeRow, contexts: "_Contexts") -> Iterator[New]:
        """What a row leads to; of an expanding one, the new seeds that can be rendered."""
        step = self.recipe.by_name[row.step]
        seeds = contexts.seeds(row)
        left_out = 0
        for part, seed in enumerate(seeds):
            context = contexts.of(row, seed)
            try:
                asked = [self._asked(reader, context) for reader in self.recipe.readers(step.name)]
            except _Unrenderable:
                left_out += 1
                if left_out == len(seeds):
                    raise
            else:
                yield seed, _origin(row, part), asked

    def _asked(self, reader: Step, context: Mapping[str, Json]) -> Asked:
        try:
            requests = self.prompters[reader.name].requests(context)
        except BadInput as error:
            said = str(error).removeprefix(f"{self.prompters[reader.name].template.place}: ")
            raise _Unrenderable(reader, said.partition("; the seed has")[0]) from None
        return Asked(reader.name, self.recipe.teacher_name(reader), requests)

    def _add(self, connection: Connection, new: Iterable[New]) -> None:
        add_rows(connection, Planned(self.plan_id, self.recipe.name), new)


class _Unrenderable(Exception):
    """A row's next question cannot be put."""

    def __init__(self, reader: Step, why: str) -> None:
        super().__init__(f"{RENDER}{reader.name}: {why[:200]}")


def _origin(row: TreeRow, part: int = 0) -> Origin:
    return Origin(row.position, row.id, row.row_id, part)


class _Contexts:
    """What templates see of rows: the seed, and every step on the way to them."""

    def __init__(self, rules: Rules, recipe: Recipe, connection: Connection, rows: Sequence[TreeRow]) -> None:
        self._recipe = recipe
        self._chains = trees.chains(connection, rows)
        every = {row.id: row for chain in self._chains.values() for row in chain}
        raw = trees.replies_of(connection, list(every.values()))
        self._answers = {row: rules.read(every[row].step, parse(reply))[0] for row, reply in raw.items()}
        self._said = {row: said(answer) for row, answer in self._answers.items()}  # once: many may be made from one

    def seeds(self, row: TreeRow) -> list[Seed]:
        """The row's own seed; those that its reply holds, where it expands."""
        if self._recipe.by_name[row.step].kind != "expand":
            return [row.seed]
        found = []
        for new in new_seeds(self._answers[row.id].text):
            data = {**row.seed.data, **new}
            found.append(Seed(digest(data)[:ID_LENGTH], row.seed.split, data))
        return found

    def of(self, row: TreeRow, seed: Seed) -> dict[str, Json]:
        """The fields of a seed that was made from a row, or is its own, and `steps`."""
        steps: defaultdict[str, Any] = defaultdict(dict)
        for ancestor in self._chains[row.id]:
            steps[ancestor.step.removesuffix(REPAIR)] = self._said[ancestor.id]
        return {**seed.data, "steps": dict(steps)}


def said(answer: Answer) -> dict[str, Json]:
    """What templates see of an answer."""
    read = as_json(answer.text)
    verdict = read if isinstance(read, dict) else {}
    return {
        "text": answer.text,
        "reasoning": answer.reasoning,
        "json": read,
        "score": verdict.get("score"),
        "reason": verdict.get("reason"),
    }
