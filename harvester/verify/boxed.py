r"""The last \boxed{…} of a text, where models put their final answers."""

_BOX = "\\boxed{"


def last_boxed(text: str) -> str | None:
    r"""What stands in the last \boxed{…}, its braces balanced; None where there is none, or it is never closed."""
    start = text.rfind(_BOX)
    if start < 0:
        return None
    start += len(_BOX)
    depth, escaped = 1, False
    for place in range(start, len(text)):
        letter = text[place]
        if escaped:
            escaped = False  # \{ is a brace to read, not one that groups
        elif letter == "\\":
            escaped = True
        elif letter in "{}":
            depth += 1 if letter == "{" else -1
            if depth == 0:
                return text[start:place]
    return None
