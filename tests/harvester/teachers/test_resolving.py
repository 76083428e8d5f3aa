"""Where a name leads is checked when it is connected to; literal addresses are checked by the same rules before."""

import asyncio
import contextlib
import socket
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from harvester.addresses import AddressRefused, check_url, reach
from harvester.collecting import collect
from harvester.errors import TeacherUnusable
from harvester.recipe import Recipe, Teacher
from harvester.teachers import openai_compat, resolving

REFUSED_ALWAYS = [
    "0.0.0.0",  # noqa: S104 - nothing is bound to it
    "0.1.2.3", "169.254.169.254", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1", "::ffff:169.254.169.254", "::ffff:0.0.0.0",
    "64:ff9b::169.254.169.254", "64:ff9b:1::1", "2002:a9fe:a9fe::1", "::127.0.0.1", "100::1", "fe80::1%eth0",
]  # fmt: skip
LOCAL_ONLY = [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "100.127.255.255", "::1", "fc00::1", "fd12:3456::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1", "2002:7f00:1::1", "2002:a00:1::",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8",
    "172.32.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "2606:4700::1",
    "64:ff9b::8.8.8.8",
    "::ffff:8.8.8.8",
]


class Fake(AbstractResolver):
    """Answers with the addresses that a test names, in turn for every question."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family
        addresses = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=address, port=port, family=_family(address), proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None:
        self.closed = True


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@pytest.mark.parametrize(
    ("addresses", "open_to"),
    [(REFUSED_ALWAYS, set()), (LOCAL_ONLY, {True}), (PUBLIC, {False})],
    ids=["never", "local", "public"],
)
async def test_an_address_is_let_through_only_where_the_recipe_says_so(
    addresses: list[str], open_to: set[bool]
) -> None:
    for address in addresses:
        for local in (True, False):
            checked = resolving.CheckedResolver(local=local, inner=Fake([address]))
            if local in open_to:
                assert [one["host"] for one in await checked.resolve("name.example", 443)] == [address]
            else:
                with pytest.raises(AddressRefused, match=r"name\.example is "):
                    await checked.resolve("name.example", 443)


@pytest.mark.parametrize("name", ["localhost", "0x7f.0x1"])
async def test_the_systems_own_resolver_is_checked_too(name: str) -> None:
    with pytest.raises(AddressRefused, match="which is loopback; if that is meant, state local: true"):
        await resolving.CheckedResolver(local=False).resolve(name)
    assert await resolving.CheckedResolver(local=True).resolve(name)


@pytest.mark.parametrize("first", [True, False])
async def test_one_bad_address_among_good_ones_is_enough(first: bool) -> None:
    answer = ["10.0.0.1", "8.8.8.8"] if first else ["8.8.8.8", "10.0.0.1"]
    for local in (True, False):
        with pytest.raises(AddressRefused):
            await resolving.CheckedResolver(local=local, inner=Fake(answer)).resolve("name.example")


async def test_closing_closes_the_resolver_underneath() -> None:
    inner = Fake([])
    await resolving.CheckedResolver(local=False, inner=inner).close()
    assert inner.closed


@pytest.mark.parametrize("address", [*REFUSED_ALWAYS, *LOCAL_ONLY, *PUBLIC])
def test_a_literal_address_meets_the_same_rules(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    for local in (True, False):
        url = f"{'http' if local else 'https'}://{host}:8000/v1"
        allowed = reach(address) in (("loopback", "private") if local else ("public",))
        with contextlib.nullcontext() if allowed else pytest.raises(ValueError, match=r"local|https|address"):
            check_url(url, local=local)


def test_the_address_of_every_interface_is_mended_by_loopback() -> None:
    with pytest.raises(ValueError, match=r"write 127\.0\.0\.1"):
        check_url("http://0.0.0.0:8000/v1", local=True)


@pytest.fixture
def fake_names(monkeypatch: Any) -> Any:
    """Names that resolve as a test says, in every client that is connected; the rest of the way is real."""

    def install(*answers: list[str]) -> Fake:
        fake = Fake(*answers)
        monkeypatch.setattr(aiohttp, "DefaultResolver", lambda: fake)
        return fake

    return install


def _teacher(url: str, *, local: bool) -> Teacher:
    return Teacher(base_url=url, model="toy-1", local=local)


async def test_a_refusal_comes_through_the_transport_as_it_is(fake_names: Any) -> None:
    fake_names(["127.0.0.1"])
    async with openai_compat.connect(
        _teacher("https://rebound.example.com/v1", local=False), openai_compat.Access("key")
    ) as client:
        with pytest.raises(AddressRefused, match=r"rebound\.example\.com is 127\.0\.0\.1.*local: true") as caught:
            await client.send(b"{}")
    assert isinstance(caught.value, TeacherUnusable)


async def test_a_name_that_moves_between_two_questions_is_caught(fake_names: Any) -> None:
    """Rebinding: what was public when it was first asked is private when it is connected to."""
    fake = fake_names(["8.8.8.8"], ["127.0.0.1"])
    assert await aiohttp.DefaultResolver().resolve("rebound.example.com")
    async with openai_compat.connect(
        _teacher("https://rebound.example.com/v1", local=False), openai_compat.Access("key")
    ) as client:
        with pytest.raises(AddressRefused):
            await client.send(b"{}")
    assert fake.asked == 2


async def test_a_local_name_that_leads_out_gets_nothing(fake_names: Any) -> None:
    fake_names(["8.8.8.8"])
    async with openai_compat.connect(
        _teacher("http://gpu.local:8000/v1", local=True), openai_compat.Access("key")
    ) as client:
        with pytest.raises(AddressRefused, match="public"):
            await client.send(b"{}")


async def test_a_local_name_that_leads_to_this_machine_is_asked(fake_names: Any, provider: Any) -> None:
    fake_names(["127.0.0.1"])
    port = httpx.URL(provider.url).port
    async with openai_compat.connect(
        _teacher(f"http://gpu.local:{port}/v1", local=True), openai_compat.Access("key")
    ) as client:
        reply = await client.send(b'{"messages": [{"role": "user", "content": "x"}]}')
    assert reply.status == 200
    assert len(provider.asked) == 1


def test_collecting_ends_with_one_line_and_does_not_try_again(folder: Any, fake_names: Any, provider: Any) -> None:
    fake = fake_names(["127.0.0.1"])
    port = httpx.URL(provider.url).port
    folder.data["teacher"] |= {"base_url": f"https://rebound.example.com:{port}/v1", "local": False}
    folder.save()
    with pytest.raises(TeacherUnusable, match=r"rebound\.example\.com is 127\.0\.0\.1") as caught:
        asyncio.run(collect(Recipe.load(folder.path)))
    assert "\n" not in str(caught.value)
    assert fake.asked <= 4  # one a worker, none again
    assert provider.asked == []
