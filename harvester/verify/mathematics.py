r"""math: the answer's final value equals the one that the seed expects, whichever way both are written.

math-verify reads the last \boxed{…}, else the last formula or number, and compares by sympy: 1/2, 0.5 and \frac{2}{4}
are equal. What people write and it does not read is put into its forms first (`everyday_numbers`), and units are
compared apart from it (`units`). It runs in worker processes with limits of time and memory, because a formula can
keep sympy busy for ever.
"""

from collections.abc import Mapping
from typing import Any

from harvester.records import Json
from harvester.verify import workers
from harvester.verify.base import Failed, Judge, one_line, quote
from harvester.verify.settings import Setting, SettingsKind

MEMORY_MB = 2_048
SETTINGS = {
    "expected": Setting(str, missing="name the seed's field that holds the right value"),
    "timeout_s": Setting(float, default=5, most=600),
}


def _expected(seed: Mapping[str, Json], field: str) -> str:
    value = seed.get(field)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise Failed(f"the seed has no value in its field {quote(field)}")
    return str(value)


def _judge(settings: Mapping[str, Any]) -> Judge:
    def judge(answer: str, seed: Mapping[str, Json]) -> None:
        expected = _expected(seed, settings["expected"])
        reason = workers.run(
            "harvester.verify.math_task",
            (answer, expected),
            timeout_s=settings["timeout_s"],
            memory_mb=MEMORY_MB,
        )
        if reason is not None:
            raise Failed(one_line(str(reason)))

    return judge


MATH = SettingsKind("math", SETTINGS, "{expected: …}", _judge, slow=True, seed_settings=("expected",))
