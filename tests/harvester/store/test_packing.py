"""What is packed comes out as it was, by whatever it was packed, and damage is told."""

import contextlib
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import StoreUnusable
from harvester.store.choosing import trained
from harvester.store.packing import FRAME, REPLIES, REQUESTS, DamagedError, Dictionary, Packing, deflated, number_of

TEXTS = [
    json.dumps(
        {"model": "toy-1", "choices": [{"message": {"role": "assistant", "content": f"{n} and {n * n}"}}]}
    ).encode()
    for n in range(200)
]


def dictionary(holds: str = REPLIES) -> Dictionary:
    found = trained(TEXTS, holds, 1024)
    assert found
    return found


DICTIONARY = dictionary()
PACKING = Packing([DICTIONARY])


@given(st.binary(max_size=2000), st.sampled_from([Packing(), PACKING]))
def test_any_bytes_come_out_as_they_were(data: bytes, packing: Packing) -> None:
    assert packing.restored(packing.packed(data, REPLIES)) == data
    assert PACKING.restored(deflated(data)) == data  # as a store from before has it


def test_a_dictionary_packs_what_it_is_for_and_zlib_the_rest() -> None:
    assert number_of(PACKING.packed(TEXTS[0], REPLIES)) == DICTIONARY.number
    assert PACKING.packed(TEXTS[0], REQUESTS) == deflated(TEXTS[0])
    assert len(PACKING.packed(TEXTS[0], REPLIES)) < 0.5 * len(deflated(TEXTS[0]))


@pytest.mark.parametrize("length", [0, 1, 511, 512, 5_000, 300_000])
def test_no_stream_of_zlib_begins_like_a_frame(length: int) -> None:
    # Its first two bytes are a multiple of 31, which those of a frame are not.
    assert int.from_bytes(FRAME[:2], "big") % 31
    assert int.from_bytes(deflated(bytes(length))[:2], "big") % 31 == 0


@given(st.data())
def test_damaged_bytes_are_told_and_no_other_error_comes_of_them(data: st.DataObject) -> None:
    blob = bytearray(PACKING.packed(data.draw(st.sampled_from(TEXTS)), REPLIES))
    for place in data.draw(st.lists(st.integers(0, len(blob) - 1), min_size=1, max_size=8)):
        blob[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DamagedError):
        PACKING.restored(bytes(blob[: data.draw(st.integers(0, len(blob)))]))


def test_without_its_dictionary_a_text_is_damaged() -> None:
    blob = PACKING.packed(TEXTS[0], REPLIES)
    with pytest.raises(StoreUnusable, match=rf"reply 7 is damaged \(its dictionary {DICTIONARY.number} is missing"):
        Packing().unpacked(blob, "reply 7")


def test_it_goes_to_other_processes_and_threads() -> None:
    sent = pickle.loads(pickle.dumps(PACKING))  # noqa: S301 - ours
    with ThreadPoolExecutor(4) as pool:
        packed = list(pool.map(lambda text: PACKING.packed(text, REPLIES), TEXTS * 5))
        assert list(pool.map(sent.restored, packed)) == TEXTS * 5


def test_too_little_in_common_makes_no_dictionary() -> None:
    assert trained(TEXTS[:20], REPLIES, 1024) is None
    assert trained([b"x"] * 200, REPLIES, 1024) is None
