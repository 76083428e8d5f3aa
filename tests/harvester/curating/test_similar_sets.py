"""The similar sets among many, beside a comparison of all with all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.curating import similar_sets
from harvester.curating.similar_sets import SimilarSets


def similar_pairs(sets: list[set[int]], threshold: float) -> dict[tuple[int, int], float]:
    """By SimilarSets, each set against those before it."""
    members = np.array([one for members in sets for one in sorted(members)], np.uint32)
    found = SimilarSets(members, np.array([len(one) for one in sets], np.int64), threshold)
    pairs = {}
    for number in range(len(sets)):
        for other, similarity in found.similar(number).items():
            pairs[other, number] = similarity
        found.add(number)
    return pairs


def all_pairs(sets: list[set[int]], threshold: float) -> dict[tuple[int, int], float]:
    """By comparing all with all."""
    return {
        (one, two): similarity
        for two in range(len(sets))
        for one in range(two)
        if sets[one] | sets[two]
        and (similarity := len(sets[one] & sets[two]) / len(sets[one] | sets[two])) >= threshold
    }


members = st.integers(0, 25) | st.sampled_from([2**32 - 1, 2**31, 2**27, 2**27 + 3, 2**24 + 3])
some_sets = st.lists(st.sets(members, max_size=20), max_size=12)


@given(some_sets, st.sampled_from([0.01, 0.5, 0.7, 0.8, 0.9, 1.0]))
def test_all_similar_pairs_are_found_and_no_others(sets: list[set[int]], threshold: float) -> None:
    assert similar_pairs(sets, threshold) == pytest.approx(all_pairs(sets, threshold))


@given(some_sets, st.sampled_from([0.5, 0.8]))
def test_members_sorted_in_parts_make_no_difference(sets: list[set[int]], threshold: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similar_sets, "SORTED_AT_ONCE", 4)
        patch.setattr(similar_sets, "LOOKED_AT_ONCE", 3)
        patch.setattr(similar_sets, "SETS_AT_ONCE", 2)
        assert similar_pairs(sets, threshold) == pytest.approx(all_pairs(sets, threshold))


@pytest.mark.parametrize("size", [5, 10, 15, 20, 25, 100])
def test_a_pair_right_at_the_threshold_is_found(size: int) -> None:
    one, two = set(range(size)), set(range(size * 4 // 5))
    assert similar_pairs([one, two], 0.8) == {(0, 1): 0.8}


def test_what_was_not_added_is_not_found() -> None:
    found = SimilarSets(np.array([1, 2, 3, 1, 2, 3], np.uint32), np.array([3, 3], np.int64), 0.8)
    assert found.similar(0) == found.similar(1) == {}
    found.add(0)
    assert found.similar(1) == {0: 1.0}
