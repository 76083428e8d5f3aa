"""A recipe: YAML → validated, frozen models. Every mistake becomes one line with file, field and mend."""

import difflib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import SplitResult, urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from harvester import verify as verifiers
from harvester.errors import BadInput
from harvester.pricing import FREE, Price
from harvester.profiles import Profile, profile_of, profiles
from harvester.records import Json

EMBEDDED = "embedded"
EMBEDDED_SLOTS = 4
KEY_VARIABLE = re.compile(r"^[A-Za-z][A-Za-z0-9_]*(_API_KEY|_TOKEN)$")
OTHER_NAMES = {"rpm": "requests_per_minute", "tpm": "tokens_per_minute", "max_workers": "concurrency", "n": "samples"}
KEY_FIELDS = ("api_key", "apikey", "key", "token", "secret")
MONEY = Field(ge=0, allow_inf_nan=False)


class Model(BaseModel):
    """Frozen, and strict about names: a misspelt option must not be an option silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(Model):
    """The provider's published limits; those left out are found from its headers and 429s."""

    requests_per_minute: int | None = Field(default=None, gt=0)
    tokens_per_minute: int | None = Field(default=None, gt=0)
    concurrency: int | None = Field(default=None, gt=0, le=10_000)


class PriceSpec(Model):
    """USD per million tokens."""

    input: Annotated[Decimal, MONEY]
    output: Annotated[Decimal, MONEY]
    cached_input: Annotated[Decimal, MONEY] | None = None


class Sampling(Model):
    """Sampling parameters, sent as they stand here; those left out are not sent."""

    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0)
    logprobs: int | None = Field(default=None, ge=0, le=20, description="most likely tokens listed per position")
    seed: int | None = Field(default=None, ge=0, description="sample i is sent seed + i")
    stop: list[str] | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    repeat_penalty: float | None = Field(default=None, gt=0)


