"""Distributions over the student's tokens: which token each entry is about, and which rows have none.

The layout is that of axolotl 0.19 (integrations/kd of its package, read in November 2026): per row `logprobs` and
`target_token_ids`, both one list a token, compared from the end with the student's logits at that place.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from byte_student import TEMPLATE, make_student, row, told
from tokenizers import Tokenizer, models

from harvester.errors import BadInput
from harvester.exporting.formats.axolotl_kd import FLOOR, AxolotlKd
from harvester.exporting.formats.catalogue import named
from harvester.exporting.formats.records import LeftOutError
from harvester.exporting.formats.soft_labels import SoftLabels


@pytest.fixture
def student(tmp_path: Path) -> Path:
    return make_student(tmp_path / "student")


def record_of(student: Path, row: dict[str, Any]) -> dict[str, Any]:
    """Axolotl's record."""
    return AxolotlKd(SoftLabels.read(student)).record(row)


def spelt(student: Path, record: dict[str, Any]) -> list[list[tuple[str, float]]]:
    """Of each entry the tokens with more than nothing, as text."""
    tokenizer = Tokenizer.from_file(str(student / "tokenizer.json"))
    return [
        [(tokenizer.id_to_token(token), logprob) for token, logprob in zip(ids, values, strict=True) if logprob > FLOOR]
        for ids, values in zip(record["target_token_ids"], record["logprobs"], strict=True)
    ]


def test_entries_stand_one_token_before_what_they_are_about_up_to_the_end(student: Path) -> None:
    said = [told(b"ab", (b"a", -1.0)), told(b"c", (b"x", -2.0)), told(b"<|end|>", (b"d", -3.0))]
    record = record_of(student, row("abc", said))
    whole = Tokenizer.from_file(str(student / "tokenizer.json")).encode("<|user|>q<|end|>\n<|assistant|>abc<|end|>\n")
    begin = len(whole.ids) - len(record["logprobs"])
    assert whole.tokens[begin] == "<|assistant|>"  # what is said there is about the answer's first token
    assert spelt(student, record) == [
        [("ab", -0.5), ("a", -1.0)],
        [("c", -0.5), ("x", -2.0)],
        [("<|end|>", -0.5), ("d", -3.0)],
        [("Ċ", 0.0)],  # the template's own
        [("Ċ", 0.0)],  # about nothing; the template's last token is not trained on
    ]


def test_every_entry_lists_as_many_tokens_and_each_of_them_once(student: Path) -> None:
    said = [told(b"ab", (b"a", -1.0), (b"x", -3.0)), told(b"c")]
    record = record_of(student, row("abc", said))
    assert {len(ids) for ids in record["target_token_ids"]} == {3}
    assert all(len(set(ids)) == 3 for ids in record["target_token_ids"])
    assert [len(values) for values in record["logprobs"]] == [len(ids) for ids in record["target_token_ids"]]


def test_parts_of_a_letter_are_found_by_their_bytes(student: Path) -> None:
    alef, be = b"\xd8\xa7", b"\xd8\xa8"
    said = [told(alef, (be[:1], -2.0)), told(be[:1]), told(be[1:])]
    record = record_of(student, row((alef + be).decode(), said))
    assert [len(entry) for entry in spelt(student, record)[:3]] == [2, 1, 1]


def test_an_end_without_bytes_is_the_templates(student: Path) -> None:
    record = record_of(student, row("c", [told(b"c", (b"", -4.0)), told(b"", (b"d", -1.0))]))
    assert spelt(student, record)[:2] == [[("c", -0.5), ("<|end|>", -4.0)], [("<|end|>", -0.5), ("d", -1.0)]]


def test_listed_tokens_that_the_student_lacks_are_left_out(student: Path) -> None:
    record = record_of(student, row("c", [told(b"c", (b"xyz", -1.0), (b"d", -2.0))]))
    assert spelt(student, record)[0] == [("c", -0.5), ("d", -2.0)]


