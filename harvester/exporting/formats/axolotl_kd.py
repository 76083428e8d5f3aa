"""The teacher's distributions as Axolotl's plugin for distillation reads them.

Its loss compares the k-th last entry of `logprobs` with what the student says at the k-th last token of the rendered
conversation, which is about the token after it (axolotl 0.19: integrations/kd, chat_template.py and kernels/liger.py).
So the entries stand one token to the left of what they are about, and the last one is about nothing.
"""

from dataclasses import dataclass

from harvester.exporting.formats.records import Record, Row
from harvester.exporting.formats.soft_labels import SoftLabels, filled

FLOOR = -30.0
"""Natural logarithm of what no token has less of: at zero Axolotl's loss would be no number."""


@dataclass(frozen=True, slots=True)
class AxolotlKd:
    """Makes records for one student."""

    labels: SoftLabels

    def record(self, row: Row) -> Record:
        """A row with a distribution for each token from the answer's first one to the conversation's end.

        Where the API listed nothing (the template's own tokens after the answer) the token itself has it all.

        Raises:
            LeftOutError: the teacher's tokens are not the student's.
        """
        taught, others = self.labels.taught(row), self.labels.student.rare
        tokens = taught.ids[taught.begin :]
        most = max(map(len, taught.listed))
        about = [*zip(taught.listed, tokens, strict=True), ({}, tokens[-1])]  # the last: what would follow the end
        whole = [filled(listed, token, most, others=others, floor=FLOOR) for listed, token in about]
        return {
            "messages": row["messages"],
            "logprobs": [[logprob for _, logprob in target] for target in whole],
            "target_token_ids": [[token for token, _ in target] for target in whole],
            "row_id": row["row_id"],
        }
