"""Who is asked in batches: what the recipe or the command says, or, with `auto`, whoever takes long at its limits."""

import json
from typing import Any

import pytest

from harvester.errors import BadInput
from harvester.estimating import Estimate, estimate, loads_left
from harvester.modes import Load, chosen
from harvester.planning import plan_fingerprint, planned
from harvester.recipe import Recipe

LOAD = Load((60_000, 120_000), (12_000_000, 60_000_000))


@pytest.fixture
def remote(folder: Any) -> Any:
    """A recipe of ten seeds whose teacher is a public one with a Batch API at half of the price."""
    folder.data["teacher"] |= {
        "base_url": "https://api.openai.com/v1",
        "local": False,
        "price": {"input": 1, "output": 2},
        "mode": "auto",
        "limits": {"requests_per_minute": 200},
    }
    folder.save()
    return folder


def choice(folder: Any, load: Load | None = LOAD, **teacher: Any) -> tuple[str, str | None]:
    folder.data["teacher"] |= teacher
    folder.save()
    found = chosen(Recipe.load(folder.path), {} if load is None else {"teacher": load})["teacher"]
    return found.mode, found.why


def test_auto_takes_batches_where_asking_takes_longer_than_the_recipe_says(remote: Any) -> None:
    said = "asking takes at least 5.0 hours at its limits"
    assert choice(remote) == ("batch", f"{said}, more than batch.auto_hours 4")
    assert choice(remote, batch={"auto_hours": 5}) == ("online", f"{said}, no more than batch.auto_hours 5")


def test_the_tightest_of_the_limits_says_how_long_it_takes(remote: Any) -> None:
    limits = {"requests_per_minute": 200, "tokens_per_minute": 20_000}
    assert "at least 10.0 hours" in str(choice(remote, limits=limits)[1])
    assert "at least 10.0 hours" in str(choice(remote, limits={"tokens_per_minute": 20_000})[1])


@pytest.mark.parametrize(
    ("teacher", "why"),
    [
        ({"limits": {"concurrency": 8}}, "is not known without its limits; state limits.requests_per_minute"),
        ({"base_url": "http://127.0.0.1:8000/v1", "local": True}, "it runs on this machine or network"),
        ({"base_url": "https://api.deepseek.com/v1"}, "no Batch API is known of deepseek"),
        ({"base_url": "https://llm.example.org/v1"}, "no Batch API is known of llm.example.org"),
        ({"base_url": "embedded", "model": "smollm2-135m-instruct", "local": False}, "it runs on this machine"),
    ],
)
def test_auto_stays_online_where_batches_cannot_be_or_nothing_says_how_long_it_takes(
    remote: Any, teacher: dict[str, Any], why: str
) -> None:
    mode, said = choice(remote, **teacher)
    assert mode == "online"
    assert why in str(said)


def test_what_is_stated_is_done_and_the_command_line_overrides_it(remote: Any) -> None:
    assert choice(remote, load=None, mode="batch") == ("batch", None)
    assert choice(remote, load=None, mode="online") == ("online", None)
    recipe = Recipe.load(remote.path)
    assert chosen(recipe, {}, "batch")["teacher"].mode == "batch"


def test_each_teacher_has_a_mode_of_its_own(remote: Any) -> None:
    local = {"base_url": "http://127.0.0.1:1/v1", "local": True, "mode": "online"}
    remote.data["judge"] = {**remote.data["teacher"], **local}
    remote.write("grade.j2", "{{ steps.answer.text }}")
    remote.data["steps"].append({"name": "grade", "kind": "judge", "prompt": "grade.j2"})
    assert choice(remote, mode="batch")[0] == "batch"
    modes = {one.teacher: (one.mode, one.price_share) for one in estimate(Recipe.load(remote.path)).modes}
    assert modes == {"teacher": ("batch", 0.5), "judge": ("online", 1.0)}


def test_the_embedded_teacher_in_batches_is_refused(remote: Any) -> None:
    remote.data["teacher"] = {"base_url": "embedded", "model": "smollm2-135m-instruct", "mode": "batch"}
    remote.save()
    with pytest.raises(BadInput, match=r"teacher: mode: the embedded teacher has no Batch API; remove it"):
        Recipe.load(remote.path)


def estimated(folder: Any, mode: str) -> Estimate:
    folder.data["teacher"]["mode"] = mode
    folder.save()
    return estimate(Recipe.load(folder.path))


def test_an_estimate_is_at_the_price_of_the_mode(remote: Any) -> None:
    online, batch = estimated(remote, "online"), estimated(remote, "batch")
    assert online.usd
    assert batch.usd == pytest.approx([amount / 2 for amount in online.usd])
    assert batch.modes[0].usd == batch.steps[0].usd == batch.usd
    assert estimate(Recipe.load(remote.path), "online").usd == online.usd


def test_the_mode_changes_no_request(remote: Any) -> None:
    def asked(mode: str) -> Any:
        remote.data["teacher"] |= {"mode": mode, "batch": {"requeue_online": mode == "batch"}}
        remote.save()
        recipe = Recipe.load(remote.path)
        keys = [request.key for _, _, all_asked in planned(recipe) for one in all_asked for request in one.requests]
        return plan_fingerprint(recipe), keys

    assert asked("online") == asked("batch") == asked("auto")


def test_what_is_stored_already_is_not_in_what_is_left(remote: Any) -> None:
    recipe = Recipe.load(remote.path)
    whole, tenth = (loads_left(recipe, {"answer": (1000, left)})["teacher"] for left in (1000, 100))
    assert whole.requests == (1000, 1000)
    assert tenth.requests == (100, 100)
    assert tenth.tokens == tuple(tokens // 10 for tokens in whole.tokens)
    assert loads_left(recipe, {})["teacher"].requests == (0, 0)


def test_what_later_steps_may_ask_is_in_what_is_left(remote: Any) -> None:
    remote.write("again.j2", "Once more: {{ steps.answer.text }}")
    remote.data["steps"].append({"name": "again", "kind": "revise", "prompt": "again.j2"})
    remote.save()
    recipe = Recipe.load(remote.path)
    assert loads_left(recipe, {"answer": (1000, 1000)})["teacher"].requests == (1300, 2000)
    assert loads_left(recipe, {"answer": (1000, 0), "again": (900, 500)})["teacher"].requests == (500, 600)


def test_check_says_how_each_teacher_is_asked_and_for_what(remote: Any, harvester: Any) -> None:
    remote.data["terms"]["teacher"] = {"basis": "a contract", "accepted_by": "A. Person"}
    remote.data["teacher"]["batch"] = {"auto_hours": 0.0005}
    remote.save()
    code, out, errors = harvester("check", remote.path)
    assert code == 0, errors
    assert (
        "teacher is asked in batches (auto: asking takes at least 0.0 hours at its limits, more than batch.auto_hours"
        " 0.0005); 0.5 of the usual price, USD 0.0001 to 0.0010\n"
    ) in out
    (found,) = json.loads(harvester("check", remote.path, "--json")[1])["modes"]
    assert (found["teacher"], found["mode"], found["price_share"]) == ("teacher", "batch", 0.5)
    assert found["hours"] == pytest.approx([10 / 200 / 60] * 2)


def test_check_says_nothing_of_modes_where_none_is_stated(folder: Any, harvester: Any) -> None:
    assert "is asked" not in harvester("check", folder.path)[1]
