"""A dataset is pushed to a hub over real HTTP, by the hub's own client, and read back by `datasets`."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from harvester.collecting import collect
from harvester.errors import BadInput, HarvesterError, RefusedByTerms, StoppedEarly
from harvester.exporting import export
from harvester.exporting.pushing import Pushed, push, require_pushable
from harvester.recipe import Recipe

from fake_hub import TOKEN, Hub, serving  # isort: skip - a helper beside the tests

REPO = "ann/orders"
SHARDS = {"data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(Hub()) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running


@pytest.fixture
def recipe(folder: Any) -> Recipe:
    folder.seeds("heldout.jsonl", ["held 0", "held 1"])
    folder.data["heldout"] = {"path": "heldout.jsonl"}
    folder.save()
    loaded = Recipe.load(folder.path)
    asyncio.run(collect(loaded))
    return loaded


def pushed(recipe: Recipe, out: Path, **options: Any) -> Pushed:
    return push(export(recipe, out), REPO, **options)


def environment(hub: Hub, tmp_path: Path, **more: str) -> dict[str, str]:
    """Of a process that talks to the hub as a user's would."""
    own = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": TOKEN}
    return os.environ | own | more


def harvest(recipe: Recipe, out: Path, env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harvester", "export", str(recipe.folder), str(out), *options]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


# --- what is there afterwards


def test_what_is_pushed_can_be_loaded_by_its_id(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    env = environment(hub, tmp_path)
    done = harvest(recipe, tmp_path / "out", env, "--push", REPO, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["pushed"]
    assert found["url"] == f"{hub.url}/datasets/{REPO}"
    assert found["commit"] == hub.repos[REPO].commits[-1].oid
    load = (
        "import datasets, json\n"
        f"loaded = datasets.load_dataset('{REPO}')\n"
        "print(json.dumps({name: [row['messages'][-1]['content'] for row in rows] for name, rows in loaded.items()}))"
    )
    read = subprocess.run(
        [sys.executable, "-c", load], env=env, capture_output=True, text=True, check=False, timeout=90
    )
    assert read.returncode == 0, read.stderr
    answers = {"train": [f"answer to seed {n}" for n in range(10)], "test": ["answer to held 0", "answer to held 1"]}
    assert json.loads(read.stdout) == answers


def test_a_push_is_one_commit_of_every_file(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    found = pushed(recipe, tmp_path / "out")
    first, only = hub.repos[REPO].commits
    assert (found.files, found.deleted, found.commit) == (4, 0, only.oid)
    assert only.message.startswith("Export 10 train, 2 test rows with Harvester ")
    assert set(only.files) == {".gitattributes", "README.md", "harvester.json", *SHARDS}
    for name in set(only.files) - set(first.files):
        assert only.files[name] == (tmp_path / "out" / name).read_bytes()
    assert hub.repos[REPO].private is False


def test_shards_of_earlier_exports_leave_and_what_is_the_user_s_stays(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    pushed(recipe, tmp_path / "out")
    repo = hub.repos[REPO]
    older = {"data/train-00000-of-00002.parquet": b"x", "preference/train-00000-of-00001.parquet": b"x"}
    hub.commit(repo, "by hand", repo.commits[-1].files | older | {"LICENSE": b"mine", "plots/a.png": b"mine"})
    assert pushed(recipe, tmp_path / "out").deleted == 2
    assert set(repo.commits[-1].files) == {
        ".gitattributes", "README.md", "harvester.json", "LICENSE", "plots/a.png", *SHARDS
    }  # fmt: skip
    assert len(repo.commits) == 4


def test_another_layout_takes_the_place_of_the_first(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    pushed(recipe, tmp_path / "out")
    found = push(export(recipe, tmp_path / "out", format="csv"), REPO)
    assert set(hub.repos[REPO].commits[-1].files) == {
        ".gitattributes", "README.md", "harvester.json", "train.csv", "test.csv"
    }  # fmt: skip
    assert found.deleted == 2
    assert pushed(recipe, tmp_path / "out").deleted == 2


def test_the_same_dataset_again_changes_nothing(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    first = pushed(recipe, tmp_path / "out")
    assert pushed(recipe, tmp_path / "out").commit == first.commit
    assert len(hub.repos[REPO].commits) == 2


def test_a_private_repository_is_private_before_a_row_is_in_it(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    told: list[str] = []
    pushed(recipe, tmp_path / "out", private=True, tell=told.append)
    assert hub.repos[REPO].private is True
    assert told[-1].endswith(f"to {REPO} (private)")
    pushed(recipe, tmp_path / "out")
    assert hub.repos[REPO].private is True


def test_what_was_to_be_private_is_not_published(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    repo = hub.create(REPO)
    with pytest.raises(BadInput, match="ann/orders: exists and is public; make it private"):
        pushed(recipe, tmp_path / "out", private=True)
    assert len(repo.commits) == 1


def test_a_repository_of_something_else_is_left_alone(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    repo = hub.create(REPO, files={"README.md": b"mine", "data/train.parquet": b"mine"})
    with pytest.raises(BadInput, match=r"holds no dataset of Harvester's; name another repository"):
        pushed(recipe, tmp_path / "out")
    assert len(repo.commits) == 1
    empty = hub.create("ann/empty", files={"README.md": b"---\nlicense: mit\n---\n"})
    push(export(recipe, tmp_path / "out"), "ann/empty")
    assert len(empty.commits) == 2


# --- terms


def test_obligations_are_told_before_anything_is_sent(folder: Any, hub: Hub, tmp_path: Path) -> None:
    folder.data["terms"] = {"teacher": {"license": "Llama-3.1"}}
    folder.save()
    loaded = Recipe.load(folder.path)
    asyncio.run(collect(loaded))
    told: list[tuple[str, int]] = []
    pushed(loaded, tmp_path / "out", tell=lambda line: told.append((line, len(hub.asked))))
    lines = [line for line, asked in told if asked == 0]
    assert lines[0] == "terms of the whole: conditions"
    assert "  obligation: 700 M monthly users cap" in lines
    assert "  a student's name begins with: Llama" in lines
    assert "  a student's card shows: Built with Llama" in lines


def test_a_claimed_right_is_told_and_on_the_card(folder: Any, hub: Hub, tmp_path: Path) -> None:
    folder.data["terms"] = {"teacher": {"basis": "a contract", "accepted_by": "A. Person"}}
    folder.save()
    loaded = Recipe.load(folder.path)
    asyncio.run(collect(loaded))
    told: list[str] = []
    pushed(loaded, tmp_path / "out", tell=told.append)
    assert any(
        "is unknown; the card states the basis 'a contract', claimed by the user, not checked" in x for x in told
    )
    assert b"a contract" in hub.repos[REPO].commits[-1].files["README.md"]


def test_what_nobody_stated_a_right_to_stays_here(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    exported = export(recipe, tmp_path / "out")
    for terms in exported.terms.values():
        terms["verdict"] = "forbidden"
    with pytest.raises(
        RefusedByTerms, match="is written, and not pushed: training on the answers of teacher is forbidden"
    ):
        push(exported, REPO)
    assert hub.asked == []


# --- refusals and failures


@pytest.mark.parametrize(
    "repo", ["orders", "ann/", "/orders", "a/b/c", "ann/or ders", "ann/--", "../x", "a..b/c", "ann/x-", ""]
)
def test_a_name_that_is_none_is_refused_before_anything_is_written(repo: str, recipe: Recipe, harvester: Any) -> None:
    code, _, errors = harvester("export", recipe.folder, recipe.folder / "out", "--push", repo)
    assert (code, errors.count("\n")) == (2, 1)
    assert "names no repository; give USER/NAME" in errors
    assert not (recipe.folder / "out").exists()


def test_nobody_logged_in_is_said_before_anything_is_written(
    recipe: Recipe, harvester: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    code, _, errors = harvester("export", recipe.folder, recipe.folder / "out", "--push", REPO)
    assert (code, errors.count("\n")) == (2, 1)
    assert "set HF_TOKEN to a token with write access, or run `hf auth login`" in errors
    assert not (recipe.folder / "out").exists()


def test_private_goes_with_push(recipe: Recipe, harvester: Any) -> None:
    code, _, errors = harvester("export", recipe.folder, recipe.folder / "out", "--private")
    assert (code, "--push USER/NAME" in errors) == (2, True)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BadInput, match=r"pip install -e '\.\[hub\]'"):
        require_pushable(REPO)


def test_offline_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match="HF_HUB_OFFLINE is set"):
        require_pushable(REPO)


INFO, CREATE, COMMIT = f"/api/datasets/{REPO}", "/api/repos/create", f"/api/datasets/{REPO}/commit/"
SAID = {"error": f"you sent {TOKEN}, which\nis wrong"}


@pytest.mark.parametrize(
    ("route", "status", "error", "mend"),
    [
        (("POST", CREATE), 401, BadInput, "set HF_TOKEN, or run `hf auth login`"),
        (("POST", CREATE), 403, BadInput, "take one with write access"),
        (("POST", CREATE), 404, BadInput, "no such user or organisation"),
        (("POST", CREATE), 400, BadInput, "the hub says 400"),
        (("POST", CREATE), 500, StoppedEarly, "run the same command again"),
        (("POST", CREATE), 429, StoppedEarly, "run the same command again"),
        (("GET", INFO), 503, StoppedEarly, "run the same command again"),
        (("POST", "/api/validate-yaml"), 400, BadInput, "Invalid metadata"),
        (("POST", COMMIT), 409, StoppedEarly, "run the same command again"),
        (("POST", COMMIT), 412, StoppedEarly, "run the same command again"),
        (("POST", COMMIT), 403, BadInput, "take one with write access"),
        (("POST", COMMIT), 507, StoppedEarly, "run the same command again"),
    ],
)
def test_what_the_hub_refuses_is_one_line_without_the_token(
    recipe: Recipe, hub: Hub, tmp_path: Path, route: tuple[str, str], status: int, error: type[Exception], mend: str
) -> None:
    hub.faults[route] = [(status, SAID)] * 9
    with pytest.raises(error, match=mend) as caught:
        pushed(recipe, tmp_path / "out")
    said = str(caught.value)
    assert said.startswith(f"{REPO}: is not pushed, {tmp_path / 'out'} is written: ")
    assert "\n" not in said
    assert TOKEN not in said
    assert caught.value.__suppress_context__
    assert (tmp_path / "out" / "harvester.json").exists()


def test_a_namespace_of_others_is_said(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="403, You don't have the rights to create a dataset under the namespace bob"):
        push(export(recipe, tmp_path / "out"), "bob/orders")


def test_a_wrong_token_is_said(recipe: Recipe, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(
        BadInput, match="401, Invalid credentials in Authorization header; the token is missing or wrong"
    ):
        pushed(recipe, tmp_path / "out")


def test_a_commit_in_between_is_not_undone(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    def meanwhile(line: str) -> None:
        if line.startswith("pushing"):
            hub.commit(hub.repos[REPO], "by somebody else", hub.repos[REPO].commits[-1].files | {"LICENSE": b"theirs"})

    with pytest.raises(StoppedEarly, match="412, A commit has happened since"):
        pushed(recipe, tmp_path / "out", tell=meanwhile)
    pushed(recipe, tmp_path / "out")
    assert hub.repos[REPO].commits[-1].files["LICENSE"] == b"theirs"


def test_a_lost_upload_leaves_no_commit_and_the_next_push_ends_it(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    hub.faults["PUT", "/large/"] = [(403, {"error": "expired"})]
    with pytest.raises(BadInput, match="403"):
        pushed(recipe, tmp_path / "out")
    assert len(hub.repos[REPO].commits) == 1
    pushed(recipe, tmp_path / "out")
    assert set(hub.repos[REPO].commits[-1].files) >= SHARDS


@pytest.mark.parametrize("said", [b"<html>", [], {"id": REPO}, {"nothing": 1}])
def test_what_is_no_hub_is_said_so(recipe: Recipe, hub: Hub, tmp_path: Path, said: Any) -> None:
    hub.faults["GET", INFO] = [(200, said)] * 3
    with pytest.raises(HarvesterError, match=f"^{REPO}: is not pushed") as caught:
        pushed(recipe, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_a_hub_that_is_not_there_is_said_so(
    recipe: Recipe, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StoppedEarly, match="the hub cannot be reached"):
        pushed(recipe, tmp_path / "out")


def test_what_the_hub_has_against_the_card_stops_nothing(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    hub.warnings = ["empty or missing yaml metadata"]
    pushed(recipe, tmp_path / "out")
    assert len(hub.repos[REPO].commits) == 2


# --- the token


def test_the_token_is_shown_to_the_hub_and_written_nowhere(recipe: Recipe, hub: Hub, tmp_path: Path) -> None:
    env = environment(hub, tmp_path)
    hub.faults["POST", COMMIT] = [(400, SAID)]
    runs = [harvest(recipe, tmp_path / "out", env, "--push", REPO) for _ in range(2)]
    assert [run.returncode for run in runs] == [2, 0], runs
    assert hub.tokens == {TOKEN, None}  # large files go to addresses that need none
    written = [path.read_bytes() for path in [*tmp_path.rglob("*"), *recipe.folder.rglob("*")] if path.is_file()]
    assert len(written) > 6
    for text in [*(run.stdout.encode() + run.stderr.encode() for run in runs), *written]:
        assert TOKEN.encode() not in text
    assert runs[0].stderr.splitlines()[-1].startswith(f"harvester: {REPO}: is not pushed")
    assert "Traceback" not in runs[0].stderr
