"""Row filters on a real Ray cluster find what they find in one process, also when a machine of it is lost."""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harvester.collecting import collect
from harvester.curating import executor, spool
from harvester.curating.base import Example, RowFilter
from harvester.curating.contamination import Contamination
from harvester.curating.examples import Candidate
from harvester.curating.row_filters import row_filters
from harvester.errors import BadInput
from harvester.recipe import Recipe
from harvester.recipe.curation import Curate, Lengths

sys.path.insert(0, str(Path(__file__).parent))
from corpora import prose, row  # isort: skip - a helper beside the tests

KEY = "sk-ant-" + "Aa1" * 12
HELD_OUT = prose("held out", 20)
ENGLISH = (
    "The harbour was quiet that morning and the boats lay still while the fishermen mended nets, drank tea and spoke "
    "of the weather which had kept them ashore for the third week in a row."
)
INSIDE = {7: KEY, 11: HELD_OUT, 13: "ask wang@harbour-shop.cn", 19: "so it goes. " * 30}
WHOLE = {17: "La barca è rimasta nel porto per tutta la settimana.", 23: "I'm sorry, but I cannot help with that."}
"""Stands in, or is, every so manieth answer."""
ROWS, BATCH = 3000, 200
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}

# Ray Data gives settings of its own their defaults that it has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """One machine; tests add others."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tempfile.mkdtemp(prefix="ray-")  # short: Ray puts sockets into it
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args=NODE)
        patch.setenv("RAY_ADDRESS", made.address)
        yield made
        made.shutdown()
        shutil.rmtree(folder)


@pytest.fixture
def connected(cluster: Any) -> Iterator[None]:
    import ray

    ray.init(cluster.address, log_to_driver=False)
    yield
    ray.shutdown()


def filters() -> list[RowFilter]:
    """All of them: compiled expressions, another engine's, a language model and arrays of numbers."""
    settings = Curate(personal_data="drop", language=("en",), length=Lengths(max_tokens=390))
    return row_filters(settings, Contamination.from_texts([("held", "1", HELD_OUT)]))


def spooled(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Candidates with something for every filter, in many batches."""
    monkeypatch.setattr(spool, "BATCH", BATCH)
    with closing(spool.Spool(path)) as file:
        for number in range(ROWS):
            file.add(Candidate(example(number), kept=True, protected=False))
    return path


def example(number: int) -> Example:
    words = random.Random(number).sample(ENGLISH.split(), k=30)  # noqa: S311
    inside = [text for every, text in INSIDE.items() if number % every == 0]
    answer = next((text for every, text in WHOLE.items() if number % every == 0), " ".join(words + inside))
    reason = "length" if number % 29 == 0 else "stop"
    return row(number, prose(-number, 20), answer, finish_reason=reason, completion_tokens=number % 400)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_command_curates_on_a_cluster_as_it_does_here(folder: Any, provider: Any, cluster: Any) -> None:
    provider.answer = lambda body: f"key {KEY}" if "leak" in body["messages"][-1]["content"] else "It rains there."
    folder.seeds("train.jsonl", ["leak one", "two", "leak three", "four"])
    asyncio.run(collect(Recipe.load(folder.path)))
    here, there = (
        subprocess.run(
            [sys.executable, "-m", "harvester", "curate", folder.path, "--json", "--executor", name],
            check=True,
            capture_output=True,
        ).stdout
        for name in ("local", "ray")
    )
    assert b'"secret": 2' in here
    assert there == here


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_machine_without_this_harvester_is_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['harvester'] = None\n", encoding="utf-8")
    other = cluster.add_node(**NODE, env_vars={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(BadInput, match=r"not Harvester .* \(No module named 'harvester\..*\); install this version"):
        next(executor("ray")(filters(), spooled(tmp_path / "spool", monkeypatch)))
    cluster.remove_node(other)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_machine_that_is_lost_on_the_way_changes_nothing(
    cluster: Any, connected: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    candidates = spooled(tmp_path / "spool", monkeypatch)
    local = [one for found in executor("local")(filters(), candidates) for one in found]
    gate = ray.remote(num_cpus=0)(_gate()).remote()
    ray.get(gate.__ray_ready__.remote())  # on the machine that stays, before there is another
    doomed = cluster.add_node(**NODE)
    found = executor("ray")([_holds(gate, doomed.node_id), *filters()], candidates)
    there = next(found)
    ray.get(gate.until_stuck.remote())
    cluster.remove_node(doomed, allow_graceful=False)
    there += [one for some in found for one in some]
    assert {one.filter for one in local} == {one.name for one in filters()}
    assert there == local


def _gate() -> type:
    class Gate:  # inside, as Ray ships the code of what no module of the workers has
        def __init__(self) -> None:
            self._is_stuck = asyncio.Event()

        async def stick(self) -> None:
            self._is_stuck.set()
            await asyncio.Event().wait()

        async def until_stuck(self) -> None:
            await self._is_stuck.wait()

    return Gate


def _holds(gate: Any, doomed: str) -> RowFilter:
    """Lets the first batch pass; a later one gets stuck on the doomed machine, and elsewhere waits until that is so."""
    first_id, batch = row(0).id, BATCH

    class Holds:
        name = "holds"

        def look(self, example: Example) -> None:
            import ray

            place = example.id - first_id
            if place and place % batch == 0:
                is_doomed = ray.get_runtime_context().get_node_id() == doomed
                ray.get(gate.stick.remote() if is_doomed else gate.until_stuck.remote())

    return Holds()


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "harvester.curating.ray_stage", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadInput, match=r"pip install -e '\.\[ray\]'"):
        executor("ray")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:1", r"^RAY_ADDRESS: 127\.0\.0\.1:1: .*refused; is the cluster's head running there\?$"),
        ("127.0.0.1:99999", r"^RAY_ADDRESS: 127\.0\.0\.1:99999: .*; is the cluster's head"),
        (
            "ray://127.0.0.1:10001",
            r"^RAY_ADDRESS: ray://.*: a client's connection .*; run this on a machine of the cluster",
        ),
    ],
)
def test_an_address_without_a_usable_cluster_is_told_at_once(
    address: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    with pytest.raises(BadInput, match=told):
        next(executor("ray")([], tmp_path / "spool"))
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_where_no_cluster_runs_none_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def none_found(*, address: str, **_: Any) -> None:
        raise ConnectionError(address)

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", none_found)
    with pytest.raises(BadInput, match=r"^--executor ray: no Ray cluster: set RAY_ADDRESS, or"):
        next(executor("ray")([], tmp_path / "spool"))
