"""A recipe: YAML → validated, frozen models. Every mistake becomes one line with file, field and mend."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from harvester import verify as verifiers
from harvester.errors import BadInput
from harvester.explaining import explain
from harvester.recipe.base import Name
from harvester.recipe.curation import Curate
from harvester.recipe.functions import text_of
from harvester.recipe.parts import Budget, DeclaredTerms, Export, Student
from harvester.recipe.steps import SEEDS, VERDICT, Selection, Step
from harvester.recipe.teacher import Teacher
from harvester.records import Json
from harvester.seeds_spec import Seeds
from harvester.strict_model import Model
from harvester.teachers.weights import MODEL_NAME
from harvester.yaml_text import MOST_SHOWN, parse_yaml, read_text, require_json

TEACHER, JUDGE = "teacher", "judge"
"""Names of the teachers that have a place of their own in a recipe."""


class Demands(Model):
    """What a step asks of an answer, with its files read in: enough to judge one anywhere."""

    verify: dict[str, Any]
    output: dict[str, Any] | None = None  # a JSON Schema

    @property
    def of_answers(self) -> dict[str, Json]:
        """All of it as one verify block."""
        return self.verify if self.output is None else {"json_schema": self.output, **self.verify}


class Recipe(Model):
    """The whole recipe; `load` reads one from disk."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    teacher: Teacher
    judge: Teacher | None = None
    teachers: dict[Name, Teacher] = Field(default_factory=dict, description="further teachers, by name")
    budget: Budget | None = None
    seeds: Seeds
    steps: tuple[Step, ...] = Field(min_length=1, max_length=50)
    student: Student | None = None
    dev: Seeds | None = None
    heldout: Seeds | None = None
    curate: Curate = Curate()
    export: Export = Export()
    terms: dict[str, DeclaredTerms] = Field(default_factory=dict, description="by teacher")

    _path: Path | None = PrivateAttr(default=None)  # None: it was made in Python
    _text: str = PrivateAttr(default="")
    _trusted: bool = PrivateAttr(default=False)
    _demands: dict[str, Demands] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _names_fit(self) -> "Recipe":
        for name in self.teachers:
            if name in (TEACHER, JUDGE):
                raise ValueError(f"teachers.{name}: has a place of its own; write it as {name}: at the top")
        known = list(self.every_teacher)
        for name in self.terms:
            if name not in known:
                raise ValueError(f"terms.{name}: no such teacher; the recipe has: {', '.join(known)}")
        before: dict[str, Step] = {}
        for number, step in enumerate(self.steps):
            if problem := self._step_problem(step, before):
                raise ValueError(f"steps.{number}.{problem}")
            before[step.name] = step
        if not any(self._answers(step) for step in self.steps):
            raise ValueError("steps: none of them gives answers; add one of kind generate")
        return self

    def _step_problem(self, step: Step, before: Mapping[str, Step]) -> str | None:
        if step.name in before:
            return f"name: {step.name} is the name of an earlier step; take another"
        if step.teacher is not None and step.teacher not in self.every_teacher:
            return f"teacher: no teacher {step.teacher}; the recipe has: {', '.join(self.every_teacher)}"
        if step.of not in (None, SEEDS, *before):
            return f"of: {step.of} is no earlier step; there are: {', '.join([SEEDS, *before])}"
        if step.judges and (step.of == SEEDS or not before):
            return "of: a judge reads an earlier step's answers; name it"
        if step.judges and before[self.read_by(step)].kind == "expand":
            return "of: a judge reads answers, and an expanding step makes seeds; judge what is made of them"
        return None

    @model_validator(mode="after")
    def _steps_ask_for_logprobs_that_there_are(self) -> "Recipe":
        for number, step in enumerate(self.steps):
            if step.sampling and (problem := self.asked_by(step).logprobs_problem()):
                raise ValueError(f"steps.{number}.sampling.logprobs: {problem}")
        return self

    @model_validator(mode="after")
    def _budget_can_be_kept(self) -> "Recipe":
        asked = any(teacher.budget_usd is not None for teacher in self.every_teacher.values())
        if (self.budget or asked) and (problem := self.budget_problem()):
            raise ValueError(problem)
        return self

    def budget_problem(self) -> str | None:
        """Why no budget can be kept with this recipe, with the mend; None if one can."""
        for step in self.steps:
            name = self.teacher_name(step)
            where, teacher = _field_of(name), self.asked_by(step)
            if teacher.sampling.max_tokens is None:
                return f"a budget needs {where}.sampling.max_tokens: without it no worst case can be reserved"
            if teacher.known_price is None:
                return f"a budget needs {where}.price: {{input, output}} in USD per million tokens"
        return None

    # --- teachers

    @cached_property
    def every_teacher(self) -> dict[str, Teacher]:
        """Name → teacher."""
        return {TEACHER: self.teacher, **({JUDGE: self.judge} if self.judge else {}), **self.teachers}

    @property
    def asked_teachers(self) -> dict[str, Teacher]:
        """Those that a step asks."""
        return {name: self.every_teacher[name] for name in dict.fromkeys(map(self.teacher_name, self.steps))}

    def teacher_name(self, step: Step) -> str:
        """The name of the teacher that a step asks."""
        return step.teacher or (JUDGE if step.judges and self.judge else TEACHER)

    def asked_by(self, step: Step) -> Teacher:
        """The teacher that a step asks, with the step's own sampling over the teacher's."""
        teacher = self.every_teacher[self.teacher_name(step)]
        if step.sampling is None:
            return teacher
        given = step.sampling.model_dump(exclude_unset=True)
        return teacher.model_copy(update={"sampling": teacher.sampling.model_copy(update=given)})

    def where_teacher(self, name: str) -> str:
        """A teacher's place, for messages."""
        return f"{self.path}: {_field_of(name)}"

    # --- the DAG

    @cached_property
    def by_name(self) -> dict[str, Step]:
        """Name → step, with the steps under whose names second attempts are stored."""
        return {name: step for step in self.steps for name in step.row_names}

    def read_by(self, step: Step) -> str:
        """The name of the step whose rows a step reads, or `seeds`."""
        place = self.steps.index(step)
        return step.of or (self.steps[place - 1].name if place else SEEDS)

    def readers(self, name: str) -> tuple[Step, ...]:
        """The steps that read a step's rows, or the seeds."""
        return self._readers.get(name, ())

    @cached_property
    def _readers(self) -> dict[str, tuple[Step, ...]]:
        found: dict[str, tuple[Step, ...]] = {}
        for step in self.steps:
            of = self.read_by(step)
            found[of] = (*found.get(of, ()), step)
        return found

    def selects(self, step: Step) -> Selection:
        """How a step selects among the rows of a group."""
        if step.select is not None:
            return step.select
        judged = any(reader.judges for reader in self.readers(step.name))
        return "all" if judged or step.judges or step.kind == "expand" else "first_accepted"

    def competes(self, step: Step) -> bool:
        """Whether a step's rows wait for others of their group before one of them goes on."""
        return self.selects(step) != "all" and self.answered_by(step).samples > 1

    def answered_by(self, step: Step) -> Step:
        """The step whose answers a judge's rows are about, by way of other judges or not; any other step itself."""
        while step.judges:
            step = self.by_name[self.read_by(step)]
        return step

    def ancestors(self, step: Step) -> list[Step]:
        """The steps on the way to a step, the first one first."""
        read = self.read_by(step)
        return [] if read == SEEDS else [*self.ancestors(self.by_name[read]), self.by_name[read]]

    def has_new_seeds(self, step: Step) -> bool:
        """Whether a step's seeds were made by an expanding one, so that only the replies will tell their fields."""
        return any(one.kind == "expand" for one in self.ancestors(step))

    @staticmethod
    def _answers(step: Step) -> bool:
        return step.kind in ("generate", "revise")

    @cached_property
    def answer_step(self) -> Step:
        """The step whose answers are the dataset's rows: the last one that gives answers."""
        return next(step for step in reversed(self.steps) if self._answers(step))

    @cached_property
    def last_word(self) -> Step:
        """The step whose accepted rows are those of the dataset: the last judge of its answers, or who gives them."""
        last = self.answer_step
        for step in self.steps:
            if step.judges and self.read_by(step) == last.name:
                last = step
        return last

    # --- where it comes from

    @property
    def path(self) -> Path:
        """The recipe's file, for messages; of one that was made in Python its name, in the working folder."""
        return self._path or Path(f"recipe {self.name}")

    @property
    def how_to_collect(self) -> str:
        """What to run, for messages."""
        return f"harvester collect {self._path}" if self._path else "collect(recipe)"

    @property
    def folder(self) -> Path:
        """The folder that every path in the recipe is relative to, and stays inside."""
        return self.path.parent

    @property
    def text(self) -> str:
        """The recipe's text as it was read; of one that was made in Python what can be written of it."""
        functions = {
            f"steps.{number}.{field}": function
            for number, step in enumerate(self.steps)
            for field, function in step.functions.items()
        }
        return self._text or text_of(self, functions)

    def where(self, step: Step) -> str:
        """A step's place, for messages."""
        return f"{self.path}: steps.{self.steps.index(step)}"

    def demands(self, step: Step) -> Demands:
        """What a step asks of an answer.

        Raises:
            BadInput: its verify block or its schema is wrong; `load` has said so before.
        """
        if step.name not in self._demands:
            self._demands[step.name] = self._resolved(step)
        return self._demands[step.name]

    @property
    def seed_files(self) -> Iterator[tuple[str, Seeds]]:
        """(split, seeds) for every file of the recipe; a later split never becomes training data."""
        yield "train", self.seeds
        if self.dev:
            yield "dev", self.dev
        if self.heldout:
            yield "test", self.heldout

    @classmethod
    def load(cls, path: Path | str, *, trust: bool = False) -> "Recipe":
        """Read and validate a recipe file, or the `recipe.yaml` of a folder.

        Args:
            path: of the file or its folder.
            trust: let the recipe bring code of its own (the verifier `python`), which is run.

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
        for name, teacher in recipe.every_teacher.items():
            if teacher.embedded and teacher.model != MODEL_NAME:
                named = teacher.model[:MOST_SHOWN]
                raise BadInput(f"{path}: {name}.model: the embedded teacher is {MODEL_NAME}, not {named!r}")
        recipe._path, recipe._text, recipe._trusted = path, text, trust  # noqa: SLF001 - its own class
        for step in recipe.steps:
            recipe.demands(step)
        return recipe

    def _resolved(self, step: Step) -> Demands:
        where = f"{self.where(step)}.verify"
        verify = {} if callable(step.verify) else step.verify
        require_json(verify, where)
        rules = verifiers.resolve(verify, self.folder, where=where, trust=self._trusted)
        require_json(rules, where)  # files were read in
        schema = step.output.json_schema if step.output else VERDICT if step.judges else None
        if schema is None:
            return Demands(verify=rules)
        # The same reading and checking as for an answer's verifier.
        where = f"{self.where(step)}.output"
        resolved = verifiers.resolve({"json_schema": schema}, self.folder, where=where)
        require_json(resolved, where)
        return Demands(verify=rules, output=resolved["json_schema"])


def _field_of(teacher: str) -> str:
    """Where a recipe states a teacher."""
    return teacher if teacher in (TEACHER, JUDGE) else f"teachers.{teacher}"
