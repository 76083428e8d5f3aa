"""The mend for a misspelt name."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """`; did you mean X?` where a known name is close to `name`, else nothing."""
    near = difflib.get_close_matches(str(name).lower(), known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
