r"""The last \boxed{…} of a text, where models put their final answers."""

import re

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")


def last_boxed(text: str) -> str | None:
    r"""What stands in the last \boxed{…} or \fbox{…}, braces balanced; None without one, or where it stays open."""
    start = max((box.end() for box in _BOX.finditer(text)), default=None)
    if start is None:
        return None
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
