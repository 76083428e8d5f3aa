"""Runs of held-out texts that many rows have in common: an instruction of the seeds, and no copied item."""

from collections.abc import Iterable, Mapping

import numpy as np

from harvester.curating.base import Example
from harvester.curating.comparable import longest_text
from harvester.curating.held_out_runs import TINY, Key, Runs
from harvester.curating.word_grams import U64, Numbers, Words, grams, words

COMMON_PROMPTS, PROMPTS_SHARE = 5, 0.02
"""A run in rows of so many different prompts, and in more than this share of them, is no item's own text."""
MOST_CHARACTERS = 500
"""Of a text that is looked at whole: four words have fewer."""


def shared_runs(held_out: Mapping[Key, Runs], examples: Iterable[Example]) -> dict[Key, U64]:
    """The hashes of the runs that are shared, where there are any; rows of one prompt count as one.

    Args:
        held_out: the runs to look for.
        examples: rows, or a sample of them.
    """
    counts = {key: np.zeros(len(runs), np.int64) for key, runs in held_out.items()}
    prompts: set[bytes] = set()
    for example in examples if held_out else ():
        found = words([example.prompt])
        form = found.hashes.tobytes()
        if form in prompts:
            continue
        prompts.add(form)
        inside, whole = [found, words([example.answer])], [found, whole_seed(example)]
        for key, runs in held_out.items():
            counts[key][_places(key, runs, whole if key[0] == TINY else inside)] += 1
    least = max(COMMON_PROMPTS, int(PROMPTS_SHARE * len(prompts)) + 1)
    return {key: held_out[key].hashes[many >= least] for key, many in counts.items() if (many >= least).any()}


def whole_seed(example: Example) -> Words:
    """The words of the longest text of a row's seed, as far as it may be a very short one."""
    return words([longest_text(example)[:MOST_CHARACTERS]])


def _places(key: Key, runs: Runs, texts: Iterable[Words]) -> Numbers:
    """Which of the runs stand in some texts; of the shortest kind, which are one of them."""
    kind, many = key
    fitting = (one for one in texts if kind != TINY or len(one.hashes) == many)
    return np.unique(np.concatenate([np.empty(0, np.int64), *(runs.places(grams(one, many)[0])[1] for one in fitting)]))
