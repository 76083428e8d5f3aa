"""A teacher's server, asked over real HTTP: what it says of given ids, and what may be wrong with it."""

# ruff: noqa: N806 - shape suffixes

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aiohttp import web
from teachers import KEY, fake, teacher
from toys import make_tokenizer

from finetune import teacher_client
from finetune.errors import BadInput
from finetune.serving.served import Served, load
from finetune.teacher_address import TeacherAddress
from finetune.teacher_client import Client
from finetune.teacher_scores import Teacher
from harvester.errors import TeacherUnusable

IDS = (258, 70, 71, 72, 5, 9, 70, 200)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_TOKEN", KEY)


@pytest.fixture(scope="module")
def served(tiny_folder: Path) -> Served:
    return load(str(tiny_folder), name="tiny", dtype="float32")


@pytest.fixture(scope="module")
def address(served: Served) -> Iterator[TeacherAddress]:
    with teacher(served) as server:
        yield TeacherAddress(server.base_url, key_env="TEACHER_TOKEN")


def opened(url: str, **more: Any) -> Teacher:
    address = TeacherAddress(url, **more)
    return Teacher(Client(address), address.model)


def log_p(served: Served, ids: tuple[int, ...]) -> torch.Tensor:
    """log_p_SV of each token but the first."""
    with torch.inference_mode():
        logits: torch.Tensor = served.base.model(input_ids=torch.tensor([ids]), use_cache=False).logits
    return logits[0, :-1].log_softmax(1)


def test_it_says_what_the_model_says_of_those_very_ids(address: TeacherAddress, served: Served) -> None:
    rows = [(IDS, 3), (IDS[:4], 1), *[((number, 70, 71), 2) for number in range(10)]]
    found = Teacher(Client(address), None).score(rows, 4, served.vocabulary)
    assert len(found) == len(rows)
    for (ids, first), scores in zip(rows, found, strict=True):
        log_p_NV = log_p(served, ids)[first - 1 :]
        own_N = log_p_NV.gather(1, torch.tensor(ids[first:])[:, None])[:, 0]
        listed = log_p_NV.topk(4)
        np.testing.assert_allclose(scores.logp_N, own_N, rtol=1e-5, atol=1e-5)
        assert scores.ids_NK.tolist() == listed.indices.tolist()
        np.testing.assert_allclose(scores.logp_NK, listed.values, rtol=1e-5, atol=1e-5)


def test_nothing_need_be_listed(address: TeacherAddress, served: Served) -> None:
    [scores] = Teacher(Client(address), "tiny").score([(IDS, 3)], 0, served.vocabulary)
    assert scores.logp_N.shape == (5,)
    assert scores.ids_NK.shape == (5, 0)


def test_whether_it_scores_and_lists_enough_is_known_by_two_of_its_tokens(address: TeacherAddress) -> None:
    found = Teacher(Client(address), None)
    for top in (0, 20):
        found.require_scores(top)
    with pytest.raises(BadInput, match=r"HTTP 400: prompt_logprobs: .*; use vLLM or .*no larger --top than it lists"):
        found.require_scores(21)


@pytest.mark.parametrize("tokens", [None, "12", [5]])
def test_a_server_that_cuts_no_text_into_tokens_is_refused(tokens: Any) -> None:
    with (
        fake(tokenize={"tokens": tokens}) as server,
        pytest.raises(BadInput, match=r"/tokenize gives .*; use vLLM or `finetune serve`"),
    ):
        opened(server.url).require_scores(1)


def test_its_model_and_context_are_the_server_s(address: TeacherAddress) -> None:
    found = Teacher(Client(address), None)
    assert (found.model, found.longest) == ("tiny", 511)
    assert found.url == address.url
    assert Teacher(Client(TeacherAddress(address.url.removesuffix("v1"), None, "TEACHER_TOKEN")), None).url == found.url


def test_the_same_tokenizer_passes(address: TeacherAddress, served: Served) -> None:
    Teacher(Client(address), None).require_same_tokens(served.base.tokenizer, ["<|im_start|>user\nسؤال<|im_end|>"])  # noqa: RUF001


def test_another_tokenizer_is_refused(address: TeacherAddress) -> None:
    other = make_tokenizer()
    other.add_tokens(["12"])
    with pytest.raises(BadInput, match="tiny has another tokenizer than the student"):
        Teacher(Client(address), None).require_same_tokens(other, [])
    marked = make_tokenizer()
    marked.add_special_tokens({"additional_special_tokens": ["<|more|>"]})
    with pytest.raises(BadInput, match="another tokenizer"):
        Teacher(Client(address), None).require_same_tokens(marked, [])


def test_a_wrong_model_is_refused_with_those_that_are_there(address: TeacherAddress) -> None:
    with pytest.raises(BadInput, match=r"--teacher-model big: http\S+ has tiny; name one of them"):
        Teacher(Client(address), "big")
    with (
        fake(models={"data": [{"id": "a"}, {"id": "b"}]}) as server,
        pytest.raises(BadInput, match="has a, b; name one by --teacher-model"),
    ):
        opened(server.url)


