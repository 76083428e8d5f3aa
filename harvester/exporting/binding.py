"""What the card says of terms: what binds the whole, and what each teacher's are."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harvester.exporting.markdown import bullets, plain
from harvester.terms import CLAIMED, PASSING

if TYPE_CHECKING:
    from harvester.exporting.dataset import Exported

VERDICTS = {
    "allowed": "answers may train a student",
    "conditions": "answers may train a student, under conditions",
    "unknown": "nobody has found a clause that allows it",
    "forbidden-competing": "answers must not train a model that competes with the teacher's maker",
    "forbidden": "answers must not train a model",
}
DIFFER = (
    "Where teachers differ the strictest binds, and so does every obligation; the column `terms` has each row's own."
)
NOTE = "These are facts with dates from a registry, as they stood when the answers were given; not legal advice."


def terms_text(exported: "Exported", overall: dict[str, Any]) -> str:
    """The section.

    Args:
        exported: with its teachers' terms.
        overall: those of the whole, as `terms.together` says them.
    """
    if overall["verdict"] is None:
        return "No answers, no terms."
    teachers = "\n".join(line for terms in exported.terms.values() for line in _of_teacher(terms))
    parts = [
        f"Of the whole: **{plain(overall['verdict'])}** ({meaning_of(overall['verdict'])}). {DIFFER}",
        bullets(rules(overall)),
        teachers,
        NOTE,
    ]
    return "\n\n".join(part for part in parts if part)


def meaning_of(verdict: str) -> str:
    """A verdict in words."""
    return VERDICTS.get(verdict, "a word that this version does not know")


def rules(overall: dict[str, Any]) -> list[str]:
    """What whoever uses the whole must do, a line each, in Markdown."""
    return [
        *(f"obligation: {plain(text)}" for text in overall["obligations"]),
        *(f"a student's name begins with: {plain(text)}" for text in overall["name_prefixes"]),
        *(f"a student's card shows: {plain(text)}" for text in overall["show"]),
        *(f"to hand along with a student: {plain(text)}" for text in overall["pass_on"]),
    ]


def _of_teacher(terms: dict[str, Any]) -> Iterator[str]:
    where = f"{plain(terms['id'])}; source: {plain(terms['source'] or '-')}; as of: {plain(terms['as_of'] or '-')}"
    yield f"- {plain(terms['teacher'])}: **{plain(terms['verdict'])}** ({where})"
    if terms["basis"]:
        who = f"accepted by {plain(terms.get('accepted_by') or 'nobody named')}; {CLAIMED}"
        against = "" if terms["verdict"] in PASSING else "**, against the verdict above**"
        yield f"  - basis{against}: {plain(terms['basis'])} ({who})"
