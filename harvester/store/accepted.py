"""How many rows a dataset would have now, without reading an answer."""

from sqlalchemy import ColumnElement, Connection, FromClause, case, func, select

from harvester.recipe import REPAIR, Recipe
from harvester.store.schema import outcomes, rows


def accepted_rows(connection: Connection, recipe: Recipe, plan_id: int) -> int:
    """The accepted rows of train of the step that has the last word; where it selects, one of each group."""
    last = recipe.last_word
    mended, about, again = rows.alias("mended"), rows.alias("about"), rows.alias("again")
    its = (
        rows.c.plan_id == plan_id,
        rows.c.step.in_(last.row_names),
        rows.c.split == "train",
        outcomes.c.accepted,
    )
    accepted = rows.join(outcomes, outcomes.c.id == rows.c.id)
    if recipe.selects(last) == "all":
        return int(connection.execute(select(func.count()).select_from(accepted).where(*its)).scalar_one())
    # The row that competes: not the second attempt but the first, and of a judge the one that it is about.
    tree = accepted.outerjoin(mended, (mended.c.id == rows.c.parent) & rows.c.step.endswith(REPAIR))
    parent, part = _of_first(mended, rows)
    if last.judges:
        tree = tree.join(about, about.c.id == parent)
        tree = tree.outerjoin(again, (again.c.id == about.c.parent) & about.c.step.endswith(REPAIR))
        parent, part = _of_first(again, about)
    groups = select(rows.c.position, parent.label("made_from"), part.label("its_part")).select_from(tree).where(*its)
    return int(connection.execute(select(func.count()).select_from(groups.distinct().subquery())).scalar_one())


def _of_first(first: FromClause, row: FromClause) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """What a row, or where there is one the row that it mends, was made from, and which part of that."""
    is_mend = first.c.id.is_not(None)
    return case((is_mend, first.c.parent), else_=row.c.parent), case((is_mend, first.c.part), else_=row.c.part)
