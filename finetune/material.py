"""What a run learns from: rows, or pairs of answers, of a dataset, rendered for its model, and what they are like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune import preference, soft_labels
from finetune.config import RunConfig
from finetune.data import Dataset, say
from finetune.errors import BadInput
from finetune.preference import Learnt
from finetune.rendering import Example, Renderer
from finetune.student import Base

QUANTILES = 20


@dataclass(frozen=True, slots=True)
class Material:
    """The splits of a run."""

    train: Sequence[Learnt]
    dev: Sequence[Learnt]
    facts: Mapping[str, Any]  # for run.json: what they are like, in the student's tokens


def material(data: Dataset, base: Base, config: RunConfig, longest: int) -> Material:
    """What a configuration has a model learn from; what is left out is said.

    Args:
        data: the run's dataset.
        base: the model's tokenizer.
        config: the run's.
        longest: tokens of a prompt with its answer.

    Raises:
        BadInput: nothing is left of train; there is no dev split where one is needed; the loss asks for what the
            dataset has not.
    """
    renderer = Renderer(base.tokenizer, base.stop_ids)
    found = (_pairs if config.loss.kind == "dpo" else _rows)(data, base, renderer, config, longest)
    if config.training.patience is not None and not found.dev:
        raise BadInput(f"--patience: {data.path} has no split dev to look at; give the recipe a `dev` file")
    return found


def _rows(data: Dataset, base: Base, renderer: Renderer, config: RunConfig, most: int) -> Material:
    cut = config.batching.too_long == "cut"
    dev = renderer.rows(data.splits.get("dev") or [], most, cut=cut).examples
    rendered = renderer.rows(data.split("train"), most, cut=cut)
    rendered.require()
    total = len(data.split("train"))
    _say_dropped(rendered.dropped, f"of {total} rows")
    if rendered.cut_rows:
        lost = f"{rendered.cut_tokens} tokens of answers"
        say(f"train: {rendered.cut_rows} of {total} rows cut, {lost} lost; see --max-length")
    taught = soft_labels.teach(rendered, base, config.loss, data.notes)
    for line in soft_labels.told(taught, config.loss):
        say(line)
    facts = {
        "dropped": rendered.dropped,
        "soft": taught.facts(config.loss),
        "cut": {"rows": rendered.cut_rows, "tokens": rendered.cut_tokens},
        "longest_answer": max(example.supervised for example in taught.examples),
    }
    return Material(taught.examples, dev, facts | _shape(taught.examples, dev, taught.examples))


def _pairs(data: Dataset, _base: Base, renderer: Renderer, _config: RunConfig, most: int) -> Material:
    choices = preference.read_choices(data.path)
    dev = preference.rendered(choices.get("dev", []), renderer, most).pairs
    rendered = preference.rendered(choices["train"], renderer, most)
    pairs = rendered.require()
    _say_dropped(rendered.dropped, f"of {len(choices['train'])} pairs")
    facts = {
        "dropped": rendered.dropped,
        "cut": {"rows": 0, "tokens": 0},
        "longest_answer": max(pair.chosen.supervised for pair in pairs),
    }
    return Material(pairs, dev, facts | _shape(pairs, dev, [a for pair in pairs for a in (pair.chosen, pair.rejected)]))


def _say_dropped(dropped: Mapping[str, int], of: str) -> None:
    for reason, count in dropped.items():
        say(f"train: {count} {of} left out: {reason}")


def _shape(train: Sequence[Learnt], dev: Sequence[Learnt], texts: Sequence[Example]) -> dict[str, Any]:
    return {
        "rows": {"train": len(train), "dev": len(dev)},
        "tokens": {
            "supervised": sum(text.supervised for text in texts),
            "total": sum(text.length for text in texts),
        },
        "lengths": {
            "prompt": _quantiles([text.length - text.supervised for text in texts]),
            "answer": _quantiles([text.supervised for text in texts]),
        },
    }


def _quantiles(values: list[int]) -> list[int]:
    ordered = sorted(values)
    return [ordered[round(place / QUANTILES * (len(ordered) - 1))] for place in range(QUANTILES + 1)]
