"""Templates: a file of the recipe, compiled once in a sandbox → the messages for one row."""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, StrictUndefined, TemplateRuntimeError, TemplateSyntaxError, meta, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harvester.errors import BadInput
from harvester.guarding import P, R, TooMuch, within_limits
from harvester.paths import inside
from harvester.recipe import Recipe
from harvester.records import Json, Message, half_pair
from harvester.text_files import readable

_messages: ContextVar[list[Message]] = ContextVar("messages")

MOST_BITS = 100_000  # of a power
MOST_CHARACTERS = 10_000_000  # of a prompt, and of a repeated text: far more than any model reads
MOST_MESSAGES = 10_000  # of a prompt
MOST_NAMES = 200  # characters of a seed's field names in a message
OVERSIZED = (RecursionError, MemoryError, OverflowError, ValueError)


class RoleBlocks(Extension):
    """`{% system %}…{% endsystem %}`, likewise `user` and `assistant`: each block becomes one message.

    Roles are template syntax, so nothing that a seed contains can open or close a message.
    """

    tags = {"system", "user", "assistant"}  # noqa: RUF012 - the base class declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        """Turn one block into a call that appends its text as a message."""
        token = next(parser.stream)
        body = parser.parse_statements((f"name:end{token.value}",), drop_needle=True)
        call = self.call_method("_append", [nodes.Const(token.value)])
        return nodes.CallBlock(call, [], [], body).set_lineno(token.lineno)

    def _append(self, role: str, caller: Any) -> str:
        _messages.get().append({"role": role, "content": caller().strip()})
        return ""


class Sandbox(ImmutableSandboxedEnvironment):
    """Where templates run: no attributes of Python's own, and no arithmetic that never ends or eats the memory."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Multiply or raise to a power, unless the result would be absurdly large."""
        if _absurd(operator, left, right):
            raise TemplateRuntimeError(f"the result of {operator} is too large")
        return super().call_binop(context, operator, left, right)


def _absurd(operator: str, left: Any, right: Any) -> bool:
    if operator == "**":
        return isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > MOST_BITS
    for times, what in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(what, str | bytes | list | tuple):
            return times * len(what) > MOST_CHARACTERS
    return False


class Template:
    """One template of a recipe, compiled once."""

    def __init__(self, folder: Path, name: str, *, where: str) -> None:
        """Compile `name`; other templates of the folder can be included.

        Raises:
            BadInput: no such file, outside the folder, or not a template.
        """
        self.path = inside(folder, name, where=where)
        sources = template_sources(folder, name, where=where)
        texts = {other: source.decode("utf-8-sig") for other, source in sources.items()}
        environment = _environment(texts)
        self._texts = tuple(texts.values())
        try:
            self._template = _limited(self.path, environment.get_template, name)
        except TemplateSyntaxError as error:
            raise BadInput(f"{self.path}: line {error.lineno}: {error.message}") from None
        except (SyntaxError, *OVERSIZED) as error:  # more nested blocks than Python compiles
            raise BadInput(f"{self.path}: cannot be compiled: {_say(error)}; make it simpler") from None

    @property
    def place(self) -> str:
        """What its messages begin with."""
        return str(self.path)

    @property
    def names(self) -> set[str]:
        """The fields that it, or a template that it includes, reads."""
        environment = _environment({})
        return {name for text in self._texts for name in meta.find_undeclared_variables(environment.parse(text))}

    def render(self, data: Mapping[str, Json]) -> list[Message]:
        """The messages for one row; a template without role blocks is one user message.

        Raises:
            BadInput: the template names a field that the seed lacks, fails, has text outside its blocks, or takes
                more time or memory than any prompt needs (`within_limits` says where that is known).
        """
        return _limited(self.path, self._render, data)

    def _render(self, data: Mapping[str, Json]) -> list[Message]:
        messages: list[Message] = []
        token = _messages.set(messages)
        try:
            text = self._template.render(data).strip()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a template runs filters of any kind; whatever they raise is its mistake
            mend = self._mend_of_a_steps_name(data) or f"the seed has the fields: {_names(data)}"
            raise BadInput(f"{self.path}: {_say(error)}; {mend}") from None
        finally:
            _messages.reset(token)
        if messages and text:
            raise BadInput(f"{self.path}: text outside the role blocks: {text[:40]!r}; move it into one")
        messages = messages or [{"role": "user", "content": text}]
        if len(messages) > MOST_MESSAGES or sum(len(message["content"]) for message in messages) > MOST_CHARACTERS:
            raise BadInput(
                f"{self.path}: renders more than {MOST_CHARACTERS} characters or {MOST_MESSAGES} messages; shorten it"
            )
        if not any(message["content"] for message in messages):
            raise BadInput(f"{self.path}: renders to an empty prompt")
        if any(half_pair(message["content"]) for message in messages):
            raise BadInput(f"{self.path}: renders half of a surrogate pair (\\ud800 alone); remove it")
        return messages

    def _mend_of_a_steps_name(self, data: Mapping[str, Json]) -> str | None:
        """How to write `steps.first-label`, which a template reads as `steps.first` minus `label`."""
        steps = data.get("steps")
        for name in steps if isinstance(steps, Mapping) else ():
            if "-" in name and any(re.search(rf"\bsteps\.{re.escape(name)}(?![\w-])", text) for text in self._texts):
                return f'write steps["{name}"] for steps.{name}, which takes a difference'
        return None


