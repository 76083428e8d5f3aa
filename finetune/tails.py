"""Whether a row's tokens are a sample of what its teacher would say: only then do they tell of the tail, without bias.

The tail is what the API did not list. Its loss (D, docs/design/014-soft-labels.md) takes the sampled token for a draw
from the teacher's own distribution, at each position by itself. Whatever looks at answers and takes some away, and
whatever changes the distribution, breaks that; so does one seed for all prompts, which gives all of them one luck.
"""

from collections.abc import Mapping
from typing import Any

from finetune.data import Row
from finetune.notes import HarvestNotes
from finetune.rendering import Rendered
from harvester.pure_sampling import EVERYWHERE, NEUTRAL, SAMPLED_PURELY

WITHOUT_MORE = frozenset({"openai", "azure"})
"""Providers whose API has neither top_k nor min_p, and no defaults of a model's own."""
HARMLESS = frozenset({"max_tokens", "max_completion_tokens", "logprobs", "top_logprobs", "seed", "stream", "stop"})
"""Parameters that leave the distribution alone. One that is not known may change it."""
MOST_PER_REQUEST = ("top_logprobs", "logprobs")
"""Parameters that say how many tokens were to be listed; with the first, `logprobs` is true or false."""
LEFT_ALONE = ("older", "terms:", "prompt alone")
"""Beginnings of the reasons for which rows are left out, whatever their answer says."""


class Tails:
    """The rule for the rows of one split.

    Args:
        rendered: the rows, and why others cannot be learnt from.
        notes: the dataset's.
    """

    def __init__(self, rendered: Rendered, notes: HarvestNotes) -> None:
        self._of_all = _why_none_at_all(rendered, notes)
        prompts: dict[Any, set[str]] = {}
        for row in rendered.rows:
            if (seed := _stated(row).get("seed")) is not None:
                prompts.setdefault(seed, set()).add(repr(row.prompt))
        self._shared = {seed for seed, asked in prompts.items() if len(asked) > 1}

    def why_none(self, row: Row) -> str | None:
        """Why a row's tokens tell nothing of the tail; None where they do."""
        stated = _stated(row)
        if stated.get("seed") in self._shared:
            return f"several prompts were sampled with the seed {stated['seed']}, by one and the same chance"
        return self._of_all or _why_not_pure(stated, row.provider)


def _why_none_at_all(rendered: Rendered, notes: HarvestNotes) -> str | None:
    if notes.picked and not notes.unfiltered:
        return "answers were picked by a check, a judge or a vote"
    for left_out in (notes.dropped or {}, rendered.dropped):
        for reason in left_out:
            if not reason.startswith(LEFT_ALONE) and "failed:" not in reason:
                return f"rows were left out for their answers ({reason})"
    if any(map(_lacks, rendered.rows)):
        return "a row lacks the logprobs that were asked for, as an answer does that a person edited"
    return None


def _lacks(row: Row) -> bool:
    return row.stored_logprobs is None and any(_stated(row).get(name) for name in MOST_PER_REQUEST)


def _why_not_pure(stated: Mapping[str, Any], provider: str | None) -> str | None:
    needed = EVERYWHERE if provider in WITHOUT_MORE else SAMPLED_PURELY
    for name, values in SAMPLED_PURELY.items():
        if name not in stated and name in needed:
            return f"`sampling` does not state {name}: {values[0]}"
    for name, value in stated.items():
        known = {**SAMPLED_PURELY, **NEUTRAL}.get(name)
        if known is not None and value not in known:
            return f"`sampling` has {name}: {value}, not {known[0]}"
        if known is None and name not in HARMLESS:
            return f"`sampling` has {name}, which may change what is sampled"
    return None


def _stated(row: Row) -> Mapping[str, Any]:
    return row.sampling if isinstance(row.sampling, dict) else {}
