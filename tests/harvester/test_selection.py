"""Which rows go on: the same whatever the order in which they came, and never two where one is selected."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harvester.recipe import Recipe
from harvester.records import Outcome
from harvester.selection import NOT_SELECTED, WAITING, Node, decide

TEACHER = {"base_url": "embedded", "model": "m"}


def recipe(*steps: dict[str, Any]) -> Recipe:
    whole = [{"prompt": "p.j2", **step} for step in steps]
    return Recipe.model_validate({"name": "r", "teacher": TEACHER, "seeds": {"path": "s.jsonl"}, "steps": whole})


def good(score: float | None = None, vote: str | None = None) -> Outcome:
    return Outcome(accepted=True, drop_reason=None, score=score, vote=vote)


BAD = Outcome(accepted=False, drop_reason="verify:x")
FORM = Outcome(accepted=False, drop_reason="output")
JUDGED = recipe(
    {"name": "draft", "samples": 3},
    {"name": "grade", "kind": "judge", "select": "best_of_n"},
    {"name": "final", "kind": "revise"},
)


def draft(number: int, outcome: Outcome | None) -> Node:
    return Node(number, "draft", None, 0, number, outcome)


def grade(number: int, of: int, outcome: Outcome | None, step: str = "grade") -> Node:
    return Node(number, step, of, 0, 0, outcome)


def test_the_best_waits_for_every_answer_and_every_verdict() -> None:
    three = [draft(0, good()), draft(1, good()), draft(2, BAD)]
    assert decide(JUDGED, three) == {0: None, 1: None, 2: "verify:x"}
    one = [*three, grade(10, 0, good(3))]
    assert decide(JUDGED, one)[10] == WAITING
    assert decide(JUDGED, one, final=True)[10] is None
    both = [*one, grade(11, 1, good(5))]
    assert (decide(JUDGED, both)[10], decide(JUDGED, both)[11]) == (NOT_SELECTED, None)
    open_draft = [draft(0, good()), draft(1, good()), draft(2, None), grade(10, 0, good(3)), grade(11, 1, good(5))]
    assert decide(JUDGED, open_draft)[11] == WAITING


def test_a_second_attempt_stands_for_the_first() -> None:
    mended = [draft(0, good()), draft(1, FORM), Node(5, "draft/repair", 1, 0, 1, good()), draft(2, BAD)]
    assert decide(JUDGED, mended) == {0: None, 1: "output", 5: None, 2: "verify:x"}
    verdicts = [*mended, grade(10, 0, good(3)), grade(11, 5, FORM), grade(12, 11, good(4), "grade/repair")]
    found = decide(JUDGED, verdicts)
    assert (found[10], found[11], found[12]) == (NOT_SELECTED, "output", None)


def test_a_majority_of_equals_goes_to_the_first() -> None:
    voting = recipe({"name": "draft", "samples": 4, "select": "majority"})
    nodes = [draft(number, good(vote=vote)) for number, vote in enumerate("abba")]
    assert [decide(voting, nodes)[number] for number in range(4)] == [None, *[NOT_SELECTED] * 3]
    nodes[0] = draft(0, BAD)
    assert decide(voting, nodes)[1] is None


OUTCOMES = st.sampled_from([None, BAD, *(good(score=score, vote=str(score)) for score in range(3))])
SELECTIONS = st.sampled_from(["all", "first_accepted", "majority"])


@st.composite
def trees(draw: Any) -> tuple[Recipe, list[Node]]:
    """A draft, its judge and a last step; any of the rows may wait, fail, or not be there."""
    judged = draw(st.sampled_from(["all", "best_of_n"]))
    steps = recipe(
        {"name": "draft", "samples": 4, "select": draw(SELECTIONS)},
        {"name": "grade", "kind": "judge", "select": judged},
        {"name": "final", "kind": "revise", "samples": 2, "select": draw(SELECTIONS)},
    )
    nodes = [draft(number, draw(OUTCOMES)) for number in range(draw(st.integers(0, 4)))]
    nodes += [grade(10 + node.id, node.id, draw(OUTCOMES)) for node in nodes if draw(st.booleans())]
    for node in list(nodes):
        if node.step == "grade":
            nodes += [
                Node(100 + 10 * node.id + sample, "final", node.id, 0, sample, draw(OUTCOMES)) for sample in range(2)
            ]
    return steps, nodes


@given(trees(), st.randoms(), st.booleans())
def test_any_tree(tree: tuple[Recipe, list[Node]], chance: Any, final: bool) -> None:
    steps, nodes = tree
    reasons = decide(steps, nodes, final=final)
    shuffled = list(nodes)
    chance.shuffle(shuffled)
    assert decide(steps, shuffled, final=final) == reasons
    assert set(reasons) == {node.id for node in nodes}
    by_id = {node.id: node for node in nodes}
    for node in nodes:
        if reasons[node.id] is None:
            assert node.outcome is not None
            assert node.outcome.accepted
            assert node.parent is None or reasons[node.parent] is None
    for step in steps.steps:
        if steps.selects(step) == "all":
            continue
        going = Counter(
            by_id[node.parent].parent if step.judges and node.parent is not None else node.parent
            for node in nodes
            if node.step == step.name and reasons[node.id] is None
        )
        assert all(count == 1 for count in going.values())


def test_rows_without_a_vote_agree_with_nobody() -> None:
    votes = [None, None, None, "a", "a"]
    nodes = [draft(number, good(vote=vote)) for number, vote in enumerate(votes)]
    found = decide(recipe({"name": "draft", "samples": 5, "select": "majority"}), nodes)
    assert [number for number, reason in found.items() if reason is None] == [3]