def test_no_logprob_is_so_low_that_its_logarithm_would_be_lost(student: Path) -> None:
    record = record_of(student, row("c", [told(b"c", (b"d", -9999.0))]))
    assert min(value for values in record["logprobs"] for value in values) == FLOOR


@pytest.mark.parametrize(
    ("answer", "logprobs", "reason"),
    [
        ("abc", None, "no_logprobs"),
        ("abc", [], "no_logprobs"),
        ("c", [{"bytes": b"c", "logprob": -0.5, "top": {"bytes": [], "logprob": []}}], "no_logprobs"),
        ("abc", [told(b"a"), told(b"b"), told(b"c")], "other_tokens"),  # the student says ab in one
        ("abc", [told(b"ab")], "other_tokens"),
        ("c", [told(b"c"), told(b"d"), told(b"e")], "other_tokens"),
    ],
)
def test_a_row_whose_tokens_are_not_the_students_is_left_out(
    student: Path, answer: str, logprobs: Any, reason: str
) -> None:
    with pytest.raises(LeftOutError, match=reason):
        record_of(student, row(answer, logprobs))


def test_a_row_that_the_template_changes_is_left_out(student: Path) -> None:
    (student / "chat_template.jinja").write_text(TEMPLATE.replace("m.content", "m.content | upper"))
    with pytest.raises(LeftOutError, match="other_text"):
        record_of(student, row("c", [told(b"c")]))


def test_a_template_may_stand_in_the_settings_and_mark_what_is_trained_on(student: Path) -> None:
    (student / "chat_template.jinja").unlink()
    marked = TEMPLATE.replace(
        "{{ m.content }}", "{% generation %}{{ m.content }}{% endgeneration %}{{ bos_token[:0] }}"
    )
    settings = {"chat_template": marked, "bos_token": {"content": "<s>"}}
    (student / "tokenizer_config.json").write_text(json.dumps(settings))
    assert record_of(student / "tokenizer.json", row("c", [told(b"c")]))["row_id"] == "ab"


def test_a_template_cannot_reach_out(student: Path) -> None:
    (student / "chat_template.jinja").write_text("{{ messages.__class__.__mro__ }}")
    with pytest.raises((BadInput, LeftOutError)):
        record_of(student, row("c", [told(b"c")]))


def test_what_is_no_student_is_said_so(student: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"--format axolotl-kd: needs the student's tokens; add --tokenizer"):
        named("axolotl-kd", None)
    with pytest.raises(BadInput, match="--tokenizer: the format alpaca needs none"):
        named("alpaca", student)
    with pytest.raises(BadInput, match=r"tokenizer\.json: is no tokenizer"):
        SoftLabels.read(tmp_path)
    (student / "chat_template.jinja").unlink()
    with pytest.raises(BadInput, match="no chat template; name the folder of a model"):
        SoftLabels.read(student)
    Tokenizer(models.BPE({"a": 0}, [])).save(str(student / "tokenizer.json"))
    with pytest.raises(BadInput, match="not made of bytes"):
        SoftLabels.read(student)


def test_a_template_that_fails_is_said_so(student: Path) -> None:
    (student / "chat_template.jinja").write_text("{{ raise_exception('no system prompt') }}")
    with pytest.raises(BadInput, match="its chat template fails: no system prompt"):
        record_of(student, row("c", [told(b"c")]))
    (student / "chat_template.jinja").write_text("{% if %}")
    with pytest.raises(BadInput, match="its chat template is wrong"):
        SoftLabels.read(student)


def test_a_token_of_unknown_bytes_is_not_taken_for_the_end(student: Path) -> None:
    labels = SoftLabels.read(student)
    said = {"top": {"bytes": [None, b"ab", b""], "logprob": [-1.0, -2.0, -3.0]}}
    assert labels._listed(said, ending=9) == {labels.student.by_bytes[b"ab"]: -2.0, 9: -3.0}
