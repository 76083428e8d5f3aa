"""A teacher: where it answers, what it may be asked, and what that costs."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

from harvester.addresses import check_url
from harvester.pricing import FREE, Price
from harvester.profiles import Profile, has_no_logprobs, profile_of, profiles
from harvester.recipe.base import MONEY
from harvester.records import printable
from harvester.strict_model import Model

EMBEDDED = "embedded"
EMBEDDED_SLOTS = 4
MOST_EMBEDDED_SLOTS = 64
PROXY_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*_PROXY", re.IGNORECASE)
KEY_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(_API_KEY|_TOKEN)")


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

    @field_validator("logprobs", mode="before")
    @classmethod
    def _counts_the_listed(cls, given: Any) -> Any:
        if given is True:  # as the API itself has it, with top_logprobs beside it
            raise ValueError("is how many tokens are listed at each place, such as 20; true is sent with it")
        return given


class Batches(Model):
    """When a teacher is asked in batches, and what becomes of one that never ends."""

    auto_hours: float = Field(default=4, gt=0, le=10**6, description="`mode: auto` asks online what takes no longer")
    requeue_online: bool = Field(default=False, description="ask online what a batch past its window left unanswered")
    grace_hours: float = Field(default=2, ge=0, le=10**6, description="so long after its window it is waited for")


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
    mode: Literal["online", "batch", "auto"] = Field(default="online", description="one by one, or by the Batch API")
    batch: Batches = Batches()

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
    def _may_have_batches(self) -> "Teacher":
        if self.embedded and self.mode == "batch":
            raise ValueError("mode: the embedded teacher has no Batch API; remove it")
        return self

    @model_validator(mode="after")
    def _gives_so_many_logprobs(self) -> "Teacher":
        if problem := self.logprobs_problem():
            raise ValueError(f"sampling.logprobs: {problem}")
        return self

    def logprobs_problem(self) -> str | None:
        """Why this teacher cannot give the logprobs that its sampling asks for, with the mend; None if it can."""
        asked, profile = self.sampling.logprobs, self.profile
        if asked is None:
            return None
        if not profile.logprobs:
            return f"{profile.id} gives no logprobs; leave it out"
        if has_no_logprobs(self.model):
            return f"{printable(self.model)} gives no logprobs; leave it out, or ask another model"
        if asked > profile.logprobs:
            return f"{profile.id} gives at most {profile.logprobs} logprobs; lower it"
        if asked < profile.least_logprobs:
            return (
                f"{profile.id} gives no logprobs for {asked}; state at least {profile.least_logprobs}, or leave it out"
            )
        return None

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
