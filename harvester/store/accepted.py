"""How many rows a dataset would have now, without reading an answer."""

from collections.abc import Iterable, Sequence
from itertools import chain

from sqlalchemy import ColumnElement, Connection, FromClause, Select, case, func, select

from harvester.recipe import REPAIR, Recipe
from harvester.records import RuleDigests
from harvester.selection import decide
from harvester.store import nodes
from harvester.store.events import Event, Judged, Known, Unanswered
from harvester.store.paging import chunks
from harvester.store.schema import outcomes, rows


def accepted_rows(connection: Connection, recipe: Recipe, plan_id: int, rules: RuleDigests) -> int:
    """The rows of train that a dataset would have now, all being judged by these rules."""
    return _counted(connection, recipe, plan_id, rules)


def accepted_of(
    connection: Connection, recipe: Recipe, plan_id: int, rules: RuleDigests, positions: Iterable[int]
) -> int:
    """The same of the seeds at these places alone: the cost is that of their rows."""
    return sum(_counted(connection, recipe, plan_id, rules, some) for some in chunks(positions))


def _counted(
    connection: Connection, recipe: Recipe, plan_id: int, rules: RuleDigests, positions: Sequence[int] | None = None
) -> int:
    last = recipe.last_word
    if not any(map(recipe.competes, recipe.ancestors(last))):
        return int(connection.execute(_count(recipe, plan_id, positions)).scalar_one())
    # A group may be decided anew: what was made from the row that it took before goes on no more.
    found = 0
    for tree in nodes.every(connection, plan_id, rules, split="train", positions=positions):
        reasons = decide(recipe, tree, final=True)
        found += sum(reasons[node.id] is None for node in tree if node.step in last.row_names)
    return found


def touched(connection: Connection, plan_id: int, events: Iterable[Event]) -> set[int]:
    """The places of the seeds whose rows these events decide about, or may make others be decided about."""
    row_ids = [event.row for event in events if isinstance(event, Judged | Known)]
    request_ids = [event.request_id for event in events if isinstance(event, Unanswered)]
    parts = [(rows.c.id, some) for some in chunks(row_ids)]
    parts += [(rows.c.request_id, some) for some in chunks(request_ids)]
    query = select(rows.c.position).where(rows.c.plan_id == plan_id)
    found = (connection.execute(query.where(column.in_(some))).scalars() for column, some in parts)
    return set(chain.from_iterable(found))


def _count(recipe: Recipe, plan_id: int, positions: Sequence[int] | None) -> Select[int]:
    """Of the step that has the last word, where rows compete in no other; where it selects, one of each group."""
    last = recipe.last_word
    its = [
        rows.c.plan_id == plan_id,
        rows.c.step.in_(last.row_names),
        rows.c.split == "train",
        outcomes.c.accepted,
    ]
    if positions is not None:
        its.append(rows.c.position.in_(positions))
    accepted = rows.join(outcomes, outcomes.c.id == rows.c.id)
    if recipe.selects(last) == "all":
        return select(func.count()).select_from(accepted).where(*its)
    # The row that competes: not the second attempt but the first, and of a judge the answer that it is about.
    tree, parent, part = _of_first(accepted, rows)
    while last.judges:
        last, above = recipe.by_name[recipe.read_by(last)], rows.alias()
        tree, parent, part = _of_first(tree.join(above, above.c.id == parent), above)
    groups = select(rows.c.position, parent.label("made_from"), part.label("its_part")).select_from(tree).where(*its)
    return select(func.count()).select_from(groups.distinct().subquery())


def _of_first(tree: FromClause, row: FromClause) -> tuple[FromClause, ColumnElement[int], ColumnElement[int]]:
    """Joined with the row that a row mends: what that one, or else the row itself, was made from, and which part."""
    first = rows.alias()
    tree = tree.outerjoin(first, (first.c.id == row.c.parent) & row.c.step.endswith(REPAIR))
    is_mend = first.c.id.is_not(None)
    parent = case((is_mend, first.c.parent), else_=row.c.parent)
    return tree, parent, case((is_mend, first.c.part), else_=row.c.part)