class Teacher(Model):
    """One teacher model behind an OpenAI-compatible API, or `embedded`."""

    base_url: str
    model: str = Field(min_length=1)
    local: bool = False
    provider: str | None = None  # a profile's id, where the host does not tell (vllm, llama.cpp, ollama)
    api_key_env: str | None = None
    limits: Limits = Limits()
    price: PriceSpec | None = None
    sampling: Sampling = Sampling()
    timeout_s: float = Field(default=600, gt=0, allow_inf_nan=False, description="total, per attempt")
    max_attempts: int = Field(default=6, ge=1, le=100)

    @field_validator("api_key_env")
    @classmethod
    def _names_a_variable(cls, name: str | None) -> str | None:
        if name is not None and not KEY_VARIABLE.match(name):
            raise ValueError("names an environment variable that ends in _API_KEY or _TOKEN; never the key itself")
        return name

    @model_validator(mode="before")
    @classmethod
    def _embedded_has_slots(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("base_url") == EMBEDDED:
            limits = data.get("limits") or {}
            if isinstance(limits, Mapping):
                return {**data, "limits": {"concurrency": EMBEDDED_SLOTS, **limits}}
        return data

    @field_validator("provider")
    @classmethod
    def _has_a_profile(cls, name: str | None) -> str | None:
        if name is not None and name not in profiles():
            raise ValueError(f"no such profile; there are {', '.join(profiles())}")
        return name

    @model_validator(mode="after")
    def _reachable_address(self) -> "Teacher":
        if self.base_url != EMBEDDED:
            check_url(self.base_url, local=self.local)
        return self

    @property
    def embedded(self) -> bool:
        """Whether Harvester runs this teacher itself."""
        return self.base_url == EMBEDDED

    @property
    def host(self) -> str | None:
        """The API's host name; None for the embedded teacher."""
        return None if self.embedded else urlsplit(self.base_url).hostname

    @property
    def profile(self) -> Profile:
        """What is particular about the provider."""
        if self.provider is not None:
            return profiles()[self.provider]
        return profiles()[EMBEDDED] if self.embedded else profile_of(self.host or "")

    @property
    def known_price(self) -> Price | None:
        """The price, None where nobody stated one; what runs on the user's own machine costs nothing."""
        if self.price is not None:
            return Price(self.price.input, self.price.output, self.price.cached_input)
        return FREE if self.embedded or self.local else None


class Budget(Model):
    """What one store may cost in all, retries and lost requests included."""

    usd: Annotated[Decimal, MONEY]


class Seeds(Model):
    """A file of seeds inside the recipe's folder."""

    path: str
    license: str | None = None


class Step(Model):
    """One question per seed and sample, and what is asked of the answer."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    prompt: str
    samples: int = Field(default=1, ge=1, le=1000)
    verify: dict[str, Any] = Field(default_factory=dict)
    select: Literal["first_accepted", "all"] = "first_accepted"


class Student(Model):
    """What the student sees instead of the teacher's prompt; `instruction` is for the control arm only."""

    prompt: str
    instruction: str | None = None


class Export(Model):
    """How the dataset is written."""

    format: Literal["messages"] = "messages"
    split_by: Literal["seed"] = "seed"


class DeclaredTerms(Model):
    """What the user states about a teacher that the registry does not let pass."""

    license: str | None = Field(default=None, min_length=1)
    basis: str | None = Field(default=None, min_length=1)
    accepted_by: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _basis_has_a_person(self) -> "DeclaredTerms":
        if self.basis and not self.accepted_by:
            raise ValueError("a basis needs accepted_by: the person who answers for it")
        return self


class Recipe(Model):
    """The whole recipe; `load` reads one from disk."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    teacher: Teacher
    budget: Budget | None = None
    seeds: Seeds
    steps: tuple[Step, ...] = Field(min_length=1, max_length=1)
    student: Student | None = None
    dev: Seeds | None = None
    heldout: Seeds | None = None
    export: Export = Export()
    terms: dict[str, DeclaredTerms] = Field(default_factory=dict)

    _path: Path = PrivateAttr(default=Path("recipe.yaml"))
    _text: str = PrivateAttr(default="")
    _rules: dict[str, Json] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _budget_can_be_kept(self) -> "Recipe":
        if self.budget and (problem := self.budget_problem()):
            raise ValueError(problem)
        for name in self.terms:
            if name != "teacher":
                raise ValueError(f"terms.{name}: no such teacher; the recipe has: teacher")
        return self

    def budget_problem(self) -> str | None:
        """Why no budget can be kept with this recipe, with the mend; None if one can."""
        if self.teacher.sampling.max_tokens is None:
            return "a budget needs teacher.sampling.max_tokens: without it no worst case can be reserved"
        if self.teacher.known_price is None:
            return "a budget needs teacher.price: {input, output} in USD per million tokens"
        return None

    @property
    def path(self) -> Path:
        """The recipe's file, for messages."""
        return self._path

    @property
    def folder(self) -> Path:
        """The folder that every path in the recipe is relative to, and stays inside."""
        return self._path.parent

    @property
    def text(self) -> str:
        """The recipe's text as it was read."""
        return self._text

    @property
    def step(self) -> Step:
        """The recipe's step."""
        return self.steps[0]

    @property
    def rules(self) -> dict[str, Json]:
        """The step's verify block with its files read in: enough to judge an answer anywhere."""
        return self._rules

    @property
    def seed_files(self) -> Iterator[tuple[str, Seeds]]:
        """(split, seeds) for every file of the recipe; a later split never becomes training data."""
        yield "train", self.seeds
        if self.dev:
            yield "dev", self.dev
        if self.heldout:
            yield "test", self.heldout

    @classmethod
    def load(cls, path: Path | str) -> "Recipe":
        """Read and validate a recipe file, or the `recipe.yaml` of a folder.

        Raises:
            BadInput: one line naming the file, the field and the mend.
        """
        path = Path(path)
        path = path / "recipe.yaml" if path.is_dir() else path
        text = _read(path)
        try:
            data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise BadInput(f"{path}: not YAML: {_one_line(error)}") from error
        if not isinstance(data, dict):
            raise BadInput(f"{path}: a recipe is a mapping with name, teacher, seeds and steps")
        try:
            recipe = cls.model_validate(data)
        except ValidationError as error:
            raise BadInput(_explain(path, error)) from None  # the values may be long; the line says it all
        recipe._path, recipe._text = path, text  # noqa: SLF001 - its own class
        where = f"{path}: steps.0.verify"
        recipe._rules = verifiers.resolve(recipe.step.verify, recipe.folder, where=where)  # noqa: SLF001
        return recipe


def check_url(url: str, *, local: bool) -> None:
    """Refuse addresses that would send the key where it must not go.

    Raises:
        ValueError: what is wrong with the URL, and the mend.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError('not a URL; write https://host/v1, or "embedded" for the teacher that Harvester runs itself')
    if parts.username is not None or parts.password is not None:
        raise ValueError("a user or password in the URL is refused; name a variable in api_key_env")
    if parts.query or parts.fragment:
        raise ValueError("parameters in the URL are refused; keys belong in api_key_env")
    if _is_local(parts):
        if not local:
            raise ValueError("a loopback or private address needs local: true")
    elif parts.scheme != "https":
        raise ValueError("must be https; only a teacher with local: true may use http")
    elif local:
        raise ValueError("local: true is for loopback and private addresses only")


def _is_local(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host
    return address.is_loopback or address.is_private


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such recipe; `harvester init NAME` makes one to edit") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _explain(path: Path, error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{path}: {_explain_one(problems[0])}{more}"


def _explain_one(problem: ErrorDetails) -> str:
    loc = problem["loc"]
    field = ".".join(str(part) for part in loc) or "recipe"
    if problem["type"] == "extra_forbidden":
        return f"{field}: {_unknown_field(loc)}"
    if problem["type"] == "missing":
        return f"{field}: missing; add it"
    message = problem["msg"].removeprefix("Value error, ")
    shown = problem.get("input")
    if problem["type"] == "value_error" or isinstance(shown, dict | list) or "api_key" in field:
        return f"{field}: {message}"  # a key put where a name belongs must not be printed
    return f"{field}: {message[0].lower()}{message[1:]}, not {shown!r}"


def _unknown_field(loc: tuple[int | str, ...]) -> str:
    *parents, name = [part for part in loc if isinstance(part, str)]
    if name.lower() in KEY_FIELDS:
        return "a key in a recipe is refused; put it into the environment and its variable's name into api_key_env"
    known = {path.rsplit(".", 1)[-1]: path for path in _fields_under(parents)}
    known |= {other: known[field] for other, field in OTHER_NAMES.items() if field in known}
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"unknown field; did you mean {known[near[0]]}?" if near else "unknown field; remove it"


def _fields_under(parents: list[str]) -> Iterator[str]:
    """Dotted names of the fields of the model at `parents`, and of the models inside it."""
    model: type[BaseModel] = Recipe
    for parent in parents:
        field = model.model_fields.get(parent)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return
        model = inner
    yield from _walk(model, "")


def _walk(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _walk(inner, f"{prefix}{name}.")
    for name in model.model_fields:  # nearer names last: they win over deeper ones of the same name
        yield f"{prefix}{name}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
