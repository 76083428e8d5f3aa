"""refusals: the answer refuses, or holds what only a chat model says of itself.

- **refusal**: one stands in its first 300 characters, as the verifier `refusal` finds them (verify/refusal.yaml).
- **boilerplate**: it speaks of itself as a model or of where its knowledge ends; its last paragraph hopes that this
  helps *and* offers more help; it ends in a mark of a chat template.

What is quoted, code, or a `>` line is somebody else's words. An answer that regrets something, names a limit and goes
on, or ends in a courtesy within a letter passes.
"""

import re

from harvester.curating.base import Drop, Example
from harvester.verify.base import quote
from harvester.verify.refusal import OPENING_CHARACTERS, READ_CHARACTERS, Phrases, plain

LONGEST_FAREWELL = 300

_QUOTED = re.compile(
    r'```.*?(?:```|\Z)|`[^`\n]+`|^[ \t]*>[^\n]*|"[^"\n]+"|“[^”\n]+”|„[^“”\n]+[“”]|«[^»\n]+»|»[^«\n]+«|'
    r"「[^」\n]+」|『[^』\n]+』",
    re.MULTILINE | re.DOTALL,
)
_TEMPLATE_END = re.compile(
    r"(?:<\|(?:im_end|im_start|eot_id|endoftext|end|assistant|user)\|>|<(?:end|start)_of_turn>)\Z",
)


class Refusals:
    """Drops refusals and boilerplate."""

    name = "refusals"

    def __init__(self) -> None:
        self._refusal = Phrases("opening")
        self._as_model = Phrases("anywhere")
        self._boilerplate = Phrases("anywhere", "cutoff")
        self._farewell = Phrases("farewell")
        self._salutation = Phrases("salutation")

    def look(self, example: Example) -> Drop | None:
        """The first of them, with its words."""
        answer = example.answer[:READ_CHARACTERS]
        drop = self._found(plain(answer))
        if drop:  # seldom; only then it matters who said so
            own = _QUOTED.sub("…", answer)
            drop = self._found(plain(own)) if any(map(str.isalnum, own)) else drop
        return drop or self._end(example.answer)

    def _found(self, text: str) -> Drop | None:
        said = self._refusal.find(text[:OPENING_CHARACTERS])
        if said:
            return Drop("refusal", {"said": quote(said)})
        said = self._boilerplate.find(text)
        if said:
            kind = "speaks as a model" if self._as_model.at(said) else "end of its knowledge"
            return Drop("boilerplate", {"kind": kind, "said": quote(said)})
        return None

    def _end(self, answer: str) -> Drop | None:
        answer = answer.rstrip()
        if answer.endswith(">") and _TEMPLATE_END.search(answer, max(0, len(answer) - 40)):
            return Drop("boilerplate", {"kind": "mark of a chat template"})
        last = answer[answer.rfind("\n") + 1 :]
        if len(last) > LONGEST_FAREWELL:
            return None
        said = self._farewell.at(plain(last))
        if said and not any(map(self._salutation.at, plain(answer).split("\n"))):
            return Drop("boilerplate", {"kind": "farewell", "said": quote(said)})
        return None
