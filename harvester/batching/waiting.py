"""When to look at a batch again, and when to stop looking."""

from dataclasses import dataclass, field

FIRST_LOOK_S, MOST_WAIT_S, GROWTH = 1.0, 300.0, 1.5
MOST_SILENT = 10
"""Looks at a batch, one after the other, that bring no answer or no file: then it is left for another run."""


@dataclass(slots=True)
class Patience:
    """The pauses between looks grow while nothing changes, up to five minutes."""

    wait_s: float = FIRST_LOOK_S
    silent: dict[int, int] = field(default_factory=dict)  # batch → looks in vain
    given_up: dict[int, str] = field(default_factory=dict)  # batch → why

    def next_wait_s(self, *, changed: bool) -> float:
        """Seconds until the next look."""
        now = FIRST_LOOK_S if changed else self.wait_s
        self.wait_s = min(MOST_WAIT_S, now * GROWTH)
        return now

    def heard(self, batch: int) -> None:
        """A batch's look was not in vain."""
        self.silent.pop(batch, None)

    def missed(self, batch: int, why: str) -> None:
        """A batch's look was in vain."""
        self.silent[batch] = self.silent.get(batch, 0) + 1
        if self.silent[batch] >= MOST_SILENT:
            self.give_up(batch, why)

    def give_up(self, batch: int, why: str) -> None:
        """Leave a batch for another run."""
        self.given_up[batch] = why
