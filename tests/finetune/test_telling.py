from typing import Any

import pytest
import torch
from torch import distributed

from finetune.errors import TELLS, TOLD, BadInput, FinetuneError, Stopped
from finetune.telling import Board, portable
from harvester.errors import TeacherUnusable

HashStore: Any = getattr(distributed, "HashStore")  # noqa: B009 - it has no type information
BROKEN = "[gloo/transport/tcp/pair.cc:537] Read error: Connection reset by peer"


def notes(error: Exception) -> list[str]:
    return getattr(error, "__notes__", [])


@pytest.fixture
def store() -> Any:
    return HashStore()


def test_one_process_of_each_machine_tells_of_what_all_have_met(store: Any) -> None:
    boards = [Board(store, machine) for machine in ("0", "0", "1", "1")]
    settled = [board.settle(BadInput("data: not here")) for board in boards]
    assert [notes(error) for error in settled] == [[TELLS], [TOLD], [TELLS], [TOLD]]
    assert notes(boards[0].settle(BadInput("something else"))) == [TELLS]


def test_a_broken_connection_is_what_broke_it(store: Any) -> None:
    Board(store, "0").settle(torch.OutOfMemoryError("Tried to allocate 2.00 GiB."))
    here, there = (Board(store, machine).settle(RuntimeError(BROKEN)) for machine in ("0", "1"))
    assert isinstance(here, BadInput)
    assert str(here) == str(there)
    assert "2.00 GiB" in str(here)
    assert (notes(here), notes(there)) == ([TOLD], [TELLS])


def test_the_kind_of_an_error_and_its_exit_code_reach_the_others(store: Any) -> None:
    Board(store, "0").settle(TeacherUnusable("no network"))
    assert isinstance(Board(store, "1").settle(RuntimeError(BROKEN)), TeacherUnusable)


def test_a_process_that_is_gone_without_a_word_is_said_and_can_be_gone_on_from(store: Any) -> None:
    found = Board(store, "0").settle(RuntimeError(BROKEN))
    assert isinstance(found, Stopped)
    assert "run the same command again" in str(found)


def test_a_bug_stays_what_it_is_and_is_shown_once(store: Any) -> None:
    first, second = ZeroDivisionError("division"), ZeroDivisionError("division")
    assert Board(store, "0").settle(first) is first
    assert notes(first) == [TELLS]
    found = Board(store, "0").settle(second)
    assert notes(found) == [TOLD]


def test_a_store_that_is_gone_keeps_no_one_from_telling() -> None:
    class Gone:
        def __getattr__(self, _: str) -> Any:
            raise distributed.DistNetworkError

    error = BadInput("disk: full")
    assert Board(Gone(), "0").settle(error) is error
    assert not notes(error)


def test_any_error_can_be_given_to_another_process() -> None:
    assert str(portable(ZeroDivisionError("division"))) == "ZeroDivisionError: division"
    assert type(portable(ZeroDivisionError())) is FinetuneError
    assert type(portable(BadInput("x"))) is BadInput
