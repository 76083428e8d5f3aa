import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.batching import Order, epoch_steps, packed_passes, padded_passes, passes_of, share

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=80)


@given(LENGTHS, st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_has_each_row_once(lengths: list[int], rows: int, epoch: int) -> None:
    steps = epoch_steps(lengths, rows, seed=1, epoch=epoch)
    assert sorted(row for step in steps for row in step) == list(range(len(lengths)))
    assert all(1 <= len(step) <= rows for step in steps)


def test_order_depends_on_seed_and_epoch_only() -> None:
    lengths = list(range(40))
    first = epoch_steps(lengths, 4, seed=0, epoch=0)
    assert first == epoch_steps(lengths, 4, seed=0, epoch=0)
    assert first != epoch_steps(lengths, 4, seed=0, epoch=1)
    assert first != epoch_steps(lengths, 4, seed=1, epoch=0)


def test_rows_of_like_length_share_a_step() -> None:
    lengths = [10, 100] * 32
    steps = epoch_steps(lengths, 4, seed=0, epoch=0)
    mixed = sum(len({lengths[row] for row in step}) > 1 for step in steps)
    assert mixed <= 2  # one where the short rows of a window end


@given(LENGTHS, st.integers(50, 200))
def test_a_packed_pass_holds_each_row_once_and_never_too_much(lengths: list[int], most: int) -> None:
    passes = packed_passes(range(len(lengths)), lengths, most)
    assert sorted(row for one in passes for row in one) == list(range(len(lengths)))
    filled = [sum(lengths[row] for row in one) for one in passes]
    assert all(0 < tokens <= most for tokens in filled)
    assert sum(tokens <= most // 2 for tokens in filled) <= 1  # two such would have shared a pass


@given(st.integers(0, 30), st.integers(1, 5), st.integers(1, 6))
def test_processes_and_passes_share_the_rows_out(count: int, processes: int, batch_size: int) -> None:
    shares = [share(range(count), rank, processes) for rank in range(processes)]
    assert sorted(row for rows in shares for row in rows) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for rows in shares:
        passes = padded_passes(rows, batch_size)
        assert [row for one in passes for row in one] == rows
        assert all(1 <= len(one) <= batch_size for one in passes)


@given(LENGTHS, st.integers(50, 200))
def test_a_row_goes_into_the_first_pass_that_has_room(lengths: list[int], most: int) -> None:
    plain: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        room = (one for one in plain if sum(lengths[other] for other in one) + lengths[row] <= most)
        if (first := next(room, None)) is None:
            plain.append(first := [])
        first.append(row)
    assert packed_passes(range(len(lengths)), lengths, most) == plain


@pytest.mark.timeout(30)
def test_a_large_split_is_packed_in_no_time() -> None:
    lengths = [700 + row % 300 for row in range(150_000)]  # no two of them fit: quadratic time would be an hour
    assert len(packed_passes(range(len(lengths)), lengths, 1000)) == len(lengths)


@given(LENGTHS, st.integers(1, 4), st.integers(1, 5), st.booleans())
def test_each_row_is_in_one_pass_of_one_process(
    lengths: list[int], processes: int, batch_size: int, packed: bool
) -> None:
    most = 50 * batch_size if packed else None
    found = [
        passes_of(
            sorted(lengths), rank=rank, processes=processes, batch_size=batch_size, most_tokens=most, equally_many=True
        )
        for rank in range(processes)
    ]
    assert sorted(row for passes in found for one in passes for row in one) == list(range(len(lengths)))
    assert len({len(passes) for passes in found}) == 1


@given(LENGTHS, st.integers(1, 9), st.integers(0, 30))
def test_the_rows_seen_are_those_of_the_steps_done(lengths: list[int], rows: int, steps: int) -> None:
    order = Order(lengths, rows, seed=3)
    epochs, rest = divmod(steps, order.steps_per_epoch)
    plain = [
        row for epoch in range(epochs + 1) for step in epoch_steps(lengths, rows, seed=3, epoch=epoch) for row in step
    ]
    seen = list(order.seen(steps))
    assert seen == plain[: len(seen)]
    assert len(seen) >= epochs * len(lengths)
    assert (len(seen) == epochs * len(lengths)) == (rest == 0)
