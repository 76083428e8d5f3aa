"""What the card says of how a dataset was made: seeds, steps, what was left out, and what nobody looked at."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harvester.calling import VERIFIER
from harvester.exporting.markdown import bullets, code, plain, table
from harvester.exporting.metadata import checked_languages
from harvester.exporting.origins import SeedFiles
from harvester.meanings import CHECKS, UNKNOWN_CHECK, meaning
from harvester.pricing import usd
from harvester.recipe import Recipe, Step

if TYPE_CHECKING:
    from harvester.exporting.dataset import Exported

MOST_REASONS = 30
STEPS = ("step", "kind", "reads", "teacher", "terms", "checks", "selects")
UNREAD = (
    "The answers are a language model's: its mistakes are in them, and what it should not have said, as far as no check"
    " saw it. Where a person looked at a row, `checks` says so; at others nobody did."
)
UNSEARCHED = "Nobody looked for secrets, personal data, copies or held-out texts among the rows."
PICKED = "Answers were picked by what is told above, so they are no random sample of what the teacher says."
OPINION = "`score` is a model's opinion of another's answer."
TEST = (
    "The answers in `test` are the teacher's, wrong ones too; what is right stands in `reference`, where it is known."
)


def making(recipe: Recipe, exported: "Exported", seeds: Sequence[SeedFiles]) -> str:
    """The section on seeds, steps and cost."""
    kept = exported.rows["train"] + exported.rows["dev"]
    per_row = usd(exported.cost_nusd) / kept if kept else 0.0
    given = [
        (f"`{one.split}`", code(one.path), plain(one.license or "unstated"), code(one.sha256 or "not known"))
        for one in seeds
    ]
    cost = f"${usd(exported.cost_nusd):.4f} in all, judges and failed requests too"
    facts = [
        f"Accepted: {exported.accepted} of {exported.asked} answers asked for `train` and `dev`",
        f"Cost: {cost}; ${per_row:.6f} for each row kept in `train` and `dev`",
        f"Collecting took {exported.collect_minutes:.1f} minutes",
    ]
    parts = [
        table(("seeds of", "from", "licence", "sha256"), given),
        table(STEPS, [_step(recipe, exported, step) for step in recipe.steps]),
        bullets(facts),
    ]
    return "\n\n".join(parts)


def _step(recipe: Recipe, exported: "Exported", step: Step) -> list[str]:
    """A row of the table of steps."""
    name = recipe.teacher_name(step)
    teacher = recipe.every_teacher[name]
    known = [terms for terms in exported.terms.values() if terms["teacher"] == name]
    binding = dict.fromkeys(f"{plain(terms['verdict'])} ({plain(terms['id'])})" for terms in known)
    checks = ", ".join(map(code, _checked_by(recipe, step)))
    return [
        code(step.name),
        step.kind,
        code(recipe.read_by(step)),
        f"{code(teacher.model)} at {code(teacher.base_url)}",
        ", ".join(binding) or "nobody answered",
        checks or "none",
        code(recipe.selects(step)),
    ]


def _checked_by(recipe: Recipe, step: Step) -> list[str]:
    own = [VERIFIER] if callable(step.verify) else []
    return [*recipe.demands(step).of_answers, *own]


def left_out(recipe: Recipe, exported: "Exported") -> str:
    """The section on rows that were not written."""
    where = "Of `train` and `dev`"
    if exported.wanted.only_terms:
        where = f"Of `train` and `dev`, and of every split what has terms stricter than `{exported.wanted.only_terms}`"
    if not exported.dropped:
        return f"{where}: nothing."
    steps = frozenset(recipe.by_name)
    found = sorted(exported.dropped.items(), key=lambda one: (-one[1], one[0]))
    rows = [(plain(reason), str(count), plain(meaning(reason, steps))) for reason, count in found[:MOST_REASONS]]
    if further := found[MOST_REASONS:]:
        rows.append((f"{len(further)} further reasons", str(sum(count for _, count in further)), ""))
    return f"{where}; it stays in the store.\n\n{table(('reason', 'rows', 'meaning'), rows)}"


def limitations(recipe: Recipe, exported: "Exported") -> str:
    """The section on what is not known of the rows."""
    languages = ", ".join(map(code, checked_languages(recipe)))
    lines = [
        UNREAD,
        f"Language: {languages}, as a check told it." if languages else "Languages: not checked.",
        _curation(exported),
    ]
    lines += [OPINION] if any(step.judges for step in recipe.steps) else []
    lines += [PICKED] if are_picked(recipe) else []
    lines += [TEST] if exported.rows["test"] else []
    return f"{_checks(recipe)}\n\n{bullets(lines)}"


def _curation(exported: "Exported") -> str:
    curation = exported.curation
    if curation is None:
        return UNSEARCHED
    filters = ", ".join(code(name) for name in curation.settings["filters"]) or "no filter"
    stale = "".join(f" Since then {reason}." for reason in exported.stale)
    return f"Curated on {curation.made_at[:10]} by {filters}.{stale} What no filter looks for, nobody looked for."


def are_picked(recipe: Recipe) -> bool:
    """Whether anything decides which answers become rows."""
    judged = any(step.judges for step in recipe.steps)
    return judged or recipe.competes(recipe.answer_step) or bool(_checked_by(recipe, recipe.answer_step))


def _checks(recipe: Recipe) -> str:
    checks = _checked_by(recipe, recipe.answer_step)
    if not checks:
        return "No check looked at the answers. Those that were cut off, empty or filtered were left out."
    rows = [(code(name), *CHECKS.get(name, UNKNOWN_CHECK)) for name in checks]
    return table(("check", "what passing it says", "what it does not say"), rows)
