"""Seed → messages → request body → content key."""

from collections.abc import Mapping
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harvester.errors import BadInput
from harvester.paths import inside
from harvester.recipe import Recipe, Sampling
from harvester.records import Json, Message, Request, canonical, digest
from harvester.teachers.weights import SHA256

_messages: ContextVar[list[Message]] = ContextVar("messages")

# The embedded teacher's server has defaults of its own (top_k 40, min_p 0.05): what is sampled is always said.
EMBEDDED_SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0, "seed": 0}


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


class Template:
    """One template of a recipe, compiled once."""

    def __init__(self, folder: Path, name: str, *, where: str) -> None:
        """Compile `name`; other templates of the folder can be included.

        Raises:
            BadInput: no such file, outside the folder, or not a template.
        """
        self.path = inside(folder, name, where=where)
        environment = ImmutableSandboxedEnvironment(
            loader=FunctionLoader(lambda other: _read(folder, other, where=str(self.path))),
            undefined=StrictUndefined,
            extensions=[RoleBlocks],
            autoescape=False,
            keep_trailing_newline=False,
        )
        try:
            self._template = environment.from_string(_read(folder, name, where=where))
        except TemplateSyntaxError as error:
            raise BadInput(f"{self.path}: line {error.lineno}: {error.message}") from None

    def render(self, data: Mapping[str, Json]) -> list[Message]:
        """The messages for one seed; a template without role blocks is one user message.

        Raises:
            BadInput: the template names a field that the seed lacks, fails, or has text outside its blocks.
        """
        messages: list[Message] = []
        token = _messages.set(messages)
        try:
            text = self._template.render(data).strip()
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise BadInput(f"{self.path}: {error}; the seed has the fields: {', '.join(data) or 'none'}") from None
        finally:
            _messages.reset(token)
        if messages and text:
            raise BadInput(f"{self.path}: text outside the role blocks: {text[:40]!r}; move it into one")
        messages = messages or [{"role": "user", "content": text}]
        if not any(message["content"] for message in messages):
            raise BadInput(f"{self.path}: renders to an empty prompt")
        return messages


def _read(folder: Path, name: str, *, where: str) -> str:
    """A template's text; included ones too stay inside the folder, links followed."""
    path = inside(folder, name, where=where)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from None


class Prompter:
    """Renders the requests of a recipe's step."""

    def __init__(self, recipe: Recipe) -> None:
        """Compile the step's template.

        Raises:
            BadInput: as `Template` does.
        """
        self._template = Template(recipe.folder, recipe.step.prompt, where=f"{recipe.path}: steps.0.prompt")
        self._model = recipe.teacher.model
        self._sampling = sampling_fields(recipe.teacher.sampling, embedded=recipe.teacher.embedded)
        self._identity = teacher_identity(recipe)

    def requests(self, data: Mapping[str, Json], samples: int) -> list[Request]:
        """One request per sample: a seed's samples differ in their key, and in `seed` where one is sent."""
        messages = self._template.render(data)
        return [self._request(messages, sample) for sample in range(samples)]

    def _request(self, messages: list[Message], sample: int) -> Request:
        body: dict[str, Json] = {"model": self._model, "messages": messages, **self._sampling}
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


def sampling_fields(sampling: Sampling, *, embedded: bool) -> dict[str, Json]:
    """The sampling part of a request body."""
    fields = sampling.model_dump(exclude_none=True)
    top = fields.pop("logprobs", None)
    if top is not None:
        fields |= {"logprobs": True, "top_logprobs": top}
    return {**EMBEDDED_SAMPLING, **fields} if embedded else fields


def templates_digest(recipe: Recipe) -> str:
    """SHA-256 over the step's template and the folder's others: any of them may be included by it."""
    files = {path for path in recipe.folder.rglob("*.j2") if path.is_file()} | {recipe.folder / recipe.step.prompt}
    hashes = [[str(path.relative_to(recipe.folder)), sha256(path.read_bytes()).hexdigest()] for path in sorted(files)]
    return digest(hashes)