@pytest.mark.parametrize("key_env", [None, "WRONG"])
def test_a_key_that_the_server_does_not_take(
    key_env: str | None, address: TeacherAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRONG", "another-key")
    with pytest.raises(TeacherUnusable, match=r"HTTP 401: .*--teacher-key-env NAME") as refused:
        opened(address.url, key_env=key_env)
    assert "another-key" not in str(refused.value)


def test_a_key_that_a_server_repeats_is_not_told() -> None:
    body = {"error": {"message": f"Incorrect API key: {KEY}\x1b[2J"}}
    with (
        fake(models=web.json_response(body, status=401)) as server,
        pytest.raises(TeacherUnusable, match=r"Incorrect API key: \(the key\)") as refused,
    ):
        opened(server.url, key_env="TEACHER_TOKEN")
    assert KEY not in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_no_server() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/v1"
        with pytest.raises(TeacherUnusable, match=r"--teacher http\S+: cannot be reached .* start the server"):
            opened(url)


def replying(entry: Any) -> Callable[[Any], Any]:
    """A server's completions: each token of each prompt has this entry."""

    def reply(body: Any) -> Any:
        return {
            "choices": [
                {"index": place, "prompt_logprobs": [None, *[entry for _ in prompt[1:]]]}
                for place, prompt in reversed([*enumerate(body["prompt"])])
            ]
        }

    return reply


@pytest.mark.parametrize(
    "completions",
    [
        {"choices": [{"index": 0, "text": "x"}]},
        {"choices": [{"index": 0, "prompt_logprobs": [None]}]},
        {"choices": []},
        {"choices": None},
        replying({}),
        replying({"7": {"logprob": -1.0, "rank": 1}}),  # another token's
        replying({"6": {"logprob": "nan", "rank": 1}}),
        replying({"6": {"rank": 1}}),
        replying(None),
        replying([]),
    ],
    ids=str,
)
def test_a_server_without_prompt_logprobs_is_refused(completions: Any) -> None:
    with fake(completions=completions) as server, pytest.raises(BadInput, match="use vLLM or `finetune serve`"):
        opened(server.url).score([((5, 6), 1)], 2, 10)


@pytest.mark.parametrize(
    "name", ["-1", "-99999999999", "03", "+3", " 3", "1_0", "\N{ARABIC-INDIC DIGIT THREE}", "x", "3.0"]
)
def test_an_id_that_is_none_is_refused_in_one_line(name: str) -> None:
    entry = {"6": {"logprob": -1.0, "rank": 2}, "3": {"logprob": -2.0, "rank": 3}, name: {"logprob": -0.5, "rank": 1}}
    with fake(completions=replying(entry)) as server, pytest.raises(BadInput, match="an id or a logprob") as refused:
        opened(server.url).score([((5, 6), 1)], 3, 10)
    assert str(refused.value).startswith(f"--teacher {server.url}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("whose", ["6", "3"])
@pytest.mark.parametrize(
    "logprob",
    [-np.inf, np.inf, np.nan, 0.01, -1e300, 10**400, -(10**400), "-inf", None, [-1]],
    ids=lambda value: str(value)[:9],
)
def test_a_logprob_that_is_none_is_refused_in_one_line(logprob: Any, whose: str) -> None:
    entry = {"6": {"logprob": -1.0, "rank": 1}, "3": {"logprob": -2.0, "rank": 2}}
    entry[whose] = entry[whose] | {"logprob": logprob}
    with fake(completions=replying(entry)) as server, pytest.raises(BadInput, match="an id or a logprob") as refused:
        opened(server.url).score([((5, 6), 1)], 2, 10)
    assert str(refused.value).startswith(f"--teacher {server.url}: ")


@pytest.mark.parametrize("logprob", [0.0005, 0, -9999.0])
def test_what_rounding_and_a_probability_of_0_give_is_taken(logprob: float) -> None:
    with fake(completions=replying({"6": {"logprob": logprob, "rank": 1}})) as server:
        [scores] = opened(server.url).score([((5, 6), 1)], 1, 10)
    assert scores.logp_N[0] == scores.logp_NK[0, 0] == np.float32(logprob)


def test_replies_are_taken_by_their_place_and_lists_by_their_rank() -> None:
    entry = {
        "6": {"logprob": -5.0, "rank": 9},  # the token itself, which was not asked for
        "99": {"logprob": -0.5, "rank": 1},  # no token of the student's
        "3": {"logprob": -2.0, "rank": 3},
        "4": {"logprob": -1.0, "rank": 2},
    }
    with fake(completions=replying(entry)) as server:
        [scores, other] = opened(server.url).score([((5, 6), 1), ((5, 6, 6), 1)], 3, 10)
    assert scores.logp_N.tolist() == [-5.0]
    assert scores.ids_NK.tolist() == [[4, 3, -1]]
    assert scores.logp_NK.tolist() == [[-1.0, -2.0, -np.inf]]
    assert other.ids_NK.shape == (2, 3)


def test_what_is_asked_is_ids_and_little_else(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[Any] = []
    monkeypatch.setenv("OPENAI_ORG_ID", "somebody-else")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: elsewhere")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with fake(
        completions=lambda body: bodies.append(body) or replying({"6": {"logprob": -1, "rank": 1}})(body)
    ) as server:
        opened(server.url).score([((5, 6), 1)], 20, 10)
    assert bodies == [{"model": "m", "prompt": [[5, 6]], "max_tokens": 1, "temperature": 0, "prompt_logprobs": 20}]
    for request in server.seen:
        assert {name.lower() for name in request.headers} <= teacher_client.SENT_HEADERS
    assert [request.path for request in server.seen] == ["/v1/models", "/v1/completions"]


def test_a_redirect_is_not_followed() -> None:
    moved = web.Response(status=307, headers={"Location": "http://127.0.0.1:9/"})
    with fake(models=moved) as server, pytest.raises(BadInput, match="HTTP 307"):
        opened(server.url)


def test_a_server_without_tokenize_is_refused(served: Served) -> None:
    with fake() as server, pytest.raises(BadInput, match=r"HTTP 404: .*tokenizers cannot be compared"):
        opened(server.url).require_same_tokens(served.base.tokenizer, [])


def test_another_kind_of_server_is_refused() -> None:
    page = web.Response(text="<html>", content_type="text/html")
    with fake(models=page) as server, pytest.raises(BadInput, match="no JSON object; give the address of an OpenAI"):
        opened(server.url)


def test_a_busy_server_is_asked_again_after_the_time_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def no_sleep(seconds: float) -> None:
        waits.append(seconds)

    busy = iter([web.Response(status=429, headers={"Retry-After": "7"})])
    with fake(models=lambda _: next(busy, {"data": [{"id": "m"}]})) as server:
        monkeypatch.setattr("openai._base_client.anyio.sleep", no_sleep)
        found = opened(server.url)
    assert waits == [7]
    assert found.longest is None


def test_a_server_that_never_ends_its_reply_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        while True:
            await reply.write(b" ")
            await asyncio.sleep(0.01)

    monkeypatch.setattr(teacher_client, "DEADLINE_S", 0.3)
    with fake(models=trickle) as server, pytest.raises(TeacherUnusable, match="no reply in time"):
        opened(server.url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://user:secret@127.0.0.1:8000", "refused"),
        ("http://127.0.0.1:8000/v1?key=secret", "refused"),
        ("http://127.0.0.1:8000/v1#secret", "refused"),
        ("127.0.0.1:8000", "no address; write it as"),
        ("ftp://127.0.0.1", "no address"),
        ("http://127.0.0.1:99999", "no address"),
        ("http://", "no address"),
        ("http://[::1", "no address"),
        ("http://134744072/v1", "no address"),
        ("http://0x08080808/v1", "no address"),
        ("http://0X8.8.2056/v1", "no address"),
        ("http://127.1:8000", "no address"),
        ("http://010.0.0.1", "no address"),
        ("http://2130706433.", "no address"),
    ],
)
def test_what_is_no_address_is_refused_in_one_line(url: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as refused:
        Client(TeacherAddress(url))
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "10.1.2.3", "[fd00::1]", "[::ffff:192.168.0.1]", "localhost", "vllm.localhost"]
)
def test_a_key_goes_unencrypted_to_what_is_near(host: str) -> None:
    assert Client(TeacherAddress(f"http://{host}:8000/v1", key_env="TEACHER_TOKEN")).url == f"http://{host}:8000/v1"


@pytest.mark.parametrize(
    "host",
    ["8.8.8.8", "[::ffff:8.8.8.8]", "169.254.169.254", "teacher.example.org", "ai", "vllm", "localhost.example.org"],
)
def test_a_key_goes_unencrypted_to_nobody_else(host: str) -> None:
    with pytest.raises(BadInput, match="others could read the key on its way; write https"):
        Client(TeacherAddress(f"http://{host}/v1", key_env="TEACHER_TOKEN"))
    assert Client(TeacherAddress(f"https://{host}/v1", key_env="TEACHER_TOKEN"))
    assert Client(TeacherAddress(f"http://{host}/v1"))


@pytest.mark.parametrize("value", ["", "  ", "two words", "schlüssel"])
def test_a_variable_without_a_key_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY_TOKEN", value)
    with pytest.raises(BadInput, match=r"--teacher-key-env: (no|the) variable"):
        Client(TeacherAddress("http://127.0.0.1:8000", key_env="EMPTY_TOKEN"))
