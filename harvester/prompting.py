"""Seed → messages → request body → content key."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, StrictUndefined, TemplateRuntimeError, TemplateSyntaxError, meta, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harvester.errors import BadInput
from harvester.guarding import P, R, TooMuch, within_limits
from harvester.paths import inside
from harvester.recipe import Recipe, Teacher
from harvester.records import Json, Message, Request, canonical, digest, half_pair
from harvester.teachers.weights import SHA256

_messages: ContextVar[list[Message]] = ContextVar("messages")

# The embedded teacher's server has defaults of its own (top_k 40, min_p 0.05): what is sampled is always said.
EMBEDDED_SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0, "seed": 0}

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
        sources = _sources(folder, name, where=where)
        environment = _environment({other: source.decode("utf-8-sig") for other, source in sources.items()})
        try:
            self._template = _limited(self.path, environment.get_template, name)
        except TemplateSyntaxError as error:
            raise BadInput(f"{self.path}: line {error.lineno}: {error.message}") from None
        except (SyntaxError, *OVERSIZED) as error:  # more nested blocks than Python compiles
            raise BadInput(f"{self.path}: cannot be compiled: {_say(error)}; make it simpler") from None

    def render(self, data: Mapping[str, Json]) -> list[Message]:
        """The messages for one seed; a template without role blocks is one user message.

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
            raise BadInput(f"{self.path}: {_say(error)}; the seed has the fields: {_names(data)}") from None
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


def _sources(folder: Path, name: str, *, where: str) -> dict[str, bytes]:
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
    try:
        source = path.read_bytes()
        source.decode()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}; save it as UTF-8") from None
    return source


def _say(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _names(data: Mapping[str, Json]) -> str:
    names = ", ".join(data)
    return (names if len(names) <= MOST_NAMES else f"{names[:MOST_NAMES]}…") or "none"


class Prompter:
    """Renders the requests of a recipe's step."""

    def __init__(self, recipe: Recipe) -> None:
        """Compile the step's template.

        Raises:
            BadInput: as `Template` does.
        """
        self._template = Template(recipe.folder, recipe.step.prompt, where=f"{recipe.path}: steps.0.prompt")
        self._requester = Requester(recipe)

    def requests(self, data: Mapping[str, Json], samples: int) -> list[Request]:
        """One request per sample: a seed's samples differ in their key, and in `seed` where one is sent."""
        messages = self._template.render(data)
        return [self._requester.request(messages, sample) for sample in range(samples)]


class Requester:
    """Puts messages into requests to a recipe's teacher, with the recipe's sampling."""

    def __init__(self, recipe: Recipe) -> None:
        self._model = recipe.teacher.model
        self._sampling = sampling_fields(recipe.teacher)
        self._identity = teacher_identity(recipe)

    def request(self, messages: Sequence[Message], sample: int = 0) -> Request:
        """The request that asks for one sample of the answer to these messages."""
        body: dict[str, Json] = {"model": self._model, "messages": list(messages), **self._sampling}
        if "seed" in body:
            body["seed"] += sample
        return Request(content_key(self._identity, body, sample), canonical(body))


def content_key(identity: str, body: Mapping[str, Json], sample: int) -> str:
    """SHA-256 (hex) over everything that can change an answer: who is asked, the body as sent, the sample's number."""
    return digest({"teacher": identity, "body": body, "sample": sample})


def teacher_identity(recipe: Recipe) -> str:
    """Who answers: the base URL without its accidents; for the embedded teacher its weights, never its port."""
    if recipe.teacher.embedded:
        return f"embedded:sha256:{SHA256}"
    url = recipe.teacher.base_url
    scheme, rest = url.split("://", 1)
    authority, _, path = rest.partition("/")
    default = {"https": ":443", "http": ":80"}[scheme.lower()]
    return f"{scheme.lower()}://{authority.lower().removesuffix(default)}/{path.rstrip('/')}".rstrip("/")


def sampling_fields(teacher: Teacher) -> dict[str, Json]:
    """The sampling part of a request body, in the names that the provider takes."""
    fields = teacher.sampling.model_dump(exclude_none=True)
    top = fields.pop("logprobs", None)
    if top is not None:
        fields |= {"logprobs": True, "top_logprobs": top}
    if "max_tokens" in fields:
        fields[teacher.profile.max_tokens] = fields.pop("max_tokens")
    return {**EMBEDDED_SAMPLING, **fields} if teacher.embedded else fields


def templates_digest(recipe: Recipe) -> str:
    """SHA-256 over the step's template and every file that it includes.

    Raises:
        BadInput: as `Template` does.
    """
    return digest([[name, sha256(source).hexdigest()] for name, source in sorted(_sources_of(recipe).items())])


def template_texts(recipe: Recipe) -> list[tuple[Path, str]]:
    """(file, text) of the step's template and of every file that it includes.

    Raises:
        BadInput: as `Template` does.
    """
    return [(recipe.folder / name, source.decode()) for name, source in sorted(_sources_of(recipe).items())]


def _sources_of(recipe: Recipe) -> dict[str, bytes]:
    return _sources(recipe.folder, recipe.step.prompt, where=f"{recipe.path}: steps.0.prompt")
