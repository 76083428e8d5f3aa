"""refusals: the answer refuses, or holds what only a chat model says of itself.

- **refusal**: one stands in its first 300 characters, as the verifier `refusal` finds them (verify/refusal.yaml).
- **boilerplate**: it speaks of itself as a model or of where its knowledge ends; its last paragraph hopes that this
  helps *and* offers more help; it ends in a mark of a chat template.

What is quoted, code, or a `>` line is somebody else's words, and so is a refusal in a letter, in a dialogue after its
first line, or where a text of the seed regrets something itself (it is translated, or answered). In English only what
a model is asked for can be refused: to help, to tell, to write; "I'm sorry, but I can't come" passes. An answer that
names a limit and goes on, or ends in a courtesy within a letter, passes, too. One that refuses a part and does another
is dropped: where help begins cannot be told.
"""

import re

from harvester.curating.base import Drop, Example
from harvester.secret_forms import texts_in
from harvester.verify.base import quote
from harvester.verify.refusal import OPENING_CHARACTERS, READ_CHARACTERS, Phrases, plain

LONGEST_FAREWELL = 300
LONGEST_SIGNATURE = 40
"""Characters of a letter's last line: "Best, Tom"."""
LEAST_LINES = 3
"""Of a letter with a signature."""
LONGEST_SPEAKER = 30

_ENDS = (".", "!", "?", "。", "！", "？", "؟", "।")  # noqa: RUF001 - the marks of other scripts

_QUOTED = re.compile(
    r'```.*?(?:```|\Z)|`[^`\n]+`|^[ \t]*>[^\n]*|"[^"\n]+"|“[^”\n]+”|„[^“”\n]+[“”]|«[^»\n]+»|»[^«\n]+«|'
    r"「[^」\n]+」|『[^』\n]+』",
    re.MULTILINE | re.DOTALL,
)
_SPEECH = re.compile(rf"[ \t*]*[^\W\d_][^:\n]{{0,{LONGEST_SPEAKER}}}[:：][* \t]*\S")  # noqa: RUF001 - full width
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
        self._address = Phrases("address")
        self._regret = Phrases("opening", "regret")

    def look(self, example: Example) -> Drop | None:
        """The first of them, with its words."""
        answer = example.answer[:READ_CHARACTERS]
        drop = self._found(plain(answer))
        if drop:  # seldom; only then it matters who said so
            own = _QUOTED.sub("…", answer)
            drop = self._found(plain(own)) if any(map(str.isalnum, own)) else drop
            if drop and drop.reason == "refusal" and self._is_of_others(example):
                drop = self._as_boilerplate(plain(own))
        return drop or self._end(example.answer)

    def _found(self, text: str) -> Drop | None:
        said = self._refusal.find(text[:OPENING_CHARACTERS])
        return Drop("refusal", {"said": quote(said)}) if said else self._as_boilerplate(text)

    def _as_boilerplate(self, text: str) -> Drop | None:
        said = self._boilerplate.find(text)
        if not said:
            return None
        kind = "speaks as a model" if self._as_model.at(said) else "end of its knowledge"
        return Drop("boilerplate", {"kind": kind, "said": quote(said)})

    def _is_of_others(self, example: Example) -> bool:
        """Whether a refusal is what the answer tells, and not what it does."""
        lines = [line for line in _QUOTED.sub("…", example.answer[:READ_CHARACTERS]).split("\n") if line.strip()]
        return self._is_letter([plain(line) for line in lines]) or self._is_dialogue(lines) or self._is_asked(example)

    def _is_letter(self, lines: list[str]) -> bool:
        if any(map(self._address.at, lines[:2])):  # the first may be its subject
            return True
        *_, last = lines
        is_signed = len(lines) >= LEAST_LINES and len(last) <= LONGEST_SIGNATURE and not last.endswith(_ENDS)
        return is_signed and any(map(self._salutation.at, lines[:2]))

    def _is_dialogue(self, lines: list[str]) -> bool:
        spoken = sum(_SPEECH.match(line) is not None for line in lines)
        return spoken > 1 and _SPEECH.match(lines[0]) is not None and not self._refusal.find(plain(lines[0]))

    def _is_asked(self, example: Example) -> bool:
        texts = (text[:READ_CHARACTERS] for text in texts_in(example.seed) if text in example.prompt)
        return any(self._regret.stand_in(plain(text)) for text in texts)

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
