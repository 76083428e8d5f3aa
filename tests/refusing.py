"""What every refused input has in common."""


def refused(result: tuple[int, str, str], says: str, code: int = 2) -> None:
    """One line on stderr that says so, and the exit code."""
    got, _, errors = result
    assert (got, errors.count("\n")) == (code, 1), errors
    assert says in errors
