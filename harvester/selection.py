"""Which rows of a seed's tree go on: pure, and the same while collecting as when a dataset is written."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harvester.recipe import REPAIR, Recipe, Step
from harvester.records import Outcome

NOT_SELECTED = "not_selected"
WAITING = "waiting"
"""The reason of a row about which nothing is decided yet."""

Place = tuple[int, int, int]
Group = tuple[int | None, int]
"""What competing rows have in common: the row that they were made from, and which of its new seeds."""


@dataclass(frozen=True, slots=True)
class Node:
    """One row in the tree of its seed; without an outcome it waits for its answer, or is not judged yet."""

    id: int
    step: str
    parent: int | None
    part: int
    sample: int
    outcome: Outcome | None


def decide(recipe: Recipe, nodes: Sequence[Node], *, final: bool = False) -> dict[int, str | None]:
    """Why each row of one seed's tree does not go on; None for those that do.

    A row goes on if its answer is accepted, the row that it was made from goes on, and its step selects it in its
    group. Where a step selects among a group, all of it waits until each of its rows is judged. A second attempt stands
    in the place of the row that it mends.

    Args:
        recipe: whose steps.
        nodes: the rows that were made from one seed, by way of others or not.
        final: nothing more comes: select among what is there.
    """
    deciding = _Deciding(recipe, nodes, final=final)
    for step in recipe.steps:
        deciding.decide(step)
    return deciding.reasons


class _Deciding:
    def __init__(self, recipe: Recipe, nodes: Sequence[Node], *, final: bool) -> None:
        self._recipe, self._final = recipe, final
        self._by_step: defaultdict[str, list[Node]] = defaultdict(list)
        for node in sorted(nodes, key=lambda node: (node.part, node.sample, node.id)):
            self._by_step[node.step].append(node)
        self.reasons: dict[int, str | None] = {}
        self._groups: dict[int, Group] = {}
        self._about: dict[int, int | None] = {}  # row → the row that it, or what it mends, was made from
        self._places: dict[int, Place] = {}  # of a judge's row, the place of the answer

    def decide(self, step: Step) -> None:
        """Decide about a step's rows, those of the steps that it reads being decided."""
        groups: defaultdict[Group, list[Node]] = defaultdict(list)
        mends = {node.parent: node for node in self._by_step[step.name + REPAIR]}
        for node in self._by_step[step.name]:
            group = node.parent, node.part
            if step.judges and node.parent is not None:
                group = self._groups.get(node.parent, group)
            candidate = mends.get(node.id, node)
            place = node.part, node.sample, node.id
            if step.judges and node.parent is not None:
                place = self._places.get(node.parent, place)
            for one in (node, candidate):
                self._places[one.id] = place
                self._groups[one.id], self._about[one.id] = group, node.parent
                self.reasons[one.id] = _own_reason(one)
            above = self.reasons.get(node.parent) if node.parent is not None else None
            if above is not None:
                self.reasons[candidate.id] = above if above == WAITING else f"of:{self._recipe.read_by(step)}"
            else:
                groups[group].append(candidate)
        for members in groups.values():
            members.sort(key=lambda node: self._places[node.id])
        rule = self._recipe.selects(step)
        if rule != "all":
            answers = self._answers(step)
            for group, members in groups.items():
                self._select(rule, members, answers[group])

    def _select(self, rule: str, members: Sequence[Node], answers: Sequence[Node]) -> None:
        accepted = [node for node in members if self.reasons[node.id] is None]
        waits = any(self.reasons[node.id] == WAITING for node in members) or self._more_to_judge(members, answers)
        if waits and not self._final:
            self.reasons |= {node.id: WAITING for node in accepted}
            return
        chosen = _chosen(rule, accepted)
        self.reasons |= {node.id: NOT_SELECTED for node in accepted if node is not chosen}

    def _answers(self, step: Step) -> Mapping[Group, Sequence[Node]]:
        """What a judge reads, by group; nothing for other steps."""
        found: defaultdict[Group, list[Node]] = defaultdict(list)
        of = self._recipe.read_by(step)
        for node in (*self._by_step[of], *self._by_step[of + REPAIR]) if step.judges else ():
            if node.id in self._groups:
                found[self._groups[node.id]].append(node)
        return found

    def _more_to_judge(self, members: Sequence[Node], answers: Sequence[Node]) -> bool:
        """Whether an answer of the group may yet come before a judge."""
        judged = {self._about[node.id] for node in members}
        return any(self._may_come(node, judged) for node in answers)

    def _may_come(self, node: Node, judged: set[int | None]) -> bool:
        reason = self.reasons.get(node.id)
        return reason == WAITING or (reason is None and node.id not in judged)


def _own_reason(node: Node) -> str | None:
    if node.outcome is None:
        return WAITING
    return None if node.outcome.accepted else node.outcome.drop_reason or "?"


def _chosen(rule: str, accepted: Sequence[Node]) -> Node | None:
    """One of the accepted rows, which come in the order of their samples."""
    if not accepted or rule == "first_accepted":
        return next(iter(accepted), None)
    if rule == "best_of_n":
        return max(accepted, key=_score)  # the first of equals
    votes = Counter(_vote(node) for node in accepted)
    most = max(votes.values())
    return next(node for node in accepted if votes[_vote(node)] == most)


def _score(node: Node) -> float:
    return float("-inf") if node.outcome is None or node.outcome.score is None else node.outcome.score


def _vote(node: Node) -> str | int:
    """What a row votes for; one without a vote agrees with nobody."""
    vote = node.outcome.vote if node.outcome else None
    return node.id if vote is None else vote
