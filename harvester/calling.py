"""A recipe's Python functions, called: whatever they raise or return is one line, and what they are given is a copy."""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from harvester.conversations import conversation
from harvester.errors import BadInput
from harvester.recipe import Step
from harvester.recipe.functions import PromptFunction, VerifyFunction, named
from harvester.records import Answer, Json, Message, half_pair
from harvester.verify import Verifier
from harvester.verify.base import Failed, checking, one_line, quote
from harvester.verify.function_task import verdict

VERIFIER = "python"
"""The name in checks and in reasons for dropping; as of the verifier that runs a recipe's own file."""


class FunctionPrompt:
    """A function in the place of a template."""

    names: frozenset[str] = frozenset()
    """The fields that it reads: nobody can tell."""

    def __init__(self, function: PromptFunction, *, where: str) -> None:
        """Of the step's field `where`."""
        self._function = function
        self.place = f"{where}: {named(function)}"

    def render(self, data: Mapping[str, Json]) -> list[Message]:
        """The messages for one row.

        Raises:
            BadInput: the function fails on it, or returns no prompt.
        """
        try:
            return conversation(self._function(deepcopy(dict(data))), f"{self.place}: what it returns")
        except BadInput as error:
            raise BadInput(f"{error}; the seed has {quote(dict(data))}") from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the user's own code: whatever it raises is its mistake
            raise BadInput(f"{self.place}: {_said(error)}; the seed has {quote(dict(data))}") from None


def read_answer(step: Step, answer: Answer) -> Answer:
    """The answer as the step's own function reads it out of the reply; other than JSON a text is taken as it is.

    The tokens of a reply are not those of another text: where it changes, log probabilities are left out.

    Raises:
        Failed: the function finds no answer.
    """
    if step.parse is None or answer.status != "ok":
        return answer
    text = _text(_called(step.parse, answer.text))
    return replace(answer, text=text, logprobs=answer.logprobs if text == answer.text else None)


def verifier(function: VerifyFunction) -> Verifier:
    """A function as a verifier."""

    def judge(answer: str, seed: Mapping[str, Json]) -> None:
        passed, reason = _called(lambda: verdict(function(answer, deepcopy(dict(seed)))))
        if not passed:
            raise Failed(one_line(reason or "") or f"{named(function)} says no")

    return checking(VERIFIER, {"function": named(function)}, judge)


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - as in `render`, sys.exit() too; what it raises fails the answer
        raise Failed(_said(error)) from None


def _text(answer: Json) -> str:
    """An answer as the text that verifiers, the dataset and later steps see."""
    if answer is None:
        raise Failed("finds no answer")
    try:
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Failed(f"returns neither text nor JSON: {_said(error)}") from None
    if half_pair(text):
        raise Failed("returns half of a surrogate pair")
    if not text.strip():
        raise Failed("returns an empty text")
    return text


def _said(error: BaseException) -> str:
    """What an exception says; the reason alone where a function gave one."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the user's own class, that cannot even say what it is
        return name
    return one_line(text if type(error) is ValueError else f"{name}: {text}") or name
