"""Which of a seed's accepted answers go on."""

from collections.abc import Sequence
from dataclasses import replace

from harvester.records import Outcome

NOT_SELECTED = "not_selected"


def select(rule: str, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes of one seed's samples, in sample order, with the unselected ones given their drop reason.

    Args:
        rule: `first_accepted` keeps the first accepted sample, `all` every accepted one.
        outcomes: one per sample, in sample order.
    """
    if rule == "all":
        return list(outcomes)
    chosen = next((at for at, outcome in enumerate(outcomes) if outcome.accepted), None)
    return [
        replace(outcome, drop_reason=NOT_SELECTED) if outcome.accepted and at != chosen else outcome
        for at, outcome in enumerate(outcomes)
    ]
