"""secrets: a key, token or password anywhere in the row; the drop names its kind and part, never the secret."""

from harvester.curating.base import Drop, Example
from harvester.curating.parts import parts
from harvester.secret_forms import kinds


class Secrets:
    """Drops rows that hold a secret that can be told by its form."""

    name = "secrets"

    def look(self, example: Example) -> Drop | None:
        """The first part with a secret."""
        for part, text in parts(example):
            found = kinds(text)
            if found:
                return Drop("secret", {"kind": min(found), "part": part})
        return None
