"""The model thread without HTTP: rows are put in before it starts, so that what becomes one batch is known."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from clients import Told
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune.serving import engine as module
from finetune.serving.calls import Answered
from finetune.serving.decoding import NotNumbersError, answer
from finetune.serving.engine import Engine
from finetune.serving.refusals import Refused
from finetune.serving.rows import End, Failure, PromptScores, Row, Sampling
from finetune.serving.served import Served


class Batches:
    """Answers as the engine does, and remembers how many at once."""

    def __init__(self, run: Callable[[Served, Sequence[Row]], None] = answer) -> None:
        self.sizes: list[int] = []
        self._run = run

    def __call__(self, served: Served, rows: Sequence[Row]) -> None:
        self.sizes.append(len(rows))
        self._run(served, rows)


def work_off(engine: Engine, rows: Sequence[Row]) -> None:
    engine.submit(rows)
    engine.close()
    engine.start()
    engine.join()


def put_together(events: Sequence[Any]) -> Answered:
    found = Answered()
    for event in events:
        found.add(event)
    return found


PROMPTS = [[5, 6, 7], [9] * 30, [70, 71], [200]]
SAMPLINGS = [Sampling(temperature=0), Sampling(temperature=1.5), Sampling(top_k=3), Sampling(top_p=0.5, min_p=0.01)]


def test_what_waits_becomes_one_batch_and_each_answer_is_as_if_alone(served: Served, told: Told) -> None:
    """Rows of other lengths, parameters and bounds: they leave one after the other."""
    settings = [
        {"max_tokens": most, "sampling": sampling, "seed": "7", "top": 2, "prompt_top": 1}
        for most, sampling in zip((12, 3, 20, 0), SAMPLINGS, strict=True)
    ]
    batches = Batches()
    asked = list(zip(PROMPTS, settings, strict=True))
    work_off(Engine(served, run=batches), [told.row(prompt, **more) for prompt, more in asked])
    assert batches.sizes == [4]
    for events, (prompt, more) in zip(told.events, asked, strict=True):
        alone = Told()
        work_off(Engine(served), [alone.row(prompt, **more)])
        one, other = put_together(events), put_together(alone.events[0])
        assert (one.text, one.end) == (other.text, other.end)
        assert [token.id for token in one.tokens] == [token.id for token in other.tokens]
        assert [token.logprob for token in one.tokens] == pytest.approx(
            [token.logprob for token in other.tokens], abs=1e-4
        )
        assert isinstance(events[0], PromptScores)
        assert isinstance(events[-1], End)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(st.integers(2, 257), min_size=1, max_size=9), st.integers(0, 6)), min_size=2))
def test_any_rows_are_answered_together_as_alone(served: Served, rows: list[tuple[list[int], int]]) -> None:
    together = Told()
    work_off(Engine(served), [together.row(ids, most, sampling=Sampling(temperature=0)) for ids, most in rows])
    for events, (ids, most) in zip(together.events, rows, strict=True):
        alone = Told()
        work_off(Engine(served), [alone.row(ids, most, sampling=Sampling(temperature=0))])
        assert put_together(events).text == put_together(alone.events[0]).text


def test_a_batch_has_so_many_rows_and_no_more(served: Served, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    batches = Batches()
    work_off(Engine(served, run=batches), [told.row([5], 1) for _ in range(7)])
    assert batches.sizes == [3, 3, 1]
    assert all(isinstance(events[-1], End) for events in told.events)


def test_a_batch_grows_to_so_many_tokens_and_no_more(
    served: Served, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padding included: a long row beside short ones makes all of them long."""
    monkeypatch.setattr(module, "MOST_TOKENS", 40)
    batches = Batches()
    work_off(Engine(served, run=batches), [told.row([5] * size, 1) for size in (9, 9, 19, 9, 60)])
    assert batches.sizes == [2, 2, 1]


def test_rows_that_are_dropped_are_not_answered(served: Served, told: Told) -> None:
    rows = [told.row([5]), told.row([6])]
    rows[0].dropped = True
    work_off(Engine(served), rows)
    assert told.events[0] == []
    assert isinstance(told.events[1][-1], End)


def test_dropped_rows_make_room_in_the_queue(served: Served, told: Told) -> None:
    engine = Engine(served, most_waiting=1)
    gone = told.row([5])
    engine.submit([gone])
    with pytest.raises(Refused, match="1 prompts wait already"):
        engine.submit([told.row([6])])
    gone.dropped = True
    engine.submit([told.row([7])])


def test_a_batch_that_memory_does_not_hold_is_halved(served: Served, told: Told) -> None:
    def short_of_memory(served: Served, rows: Sequence[Row]) -> None:
        if len(rows) > 2:
            raise torch.OutOfMemoryError
        answer(served, rows)

    batches = Batches(short_of_memory)
    work_off(Engine(served, run=batches), [told.row([5], 1) for _ in range(5)])
    assert batches.sizes == [5, 2, 3, 1, 2]
    assert all(isinstance(events[-1], End) for events in told.events)


def test_long_prompts_are_not_padded_beside_each_other(
    served: Served, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", 200)
    batches = Batches()
    work_off(Engine(served, run=batches), [told.row([5] * size, 1) for size in (10, 9, 3, 20)])
    assert batches.sizes == [2, 1, 1]


@pytest.mark.parametrize(
    ("error", "message"),
    [(torch.OutOfMemoryError(), "memory"), (NotNumbersError(), "no number"), (KeyError("x"), "the server failed")],
)
def test_a_batch_that_fails_is_said_and_the_next_is_answered(
    served: Served, told: Told, error: Exception, message: str, monkeypatch: Any, capsys: Any
) -> None:
    def fail_for_5(served: Served, rows: Sequence[Row]) -> None:
        if rows[0].prompt == (5,):
            raise error
        answer(served, rows)

    monkeypatch.setattr(module, "MOST_ROWS", 1)
    work_off(Engine(served, run=fail_for_5), [told.row([5]), told.row([6])])
    [failure] = told.events[0]
    assert isinstance(failure, Failure)
    assert message in failure.message
    assert isinstance(told.events[1][-1], End)
    assert ("KeyError" in capsys.readouterr().err) == isinstance(error, KeyError)


def test_logits_that_are_no_numbers_are_no_answer(served: Served, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(served), "head", lambda _, hidden: hidden * float("nan"))
    work_off(Engine(served), [told.row([5])])
    assert told.events == [[Failure(500, module.NO_NUMBERS)]]


def test_what_is_abandoned_is_told(served: Served, told: Told) -> None:
    engine = Engine(served)
    engine.submit([told.row([5])])
    engine.abandon()
    assert told.events == [[Failure(503, "the server stopped")]]
    with pytest.raises(Refused, match="stopping"):
        engine.submit([told.row([5])])
    engine.start()
    engine.join()
