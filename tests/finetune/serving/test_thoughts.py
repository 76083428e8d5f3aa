import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.serving.thoughts import Thoughts


def split(pieces: list[str], *, opened: bool = False) -> tuple[str, str]:
    thoughts = Thoughts(opened=opened)
    found = [*map(thoughts.feed, pieces), thoughts.feed("", last=True)]
    return "".join(thought for thought, _ in found), "".join(speech for _, speech in found)


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("plain", False, ("", "plain")),
        ("  plain", False, ("", "  plain")),
        ("\n", False, ("", "\n")),
        ("<think>\n\n</think>\n\nyes", False, ("\n\n", "yes")),
        ("hm</think>\n\nyes", True, ("hm", "yes")),
        ("yes <think>no</think>", False, ("", "yes <think>no</think>")),
        ("<think>never closed </thi", False, ("never closed </thi", "")),
        ("a</think>b</think>c", True, ("a", "b</think>c")),
        ("<thi", False, ("", "<thi")),
        ("", False, ("", "")),
    ],
)
def test_thought_and_speech_are_told_apart(text: str, opened: bool, expected: tuple[str, str]) -> None:
    assert split([text], opened=opened) == expected
    assert split(list(text), opened=opened) == expected


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "/think>", "a", "\n", " "]), max_size=12),
    st.booleans(),
)
def test_pieces_do_not_matter(parts: list[str], opened: bool) -> None:
    text = "".join(parts)
    assert split(list(text), opened=opened) == split([text], opened=opened)
    assert split(parts, opened=opened) == split([text], opened=opened)


def test_speech_flows_without_waiting() -> None:
    assert Thoughts(opened=False).feed("yes <") == ("", "yes <")
