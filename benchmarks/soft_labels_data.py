"""The datasets of soft_labels.py: collected and exported by Harvester itself, made once in a folder.

- `prose`: short free prose, sampled from the teacher's own distribution; what is not among 20 tokens has probability.
- `takes`: three answers to each of its prompts, so that a run of 190 steps of 4 rows learns from none twice.
- `records`: a line of text rewritten as JSON; less is left outside the list.
- `sure`: the same without examples, by a teacher that has learnt it (soft_labels_sure.py); nothing is left to speak of.

Nothing looks at the answers and nothing is picked, so that the loss `sampled` may learn of the tail.
"""

import json
import random
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from measuring import harvester, run_measured
from soft_labels_sure import served, sure_teacher

TRAIN, TEST = 260, 60  # prompts
SAMPLING = {"temperature": 1, "top_p": 1, "top_k": 0, "min_p": 0, "logprobs": 20, "max_tokens": 128}
FORMS = (
    "Write two short sentences about {}.", "In one sentence, what is {} like?", "Give one tip about {}.",
    "Begin a story about {} with a single sentence.", "Say in a few words why {} matters.",
    "Describe {} to a child in one or two sentences.", "Write one line of a letter about {}.",
    "What could go wrong with {}? Answer in one sentence.",
)  # fmt: skip
SUBJECTS = (
    "a harbour at dawn", "baking bread", "a lost umbrella", "the first snow", "an old map", "keeping bees",
    "a tax form", "glaciers", "a night train", "learning chess", "the village well", "a broken clock", "spring rain",
    "moving house", "a lighthouse", "growing tomatoes", "a library card", "the desert", "riding a bicycle",
    "a street market", "volcanoes", "a school play", "repairing shoes", "the moon", "a stray cat", "long meetings",
    "a river ferry", "the alphabet", "a birthday cake", "owls", "a power cut", "mountain huts", "painting a fence",
    "a secret garden", "the tide", "a noisy neighbour", "tea", "an airport at night", "folk songs", "a new job",
)  # fmt: skip
NAMES = (
    "Anna", "Boris", "Chen", "Dalia", "Emil", "Farah", "Goran", "Hana", "Ivo", "Jana", "Karim", "Lena", "Musa", "Nora",
    "Omar", "Petra",
)  # fmt: skip
CITIES = "Oslo", "Lima", "Cairo", "Kyoto", "Porto", "Quito", "Riga", "Sofia", "Tunis", "Turin", "Vienna", "Zagreb"
JOBS = "baker", "nurse", "pilot", "tailor", "teacher", "welder", "farmer", "singer", "lawyer", "plumber"
EMBEDDED = {"base_url": "embedded", "model": "smollm2-135m-instruct", "limits": {"concurrency": 4}}
RECORD = """Rewrite the line as JSON.
Line: Tom is a painter in Bonn, aged 41.
JSON: {"name": "Tom", "job": "painter", "city": "Bonn", "age": 41}
Line: Mia is a driver in Perth, aged 28.
JSON: {"name": "Mia", "job": "driver", "city": "Perth", "age": 28}
Line: %s
JSON:"""


def prompts(name: str) -> list[str]:
    """Distinct prompts, in an order that does not depend on the machine."""
    prose = name in ("prose", "takes")
    random_ = random.Random(f"soft labels/{'prose' if prose else name}")  # noqa: S311 - prompts, not secrets
    if prose:
        found = [form.format(subject) for form, subject in product(FORMS, SUBJECTS)]
    else:
        people = random_.sample([*product(NAMES, JOBS, CITIES)], TRAIN + TEST)
        lines = [f"{who} is a {job} in {city}, aged {random_.randint(18, 80)}." for who, job, city in people]
        found = [RECORD % line if name == "records" else f"Rewrite as JSON: {line}" for line in lines]
    random_.shuffle(found)
    return found


def dataset(keep: Path, name: str) -> Path:
    """The dataset's folder; collected where it is not there yet, and gone on with where that was interrupted."""
    recipe, folder = keep / name, keep / name / "dataset"
    if (folder / "harvester.json").exists():
        return folder
    if name == "sure":
        with served(teacher_folder(keep)) as teacher:
            write_recipe(recipe, name, teacher)
            run_measured(harvester("collect", recipe, "--trust", "127.0.0.1", "--json"))
    else:
        write_recipe(recipe, name, EMBEDDED)
        run_measured(harvester("collect", recipe, "--json"))
    run_measured(harvester("export", recipe, folder, "--unfiltered", "--json"))
    return folder


def teacher_folder(keep: Path) -> Path:
    """The weights of the teacher of `sure`; it learns from other people than those that it is asked about."""
    return sure_teacher(keep, lambda folder, teacher: write_recipe(folder, "exact", teacher))


def write_recipe(folder: Path, name: str, teacher: Mapping[str, Any]) -> None:
    """A recipe that asks a teacher once per prompt, or as often as there are takes."""
    folder.mkdir(parents=True, exist_ok=True)
    found, takes = prompts(name), 3 if name == "takes" else 1
    for file, texts in {"train": found[:TRAIN], "heldout": found[TRAIN : TRAIN + TEST]}.items():
        lines = [json.dumps({"text": text}) + "\n" for text in texts]
        (folder / f"{file}.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "answer.j2").write_text("{{ text }}", encoding="utf-8")
    recipe: dict[str, Any] = {
        "name": f"soft-labels-{name}",
        "teacher": {"sampling": SAMPLING if name != "exact" else {"max_tokens": 128}, **teacher},
        "seeds": {"path": "train.jsonl", "license": "CC0-1.0"},
        "steps": [{"name": "answer", "prompt": "answer.j2", "samples": takes, "select": "all"}],
        "student": {"prompt": "answer.j2"},
        "heldout": {"path": "heldout.jsonl"},
        "terms": {"teacher": {"license": "Apache-2.0"}} if teacher is not EMBEDDED else {},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML
