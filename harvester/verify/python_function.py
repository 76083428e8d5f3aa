"""python: the user's own function judges, `module:function` with the arguments (answer, seed).

It returns True or False, a pair of that and a reason, or a `Check`. The module is a file of the recipe's folder (its
text becomes part of the rules, so an edit judges anew; it cannot import its neighbours), else an installed one. What
it raises fails the answer. It runs in a worker process, never in the one that collects.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harvester.records import Json
from harvester.verify import workers
from harvester.verify.base import BadSettings, Failed, Verifier, checking, one_line
from harvester.verify.files import read_text
from harvester.verify.settings import Setting, read_settings, shown

TASK = "harvester.verify.function_task"
SETTINGS = {
    "function": Setting(str, missing="name it as module:function"),
    "timeout_s": Setting(float, default=5, most=600),
    "memory_mb": Setting(float, default=4_096, most=1 << 20),
    "source": Setting(str),
    "sha256": Setting(str),
}
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class PythonFunction:
    """The setting is `module:function`, or a mapping with `function`."""

    name = "python"
    slow = True
    runs_recipe_code = True
    seed_settings = ()

    def resolve(self, settings: Json, folder: Path, where: str) -> Json:
        """Reads the module's text in, and loads the function once in a worker: a wrong name is found here."""
        stated = {"function": settings} if isinstance(settings, str) else settings
        checked = read_settings(stated, SETTINGS, "module:function")
        if not _NAME.fullmatch(checked["function"]):
            raise BadSettings(".function", f"must be module:function, not {shown(checked['function'])}")
        file = f"{checked['function'].partition(':')[0].replace('.', '/')}.py"
        if "source" not in checked and (folder / file).exists():
            checked["source"] = read_text(folder, file, where=where)
        arguments = (checked["function"], checked.get("source"))
        try:
            sha256 = self._run(checked, arguments, call="file_hash")
        except Failed as failed:
            mend = "" if "source" in checked else f"; there is no {file} in the recipe's folder either"
            raise BadSettings("", f"{checked['function']} cannot be loaded: {failed.reason}{mend}") from None
        return {**checked, "sha256": sha256} if sha256 else checked

    def build(self, settings: Json) -> Verifier:
        """The verifier. It runs the code that the settings hold: ones from elsewhere go through `resolve` first."""

        def judge(answer: str, seed: Mapping[str, Json]) -> None:
            arguments = (settings["function"], settings.get("source"), answer, dict(seed))
            passed, reason = self._run(settings, arguments)
            if not passed:
                raise Failed(one_line(reason or "") or f"{settings['function']} says no")

        return checking(self.name, settings, judge)

    def _run(self, settings: Mapping[str, Any], arguments: tuple[Json, ...], **options: Any) -> Any:
        return workers.run(
            TASK,
            arguments,
            prepare=arguments[:2],
            timeout_s=settings["timeout_s"],
            memory_mb=int(settings["memory_mb"]),
            **options,
        )


PYTHON = PythonFunction()
