"""What of a store's rows an export is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harvester.errors import BadInput
from harvester.exporting.formats import OF_TOKENS
from harvester.exporting.lineages import Lineage
from harvester.recipe import Recipe
from harvester.terms import require_verdict, strictest, strictness

OLDER, UNDER = "older", "under_min_score"
TERMS = "terms"
"""Begins the reason of rows that are left out for their terms."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """As the command line says it."""

    unfiltered: bool = False  # rejected answers in train too
    only_terms: str | None = None  # the strictest verdict that a row may have, in any split
    since: datetime | None = None  # rows whose answer was stored before are in no split
    min_score: float | None = None  # of rows of train and dev for which no person vouches
    format: str = "messages"

    @classmethod
    def stated(cls, notes: Mapping[str, Any], *, where: Path) -> "Wanted":
        """What the dataset whose `harvester.json` is at `where` was to hold, by what that says.

        Raises:
            BadInput: it says what cannot be.
        """
        since, only_terms, min_score = (notes.get(name) for name in ("since", "only_terms", "min_score"))
        try:
            require_verdict(only_terms, where="only_terms")
            least = None if min_score is None else float(min_score)
            return cls(bool(notes.get("unfiltered")), only_terms, None if since is None else day(since), least)
        except (TypeError, ValueError, BadInput) as error:
            raise BadInput(f"{where}: {error}; export the dataset again") from None

    def require_possible(self, recipe: Recipe) -> None:
        """Refuse what no row of the recipe could be.

        Raises:
            BadInput: `only_terms` is no verdict, or nobody scores the recipe's answers.
        """
        require_verdict(self.only_terms, where="only_terms")
        if self.min_score is not None and not any(step.judges for step in recipe.steps):
            raise BadInput(f"{recipe.path}: min_score: no step judges the answers, so none has a score; leave it out")

    def against(self, lineage: Lineage) -> str | None:
        """Why a row has no place in any split; None where it has."""
        reply = lineage.row.reply
        if self.since and reply and datetime.fromisoformat(reply.received_at) < self.since:
            return OLDER
        if self.only_terms:
            verdict = strictest(one.terms["verdict"] for one in lineage.replies)
            if verdict and strictness(verdict) > strictness(self.only_terms):
                return f"{TERMS}:{verdict}"
        return UNDER if self._is_under(lineage) else None

    def _is_under(self, lineage: Lineage) -> bool:
        """Whether a row that would be written lacks the score; a person's word stands above any."""
        if self.min_score is None or lineage.row.split == "test" or lineage.vouched or lineage.outcome.drop_reason:
            return False
        score = lineage.outcome.score
        return score is None or score < self.min_score

    def options(self) -> str:
        """On the command line, each with a space before it."""
        stated = {
            "unfiltered": "" if self.unfiltered else None,
            "only-terms": self.only_terms,
            "since": self.since and self.since.isoformat(),
            "min-score": self.min_score,
            "format": None if self.format == "messages" else self.format,
            "tokenizer": "STUDENT" if self.format in OF_TOKENS else None,
        }
        return "".join(f" --{name} {value}".rstrip() for name, value in stated.items() if value is not None)


def day(text: str) -> datetime:
    """An ISO 8601 date or time; without a zone it is UTC.

    Raises:
        ValueError: it is none.
    """
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
