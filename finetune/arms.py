"""Who answers the held-out prompts: base, base with an instruction, student, a control; the teacher has answered."""

import gc
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import runs
from finetune.answers import Lines, Shelf, line
from finetune.config import RunConfig
from finetune.data import Dataset, say
from finetune.errors import BadInput
from finetune.generation import greedy_batches
from finetune.heldout import Prompt
from finetune.identity import digest
from finetune.rendering import Renderer
from finetune.student import Base, compute_dtype, default_device, dtype_name, load_base, load_student, stated_dtype

BASES = ("base", "base_instruction")
ARMS = (*BASES, "teacher", "student", "unfiltered")


@dataclass(frozen=True, slots=True)
class Arm:
    """One answerer that must be asked."""

    name: str
    run: Path
    config: RunConfig
    instruction: str | None = None

    @property
    def trained(self) -> bool:
        """Whether it answers with what was learnt."""
        return self.name not in BASES

    @property
    def adapted(self) -> bool:
        """Whether the base is a student with its adapters off."""
        return self.config.method != "full"

    def made_with(self, data: Dataset, prompts: int, max_new_tokens: int) -> dict[str, Any]:
        """All that decides the answers; the same gives the same.

        Raises:
            BadInput: the base or the student is not there.
        """
        where = runs.ADAPTER if self.adapted else runs.WEIGHTS
        return {
            "model": self.config.model,
            "base_sha256": digest(self.config.model),
            "dtype": dtype_name(compute_dtype(self.config, default_device())),
            "quantised": self.config.method == "qlora",
            "student_sha256": _student_digest(self.run / where) if self.trained else None,
            "instruction": self.instruction,
            "dataset_sha256": data.sha256,
            "prompts": prompts,
            "max_new_tokens": max_new_tokens,
        }


def teacher_lines(prompts: Sequence[Prompt]) -> Lines:
    """What the teacher said when it was harvested."""
    return [
        line(
            prompt,
            row.sample,
            row.answer,
            finished=bool(row.answer) and row.finish_reason != "length",
            tokens=row.completion_tokens,
        )
        for prompt in prompts
        for row in prompt.teacher
    ]


@dataclass(frozen=True, slots=True)
class Sitting:
    """What all arms are asked, and where their answers go."""

    prompts: Sequence[Prompt]
    shelf: Shelf
    max_new_tokens: int

    def ask(self, arms: Sequence[tuple[Arm, dict[str, Any]]]) -> Iterator[tuple[str, Lines, float]]:
        """Each arm's answers and the seconds they took; those made with the same before are not made again.

        Args:
            arms: each with what its answers are made with.

        Raises:
            BadInput: a model cannot be loaded.
        """
        speaker = _Speaker()
        for arm, made_with in arms:
            kept = self.shelf.kept(arm.name, made_with, self.prompts)
            if kept is None:
                kept = self._answers(arm, made_with, speaker)
                self.shelf.keep(arm.name, kept[0], made_with, kept[1])
            else:
                say(f"{arm.name}: answers of before are kept")
            yield arm.name, *kept

    def _answers(self, arm: Arm, made_with: dict[str, Any], speaker: "_Speaker") -> tuple[Lines, float]:
        found, seconds = self.shelf.begun(arm.name, made_with, self.prompts)
        waiting = [(place, prompt) for place, prompt in enumerate(self.prompts) if place not in found]
        if found:
            say(f"{arm.name}: going on after {len(found)} of {len(self.prompts)} answers")
        base, model = speaker.load(arm)
        renderer = Renderer(base.tokenizer, base.stop_ids)
        ids = [_ids(renderer, prompt, arm.instruction) for _, prompt in waiting]
        off: AbstractContextManager[Any] = nullcontext()
        if not arm.trained and arm.adapted:
            off = model.disable_adapter()  # the very weights that the student sits on
        label, most, started = f"{arm.name}: answering", self.max_new_tokens, time.monotonic()
        with off:
            for batch in greedy_batches(model, base, renderer, ids, max_new_tokens=most, label=label):
                judged = {}
                for index, answer in batch:
                    place, prompt = waiting[index]
                    judged[place] = line(prompt, 0, answer.text, finished=answer.finished, tokens=answer.tokens)
                took, started = time.monotonic() - started, time.monotonic()
                self.shelf.add(arm.name, judged, took)
                found, seconds = found | judged, seconds + took
        return [found[place] for place in range(len(self.prompts))], seconds


class _Speaker:
    """The model that is loaded; arms that share one load it once."""

    def __init__(self) -> None:
        self._key: tuple[Path, bool] | None = None
        self._loaded: tuple[Base, Any] | None = None

    def load(self, arm: Arm) -> tuple[Base, Any]:
        key = (arm.run, arm.trained or arm.adapted)
        if self._loaded is None or key != self._key:
            self._loaded = None  # before the next one is loaded: two may not fit
            gc.collect()
            bare = not key[1]
            base = load_base(arm.config.model, stated_dtype(arm.config)) if bare else None
            self._key, self._loaded = key, (base, base.model) if base else load_student(arm.run, arm.config)
        return self._loaded


def _ids(renderer: Renderer, prompt: Prompt, instruction: str | None) -> tuple[int, ...]:
    messages = prompt.messages if instruction is None else renderer.with_instruction(prompt.messages, instruction)
    return renderer.prompt_ids(messages, prompt.tools)


def _student_digest(folder: Path) -> str:
    # The weights, and what says how they are used (an adapter's scale).
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*config.json")])
    if not files:
        raise BadInput(f"{folder}: the student's weights are not there; train into another folder")
    whole = hashlib.sha256()
    try:
        for path in files:
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise BadInput(f"{folder}: cannot be read ({error.strerror}); train into another folder") from error
    return whole.hexdigest()
