"""code: the answer's Python passes the seed's tests, in a sandbox (`sandbox`).

The answer's code is what stands in its blocks fenced with ```python, one after the other; without any, in its other
fenced blocks; without those it is the whole answer. The tests are Python that raises where the answer is wrong:
statements (assert), functions whose names begin with test, unittest classes. They see the answer's names. Only the
standard library is there. A pass is proved by a token that the answer's code has no name for; code that was written
against this very harness could still defeat its tests, as it shares an interpreter with them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harvester.errors import BadInput
from harvester.records import Json
from harvester.verify import sandbox
from harvester.verify.base import BadSettings, Failed, Judge, one_line, quote
from harvester.verify.files import read_text
from harvester.verify.settings import Setting, SettingsKind, shown

SETTINGS = {
    "tests": Setting(object, missing="name the seed's field that holds the tests, or a .py file"),
    "timeout_s": Setting(float, default=10, most=600),
    "memory_mb": Setting(float, default=512, most=1 << 20),
}
LONGEST = 200_000
FENCE = "```"
PYTHON = ("python", "py", "python3")


def code_in(answer: str) -> str:
    """The answer's Python."""
    marked: list[str] = []
    others: list[str] = []
    block: list[str] | None = None
    language = ""
    for line in answer.splitlines():
        stripped = line.strip()
        if block is None and stripped.startswith(FENCE):
            block, language = [], stripped.strip("`").strip().lower()
        elif block is not None and stripped == FENCE:
            (marked if language in PYTHON else others).append("\n".join(block))
            block = None
        elif block is not None:
            block.append(line)
    return "\n\n".join(marked or others) if marked or others else answer


def _finish(settings: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:
    try:
        sandbox.require()
    except BadInput as missing:
        raise BadInput(f"{where}: {missing}") from None
    tests = settings["tests"]
    if isinstance(tests, str) and tests.endswith(".py"):
        return {**settings, "tests": {"text": read_text(folder, tests, where=f"{where}.tests")}}
    if not isinstance(tests, str) and not (isinstance(tests, Mapping) and isinstance(tests.get("text"), str)):
        raise BadSettings(".tests", f"must be a field of the seed or a .py file, not {shown(tests)}")
    return settings


def _tests(seed: Mapping[str, Json], tests: Json) -> str:
    if isinstance(tests, Mapping):
        return str(tests["text"])
    value = seed.get(tests)
    lines = value if isinstance(value, list) else [value]
    texts = [line for line in lines if isinstance(line, str)]
    if not lines or len(texts) < len(lines):
        raise Failed(f"the seed's field {quote(tests)} holds no tests")
    return "\n".join(texts)


def _judge(settings: Mapping[str, Any]) -> Judge:
    def judge(answer: str, seed: Mapping[str, Json]) -> None:
        code, tests = code_in(answer), _tests(seed, settings["tests"])
        if len(code) > LONGEST:
            raise Failed(f"longer than {LONGEST:,} characters")
        reason = sandbox.run(code, tests, timeout_s=settings["timeout_s"], memory_mb=int(settings["memory_mb"]))
        if reason is not None:
            raise Failed(one_line(reason))

    return judge


CODE = SettingsKind("code", SETTINGS, "{tests: …}", _judge, _finish, slow=True, seed_settings=("tests",))
