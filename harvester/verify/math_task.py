"""What a worker does for the `math` verifier; math-verify and sympy are imported here only."""

import logging

from harvester.verify.boxed import last_boxed

LONGEST = 20_000


def prepare() -> None:
    """Load math-verify, which takes a second."""
    import math_verify  # noqa: F401, PLC0415 - in the worker only

    logging.disable(logging.CRITICAL)  # it warns that its own timeouts are off: workers have theirs


def run(answer: str, expected: str) -> str | None:
    r"""Why the answer's final value is not the expected one; None where it is.

    The final value is that of the last \boxed{…}, else the last formula or number. What is expected may be LaTeX, with
    or without $ signs, plain text, or end in `#### value`.
    """
    from math_verify import parse, verify  # noqa: PLC0415 - in the worker only

    gold = expected.rpartition("####")[2].strip()
    golds = [gold] if "\\boxed" in gold or "$" in gold else [f"\\boxed{{{gold}}}", gold]
    wanted = next((found for one in golds if (found := parse(one, parsing_timeout=None))), None)
    if not wanted:
        return "the value that the seed expects cannot be read"
    boxed = last_boxed(answer)  # math-verify would join all boxes into one value
    found = parse((answer if boxed is None else f"\\boxed{{{boxed}}}")[-LONGEST:], parsing_timeout=None)
    if not found:
        return "has no value that can be read"
    return None if verify(wanted, found, timeout_seconds=None) else f"its value is {found[-1]}, not what is expected"