def student_template(recipe: Recipe) -> Template | None:
    """The template of the student's view; None where the student sees the teacher's own prompt.

    Raises:
        BadInput: the template is wrong.
    """
    if recipe.student is None:
        return None
    return Template(recipe.folder, recipe.student.prompt, where=f"{recipe.path}: student.prompt")


def _limited(path: Path, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    try:
        return within_limits(function, *arguments, **named)
    except TooMuch as error:
        raise BadInput(f"{path}: {error}; make it simpler") from None


def _environment(sources: Mapping[str, str]) -> Sandbox:
    return Sandbox(
        loader=DictLoader(sources),
        undefined=StrictUndefined,
        extensions=[RoleBlocks],
        autoescape=False,
        keep_trailing_newline=False,
    )


def template_sources(folder: Path, name: str, *, where: str) -> dict[str, bytes]:
    """Name → bytes of a template and of everything it includes: all that a template can read.

    Raises:
        BadInput: a file is missing, outside the folder, not a template, or included by a name only rendering tells.
    """
    return _limited(folder / name, _read_all, folder, name, where)


def _read_all(folder: Path, name: str, where: str) -> dict[str, bytes]:
    parser = _environment({})
    sources: dict[str, bytes] = {}
    wanted = [(name, where)]
    while wanted:
        current, named_in = wanted.pop()
        if current in sources:
            continue
        path = inside(folder, current, where=named_in)
        sources[current] = _read(path)
        wanted += [(included, str(path)) for included in _included(parser, path, sources[current].decode("utf-8-sig"))]
    return sources


def _included(parser: Sandbox, path: Path, text: str) -> list[str]:
    """Names of the templates that a template's text includes, extends or imports."""
    try:
        names = list(meta.find_referenced_templates(parser.parse(text)))
    except TemplateSyntaxError as error:
        raise BadInput(f"{path}: line {error.lineno}: {error.message}") from None
    except OVERSIZED as error:
        raise BadInput(f"{path}: cannot be read as a template: {_say(error)}; make it simpler") from None
    literal = [name for name in names if isinstance(name, str)]
    if len(literal) < len(names):
        # What it reads would be known only after rendering, and a plan must tell before that whether anything changed.
        raise BadInput(f"{path}: includes a template by a computed name; name the included template literally")
    return literal


def _read(path: Path) -> bytes:
    with readable(path):
        source = path.read_bytes()
        source.decode()
    return source


def _say(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _names(data: Mapping[str, Json]) -> str:
    names = ", ".join(data)
    return (names if len(names) <= MOST_NAMES else f"{names[:MOST_NAMES]}…") or "none"
