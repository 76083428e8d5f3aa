"""The page as a file: whole, self-contained, escaped, and honest about what it does not know."""

import json
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from folders import TERMS, edit, make_run
from toys import Command

from finetune.errors import BadInput
from finetune.reporting import write_report

VOID = {"meta", "link", "br", "hr", "img", "input", "path", "line", "rect", "circle", "polyline", "polygon"}


class Page(HTMLParser):
    """What a test asks of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split()).replace("\u00a0", " ")


def page_of(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


def test_the_page_is_well_formed_with_headings_in_order_and_each_id_once(run_folder: Path) -> None:
    page = page_of(run_folder)
    assert (page.wrong, page.open) == ([], [])
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= before + 1 for before, later in pairwise(levels))
    ids = Counter(attrs["id"] for _, attrs in page.tags if "id" in attrs)
    assert {ident for ident, count in ids.items() if count > 1} == set()
    targets = {
        str(attrs["href"])[1:] for tag, attrs in page.tags if tag == "a" and str(attrs.get("href")).startswith("#")
    }
    assert targets <= ids.keys()


def test_the_page_needs_nothing_from_anywhere(run_folder: Path) -> None:
    page = page_of(run_folder)
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "object", "embed")]
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "data", "action"):
            assert str(attrs.get(name) or "#")[:5] in ("#", "data:") or str(attrs[name]).startswith("#"), (tag, attrs)
        assert not [name for name in attrs if name.startswith("on")]
    style = (run_folder / "report.html").read_text()
    assert "url(" not in style
    assert "@import" not in style


def test_it_says_in_words_what_was_found(run_folder: Path) -> None:
    text = page_of(run_folder).text
    assert "The student answers 84 of 100 held-out prompts right; the teacher 83, the base model 0." in text
    assert "Accepted 182 of 200 answers (91.0 %)" in text
    assert "Seeds for test heldout.jsonl, licence: unstated" in text
    assert "show “Built with Llama”" in text
    assert "5,321 answers" in text
    assert "0.42 ÷ (0.0001 - 0.00002)" in text
    assert "Spending while collecting" in text


def test_failures_of_the_student_come_first_and_long_lists_say_what_is_left_out(tmp_path: Path) -> None:
    text = page_of(make_run(tmp_path / "run", prompts=250)).text
    assert text.index("The student failed") < text.index("The teacher failed, the student did not")
    assert text.index("The teacher failed, the student did not") < text.index("Neither failed")
    assert "50 " in text[text.index("Answers side by side") : text.index("The student failed")]


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\x00\x1b[31m\ud800 {{ 7*7 }} ``` ' \""


def test_what_a_model_wrote_is_text_and_never_markup(tmp_path: Path) -> None:
    def say(arm: str, number: int) -> str:
        return HOSTILE if arm == "teacher" else "x" * 100_000 if number == 0 else "مرحبا {…}"

    page = page_of(make_run(tmp_path / "run", prompts=6, say=say))
    assert not [tag for tag, _ in page.tags if tag in ("script", "img")]
    assert (page.wrong, page.open) == ([], [])
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7*7 }}" in page.text
    assert "96,000 more characters" in page.text
    written = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert len(written) < 300_000
    assert not set(written) & set("\x00\x1b\ud800")


def test_what_an_older_dataset_left_out_is_not_recorded_rather_than_nothing(run_folder: Path) -> None:
    edit(run_folder / "report.json", lambda report: report["data"].update(terms=None, left_out={}))
    text = page_of(run_folder).text
    assert "What the export left out: not recorded" in text
    assert "left out no row" not in text


def test_that_nothing_was_left_out_is_said(run_folder: Path) -> None:
    nothing = {"harvest": {}, "training": {}}
    edit(run_folder / "report.json", lambda report: report["data"].update(left_out=nothing))
    assert "The export left out no row. The training left out no row." in page_of(run_folder).text


def test_each_cost_has_a_name_and_its_sum_and_the_harvest_stands_there_once(run_folder: Path) -> None:
    cost = {
        "harvest": {"value": 0.4213, "unit": "USD", "how": "as the teacher's answers were billed"},
        "usd_per_point": {"value": None, "unit": "USD", "how": "none: the student is not clearly better"},
    }
    edit(run_folder / "report.json", lambda report: report.update(cost=cost))
    text = page_of(run_folder).text
    assert text.count("0.4213 USD") == 1
    assert "Each point over the base, in money not given none: the student is not clearly better" in text
    assert "9.4 min collect 4.92 + train 2.38 + evaluate 2.06 min" in text


def test_it_says_how_much_was_learnt_from_and_dev_apart(run_folder: Path) -> None:
    text = page_of(run_folder).text
    assert "Learnt from 131 rows (of 131 in train), each 2 times on average" in text
    assert "Tokens learnt from 9,024 of answers; 23,746 with their prompts" in text
    assert "Looked at while training 34 rows of dev, none of them learnt from" in text
    edit(run_folder / "report.json", lambda report: report["data"]["learnt_from"].update(rows=None))
    assert "Learnt from how many of the 131 rows of train was not recorded" in page_of(run_folder).text


def test_answers_of_an_arm_that_the_report_does_not_have_are_not_shown(run_folder: Path) -> None:
    answers = run_folder / "answers"
    (answers / "earlier.jsonl").write_text((answers / "base.jsonl").read_text())
    assert "earlier" not in page_of(run_folder).text


def test_a_basis_that_a_user_claimed_is_shown_as_that(run_folder: Path) -> None:
    claimed = {**TERMS, "verdict": "forbidden", "basis": "our <own> contract", "accepted_by": "Ann"}
    edit(run_folder / "report.json", lambda report: report["data"].update(terms=[claimed]))
    assert "Basis: our <own> contract (accepted by Ann); claimed by the user, not checked" in page_of(run_folder).text


def test_an_overlap_is_a_warning(run_folder: Path) -> None:
    edit(run_folder / "report.json", lambda report: report.update(overlap={"prompts": 3, "of": 100}))
    text = page_of(run_folder).text
    assert "Warning: 3 of the 100 held-out prompts were also in the training data" in text


def test_a_gap_that_is_refused_says_why(run_folder: Path) -> None:
    edit(
        run_folder / "report.json", lambda report: report.update(gap_recovered={"value": None, "refusal": "includes 0"})
    )
    assert "includes 0" in page_of(run_folder).text


OLDER = [
    "differences",
    "cost",
    "data",
    "overlap",
    "gap_recovered",
    "minutes",
    "dataset",
    "run",
    "usd",
    "max_new_tokens",
]


@pytest.mark.parametrize(
    "missing", [*[[key] for key in OLDER], OLDER], ids=lambda keys: keys[0] if len(keys) == 1 else "all"
)
def test_a_report_of_before_lacks_some_of_it_and_is_shown_all_the_same(run_folder: Path, missing: list[str]) -> None:
    edit(run_folder / "report.json", lambda report: [report.pop(key) for key in missing])
    for name in ("metrics.jsonl", "answers/prompts.jsonl"):
        (run_folder / name).unlink()
    page = page_of(run_folder)
    assert (page.wrong, page.open) == ([], [])
    assert "not recorded" in page.text


def test_answers_under_way_do_not_hinder_a_report(run_folder: Path) -> None:
    (run_folder / "answers" / "student.partial.jsonl").write_text('{"made_with": {}}\n')
    assert page_of(run_folder).open == []


def spoil_report(folder: Path, part: str, **values: Any) -> None:
    edit(folder / "report.json", lambda report: report[part].update(values))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda folder: (folder / "report.json").unlink(), "run `finetune evaluate .*` first"),
        (lambda folder: (folder / "report.json").write_text("{"), "not JSON .*run `finetune evaluate"),
        (lambda folder: (folder / "report.json").write_text('{"arms": 1}'), "arms: .*run `finetune evaluate"),
        (lambda folder: (folder / "answers" / "student.jsonl").write_text("[1]\n"), "line 1: not an object"),
        (lambda folder: (folder / "answers" / "student.jsonl").write_text("{}\n"), "line 1: seed_id: missing"),
        (
            lambda folder: (folder / "answers" / "student.jsonl").write_text('{"seed_id": "x"}\n'),
            "line 1: no answer with its verdict",
        ),
        (lambda folder: (folder / "answers" / "base.jsonl").write_bytes(b"\0" * 40 + b"\n"), "not JSON Lines"),
        (lambda folder: (folder / "answers" / "prompts.jsonl").write_bytes(b"\xff\xfe\n"), "not JSON Lines"),
        (
            lambda folder: (folder / "answers" / "prompts.jsonl").write_text('{"seed_id": "x", "reference": NaN}\n'),
            "line 1: holds NaN",
        ),
        (lambda folder: (folder / "metrics.jsonl").write_bytes(b'{"step": 1}\n\0\0\n'), "not JSON Lines"),
        (lambda folder: (folder / "metrics.jsonl").write_text("[" * 100_000 + "\n"), "not JSON Lines"),
        (lambda folder: (folder / "report.json").write_bytes(b"\0" * 40), "not JSON .*run `finetune evaluate"),
        (lambda folder: (folder / "report.json").write_text("[" * 100_000), "not JSON .*run `finetune evaluate"),
        (lambda folder: spoil_report(folder, "data", seeds=3), "data.seeds: .*run `finetune evaluate .* again"),
        (lambda folder: spoil_report(folder, "data", spend=[["a", 1]]), "data.spend.0.0"),
        (lambda folder: spoil_report(folder, "minutes", train=float("nan")), "minutes.train: .*finite"),
        (lambda folder: spoil_report(folder, "arms", **{"../x": {"n": 1, "score": 1}}), "arms"),
        (lambda folder: (folder / "run.json").unlink(), "name a folder that `finetune train --out` wrote"),
    ],
)
def test_a_broken_run_is_one_clear_line(run_folder: Path, spoil: Any, problem: str) -> None:
    spoil(run_folder)
    with pytest.raises(BadInput, match=problem) as caught:
        write_report(run_folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("loss", ["x", None, {}, True, 10**400, float("inf")])
def test_metrics_without_a_place_in_the_plot_are_left_out_of_it(run_folder: Path, loss: Any) -> None:
    with (run_folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 67, "loss": loss}) + "\n")
    assert page_of(run_folder).open == []


def test_the_command_writes_it_and_says_where(run_folder: Path, finetune: Command) -> None:
    code, out, _ = finetune("report", run_folder, "--json")
    assert code == 0
    assert json.loads(out) == {"path": str(run_folder / "report.html")}
    assert (run_folder / "report.html").exists()
