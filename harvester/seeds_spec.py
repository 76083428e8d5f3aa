"""What a recipe says of its seeds: where they are and how they are read."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator, model_validator

from harvester.strict_model import Model

Stated = Annotated[str, StringConstraints(min_length=1)]


class Chunk(Model):
    """How documents are cut into seeds."""

    tokens: int = Field(default=512, ge=8, le=10**6, description="the most of one chunk")
    overlap: int = Field(
        default_factory=lambda data: min(64, data.get("tokens", 512) // 8),
        ge=0,
        le=10**6,
        description="the most that a chunk repeats of the one before it; 64 at most where it is left out",
    )
    tokenizer: Stated | None = Field(default=None, description="a tokenizer.json; without it 4 bytes count as a token")

    @model_validator(mode="after")
    def _goes_on(self) -> "Chunk":
        if self.overlap * 2 > self.tokens:
            raise ValueError("overlap is more than half of tokens; lower it")
        return self


class Seeds(Model):
    """Seeds inside the recipe's folder: tables, documents, or a dataset."""

    path: str | tuple[Stated, ...] = Field(description="a file, a folder, a glob, a dataset's id on the hub, or a list")
    license: str | None = None
    columns: dict[Stated, Stated] = Field(default_factory=dict, description="new name: old name")
    limit: int | None = Field(default=None, gt=0, le=10**12, description="at most so many seeds, from the beginning")
    chunk: Chunk | None = Field(default=None, description="of documents")
    split: Stated | None = Field(default=None, description="of a dataset")
    config: Stated | None = Field(default=None, description="of a dataset")

    @field_validator("path", mode="before")
    @classmethod
    def _is_one_or_several(cls, path: Any) -> Any:
        several = path if isinstance(path, list | tuple) else [path]
        if not several or not all(isinstance(one, str) and one for one in several):
            raise ValueError("names a file, a folder or a glob of the recipe's folder, or a list of them")
        return path

    @field_validator("columns")
    @classmethod
    def _renames_once(cls, columns: dict[str, str]) -> dict[str, str]:
        old = list(columns.values())
        if twice := next((name for name in old if old.count(name) > 1), None):
            raise ValueError(f"{twice!r} gets two new names; leave one")
        return columns

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path, whether one was named or a list."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def label(self) -> str:
        """The paths as one line, for people."""
        return ", ".join(self.paths)
