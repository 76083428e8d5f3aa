from hypothesis import given
from hypothesis import strategies as st

from finetune.batching import epoch_steps, packed_passes, padded_passes, share

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
