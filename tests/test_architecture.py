"""The rooms of the design: who may import whom."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each line may import from itself and from the lines above it.
HARVESTER = """
errors
records meanings
saying pace
text_files byte_letters pure_sampling
paths teachers.weights profiles yaml_text guarding
addresses explaining conversations
pricing
terms
verify
streaming
parsing
logprobs
strict_model
seeds_spec
recipe
selection seeds seed_fields trusting verdicts
templating calling
prompting
secret_forms seeds_in_common
secrets_in_seeds
limiter modes
circuit
adapting
budget
retry
teachers
store
judging auditing tracing
planning flowing foreseeing expected_logprobs
step_estimates
estimating
catching_up
progress feeding interrupting
noticing
binding bounds following
asking
lanes
reporting
running
collecting
batching
questions
balance
exporting
curating
diffing
status starting known
watching
metrics
metrics_server
cli
__main__
"""

FINETUNE = """
errors
mishaps
config
hub
identity
notes
data
runs
claiming stored
token_bytes placing
boundaries listings
alignment rollout
rendering
preference
batching tails
collate attention
losses drawing
supervision
schedule
embedded adapters shards
loading
lora
student
generation
teacher_address
teacher_client teacher_scores
telling
objective distributed
checkpoint
metrics stopping sound
sampling
on_policy
loop sharding soft_labels reference
material
training
serving
heldout
answers
arms
likelihood
intervals
unbounded
nearness
scoring describing costs
reporting
evaluation
markdown licences
merging scores card
exporting
cli
__main__
"""

ROOMS = {"harvester": HARVESTER, "finetune": FINETUNE}


def rooms(text: str) -> dict[str, int]:
    return {room: line for line, names in enumerate(text.split("\n")) for room in names.split()}


def imports(path: Path, package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == package:
            yield from (f"{package}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def room_of(module: str, package: str, known: dict[str, int]) -> str | None:
    name = module.removeprefix(package).strip(".")
    parts = name.split(".")
    two = ".".join(parts[:2])
    return two if two in known else parts[0] if parts[0] in known else None


def files(package: str) -> list[Path]:
    return [path for path in sorted((ROOT / package).rglob("*.py")) if "migrations" not in path.parts]


CASES = [(package, path) for package in ROOMS for path in files(package)]


@pytest.mark.parametrize(("package", "path"), CASES, ids=[str(path.relative_to(ROOT)) for _, path in CASES])
def test_imports_go_to_earlier_rooms_only(package: str, path: Path) -> None:
    known = rooms(ROOMS[package])
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    if module == package:
        return
    own = room_of(module, package, known)
    assert own is not None, f"{module} has no room"
    for imported in imports(path, package):
        if imported.startswith(f"{package}."):
            other = room_of(imported, package, known)
            if other is not None:
                assert known[other] <= known[own], f"{module} imports {imported}"


def test_harvester_never_imports_torch_nor_finetune() -> None:
    for path in files("harvester"):
        for imported in imports(path, "harvester"):
            assert imported.split(".")[0] not in ("torch", "finetune", "transformers", "peft"), path


def test_finetune_never_opens_the_store() -> None:
    allowed = ("verify", "records", "errors", "addresses", "teachers.weights", "byte_letters", "pure_sampling")
    for path in files("finetune"):
        for imported in imports(path, "finetune"):
            if imported.split(".")[0] == "harvester":
                assert imported.removeprefix("harvester.").startswith(allowed), f"{path} imports {imported}"


def test_verify_is_a_library_of_its_own() -> None:
    code = (
        "import sys, harvester.verify\n"
        "heavy = {'sqlalchemy', 'httpx', 'openai', 'aiohttp', 'pyarrow', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_load_what_they_name() -> None:
    import harvester
    from harvester import Recipe, collect, export

    assert callable(collect)
    assert callable(export)
    assert Recipe.__name__ == "Recipe"
    assert all(getattr(harvester, name) for name in harvester.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = harvester.nothing
