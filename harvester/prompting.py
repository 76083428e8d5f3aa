"""A row's context → messages → request body → content key."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from harvester.calling import FunctionPrompt
from harvester.recipe import Recipe, Step, Teacher
from harvester.recipe.functions import named, source_of
from harvester.records import Json, Message, Request, canonical, digest
from harvester.teachers.weights import SHA256
from harvester.templating import Template, template_sources

# The embedded teacher's server has defaults of its own (top_k 40, min_p 0.05): what is sampled is always said.
EMBEDDED_SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0}
SEEDS = 2**31
"""The embedded teacher's seeds are below it."""

MEND = (
    "That answer cannot be used: {reason}\nAnswer once more: the JSON alone, mended, with nothing before or after it."
)
"""What a second attempt at a schema is asked with."""


class Prompter:
    """Renders the requests of one step."""

    def __init__(self, recipe: Recipe, step: Step) -> None:
        """Compile the step's template, or take its function.

        Raises:
            BadInput: as `Template` does.
        """
        where = f"{recipe.where(step)}.prompt"
        self.template: Template | FunctionPrompt
        if callable(step.prompt):
            self.template = FunctionPrompt(step.prompt, where=where)
        else:
            self.template = Template(recipe.folder, step.prompt, where=where)
        self._requester = Requester(recipe.asked_by(step), _form(recipe, step))
        self._samples = step.samples

    def requests(self, context: Mapping[str, Json]) -> list[Request]:
        """One request per sample: a row's samples differ in their key, and in `seed` where one is sent.

        Raises:
            BadInput: as `Template.render` and `FunctionPrompt.render` do.
        """
        return self.ask(self.template.render(context))

    def ask(self, messages: Sequence[Message]) -> list[Request]:
        """The same for messages that are there already."""
        return [self._requester.request(messages, sample) for sample in range(self._samples)]

    def repair(self, asked: bytes, answer: str, reason: str, sample: int) -> Request:
        """The request for a second attempt: the same conversation, with the answer and what is wrong with it."""
        said = [{"role": "assistant", "content": answer}, {"role": "user", "content": MEND.format(reason=reason)}]
        return self._requester.request([*json.loads(asked)["messages"], *said], sample)


class Requester:
    """Puts messages into requests to a teacher, with its sampling."""

    def __init__(self, teacher: Teacher, form: Mapping[str, Json] | None = None) -> None:
        """A requester; `form` are body fields that ask for an answer of a certain form."""
        self._model = teacher.model
        self._fields = {**sampling_fields(teacher), **(form or {})}
        self._identity = teacher_identity(teacher)
        self._embedded = teacher.embedded

    def request(self, messages: Sequence[Message], sample: int = 0) -> Request:
        """The request that asks for one sample of the answer to these messages."""
        body: dict[str, Json] = {"model": self._model, "messages": list(messages), **self._fields}
        if "seed" in body:
            body["seed"] += sample
        elif self._embedded:
            # With one seed for all prompts each answer's n-th token would be drawn by the same chance.
            body["seed"] = (int(digest(body["messages"])[:8], 16) + sample) % SEEDS
        return Request(content_key(self._identity, body, sample), canonical(body))


def _form(recipe: Recipe, step: Step) -> dict[str, Json]:
    """What asks a provider for JSON by the step's schema, as far as the provider takes it."""
    schema = recipe.demands(step).output
    how = recipe.asked_by(step).profile.structured
    if schema is None or how is None:
        return {}
    if how == "json_object":
        return {"response_format": {"type": "json_object"}}
    described = {"name": step.name, "schema": schema, "strict": _strict(schema)}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


def _strict(schema: Json) -> bool:
    """Whether OpenAI's strict mode takes a schema: every object lists all of its fields as required, and no others."""
    if isinstance(schema, list):
        return all(map(_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        fields = schema.get("properties", {})
        if schema.get("additionalProperties") is not False or set(schema.get("required", [])) != set(fields):
            return False
    return all(map(_strict, schema.values()))


def content_key(identity: str, body: Mapping[str, Json], sample: int) -> str:
    """SHA-256 (hex) over everything that can change an answer: who is asked, the body as sent, the sample's number."""
    return digest({"teacher": identity, "body": body, "sample": sample})


def teacher_identity(teacher: Teacher) -> str:
    """Who answers: the base URL without its accidents; for the embedded teacher its weights, never its port."""
    if teacher.embedded:
        return f"embedded:sha256:{SHA256}"
    url = teacher.base_url
    scheme, rest = url.split("://", 1)
    authority, _, path = rest.partition("/")
    default = {"https": ":443", "http": ":80"}[scheme.lower()]
    return f"{scheme.lower()}://{authority.lower().removesuffix(default)}/{path.rstrip('/')}".rstrip("/")


def sampling_fields(teacher: Teacher) -> dict[str, Json]:
    """The sampling part of a request body, in the names that the provider takes."""
    fields = teacher.sampling.model_dump(exclude_none=True)
    top = fields.pop("logprobs", None)
    if top is not None:
        fields |= {"logprobs": top} if teacher.profile.logprobs_as_number else {"logprobs": True, "top_logprobs": top}
    if "max_tokens" in fields:
        fields[teacher.profile.max_tokens] = fields.pop("max_tokens")
    return {**EMBEDDED_SAMPLING, **fields} if teacher.embedded else fields


def templates_digest(recipe: Recipe) -> str:
    """SHA-256 over the steps' templates and every file that they include.

    Raises:
        BadInput: as `Template` does.
    """
    return digest([[name, sha256(source).hexdigest()] for name, source in sorted(_sources_of(recipe).items())])


def template_texts(recipe: Recipe) -> list[tuple[Path, str]]:
    """(file, text) of the steps' templates and of every file that they include; of a function its name and source.

    Raises:
        BadInput: as `Template` does.
    """
    files = [(recipe.folder / name, source.decode()) for name, source in sorted(_sources_of(recipe).items())]
    functions = [step.prompt for step in recipe.steps if callable(step.prompt)]
    return [*files, *((Path(named(function)), source_of(function)) for function in functions)]


def _sources_of(recipe: Recipe) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for step in recipe.steps:
        if not callable(step.prompt):
            found |= template_sources(recipe.folder, step.prompt, where=f"{recipe.where(step)}.prompt")
    return found
