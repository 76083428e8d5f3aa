"""A recipe: YAML → validated, frozen models. Every mistake becomes one line with file, field and mend."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from harvester import verify as verifiers
from harvester.addresses import check_url
from harvester.errors import BadInput
from harvester.explaining import explain
from harvester.pricing import FREE, Price
from harvester.profiles import Profile, profile_of, profiles
from harvester.records import Json
from harvester.teachers.weights import MODEL_NAME
from harvester.yaml_text import MOST_SHOWN, parse_yaml, read_text, require_json

EMBEDDED = "embedded"
EMBEDDED_SLOTS = 4
MOST_EMBEDDED_SLOTS = 64
PROXY_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*_PROXY", re.IGNORECASE)
KEY_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(_API_KEY|_TOKEN)")
MONEY = Field(ge=0, le=10**9)
STATED = StringConstraints(strip_whitespace=True, min_length=1)


class Model(BaseModel):
    """Frozen, and strict about names: a misspelt option must not be an option silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Limits(Model):
    """The provider's published limits; those left out are found from its headers and 429s."""

    requests_per_minute: int | None = Field(default=None, gt=0, le=10**9)
    tokens_per_minute: int | None = Field(default=None, gt=0, le=10**12)
    concurrency: int | None = Field(default=None, gt=0, le=10_000)


class PriceSpec(Model):
    """USD per million tokens."""

    input: Annotated[Decimal, MONEY]
    output: Annotated[Decimal, MONEY]
    cached_input: Annotated[Decimal, MONEY] | None = None


class Sampling(Model):
    """Sampling parameters, sent as they stand here; those left out are not sent."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0, le=10**9)
    min_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0, le=10**9)
    logprobs: int | None = Field(default=None, ge=0, le=20, description="most likely tokens listed per position")
    seed: int | None = Field(default=None, ge=0, le=10**18, description="sample i is sent seed + i")
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
    proxy_env: str | None = Field(default=None, description="names the variable with the URL of a proxy")
    limits: Limits = Limits()
    price: PriceSpec | None = None
    sampling: Sampling = Sampling()
    timeout_s: float = Field(default=600, gt=0, le=10**6, description="total, per attempt")
    max_attempts: int = Field(default=6, ge=1, le=100)
    budget_usd: Annotated[Decimal, MONEY] | None = Field(default=None, description="what it may cost the store in all")
    strict: bool = Field(default=False, description="stop when a reply names another model than the one asked")
    stream: bool | None = Field(default=None, description="ask for streamed replies; by default as the provider needs")

    @field_validator("limits")
    @classmethod
    def _fit_the_embedded_one(cls, limits: Limits, info: ValidationInfo) -> Limits:
        if info.data.get("base_url") == EMBEDDED and (limits.concurrency or 0) > MOST_EMBEDDED_SLOTS:
            raise ValueError(f"the embedded teacher takes a concurrency of at most {MOST_EMBEDDED_SLOTS}; lower it")
        return limits

    @field_validator("api_key_env")
    @classmethod
    def _names_a_variable(cls, name: str | None) -> str | None:
        if name is not None and not KEY_VARIABLE.fullmatch(name):
            raise ValueError("names an environment variable that ends in _API_KEY or _TOKEN; never the key itself")
        return name

    @field_validator("proxy_env")
    @classmethod
    def _names_a_proxys_variable(cls, name: str | None) -> str | None:
        if name is not None and not PROXY_VARIABLE.fullmatch(name):
            raise ValueError("names an environment variable that ends in _PROXY; never the proxy itself")
        return name

    @model_validator(mode="before")
    @classmethod
    def _embedded_has_slots(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("base_url") == EMBEDDED:
            limits = data.get("limits") or {}
            if isinstance(limits, Mapping):
                given = {name: value for name, value in limits.items() if value is not None}
                return {**data, "limits": {"concurrency": EMBEDDED_SLOTS, **given}}
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

    @model_validator(mode="after")
    def _gives_so_many_logprobs(self) -> "Teacher":
        most = self.profile.logprobs
        if (self.sampling.logprobs or 0) > most:
            given = f"at most {most} logprobs" if most else "no logprobs"
            raise ValueError(f"sampling.logprobs: {self.profile.id} gives {given}; lower it or leave it out")
        return self

    @property
    def embedded(self) -> bool:
        """Whether Harvester runs this teacher itself."""
        return self.base_url == EMBEDDED

    @property
    def host(self) -> str | None:
        """The API's host name; None for the embedded teacher."""
        return None if self.embedded else (urlsplit(self.base_url).hostname or "").rstrip(".")

    @property
    def profile(self) -> Profile:
        """What is particular about the provider."""
        if self.provider is not None:
            return profiles()[self.provider]
        return profiles()[EMBEDDED] if self.embedded else profile_of(self.host or "")

    @property
    def streams(self) -> bool:
        """Whether replies are asked for as streams."""
        return self.profile.stream if self.stream is None else self.stream

    @property
    def known_price(self) -> Price | None:
        """The price, None where nobody stated one; what runs on the user's own machine costs nothing."""
        if self.price is not None:
            return Price(self.price.input, self.price.output, self.price.cached_input)
        return FREE if self.embedded or self.local else None


class Budget(Model):
    """What may be spent, retries and lost requests included: by the store in all, by one run."""

    usd: Annotated[Decimal, MONEY] | None = None
    run_usd: Annotated[Decimal, MONEY] | None = None

    @model_validator(mode="after")
    def _states_one(self) -> "Budget":
        if self.usd is None and self.run_usd is None:
            raise ValueError("states no amount; add usd (the store in all) or run_usd (one run)")
        return self


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

    license: Annotated[str, STATED] | None = None
    basis: Annotated[str, STATED] | None = None
    accepted_by: Annotated[str, STATED] | None = None

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
        if (self.budget or self.teacher.budget_usd is not None) and (problem := self.budget_problem()):
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
        path, text = read_text(path)
        data = parse_yaml(path, text)
        if not isinstance(data, dict):
            raise BadInput(f"{path}: a recipe is a mapping with name, teacher, seeds and steps")
        try:
            recipe = cls.model_validate(data)
        except ValidationError as error:
            raise BadInput(explain(path, error, cls)) from None  # the values may be long; the line says it all
        if recipe.teacher.embedded and recipe.teacher.model != MODEL_NAME:
            named = recipe.teacher.model[:MOST_SHOWN]
            raise BadInput(f"{path}: teacher.model: the embedded teacher is {MODEL_NAME}, not {named!r}")
        recipe._path, recipe._text = path, text  # noqa: SLF001 - its own class
        where = f"{path}: steps.0.verify"
        require_json(recipe.step.verify, where)
        recipe._rules = verifiers.resolve(recipe.step.verify, recipe.folder, where=where)  # noqa: SLF001
        require_json(recipe.rules, where)  # files were read in
        return recipe
