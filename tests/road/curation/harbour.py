"""A recipe whose teacher and judge change their terms while it is collected, and all that is planted in its store."""

from pathlib import Path
from typing import Any

import yaml

from plant_copies import copies  # isort: skip - helpers beside the tests
from plant_held_out import held_out  # isort: skip
from plant_texts import LEAST_TOKENS, MOST_TOKENS, every_filter  # isort: skip
from planted import ANSWER, FILES, GRADING, JUDGE, KEY, LEAST_SCORE, MOST_OF_A_SOURCE, TASK, Planted, Row  # isort: skip
from prose import LANGUAGES, Prose  # isort: skip

FAILED = "failed: HTTP 400"
KEY_ENV = "HARBOUR_API_KEY"
TOPICS = {"sea": 40, "law": 12, "crops": 13, "craft": 14}
CLAIM = {"basis": "a letter of its maker", "accepted_by": "Ada Finch"}
PHASES: dict[str, dict[str, dict[str, str]]] = {
    "first": {"teacher": {"license": "Apache-2.0"}, "judge": {"license": "Apache-2.0"}},
    "then": {"teacher": {"license": "Llama-3.1"}, "judge": {"license": "Apache-2.0"}},
    "last": {"teacher": CLAIM, "judge": {"license": "CC-BY-4.0"}},
}
VERDICTS = {  # as the licences and the absence of one are to be read, told here once more
    "declared:Apache-2.0": {"verdict": "allowed", "obligations": []},
    "declared:CC-BY-4.0": {"verdict": "conditions", "obligations": ["give attribution"]},
    "declared:Llama-3.1": {
        "verdict": "conditions",
        "obligations": [
            "the student's name starts with Llama", "pass on a copy of the licence", "show Built with Llama",
            "700 M monthly users cap",
        ],
    },
    "not-in-registry": {"verdict": "unknown", "obligations": []},
}  # fmt: skip
CURATE = {
    "personal_data": "drop",
    "language": list(LANGUAGES),
    "length": {"min_tokens": LEAST_TOKENS, "max_tokens": MOST_TOKENS},
    "per_source": {"field": "source", "most": MOST_OF_A_SOURCE},
    "balance": {"field": "topic", "at_most": 2.0},
}


def plant(total: int, times: int, *, key: str, reply_key: str) -> Planted:
    """So many rows, among them everything that can be planted so many times; the others are clean.

    Args:
        total: rows of all splits; a twentieth of the clean ones is in dev.
        times: of each planted thing.
        key: the teacher's, which a provider repeats in an answer and in an error.
        reply_key: a key that the teacher writes into an answer.
    """
    prose, planted = Prose(7), Planted(key)
    planted.add(
        Row(prose.text(), f"{prose.text()} They wrote {KEY} on the door.", "an answer that repeats the teacher's key"),
        Row(prose.text(), "", "an error that repeats the teacher's key", reason=FAILED, harm=FAILED, status=400),
        Row(prose.text(), f"It is {reply_key}.", "a key of the teacher's own", reason="curate:secret"),
        Row(prose.text(), f"It is sk-ant-api03-{'x1Y' * 16}.", "held out: a key", "test"),
    )
    planted.add(*every_filter(prose, times), *copies(prose, times), *held_out(prose, 20 * times, times))
    planted.add(*(_of_source(prose, number) for number in range(3 * MOST_OF_A_SOURCE)))
    left = total - len(planted.rows)
    planted.add(*(_clean(prose, number, "dev" if number % 20 == 0 else "train") for number in range(left)))
    prose.random.shuffle(planted.rows)
    return planted


def _of_source(prose: Prose, number: int) -> Row:
    source, score = ("gazette", "almanac")[number % 3 == 0], prose.random.choice((2.0, 3.0, 4.0))
    return Row(prose.text(), prose.text(), f"of the {source}", source=source, score=score)


def _clean(prose: Prose, number: int, split: str) -> Row:
    topic = prose.random.choices(list(TOPICS), list(TOPICS.values()))[0]
    language, score = LANGUAGES[number % len(LANGUAGES)], prose.random.choice((1.5, 2.0, 3.0, 4.0, 4.5))
    return Row(prose.text(language), prose.text(language), f"clean, {language}", split, topic=topic, score=score)


def write_recipe(folder: Path, url: str, phase: str) -> None:
    """The recipe as it is in one phase."""
    teacher = {
        "base_url": url, "model": "toy-1", "local": True, "api_key_env": KEY_ENV, "limits": {"concurrency": 64},
        "sampling": {"temperature": 0.5, "max_tokens": 1000},
    }  # fmt: skip
    recipe: dict[str, Any] = {
        "name": "harbour",
        "teacher": teacher,
        "judge": teacher | {"model": JUDGE},
        **{name: {"path": FILES[split]} for name, split in (("seeds", "train"), ("dev", "dev"), ("heldout", "test"))},
        "steps": [
            {"name": "answer", "prompt": "answer.j2", "verify": {"regex": {"pattern": "^(?!REJECTED)"}}},
            {"name": "grade", "kind": "judge", "prompt": "grade.j2", "min_score": LEAST_SCORE},
        ],
        "terms": PHASES[phase],
        "curate": CURATE,
    }
    recipe["seeds"]["license"] = "CC0-1.0"
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    (folder / "answer.j2").write_text(f"{TASK}\n\n{{{{ text }}}}\n", encoding="utf-8")
    grading = f"{GRADING}\n\n{{{{ text }}}}\n\n{ANSWER}\n\n{{{{ steps.answer.text }}}}\n"
    (folder / "grade.j2").write_text(grading, encoding="utf-8")


def terms_ids() -> dict[str, dict[str, str]]:
    """Phase → teacher → the id of its terms."""
    return {
        phase: {teacher: f"declared:{said['license']}" if "license" in said else "not-in-registry"
                for teacher, said in teachers.items()}
        for phase, teachers in PHASES.items()
    }  # fmt: skip
